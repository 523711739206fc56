"""What a run's model writes: lengths, words, diversity, painters, its scores, some examples."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from promptlift.improving.clip_tokens import CLIP_BUDGET, count_clip_tokens
from promptlift.lexicon.terms import find_terms
from promptlift.reporting.page import (
    Html,
    Section,
    beside,
    bullets,
    cards,
    figures,
    heading,
    join,
    paragraph,
    table,
)  # fmt: skip
from promptlift.reporting.plots import bar_plot, histogram, interval_plot
from promptlift.reporting.run_data import Row, RunData, number, whole
from promptlift.reporting.training_sections import Draw, metric_titles
from promptlift.scoring.scores import mean_interval
from promptlift.scoring.words import word_frequencies

TOP = 10
_EVERY = 1 << 30  # of words: to look up what each count was before
_DIVERSITY = ("distinct_1", "distinct_2", "self_bleu")
_PHRASES = {"clauses": "clause", "bigrams": "two words", "trigrams": "three words"}
_INTRODUCTION = re.compile(r"^(?:.*\bby |and )")  # "art by", before a painter's name
_ADDED = {"painter": "added_painters", "style": "added_styles"}


def lengths(run: RunData, draw: Draw) -> Section | None:
    """Words and CLIP tokens of sources, targets and predictions."""
    rows, file = run.model_rows()
    drawn = []
    if rows:
        texts = {"source": [row["source"] for row in rows],
                 "target": [whole(row, "target") for row in rows],
                 "prediction": [whole(row) for row in rows]}  # fmt: skip
        drawn += _lengths(texts, f"n = {len(rows):,} each, whole prompts. From {file}.", "", draw)
    if run.improvements:
        texts = {"source": [row["source"] for row in run.improvements],
                 "improved": [row["prompt"] for row in run.improvements]}  # fmt: skip
        caption = f"n = {len(run.improvements):,} each. From improvements.jsonl."
        drawn += _lengths(texts, caption, "improved-", draw)
    return Section("Lengths", figures(drawn)) if drawn else None


def _lengths(texts: Mapping[str, list[str]], caption: str, name: str, draw: Draw) -> list[Html]:
    words = [(side, [len(text.split()) for text in found]) for side, found in texts.items()]
    tokens = [(side, [count_clip_tokens(text) for text in found]) for side, found in texts.items()]
    over = ", ".join(f"{side} {sum(n > CLIP_BUDGET for n in found)}" for side, found in tokens)
    what = "improved prompts" if name else "validation pairs"
    limit = (CLIP_BUDGET, f"{CLIP_BUDGET}: what SDXL reads")
    plots = [
        histogram(f"Words, {what}", words, x="words per prompt", y="prompts"),
        histogram(f"CLIP tokens, {what}", tokens, x="CLIP tokens per prompt", y="prompts",
                  limit=limit),
    ]  # fmt: skip
    captions = [
        f"Separated by white space. {caption}",
        f"Without start and end token; above {CLIP_BUDGET}: {over}. {caption}",
    ]
    names = [f"{name}words", f"{name}clip-tokens"]
    return [draw(*item) for item in zip(plots, names, captions, strict=True)]


def words(run: RunData, draw: Draw) -> Section | None:
    """Word frequencies before and after, as in the paper, phrases, and what is added and lost."""
    parts: list[Html] = []
    for title, name, pairs, file in word_sets(run):
        found = word_frequencies(pairs, top=_EVERY)
        where = f"n = {len(pairs):,} prompts. From {file}."
        parts += [heading(title), figures(_word_plots(found, name, where, draw))]
        parts.append(_word_tables(found))
    if not parts:
        return None
    note = paragraph(f"How words are counted: {found['stop_words']}.", note=True)
    return Section("Words", join([note, *parts]))


def word_sets(run: RunData) -> list[tuple[str, str, list[tuple[str, str]], str]]:
    """Title, short name, pairs of source and whole result, and file: of each model's results."""
    rows, file = run.model_rows()
    sets = []
    if rows:
        pairs = [(row["source"], whole(row)) for row in rows]
        sets.append(("The trained model, on its validation or test pairs", "model", pairs, file))
    by_model: dict[str, list[tuple[str, str]]] = {}
    for row in run.improvements:
        by_model.setdefault(str(row.get("model")), []).append((row["source"], row["prompt"]))
    for place, (model, pairs) in enumerate(sorted(by_model.items()), 1):
        sets.append((f"Improvements by {model}", f"improved-{place}", pairs, "improvements.jsonl"))
    return sets


