"""The scores of pictures as text: half of what `promptlift score` shows."""

from collections.abc import Mapping
from typing import Any

from promptlift.cli.showing import aligned


def picture_table(found: Mapping[str, Any]) -> str:
    """The figures as text: a line a metric, and under it what shuffled captions give."""
    titles = {metric["name"]: metric["title"] for metric in found["metrics"]}
    means = {
        (system["name"], score["metric"]): score
        for system in found["systems"]
        for score in system["scores"]
    }
    compared = {row["metric"]: row for row in found["comparisons"]}
    rows = [["", "original", "improved", "difference [95%]", "p", "won-lost-tied"]]
    for metric, title in titles.items():
        real = compared.get(metric)
        for heading, suffix, row in (
            (title, "", real),
            ("  with shuffled captions", ", shuffled captions", real and real["shuffled_captions"]),
        ):
            sides = (f"{side} pictures{suffix}" for side in ("original", "improved"))
            cells = [means.get((side, metric)) for side in sides]
            if row is not None or any(cells):
                numbers = [_number(cell["value"]) if cell else "" for cell in cells]
                rows.append([heading, *numbers, *_difference(row)])
    lines = aligned(rows, right=True)
    for metric, title in titles.items():
        if score := means.get(("pairs", metric)):
            chance = means.get(("pairs, shuffled captions", metric))
            by_chance = f"; with shuffled captions {_interval(chance)}" if chance else ""
            lines.append(f"{title}: {_interval(score)}{by_chance}")
    return "\n".join([*lines, "", *_verdicts(found)])


def _verdicts(found: Mapping[str, Any]) -> list[str]:
    pictures = found["pictures"]
    lines = [
        f"{pictures['n']} pictures of {pictures['prompts']} prompts, {found['pairs']} pairs, "
        f"{len(pictures['left_out'])} left out; intervals over prompts"
    ]
    for model, cut in found["cut_captions"].items():
        lines.append(
            f"captions cut at {cut['limit']} tokens by {model}: "
            f"{cut['original_prompts']['cut']} of {cut['original_prompts']['of']} original, "
            f"{cut['improved_prompts']['cut']} of {cut['improved_prompts']['of']} improved prompts"
        )
    if verdicts := found["verdicts"]:
        lines.append(
            f"better left alone: {_interval(verdicts['left_alone'])} of {verdicts['prompts']} "
            f"prompts, judged by {', '.join(verdicts['metrics']) or 'nothing'}"
        )
        lines += [f"  {count} {reason}" for reason, count in verdicts["reasons"].items()]
        if chance := verdicts["shuffled_captions"]:
            lines.append(f"  with shuffled captions {_interval(chance['left_alone'])}")
    return lines


def _difference(row: Mapping[str, Any] | None) -> list[str]:
    if row is None:
        return ["", "", ""]
    interval = f"{row['difference']:+.4g} [{row['low']:+.3g}, {row['high']:+.3g}]"
    won = f"{row['wins']}-{row['losses']}-{row['ties']}" if "wins" in row else ""
    return [interval, f"{row['p']:.2g}", won]


def _interval(score: Mapping[str, Any]) -> str:
    return f"{_number(score['value'])} [{_number(score['low'])}, {_number(score['high'])}]"


def _number(value: float) -> str:
    return f"{value:.4g}"
