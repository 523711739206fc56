"""`promptlift score` for the pictures of a run."""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import guarded, say
from promptlift.scoring.picture_config import PictureScoringConfig

_HELP = {item.name: item.metadata["help"] for item in fields(PictureScoringConfig)}
_DEFAULT = PictureScoringConfig()


def _setting(name: str, **more: Any) -> Any:
    return typer.Option(help=_HELP[name], show_default=False, **more)


def score_pictures(
    run: Annotated[Path, typer.Argument(help="Run folder with pictures.", show_default=False)],
    clip: Annotated[str, typer.Option(help=_HELP["clip"])] = _DEFAULT.clip,
    metrics: Annotated[list[str] | None, _setting("metrics")] = None,
    preference: Annotated[str | None, _setting("preference")] = None,
    aesthetic: Annotated[str | None, _setting("aesthetic")] = None,
    aesthetic_clip: Annotated[
        str, typer.Option(help=_HELP["aesthetic_clip"])
    ] = _DEFAULT.aesthetic_clip,
    batch_size: Annotated[int, typer.Option(help=_HELP["batch_size"])] = _DEFAULT.batch_size,
    device: Annotated[str, typer.Option(help=_HELP["device"])] = _DEFAULT.device,
    offline: Annotated[bool, typer.Option("--offline", help=_HELP["offline"])] = False,
    seed: Annotated[int, typer.Option(help=_HELP["seed"])] = _DEFAULT.seed,
    tie: Annotated[float, typer.Option(help=_HELP["tie"])] = _DEFAULT.tie,
    as_json: Annotated[bool, typer.Option("--json", help="Print scores/pictures.json.")] = False,
) -> None:
    """Score the pictures of a run: CLIPScore, preference, aesthetics and plain measures.

    Example:

      promptlift score-pictures runs/first --clip openai/clip-vit-base-patch16
    """
    with guarded("interrupted; what was encoded is kept, the same command goes on"):
        config = PictureScoringConfig(
            clip=clip,
            metrics=tuple(metrics) if metrics is not None else None,
            preference=preference,
            aesthetic=aesthetic,
            aesthetic_clip=aesthetic_clip,
            batch_size=batch_size,
            device=device,
            offline=offline,
            seed=seed,
            tie=tie,
        )
        score_and_show(run, config, as_json=as_json)


def score_and_show(run: Path, config: PictureScoringConfig, *, as_json: bool) -> None:
    """Score the pictures of a run and print the figures."""
    from promptlift.scoring.picture_scores import score_pictures

    found = score_pictures(run, config, report=say)
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    typer.echo(_table(found))
    say(f"scores in {run / 'scores' / 'pictures.json'}")


def _table(found: Mapping[str, Any]) -> str:
    """The figures as text: a line a metric, and under it what shuffled captions give."""
    titles = {metric["name"]: metric["title"] for metric in found["metrics"]}
    means = {
        (system["name"], score["metric"]): score
        for system in found["systems"]
        for score in system["scores"]
    }
    rows = [["", "original", "improved", "difference [95%]", "p", "won-lost-tied"]]
    for metric, title in titles.items():
        compared = next((row for row in found["comparisons"] if row["metric"] == metric), None)
        for suffix, row in (
            ("", compared),
            (", shuffled captions", compared and compared["shuffled_captions"]),
        ):
            cells = [
                means.get((f"{side} pictures{suffix}", metric)) for side in ("original", "improved")
            ]
            if row is None and not any(cells):
                continue
            rows.append(
                [
                    title if not suffix else "  with shuffled captions",
                    *(_number(cell["value"]) if cell else "" for cell in cells),
                    *_difference(row),
                ]
            )
    lines = _aligned(rows)
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


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
