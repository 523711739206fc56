"""`promptlift pick`."""

import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import FAILED, guarded, say
from promptlift.errors import ConfigError
from promptlift.files import check_overwrites
from promptlift.illustrating.config import IllustrationConfig
from promptlift.improving.config import ControlConfig
from promptlift.picking.config import SEEDS, PickConfig
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.tables import check_output_ending

_INPUT, _VARIANTS, _DRAWN = "What is improved", "Improved prompts", "How it is drawn"
_MEMORY, _PICKED = "Device and memory", "How the best is picked"


def _opt(help: str, *names: str, panel: str = _INPUT) -> Any:
    return typer.Option(*names, help=help, show_default=False, rich_help_panel=panel)


def _of(config: type, panel: str, name: str, *names: str, default: Any = None) -> Any:
    """An option with help and default of a config's field."""
    [item] = [item for item in fields(config) if item.name == name]
    default = item.default if default is None else default
    shown = "" if default is None or default is False or default == () else f" [{default}]"
    return _opt(item.metadata["help"] + shown, *names, panel=panel)


def _variants(name: str, *names: str) -> Any:
    return _of(PickConfig, _VARIANTS, name, *names)


def _wish(name: str, *names: str) -> Any:
    return _of(ControlConfig, _VARIANTS, name, *names)


def _drawn(name: str, *names: str, default: Any = None) -> Any:
    return _of(IllustrationConfig, _DRAWN, name, *names, default=default)


def _memory(name: str, *names: str) -> Any:
    return _of(IllustrationConfig, _MEMORY, name, *names)


def _picked(name: str, *names: str) -> Any:
    return _of(PickConfig, _PICKED, name, *names)


def _scored(name: str, *names: str) -> Any:
    return _of(PictureScoringConfig, _PICKED, name, *names)


def pick(
    prompts: Annotated[
        list[str] | None, typer.Argument(help="Prompts to improve.", show_default=False)
    ] = None,
    input: Annotated[
        list[Path] | None,
        _opt("File of prompts (txt, jsonl, json, csv, tsv, parquet).", "--input", "-i"),
    ] = None,
    column: Annotated[str | None, _opt("Column of the prompts in the file [prompt].")] = None,
    output: Annotated[Path | None, _opt("Run folder, made or gone on.", "--output", "-o")] = None,
    pairs: Annotated[
        Path | None, _opt("Also write the choices as pairs that train --pairs reads.")
    ] = None,
    n: Annotated[int, _variants("n", "-n", "--n")] = PickConfig.n,
    seed: Annotated[int, _variants("seed")] = PickConfig.seed,
    mode: Annotated[str, _variants("mode")] = PickConfig.mode,
    preset: Annotated[str | None, _variants("preset")] = None,
    model: Annotated[
        str | None,
        _opt(
            "Exported folder, T5 folder or Hub name [the bundled model].",
            "--model",
            "-m",
            panel=_VARIANTS,
        ),
    ] = None,
    variety: Annotated[float | None, _wish("variety")] = None,
    length: Annotated[str | None, _wish("length")] = None,
    painters: Annotated[str | None, _wish("painters")] = None,
    styles: Annotated[str | None, _wish("styles")] = None,
    style: Annotated[str | None, _wish("style")] = None,
    avoid: Annotated[list[str] | None, _wish("avoid")] = None,
    prefer: Annotated[list[str] | None, _wish("prefer")] = None,
    force: Annotated[bool | None, _wish("force", "--force")] = None,
    picture_model: Annotated[str | None, _drawn("model", "--picture-model")] = None,
    refiner: Annotated[str | None, _drawn("refiner")] = None,
    model_config: Annotated[str | None, _drawn("model_config")] = None,
    num_inference_steps: Annotated[
        int | None, _drawn("num_inference_steps", "--num-inference-steps", "--steps")
    ] = None,
    denoising_end: Annotated[float | None, _drawn("denoising_end")] = None,
    guidance_scale: Annotated[float | None, _drawn("guidance_scale")] = None,
    width: Annotated[int | None, _drawn("width")] = None,
    height: Annotated[int | None, _drawn("height")] = None,
    picture_seed: Annotated[int | None, _drawn("seed", "--picture-seed")] = None,
    seeds: Annotated[int, _drawn("seeds", default=SEEDS)] = SEEDS,
    negative: Annotated[str | None, _drawn("negative")] = None,
    prompt_2: Annotated[str | None, _drawn("prompt_2")] = None,
    long_prompts: Annotated[str | None, _drawn("long_prompts")] = None,
    device: Annotated[str | None, _memory("device")] = None,
    dtype: Annotated[str | None, _memory("dtype")] = None,
    batch_size: Annotated[int | None, _memory("batch_size")] = None,
    offload: Annotated[str | None, _memory("offload")] = None,
    vae_slicing: Annotated[bool, _memory("vae_slicing", "--vae-slicing")] = False,
    vae_tiling: Annotated[bool, _memory("vae_tiling", "--vae-tiling")] = False,
    compile: Annotated[bool, _memory("compile", "--compile")] = False,
    offline: Annotated[bool, _memory("offline", "--offline")] = False,
    score_device: Annotated[
        str | None, _opt("Device of the metric's model [that of --device].", panel=_MEMORY)
    ] = None,
    metric: Annotated[str, _picked("metric")] = PickConfig.metric,
    clip: Annotated[str, _scored("clip")] = PictureScoringConfig.clip,
    preference: Annotated[str | None, _scored("preference")] = None,
    aesthetic: Annotated[str | None, _scored("aesthetic")] = None,
    aesthetic_clip: Annotated[str, _scored("aesthetic_clip")] = PictureScoringConfig.aesthetic_clip,
    tie: Annotated[float, _scored("tie")] = PictureScoringConfig.tie,
    always: Annotated[bool, _picked("always", "--always")] = False,
    confirm_seeds: Annotated[int, _picked("confirm_seeds")] = PickConfig.confirm_seeds,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line a prompt.")] = False,
) -> None:
    """Improve prompts, draw them, and keep the one that draws best; the same command goes on.

    Prints the prompt to use, the original where no gain is clear, and on stderr the evidence.

    Examples:

      promptlift pick "a cat in armor" -n 4 --seeds 4 --picture-model sdxl-turbo -o runs/cat

      promptlift pick --input prompts.txt -o runs/best --confirm-seeds 4 --pairs better.jsonl
    """
    given = dict(locals())
    with guarded("interrupted; the same command goes on"):
        files = input or []
        if not prompts and not files:
            raise ConfigError(
                'nothing to pick for. Give prompts ("a cat in armor") or --input FILE'
            )
        if output is None:
            raise ConfigError("name the run folder with --output RUN: the pictures go there")
        if pairs is not None:
            check_output_ending(pairs)
            check_overwrites([pairs], files)
        config, drawing, scoring = _configs(given)
        if offline:  # the improver's own libraries read this, when they are imported
            os.environ["HF_HUB_OFFLINE"] = "1"

        from promptlift.illustrating.illustrator import Illustrator
        from promptlift.illustrating.pipeline import load_pipelines
        from promptlift.improving.batch import PromptSource
        from promptlift.improving.improver import Improver
        from promptlift.picking.pick import pick as pick_best
        from promptlift.picking.picks import read_picks, write_pick_pairs
        from promptlift.picking.scores import check_metric

        check_metric(config.metric)
        improver = Improver.load(model)
        counts = pick_best(
            output,
            PromptSource(prompts=prompts or [], files=files, column=column),
            improver=improver,
            illustrator=Illustrator(load_pipelines(drawing, say), drawing, say),
            config=config,
            scoring=scoring,
            report=say,
        )
        for row in read_picks(output):
            _show(row, as_json=as_json)
        say(_summary(counts, output))
        if pairs is not None:
            say(f"pairs in {pairs}: {write_pick_pairs(output, pairs)}")
    if counts["failed"]:
        raise typer.Exit(FAILED)


