"""Which words a run's model writes: as in the paper, and what it adds and loses."""

from collections.abc import Iterable
from typing import Any

from promptlift.reporting.page import (
    Html,
    Section,
    beside,
    columns,
    figures,
    note,
    paragraph,
    section,
    subsection,
    table,
)
from promptlift.reporting.plot_files import Draw
from promptlift.reporting.plots import bar_plot
from promptlift.reporting.run_data import RunData
from promptlift.scoring.text.words import word_frequencies

TOP = 10
_EVERY = 1 << 30  # of words: to look up what each count was before
_PHRASES = {"clauses": "clause", "bigrams": "two words", "trigrams": "three words"}
_SIDES = ("before", "after")


def words(run: RunData, draw: Draw) -> Section | None:
    """Word frequencies before and after, as in the paper, phrases, and what is added and lost."""
    parts: list[Html] = []
    stop_words = ""
    for title, name, pairs, file in word_sets(run):
        found = word_frequencies(pairs, top=_EVERY)
        stop_words = found["stop_words"]
        where = f"n = {len(pairs):,} prompts. From {file}."
        parts.append(
            subsection(
                title,
                figures(_word_plots(found, name, where, draw)),
                None if found["lost"] else paragraph("No content word of a source was lost."),
                _word_tables(found),
            )
        )
    return (
        section("Words", note(f"How words are counted: {stop_words}."), *parts) if parts else None
    )


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
