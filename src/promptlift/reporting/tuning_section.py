"""What a tuning brought, round by round: reward, intent, diversity, length, language and words."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from promptlift.reporting.page import (
    Html,
    Section,
    cards,
    columns,
    figures,
    note,
    paragraph,
    section,
    subsection,
)
from promptlift.reporting.plot_files import Draw
from promptlift.reporting.plots import Line, line_plot
from promptlift.reporting.run_data import RunData
from promptlift.reporting.run_files import Row
from promptlift.reporting.wording import interval
from promptlift.tuning.tune import HELD_OUT, KEPT, ROUNDS, STAGE

_SAMPLES = 8
_ABOUT_CHOICE = (
    "The kept round is the first whose gain is within a standard error of the highest, among those "
    "that keep what prompts ask for. It was chosen on these very prompts, so on average its true "
    "gain is a little smaller."
)
# Title, label of the axis, and the figures that are lines: by label, their key.
_CURVES: dict[str, tuple[str, Mapping[str, str]]] = {
    "Intent, and what nobody asked for": (
        "share of prompts",
        {"intent kept": "intent_kept", "styles or painters added": "uninvited"},
    ),
    "Diversity": (
        "share",
        {"distinct-2": "distinct_2", "has one of the ten commonest phrases": "ten_commonest"},
    ),
    "Length": ("per prompt", {"phrases added": "added_phrases", "CLIP tokens": "clip_tokens"}),
    "Language": (
        "bits per character",
        {"old pairs": "old_bits", "what the first model wrote": "base_bits"},
    ),
}


def tuning(run: RunData, draw: Draw) -> Section | None:
    """Curves, words gained and lost, and what each round makes of the same prompts."""
    if STAGE not in run.stages or not (rows := _rows(run.folder / ROUNDS)):
        return None
    config = run.stages[STAGE].get("config") or {}
    reward, kept = str(config.get("reward")), next(iter(_rows(run.folder / KEPT)), {})
    curves = [_gain(rows, reward, draw)]
    for title, (unit, lines) in _CURVES.items():
        drawn = [
            Line(label=label, x=[row["round"] for row in rows], y=[row[key] for row in rows])
            for label, key in lines.items()
            if all(row.get(key) is not None for row in rows)
        ]
        caption = f"Of {rows[0]['prompts']} held-out prompts. From {ROUNDS}."
        curves.append(
            draw(line_plot, title, title, drawn, x="round", y=unit, caption=caption)
        )  # fmt: skip
    return section(
        "Tuning by pictures",
        paragraph(_ABOUT_CHOICE) if kept.get("round") else None,
        figures(curves),
        _figures(rows),
        subsection(
            "What the model learned to say",
            note("Words, with the share of prompts that they were added to in round 0 and now."),
            _words(rows),
        ),
        subsection("The same prompts, round by round", cards(_samples(run.folder, rows))),
        note(
            "All of it on prompts that nothing was learned from, with seeds of the noise that no "
            "round learned from."
        ),
        finding=_choice(kept, rows),
    )


def _choice(kept: Mapping[str, Any], rows: Sequence[Row]) -> str:
    if "round" not in kept:
        return "The tuning is not done; the page shows what there is so far."
    if not kept["round"]:
        return (
            "No round that keeps what prompts ask for is better than the model as it came by more "
            "than a standard error."
        )
    row = rows[kept["round"]]
    more = interval(dict(zip(("value", "low", "high"), row["more_than_base"], strict=True)))
    return (
        f"Round {kept['round']} of learning from pictures is kept: the model's reward is {more} "
        f"more than before, n = {row['prompts']} held-out prompts."
    )


def _gain(rows: Sequence[Row], reward: str, draw: Draw) -> Html:
    values, low, high = zip(*(row["gain"] for row in rows), strict=True)
    line = Line(label="", x=[row["round"] for row in rows], y=values, low=low, high=high)
    return draw(
        line_plot, "tuning-gain", "Reward over the original prompts", [line], x="round", y=reward,
        caption=f"Improved less original, same noise, n = {rows[0]['prompts']} held-out prompts, "
                f"band: 95% bootstrap interval. From {ROUNDS}.",
    )  # fmt: skip


def _figures(rows: Sequence[Row]) -> Html:
    def signed(row: Row, key: str) -> str:
        return "{:+.4g} [{:+.4g}, {:+.4g}]".format(*row[key])

    return columns(
        rows,
        {
            "round": lambda row: row["round"],
            "over the originals": lambda row: signed(row, "gain"),
            "over round 0": lambda row: signed(row, "more_than_base"),
            "intent kept": lambda row: f"{row['intent_kept']:.1%}",
            "distinct-2": lambda row: f"{row['distinct_2']:.3f}",
            "phrases added": lambda row: f"{row['added_phrases']:.2f}",
            "left as it was": lambda row: f"{row['unchanged']:.1%}",
            "dropped by checks": lambda row: f"{sum(row['dropped'].values()):.2f}",
        },
    )


def _words(rows: Sequence[Row]) -> Html:
    def listed(words: Sequence[Sequence[Any]]) -> str:
        return ", ".join(f"{word} {before:.0%} to {now:.0%}" for word, before, now in words[:8])

    return cards(
        [
            (f"round {row['round']} gained", listed(row["gained"]) or "nothing"),
            (f"round {row['round']} lost", listed(row["lost"]) or "nothing"),
        ]
        for row in rows[1:]
    )


def _samples(folder: Path, rows: Sequence[Row]) -> list[list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        path = folder / "rounds" / str(row["round"]) / HELD_OUT / "improvements.jsonl"
        for one in _rows(path)[:_SAMPLES]:
            if "prompt" in one:
                card = found.setdefault(one["source"], [("prompt", one["source"])])
                card.append((f"round {row['round']}", one["prompt"]))
    return list(found.values())


def _rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines; none where there is no file."""
    text = path.read_text("utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines()]
