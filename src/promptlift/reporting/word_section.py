"""Which words a run's model writes: as in the paper, and what it adds and loses."""

from typing import Any

from promptlift.reporting.page import (
    Html,
    Section,
    beside,
    figures,
    heading,
    join,
    paragraph,
    table,
)
from promptlift.reporting.plots import Draw, bar_plot
from promptlift.reporting.run_data import RunData
from promptlift.scoring.text.words import word_frequencies

TOP = 10
_EVERY = 1 << 30  # of words: to look up what each count was before
_PHRASES = {"clauses": "clause", "bigrams": "two words", "trigrams": "three words"}


def words(run: RunData, draw: Draw) -> Section | None:
    """Word frequencies before and after, as in the paper, phrases, and what is added and lost."""
    parts: list[Html] = []
    for title, name, pairs, file in word_sets(run):
        found = word_frequencies(pairs, top=_EVERY)
        where = f"n = {len(pairs):,} prompts. From {file}."
        parts += [heading(title), figures(_word_plots(found, name, where, draw))]
        if not found["lost"]:
            parts.append(paragraph("No content word of a source was lost."))
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
        pairs = [(row["source"], row["prediction"]) for row in rows]
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