def _configs(
    given: Mapping[str, Any],
) -> tuple[PickConfig, IllustrationConfig, PictureScoringConfig]:
    """The settings that options stand for."""

    def taken(config: type) -> dict[str, Any]:
        names = {item.name for item in fields(config)}
        return {name: value for name, value in given.items() if name in names and value is not None}

    wishes = taken(ControlConfig)
    for name in ("painters", "styles"):
        if name in wishes:
            wishes[name] = _strength(wishes[name])
    for name in ("avoid", "prefer"):
        if name in wishes:
            wishes[name] = tuple(wishes[name])
    drawing = {**taken(IllustrationConfig), "seed": given["picture_seed"]}
    drawing.pop("model", None)
    scoring = taken(PictureScoringConfig)
    for name in ("seed", "batch_size", "device"):  # of the same name, and another thing
        scoring.pop(name, None)
    scoring["device"] = given["score_device"] or given["device"] or PictureScoringConfig.device
    return (
        PickConfig(**taken(PickConfig), improving=wishes),
        IllustrationConfig.resolve(given["picture_model"], **drawing),
        PictureScoringConfig(**scoring),
    )


def _strength(given: str) -> float | str:
    """A number where it is one: the config says what else there is."""
    try:
        return float(given)
    except ValueError:
        return given


def _show(row: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(row), flush=True)
        return
    say(_evidence(row))
    print(" ".join(row["prompt"].splitlines()), flush=True)


def _evidence(row: Mapping[str, Any]) -> str:
    """Why a prompt was chosen, in a line."""
    name = row["source"][:40]
    if row["gain"] is None:
        return f"{name}: original kept, {row['reason']}"
    best = f"variant {row['best_variant']}, best of {row['best_of']}"
    gain = f"{_gain(row)} in {row['metric']['name']}, {len(row['seeds'])} seeds"
    if row["choice"] == "original":
        return f"{name}: original kept, {row['reason']} ({best}: {gain})"
    taken = "" if row["clear"] else f", taken all the same: {row['reason']}"
    if (found := row["confirmation"]) is None:
        more = "optimistic, as it was chosen by it; --confirm-seeds measures anew"
    else:
        more = f"from {len(found['seeds'])} fresh seeds {_gain(found)}"
        more += ", confirmed" if found["confirmed"] else ", not clear there"
    return f"{name}: {best}, {gain}{taken}; {more}"


def _gain(found: Mapping[str, Any]) -> str:
    least = "" if found["low"] is None else f" (at least {found['low']:+.3g})"
    return f"{found['gain']:+.3g}{least}"


def _summary(counts: Mapping[str, Any], output: Path) -> str:
    line = f"{counts['improved']} of {counts['prompts']} prompts improved"
    if "confirmed" in counts:
        line += f", {counts['confirmed']} of them confirmed"
    if counts["failed"]:
        line += f", {counts['failed']} failed"
    return f"{line}; picks in {output / 'picks.jsonl'}"
