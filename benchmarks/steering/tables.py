"""Tables of what benchmarks of steering found, in Markdown."""

from typing import Any

NOISES, PARTS = ("own", "unseen"), ("metric", "score")
THROUGH = ("1", "3")
MEMORY = {"checkpoints": "memory", "no checkpoints": "memory without checkpoints"}


def of_slips(slips: dict[str, Any]) -> str:
    """What each slip did."""
    lines = [
        "| slip, metric, noise | prompt | without | with | with less without "
        "| oracle's score: with less without |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, row in slips.items():
        for noise in NOISES:
            shown = [_number(row[arm][noise]["metric"][0]) for arm in ("prompt", "without", "with")]
            shown += [_difference(row["less"][noise][part]) for part in PARTS]
            lines.append(f"| {name}; {row['metric']}, {noise} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def of_optimisers(metrics: dict[str, Any]) -> str:
    """What AdamW and the authors' optimiser reach at the same learning rate."""
    lines = [
        "| metric, learning rate, noise | prompt | AdamW | theirs | theirs less AdamW "
        "| oracle's score: theirs less AdamW |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for metric, rows in metrics.items():
        for rate, row in rows["rates"].items():
            for noise in NOISES:
                arms = rows["prompt"], row["adamw"], row["adam-on-lion"]
                shown = [_number(one[noise]["metric"][0]) for one in arms]
                shown += [_difference(row["less"][noise][part]) for part in PARTS]
                lines.append(f"| {metric}, {rate}, {noise} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def of_cost(found: dict[str, Any]) -> str:
    """Time and memory of a step; small models are measured, large ones calculated."""
    small, large = found["measured"], found["calculated"]
    names = [*(f"{name}, measured" for name in small), *(f"{name}, calculated" for name in large)]
    lines = [f"| a step of `optimise` | {' | '.join(names)} |", "| --- |" + " ---: |" * len(names)]
    for through in THROUGH:
        shown = [
            f"{one['checkpoints'][through]['step_s'] / drawing_s(one):.2f}"
            for one in small.values()
        ]
        shown += [f"{one['step in drawings'][through]:.2f}" for one in large.values()]
        lines.append(f"| time, in drawings, `--through {through}` | {' | '.join(shown)} |")
    for way, title in MEMORY.items():
        for through in THROUGH:
            shown = [f"{one[way][through]['step_mib']:.0f} MiB" for one in small.values()]
            shown += [f"{one['peak'][way][through] / 1024:.1f} GiB" for one in large.values()]
            lines.append(f"| {title}, `--through {through}` | {' | '.join(shown)} |")
    weights = [f"{one['weights_mib'] / 1024:.1f} GiB" for one in large.values()]
    lines.append(f"| weights | {' | '.join([*([''] * len(small)), *weights])} |")
    return "\n".join(lines) + "\n"


def drawing_s(one: dict[str, Any]) -> float:
    """Seconds of a drawing, which no way of optimising changes: the least that was measured."""
    return min(float(one[way][through]["drawing_s"]) for way in MEMORY for through in THROUGH)


def _number(value: float) -> str:
    """A mean; metrics have different scales."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 3
    return f"{value:.{digits}f}"


def _difference(found: dict[str, float]) -> str:
    """A paired difference with its interval."""
    digits = 1 if abs(found["difference"]) >= 2 else 3
    return "{} ({} to {})".format(
        *(f"{found[key]:+.{digits}f}" for key in ("difference", "low", "high"))
    )
