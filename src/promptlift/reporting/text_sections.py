"""What a run's model writes: lengths, painters and styles, some examples."""

import re
from collections import Counter
from collections.abc import Mapping

from promptlift.prompts.clip_tokens import CLIP_BUDGET, count_clip_tokens
from promptlift.prompts.lexicon.terms import find_terms
from promptlift.reporting.page import (
    Html,
    Section,
    cards,
    figures,
    paragraph,
    section,
    subsection,
)
from promptlift.reporting.plot_files import Draw
from promptlift.reporting.plots import bar_plot, histogram, interval_plot
from promptlift.reporting.run_data import RunData, whole_target
from promptlift.reporting.score_sections import by_system
from promptlift.reporting.word_section import TOP
from promptlift.reporting.wording import spread
from promptlift.statistics import mean_interval

_INTRODUCTION = re.compile(r"^(?:.*\bby |and )")  # "art by", before a painter's name
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
    return section("Lengths", figures(drawn)) if any(drawn) else None


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


def painters(run: RunData, draw: Draw) -> Section | None:
    """Painters and styles that predictions hold and their sources do not."""
    rows, file = run.model_rows()
    if not rows:
        return None
    targeted = [(row["source"], found) for row in rows if (found := whole_target(row))]
    texts = {"predictions": [(row["source"], row["prediction"]) for row in rows],
             "targets": targeted}  # fmt: skip
    drawn = []
    for kind, metric in _ADDED.items():
        sides = {side: [_added(*pair, kind) for pair in pairs] for side, pairs in texts.items()}
        shares = [(side, *mean_interval([100.0 * bool(found) for found in names]))
                  for side, names in sides.items() if names]  # fmt: skip
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
    return section("Painters and styles added", figures(drawn))


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
    )
