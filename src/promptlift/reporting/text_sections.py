"""What a run's model writes: lengths, painters and styles, some examples."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from promptlift.prompts.clip_tokens import CLIP_BUDGET, count_clip_tokens
from promptlift.prompts.lexicon.terms import find_terms
from promptlift.reporting.page import (
    Html,
    Section,
    cards,
    figures,
    heading,
    join,
    paragraph,
)  # fmt: skip
from promptlift.reporting.plots import bar_plot, histogram, interval_plot
from promptlift.reporting.run_data import Row, RunData, whole_target
from promptlift.reporting.score_sections import by_system
from promptlift.reporting.training_sections import Draw
from promptlift.reporting.word_section import TOP
from promptlift.statistics import mean_interval

_INTRODUCTION = re.compile(r"^(?:.*\bby |and )")  # "art by", before a painter's name
_ADDED = {"painter": "added_painters", "style": "added_styles"}


def lengths(run: RunData, draw: Draw) -> Section | None:
    """Words and CLIP tokens of sources, targets and predictions."""
    rows, file = run.model_rows()
    drawn = []
    if rows:
        texts = {"source": [row["source"] for row in rows],
                 "target": targets_of(rows),
                 "prediction": [row["prediction"] for row in rows]}  # fmt: skip
        counts = ", ".join(f"{side} {len(found):,}" for side, found in texts.items())
        drawn += _lengths(texts, f"Whole prompts; n: {counts}. From {file}.", "", draw)
    if run.improvements:
        texts = {"source": [row["source"] for row in run.improvements],
                 "improved": [row["prompt"] for row in run.improvements]}  # fmt: skip
        caption = f"n = {len(run.improvements):,} each. From improvements.jsonl."
        drawn += _lengths(texts, caption, "improved-", draw)
    return Section("Lengths", figures(drawn)) if drawn else None


def targets_of(rows: Sequence[Row]) -> list[str]:
    """The whole prompts that targets stand for, of the rows that have one."""
    return [found for row in rows if (found := whole_target(row)) is not None]


def _lengths(texts: Mapping[str, list[str]], caption: str, name: str, draw: Draw) -> list[Html]:
    sides = [(side, found) for side, found in texts.items() if found]
    words = [(side, [len(text.split()) for text in found]) for side, found in sides]
    tokens = [(side, [count_clip_tokens(text) for text in found]) for side, found in sides]
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


def painters(run: RunData, draw: Draw) -> Section | None:
    """Painters and styles that predictions hold and their sources do not."""
    rows, file = run.model_rows()
    if not rows:
        return None
    drawn = []
    for kind, metric in _ADDED.items():
        sides = {"predictions": [_added(row["source"], row["prediction"], kind) for row in rows]}
        targeted = [(row["source"], found) for row in rows if (found := whole_target(row))]
        if targeted:
            sides["targets"] = [_added(source, found, kind) for source, found in targeted]
        shares = [(side, *mean_interval([100.0 * bool(found) for found in names]))
                  for side, names in sides.items()]  # fmt: skip
        plot = interval_plot(f"Prompts with an added {kind}", shares, x="% of prompts")
        caption = f"n = {len(rows):,}, 95% bootstrap intervals. From {file}, by the lexicon."
        drawn.append(draw(plot, f"{kind}s-share", caption))
        counts = Counter(name for names in sides["predictions"] for name in names)
        top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP]
        if top:
            plot = bar_plot(f"{kind.capitalize()}s added most", top, x="predictions")
            caption = f"Of n = {len(rows):,} predictions, those that add it. From {file}."
            drawn.append(draw(plot, f"{kind}s-added", caption))
        if figure := by_system(run, metric, f"{kind}s-systems", draw):
            drawn.append(figure)
    return Section("Painters and styles added", figures(drawn))


def _added(source: str, result: str, kind: str) -> set[str]:
    had, found = (
        {_INTRODUCTION.sub("", t.text.lower()) for t in find_terms(text) if t.kind == kind}
        for text in (source, result)
    )
    return found - had


def examples(run: RunData, count: int = 12) -> Section | None:
    """Results at equal distances through the rows, so that none is picked."""
    parts = []
    rows, file = run.model_rows()
    if rows:
        shown = [
            [("source", row["source"]), ("prediction", row["prediction"]),
             *([("target", target)] if (target := whole_target(row)) else [])]
            for row in spread(rows, count)
        ]  # fmt: skip
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