def _word_plots(found: dict[str, Any], name: str, where: str, draw: Draw) -> list[Html]:
    drawn = []
    for side, title in (("before", "Top ten words before"), ("after", "Top ten words after")):
        rows = [(item["text"], item["count"]) for item in found["words"][side][:TOP]]
        if rows:
            plot = bar_plot(title, rows, x="occurrences")
            drawn.append(draw(plot, f"words-{name}-{side}", f"Content words. {where}"))
    totals = found["totals"]
    before, after = (sum(item["count"] for item in found["words"][side][:TOP])
                     for side in ("before", "after"))  # fmt: skip
    ratios = [("all words", totals["all_words"]["ratio"]),
              ("content words", totals["content_words"]["ratio"]),
              ("top ten of each side", after / before if before else None)]  # fmt: skip
    rows = [(title, ratio) for title, ratio in ratios if ratio is not None]
    if rows:
        plot = bar_plot("Occurrences after over before", rows, x="ratio", form="{:.2f}×")
        caption = (
            f"All words {totals['all_words']['before']:,} and {totals['all_words']['after']:,}, "
            f"top ten {before:,} and {after:,}. The paper found about five times as many. {where}"
        )
        drawn.append(draw(plot, f"words-{name}-ratio", caption))
    for key, title in (("added", "Words added most"), ("lost", "Words lost most"),
                       ("added_phrases", "Phrases added most")):  # fmt: skip
        rows = [(item["text"], item["count"]) for item in found[key][:TOP]]
        if rows:
            plot = bar_plot(title, rows, x="occurrences")
            caption = f"Occurrences, counted prompt by prompt against the source. {where}"
            drawn.append(draw(plot, f"words-{name}-{key.replace('_', '-')}", caption))
    return drawn


def _word_tables(found: dict[str, Any]) -> Html:
    before = {item["text"]: item["count"] for item in found["words"]["before"]}
    rows = [
        (item["text"], f"{before.get(item['text'], 0):,}", f"{item['count']:,}",
         f"{item['count'] / before[item['text']]:.2f}" if item["text"] in before else "-",
         f"{item['prompts']:,}")
        for item in found["words"]["after"][:TOP]
    ]  # fmt: skip
    header = ("commonest after", "before", "after", "ratio", "prompts after")
    parts = [table(rows, header, numbers=True)]
    for key, title in _PHRASES.items():
        # What came once is no frequency.
        sides = [
            [(item["text"], f"{item['count']:,}") for item in found[key][side] if item["count"] > 1]
            for side in ("before", "after")
        ]
        for side, rows_of_side in zip(("before", "after"), sides, strict=True):
            if rows_of_side:
                names = (f"{title}, {side}", "occurrences")
                parts.append(table(rows_of_side[:TOP], names, numbers=True))
    return beside(parts)


def diversity(run: RunData, draw: Draw) -> Section | None:
    """Distinct-1, distinct-2 and self-BLEU of the model against the baselines."""
    drawn = [
        _by_system(run, name, f"diversity-{name.replace('_', '-')}", draw) for name in _DIVERSITY
    ]
    found = [figure for figure in drawn if figure]
    if not found:
        return None
    note = paragraph(
        "Distinct-n: different n-grams over all n-grams. Self-BLEU: how alike predictions are to "
        "each other. Diversity alone is no merit: shuffled targets are as diverse as targets.",
        note=True,
    )
    return Section("Diversity", join([note, figures(found)]))


def _by_system(run: RunData, metric: str, name: str, draw: Draw) -> Html | None:
    found = [(system["name"], score)
             for system in systems(run) for score in system["scores"]
             if score.get("metric") == metric and _finite(score)]  # fmt: skip
    if not found:
        return None
    title = metric_titles(run).get(metric, metric.replace("_", " "))
    rows = [(name, score["value"], score["low"], score["high"]) for name, score in found]
    caption = f"n = {found[0][1].get('n')} predictions, 95% intervals. From scores/text.json."
    return draw(interval_plot(title, rows, x=title), name, caption)


