"""What a run's model writes: lengths, words, painters and styles, some examples."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from promptlift.prompts.clip_tokens import CLIP_BUDGET, count_clip_tokens
from promptlift.prompts.lexicon.terms import find_terms
from promptlift.reporting.page import (
    Html,
    Section,
    beside,
    cards,
    columns,
    figures,
    note,
    paragraph,
    section,
    subsection,
    table,
)
from promptlift.reporting.plot_files import Draw
from promptlift.reporting.plots import bar_plot, histogram, interval_plot
from promptlift.reporting.run_data import RunData, whole_target
from promptlift.reporting.score_sections import by_system
from promptlift.reporting.wording import listed, spread
from promptlift.scoring.text.words import word_frequencies
from promptlift.statistics import mean_interval

_INTRODUCTION = re.compile(r"^(?:.*\bby |and )")  # "art by", before a painter's name
TOP = 10
_EVERY = 1 << 30  # of words: to look up what each count was before
_PHRASES = {"clauses": "clause", "bigrams": "two words", "trigrams": "three words"}
_SIDES = ("before", "after")
_ADDED = {"painter": "added_painters", "style": "added_styles"}


def lengths(run: RunData, draw: Draw) -> Section | None:
    """Words and CLIP tokens of sources, targets and predictions."""
    rows, file = run.model_rows()
    texts = {"source": [row["source"] for row in rows],
             "target": [found for row in rows if (found := whole_target(row)) is not None],
             "prediction": [row["prediction"] for row in rows]}  # fmt: skip
    counts = ", ".join(f"{side} {len(found):,}" for side, found in texts.items())
    improved = {"source": [row["source"] for row in run.improvements],
                "improved": [row["prompt"] for row in run.improvements]}  # fmt: skip
    caption = f"n = {len(run.improvements):,} each. From improvements.jsonl."
    drawn = [
        *_lengths(texts, f"Whole prompts; n: {counts}. From {file}.", "", draw),
        *_lengths(improved, caption, "improved-", draw),
    ]
    if not any(drawn):
        return None
    return section(
        "Lengths", figures(drawn), finding=_medians(improved if any(improved.values()) else texts)
    )


def _medians(texts: Mapping[str, list[str]]) -> str:
    said = [f"{side} {median(len(text.split()) for text in found):g}"
            for side, found in texts.items() if found]  # fmt: skip
    return f"Median words per prompt: {listed(said)}."


def _lengths(texts: Mapping[str, list[str]], caption: str, name: str, draw: Draw) -> list[Html]:
    sides = [(side, found) for side, found in texts.items() if found]
    words = [(side, [len(text.split()) for text in found]) for side, found in sides]
    tokens = [(side, [count_clip_tokens(text) for text in found]) for side, found in sides]
    over = ", ".join(f"{side} {sum(n > CLIP_BUDGET for n in found)}" for side, found in tokens)
    what = "improved prompts" if name else "validation pairs"
    return [
        draw(histogram, f"{name}words", f"Words, {what}", words, x="words per prompt", y="prompts",
             caption=f"Words are separated by white space. {caption}"),
        draw(histogram, f"{name}clip-tokens", f"CLIP tokens, {what}", tokens,
             x="CLIP tokens per prompt", y="prompts",
             limit=(CLIP_BUDGET, f"{CLIP_BUDGET}: what SDXL reads"),
             caption=f"Without the start and end tokens. Prompts above {CLIP_BUDGET}: {over}. "
                     f"{caption}"),
    ]  # fmt: skip


def words(run: RunData, draw: Draw) -> Section | None:
    """Word frequencies before and after, as in the paper, phrases, and what is added and lost."""
    parts: list[Html] = []
    stop_words, said = "", []
    for title, name, pairs, file in word_sets(run):
        found = word_frequencies(pairs, top=_EVERY)
        stop_words = found["stop_words"]
        said.append(_added_most(found))
        where = f"n = {len(pairs):,} prompts. From {file}."
        parts.append(
            subsection(
                title,
                figures(_word_plots(found, name, where, draw)),
                None if found["lost"] else paragraph("No content word of a source was lost."),
                _word_tables(found),
            )
        )
    if not parts:
        return None
    return section("Words", note(f"How words are counted: {stop_words}."), *parts, finding=said[0])


def _added_most(found: Mapping[str, Any]) -> str:
    most = [item["text"] for item in found["added"][:5]]
    ratio = found["totals"]["all_words"]["ratio"]
    times = "" if ratio is None else f"; {ratio:.2g} times as many words as before"
    return f"Words added most: {listed(most) or 'none'}{times}."


def word_sets(run: RunData) -> list[tuple[str, str, list[tuple[str, str]], str]]:
    """Title, short name, pairs of source and whole result, and file: of each model's results."""
    rows, file = run.model_rows()
    sets = []
    if rows:
        pairs = [(row["source"], row["prediction"]) for row in rows]
        sets.append(("The trained model, on its validation or test pairs", "model", pairs, file))
    by_model: dict[str, list[tuple[str, str]]] = {}
    for row in run.improvements:
        by_model.setdefault(str(row.get("model")), []).append((row["source"], row["prompt"]))
    for place, (model, pairs) in enumerate(sorted(by_model.items()), 1):
        sets.append((f"Improvements by {model}", f"improved-{place}", pairs, "improvements.jsonl"))
    return sets


