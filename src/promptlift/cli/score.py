"""`promptlift score`: the texts and the pictures of a run."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import guarded
from promptlift.cli.score_pictures import picture_table, score_pictures
from promptlift.cli.score_texts import control_table, score_texts, tables
from promptlift.errors import ConfigError
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.text.config import TextConfig

_TEXT_HELP = {item.name: item.metadata["help"] for item in fields(TextConfig)}
_PICTURE_HELP = {item.name: item.metadata["help"] for item in fields(PictureScoringConfig)}
_PARTS = ("texts", "pictures")


def _opt(*names: str, help: str) -> Any:
    return typer.Option(*names, help=help, show_default=False)


def _text(name: str) -> Any:
    return typer.Option(help=_TEXT_HELP[name], show_default=False)


def _switch(name: str) -> Any:
    return typer.Option(f"--{name}/--no-{name}", help=_TEXT_HELP[name], show_default=False)


def _picture(name: str, *names: str) -> Any:
    return typer.Option(*names, help=f"Pictures: {_PICTURE_HELP[name]}", show_default=False)


def score(
    run: Annotated[
        Path | None,
        typer.Argument(help="Run folder of `train` or `illustrate`.", show_default=False),
    ] = None,
    only: Annotated[
        str | None, _opt("--only", help="texts or pictures [what the run holds].")
    ] = None,
    model: Annotated[
        str | None,
        _opt("--model", "-m", help="Instead of a run: a model's folder or name [pocket]."),
    ] = None,
    pairs: Annotated[
        Path | None, _opt("--pairs", help="Pairs to improve and compare with [the run's].")
    ] = None,
    predictions: Annotated[
        Path | None, _opt("--predictions", help="Prompts made already: source, prediction, target.")
    ] = None,
    output: Annotated[
        Path | None, _opt("--output", "-o", help="Folder for the scores of texts [the run].")
    ] = None,
    train_pairs: Annotated[
        Path | None, _opt("--train-pairs", help="Training pairs, for the nearest one's target.")
    ] = None,
    limit: Annotated[int | None, _text("limit")] = None,
    mode: Annotated[str | None, _text("mode")] = None,
    seed: Annotated[int | None, _text("seed")] = None,
    preset: Annotated[str | None, _text("preset")] = None,
    encoder: Annotated[str | None, _text("encoder")] = None,
    layer: Annotated[int | None, _text("layer")] = None,
    baseline: Annotated[str | None, _text("baseline")] = None,
    bertscore_batch_size: Annotated[int | None, _text("bertscore_batch_size")] = None,
    bertscore: Annotated[bool | None, _switch("bertscore")] = None,
    meteor: Annotated[bool | None, _switch("meteor")] = None,
    offline: Annotated[bool | None, typer.Option("--offline", help=_TEXT_HELP["offline"])] = None,
    batch_size: Annotated[
        int | None, _opt("--batch-size", help="Prompts decoded together.")
    ] = None,
    threads: Annotated[int | None, _opt("--threads", help="Processor threads [all cores].")] = None,
    doctor: Annotated[
        bool, typer.Option("--doctor", help="Show which metrics can tell real from shuffled.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace scores of texts by other settings.")
    ] = False,
    clip: Annotated[str | None, _picture("clip")] = None,
    metrics: Annotated[list[str] | None, _picture("metrics")] = None,
    preference: Annotated[str | None, _picture("preference")] = None,
    aesthetic: Annotated[str | None, _picture("aesthetic")] = None,
    aesthetic_clip: Annotated[str | None, _picture("aesthetic_clip")] = None,
    picture_batch_size: Annotated[
        int | None, _picture("batch_size", "--picture-batch-size")
    ] = None,
    device: Annotated[str | None, _picture("device")] = None,
    tie: Annotated[float | None, _picture("tie")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what scores/*.json hold, as one object.")
    ] = False,
) -> None:
    """Score improved prompts as texts and their pictures, beside baselines, with intervals.

    Examples:

      promptlift score runs/pocket

      promptlift score --model pocket --pairs pairs.jsonl --output runs/scored

      promptlift score --predictions improved.jsonl --output runs/other

      promptlift score --doctor --pairs pairs.jsonl

      promptlift score runs/drawn --only pictures --clip openai/clip-vit-large-patch14
    """
    given = {name: value for name, value in locals().items() if value is not None}
    with guarded("interrupted; the same command goes on"):
        text = TextConfig(**{name: given[name] for name in _TEXT_HELP if name in given})
        shared = {name: given[name] for name in _PICTURE_HELP if name in given}
        shared.pop("batch_size", None)  # that of decoding
        if metrics is not None:
            shared["metrics"] = tuple(metrics)
        if picture_batch_size is not None:
            shared["batch_size"] = picture_batch_size
        picture = PictureScoringConfig(**shared)
        found: dict[str, Any] = {}
        asks_for_texts = any((model, pairs, predictions, doctor))
        for part in _parts(run, only, asks_for_texts):
            if part == "texts":
                found[part] = score_texts(
                    text,
                    run=run,
                    model=model,
                    pairs=pairs,
                    predictions=predictions,
                    output=output,
                    train_pairs=train_pairs,
                    batch_size=batch_size,
                    threads=threads,
                    doctor=doctor,
                    overwrite=overwrite,
                )
                shown = "\n\n".join(
                    tables(found[part]) + (control_table(found[part]) if doctor else [])
                )
            else:
                assert run is not None
                found[part] = score_pictures(run, picture)
                shown = picture_table(found[part])
            if not as_json:
                typer.echo(shown)
        if as_json:
            typer.echo(json.dumps(found, ensure_ascii=False))


def _parts(run: Path | None, only: str | None, asks_for_texts: bool) -> list[str]:
    """What is to be scored: what was asked for, or what the run holds."""
    if only is not None and only not in _PARTS:
        raise ConfigError(f"--only is {only!r} and must be {' or '.join(_PARTS)}")
    if only == "pictures" and (run is None or asks_for_texts):
        raise ConfigError(
            "--only pictures needs a run folder, without --model, --pairs or the like"
        )
    if only is not None:
        return [only]
    if run is None or asks_for_texts:
        return ["texts"]
    if (run / "validation.jsonl").is_file():
        drawn = (run / "pictures" / "index.parquet").is_file()
        return ["texts"] + ["pictures"] * drawn
    # Drawing may not have finished: what reads the pictures says so.
    begun = any((run / name).exists() for name in ("pictures", "improvements.jsonl"))
    return ["pictures"] if begun or "illustrating" in _stages(run) else ["texts"]


def _stages(run: Path) -> tuple[str, ...]:
    """The stages in the run's manifest; none where it cannot be read."""
    try:
        return tuple(json.loads((run / "manifest.json").read_text(encoding="utf-8"))["stages"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()