def painters(run: RunData, draw: Draw) -> Section | None:
    """Painters and styles that predictions hold and their sources do not."""
    rows, file = run.model_rows()
    if not rows:
        return None
    drawn = []
    for kind, metric in _ADDED.items():
        sides = {side: [_added(row["source"], whole(row, side), kind) for row in rows]
                 for side in ("prediction", "target")}  # fmt: skip
        shares = [(f"{side}s", *mean_interval([100.0 * bool(found) for found in names]))
                  for side, names in sides.items()]  # fmt: skip
        plot = interval_plot(f"Prompts with an added {kind}", shares, x="% of prompts")
        caption = f"n = {len(rows):,}, 95% bootstrap intervals. From {file}, by the lexicon."
        drawn.append(draw(plot, f"{kind}s-share", caption))
        counts = Counter(name for names in sides["prediction"] for name in names)
        top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP]
        if top:
            plot = bar_plot(f"{kind.capitalize()}s added most", top, x="predictions")
            caption = f"Of n = {len(rows):,} predictions, those that add it. From {file}."
            drawn.append(draw(plot, f"{kind}s-added", caption))
        if figure := _by_system(run, metric, f"{kind}s-systems", draw):
            drawn.append(figure)
    return Section("Painters and styles added", figures(drawn))


def _added(source: str, result: str, kind: str) -> set[str]:
    had, found = (
        {_INTRODUCTION.sub("", t.text.lower()) for t in find_terms(text) if t.kind == kind}
        for text in (source, result)
    )
    return found - had


def scores(run: RunData) -> Section | None:
    """The table of systems with intervals, and what the metric doctor says."""
    found = systems(run)
    titles = metric_titles(run)
    if not found:
        last = run.final_evaluation()
        if last is None:
            return None
        rows = [(titles.get(name, name.replace("_", " ")), interval(score), score.get("n"))
                for name, score in last.scores.items()]  # fmt: skip
        note = f"Of {last.file}; no baselines were scored. "
        parts = [table(rows, ("metric", "value (95% interval)", "n"), numbers=True)]
        return Section("Scores", join([paragraph(note + _INTERVALS, note=True), *parts]))
    by_name = [{score["metric"]: score for score in system["scores"] if _finite(score)}
               for system in found]  # fmt: skip
    names = list(dict.fromkeys(name for scores in by_name for name in scores))
    rows = []
    for name in names:
        cells = [interval(scores[name]) if name in scores else "-" for scores in by_name]
        counts = {scores[name].get("n") for scores in by_name if name in scores}
        n = "/".join(str(count) for count in sorted(counts, key=str))
        rows.append((titles.get(name, name.replace("_", " ")), *cells, n))
    header = ("metric", *(system["name"] for system in found), "n")
    parts = [paragraph(f"From scores/text.json. {_INTERVALS}", note=True),
             table(rows, header, numbers=True)]  # fmt: skip
    if verdicts := (run.text or {}).get("doctor"):
        parts += [heading("What the metric doctor says"), bullets(map(_verdict, verdicts))]
    return Section("Scores", join(parts))


_INTERVALS = "In brackets 95% intervals."


def systems(run: RunData) -> list[dict[str, Any]]:
    """The systems of scores/text.json that have scores."""
    return [system for system in (run.text or {}).get("systems", [])
            if isinstance(system, dict) and system.get("scores")]  # fmt: skip


def interval(score: Row) -> str:
    """A value with its interval, to two digits of half the interval: 0.207 (0.199 to 0.215)."""
    low, high = number(score.get("low")), number(score.get("high"))
    if low is None or high is None or not 0 < high - low < math.inf:
        return f"{score['value']:.4g}"
    places = max(0, 1 - math.floor(math.log10((high - low) / 2)))
    return f"{score['value']:.{places}f} ({low:.{places}f} to {high:.{places}f})"


def examples(run: RunData, count: int = 12) -> Section | None:
    """Results at equal distances through the rows, so that none is picked."""
    parts = []
    rows, file = run.model_rows()
    if rows:
        shown = [[("source", row["source"]), ("prediction", row["prediction"]),
                  ("target", row["target"])] for row in spread(rows, count)]  # fmt: skip
        parts += [paragraph(f"{len(shown)} of {len(rows):,} rows of {file}, at equal distances."),
                  cards(shown)]  # fmt: skip
    if run.improvements:
        found = spread(run.improvements, count)
        shown = [[("source", row["source"]), ("improved", row["prompt"])] for row in found]
        parts += [heading("Improvements"), cards(shown)]
    return Section("Examples", join(parts)) if parts else None


def spread(rows: Sequence[Row], count: int) -> list[Row]:
    """So many rows at equal distances."""
    count = min(count, len(rows))
    return [rows[place * len(rows) // count] for place in range(count)]


def _finite(score: Row) -> bool:
    ends = [number(score.get(name)) for name in ("value", "low", "high")]
    return all(end is not None and math.isfinite(end) for end in ends)


def _verdict(item: Any) -> str:
    if not isinstance(item, Mapping):
        return str(item)
    return ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in item.items())
