"""What the strengths of `--artists` and `--styles` do, on a model that learned painters.

    python -m benchmarks.improving.strengths --model TWIN --heldout heldout_pairs.parquet \
        --prompts parti_prompts.txt [--artists artists.txt] -o docs/strengths

For each strength, one kind at a time and both together: share of results that add a painter, a
style or medium (by the lexicon) or a listed artist (by a list that the rule does not use), and
how various the additions are. 500 prompts of each set, seed 0. Intervals: 95%, bootstrap over
prompts. Writes strengths.json and strengths.svg.
"""

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.improving.asked import Listed, added, listed_painters
from benchmarks.improving.diversity import measure
from benchmarks.improving.expand import prompts_of
from promptlift import Improvement, Improver
from promptlift.files import write_json
from promptlift.improving.keywords import Settings
from promptlift.scoring.text.diversity import self_bleu
from promptlift.statistics import mean_interval

STRENGTHS: tuple[float | str, ...] = ("free", 0.25, 0.5, 0.75, 0.9, 0.97, "never")
PROMPTS = 500


def share(values: list[bool]) -> list[float]:
    """Mean and 95% interval, bootstrap."""
    return [round(value, 4) for value in mean_interval(np.array(values, dtype=np.float64))]


def figures(results: list[Improvement], artists: Listed | None) -> dict[str, Any]:
    """The figures of one setting."""
    found = measure([result.additions for result in results])
    texts = [" ".join(result.additions).lower().split() for result in results]
    row: dict[str, Any] = {
        "painter": share([bool(result.checks["painters"]) for result in results]),
        "style": share([bool(result.checks["styles"]) for result in results]),
        "additions": found["additions"],
        "distinct_1": found["distinct_1"],
        "distinct_2": found["distinct_2"],
        "self_bleu": round(self_bleu(texts), 4),
        "top_10": found["share_with_top_10"],
    }
    if artists is not None:
        row["listed_artist"] = share(
            [bool(added(artists, one.source, one.additions)) for one in results]
        )
    return row


# Rows of the table in docs/lab-log.md: set and strength of painters, styles free.
_TABLED = (
    ("held-out heads", 0.0),
    ("held-out heads", 0.5),
    ("held-out heads", 0.9),
    ("held-out heads", 1.0),
    ("PartiPrompts", 0.0),
    ("PartiPrompts", 1.0),
)


def table(rows: list[dict[str, Any]]) -> str:
    """What the strengths of painters do, as Markdown."""
    lines = [
        "| `--artists` (`--styles free`) | painter | listed artist | style or medium | distinct-2 "
        "| self-BLEU | one of the ten commonest |",
        "| --- | --- | --- | --- | ---: | ---: | --- |",
    ]
    for name, strength in _TABLED:
        [row] = [
            row for row in rows
            if (row["set"], row["strength"]) == (name, strength)
            and row["kind"] in ("free", "painters")
        ]  # fmt: skip
        said = {0.0: f"{name}, free", 1.0: "never (default)"}.get(strength, str(strength))
        if strength == 1.0 and name != _TABLED[0][0]:
            said = f"{name}, {said}"
        cells = [_percent(row[key]) for key in ("painter", "listed_artist", "style")]
        cells += [f"{row['distinct_2']:.3f}", f"{row['self_bleu']:.3f}", _percent(row["top_10"])]
        lines.append(f"| {said} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _percent(value: list[float]) -> str:
    if not any(value):
        return f"0 of {PROMPTS}"
    return "{:.1f}% ({:.1f} to {:.1f})".format(*(100 * part for part in value))


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Curves against strength: what is added, and how various the additions are."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "promptlift"
    import matplotlib.pyplot as plt

    sets = sorted({row["set"] for row in rows})
    figure, axes = plt.subplots(len(sets), 3, figsize=(11, 3.2 * len(sets)), squeeze=False)
    for line, name in zip(axes, sets, strict=True):
        for axis, kind in zip(line, ("painters", "styles", "both"), strict=True):
            chosen = [row for row in rows if row["set"] == name and row["kind"] in (kind, "free")]
            x = [row["strength"] for row in chosen]
            for key, label, at in (
                ("painter", "adds a painter", 0),
                ("style", "adds a style or medium", 0),
                ("top_10", "has one of the ten commonest", 0),
                ("distinct_2", "distinct-2", None),
                ("self_bleu", "self-BLEU", None),
            ):
                y = [row[key] if at is None else row[key][at] for row in chosen]
                axis.plot(x, y, marker="o", markersize=3, label=label)
            axis.set(title=f"{name}: {kind}", xlabel="strength", ylim=(0, 1), xlim=(-0.03, 1.03))
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(labels), fontsize=8)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--heldout", required=True)
    parser.add_argument("--prompts", required=True)
    parser.add_argument("--artists", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    improver = Improver.load(args.model)
    artists = listed_painters(args.artists) if args.artists else None
    sets = {
        "held-out heads": prompts_of(f"{args.heldout}:source:{PROMPTS}"),
        "PartiPrompts": random.Random(0).sample(prompts_of(args.prompts), PROMPTS),
    }
    rows = []
    for name, prompts in sets.items():
        for kind in ("painters", "styles", "both"):
            for strength in STRENGTHS:
                if strength == "free" and kind != "painters":
                    continue
                options: Settings = {"artists": "free", "styles": "free"}
                if kind in ("painters", "both"):
                    options["artists"] = strength
                if kind in ("styles", "both"):
                    options["styles"] = strength
                started = time.perf_counter()
                drawn = improver.improve(prompts, seed=0, **options)
                seconds = time.perf_counter() - started
                results = [result for [result] in drawn]
                rows.append(
                    {
                        "set": name,
                        "kind": "free" if strength == "free" else kind,
                        "strength": {"free": 0.0, "never": 1.0}.get(str(strength), strength),
                        **figures(results, artists),
                        "seconds": round(seconds, 2),
                    }
                )
                print(json.dumps(rows[-1]), flush=True)
    print(table(rows))
    args.output.mkdir(parents=True, exist_ok=True)
    write_json(
        args.output / "strengths.json",
        {"model": improver.model_id, "prompts": PROMPTS, "rows": rows},
    )
    plot(rows, args.output / "strengths.svg")


if __name__ == "__main__":
    main()