def _word_plots(found: dict[str, Any], name: str, where: str, draw: Draw) -> Iterable[Html]:
    tops = {side: _counts(found["words"][side]) for side in _SIDES}
    for side, rows in tops.items():
        yield draw(bar_plot, f"words-{name}-{side}", f"Top ten words {side}", rows, x="occurrences",
                   caption=f"Content words. {where}")  # fmt: skip
    every, content = (found["totals"][key] for key in ("all_words", "content_words"))
    before, after = (sum(count for _, count in tops[side]) for side in _SIDES)
    ratios = {"all words": every["ratio"], "content words": content["ratio"],
              "top ten of each side": after / before if before else None}  # fmt: skip
    yield draw(
        bar_plot, f"words-{name}-ratio", "Occurrences after, divided by before",
        [(title, ratio) for title, ratio in ratios.items() if ratio is not None],
        x="ratio", form="{:.2f}×",
        caption=f"All words: {every['before']:,} before and {every['after']:,} after; top ten: "
                f"{before:,} and {after:,}. The paper found about five times as many. {where}",
    )  # fmt: skip
    for key, title in (("added", "Words added most"), ("lost", "Words lost most"),
                       ("added_phrases", "Phrases added most")):  # fmt: skip
        yield draw(
            bar_plot,
            f"words-{name}-{key}",
            title,
            _counts(found[key]),
            x="occurrences",
            caption=f"Occurrences, counted in each prompt against its source. {where}",
        )


def _counts(items: Iterable[dict[str, Any]], least: int = 1) -> list[tuple[str, int]]:
    return [(item["text"], item["count"]) for item in items if item["count"] >= least][:TOP]


def _word_tables(found: dict[str, Any]) -> Html:
    before = {item["text"]: item["count"] for item in found["words"]["before"]}
    # What came once is no frequency.
    phrases = {f"{title}, {side}": _counts(found[key][side], 2)
               for key, title in _PHRASES.items() for side in _SIDES}  # fmt: skip
    return beside([
        columns(found["words"]["after"][:TOP], {
            "commonest after": lambda item: item["text"],
            "before": lambda item: f"{before.get(item['text'], 0):,}",
            "after": lambda item: f"{item['count']:,}",
            "ratio": lambda item: f"{item['count'] / before[item['text']]:.2f}"
                                  if item["text"] in before else "-",
            "prompts after": lambda item: f"{item['prompts']:,}",
        }),
        *(table([(text, f"{count:,}") for text, count in rows], (title, "occurrences"),
                numbers=True) for title, rows in phrases.items()),
    ])  # fmt: skip


def painters(run: RunData, draw: Draw) -> Section | None:
    """Painters and styles that predictions hold and their sources do not."""
    rows, file = run.model_rows()
    if not rows:
        return None
    targeted = [(row["source"], found) for row in rows if (found := whole_target(row))]
    texts = {"predictions": [(row["source"], row["prediction"]) for row in rows],
             "targets": targeted}  # fmt: skip
    drawn, said = [], []
    for kind, metric in _ADDED.items():
        sides = {side: [_added(*pair, kind) for pair in pairs] for side, pairs in texts.items()}
        shares = [(side, *mean_interval([100.0 * bool(found) for found in names]))
                  for side, names in sides.items() if names]  # fmt: skip
        said.append(f"a {kind} was added to {shares[0][1]:.0f}%")
        counts = Counter(name for names in sides["predictions"] for name in names)
        top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP]
        drawn += [
            draw(interval_plot, f"{kind}s-share", f"Prompts with an added {kind}", shares,
                 x="% of prompts",
                 caption=f"n = {len(rows):,}, 95% bootstrap intervals. The lexicon says what "
                         f"is a {kind}. From {file}."),
            draw(bar_plot, f"{kind}s-added", f"{kind.capitalize()}s added most", top,
                 x="predictions",
                 caption=f"How many of n = {len(rows):,} predictions add it. From {file}."),
            by_system(run, metric, f"{kind}s-systems", draw),
        ]  # fmt: skip
    return section(
        "Painters and styles added", figures(drawn), finding=f"Of predictions, {listed(said)}."
    )


def _added(source: str, result: str, kind: str) -> set[str]:
    had, found = (
        {_INTRODUCTION.sub("", t.text.lower()) for t in find_terms(text) if t.kind == kind}
        for text in (source, result)
    )
    return found - had


def examples(run: RunData, count: int = 12) -> Section | None:
    """Evenly spaced results, so that nobody picks them."""
    rows, file = run.model_rows()
    if not rows and not run.improvements:
        return None
    shown = [
        [("source", row["source"]), ("prediction", row["prediction"]),
         *([("target", target)] if (target := whole_target(row)) else [])]
        for row in spread(rows, count)
    ]  # fmt: skip
    improved = [[("source", row["source"]), ("improved", row["prompt"])]
                for row in spread(run.improvements, count)]  # fmt: skip
    return section(
        "Examples",
        paragraph(f"{len(shown)} of {len(rows):,} rows of {file}, evenly spaced.")
        if rows
        else None,
        cards(shown),
        subsection("Improvements", cards(improved)),
        finding=_first(improved or shown),
    )


def _first(shown: list[list[tuple[str, str]]]) -> str:
    """The first example, in a line."""
    (_, source), (_, result), *_ = shown[0]
    return f"“{source}” became “{result}”."
