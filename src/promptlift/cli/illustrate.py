"""`promptlift illustrate`."""

import json
import os
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlift.cli.door import guarded, say
from promptlift.errors import ConfigError, InputError
from promptlift.illustrating.config import IllustrationConfig
from promptlift.progress import progress

if TYPE_CHECKING:
    from promptlift.illustrating.job import IllustrationJob

_HELP = {item.name: item.metadata["help"] for item in fields(IllustrationConfig)}
_DEFAULT = {item.name: item.default for item in fields(IllustrationConfig)}


def _opt(help: str, *names: str, panel: str = "What is drawn") -> Any:
    return typer.Option(*names, help=help, show_default=False, rich_help_panel=panel)


def _setting(name: str, *names: str, panel: str = "How it is drawn") -> Any:
    default = _DEFAULT[name]
    shown = "" if default in (None, False) else f" [{default}]"
    return _opt(_HELP[name] + shown, *names, panel=panel)


def _memory(name: str, *names: str) -> Any:
    return _setting(name, *names, panel="Device and memory")


def illustrate(
    run: Annotated[
        Path | None,
        typer.Argument(
            help="Run folder with improvements, or with validation pairs and a model.",
            show_default=False,
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        _opt("File of improvements (columns source, prompt), or of plain prompts to improve."),
    ] = None,
    output: Annotated[Path | None, _opt("Run folder for --prompts.", "--output", "-o")] = None,
    sample: Annotated[int | None, _opt("Draw so many prompts, chosen at random [all].")] = None,
    sample_seed: Annotated[int, _opt("Which prompts --sample chooses [0].")] = 0,
    improver: Annotated[
        str | None,
        _opt("Model that improves plain prompts [the run's own, or the bundled one]."),
    ] = None,
    n: Annotated[int, _opt("Variants of each plain prompt [1].", "-n", "--n")] = 1,
    mode: Annotated[
        str | None, _opt("extend or rewrite [that of a run's pairs, otherwise extend].")
    ] = None,
    improver_seed: Annotated[int, _opt("Seed of the improvements [0].")] = 0,
    model: Annotated[str | None, _setting("model", "--model", "-m")] = None,
    refiner: Annotated[str | None, _setting("refiner")] = None,
    model_config: Annotated[str | None, _setting("model_config")] = None,
    num_inference_steps: Annotated[
        int | None, _setting("num_inference_steps", "--num-inference-steps", "--steps")
    ] = None,
    denoising_end: Annotated[float | None, _setting("denoising_end")] = None,
    guidance_scale: Annotated[float | None, _setting("guidance_scale")] = None,
    width: Annotated[int | None, _setting("width")] = None,
    height: Annotated[int | None, _setting("height")] = None,
    seed: Annotated[int | None, _setting("seed")] = None,
    seeds: Annotated[int | None, _setting("seeds")] = None,
    negative: Annotated[str | None, _setting("negative")] = None,
    prompt_2: Annotated[str | None, _setting("prompt_2")] = None,
    long_prompts: Annotated[str | None, _setting("long_prompts")] = None,
    device: Annotated[str | None, _memory("device")] = None,
    dtype: Annotated[str | None, _memory("dtype")] = None,
    batch_size: Annotated[int | None, _memory("batch_size")] = None,
    offload: Annotated[str | None, _memory("offload")] = None,
    vae_slicing: Annotated[bool, _memory("vae_slicing", "--vae-slicing")] = False,
    vae_tiling: Annotated[bool, _memory("vae_tiling", "--vae-tiling")] = False,
    compile: Annotated[bool, _memory("compile", "--compile")] = False,
    offline: Annotated[bool, _memory("offline", "--offline")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line a picture.")] = False,
) -> None:
    """Draw original and improved prompts from the same noise; the same command again goes on.

    Examples:

      promptlift illustrate runs/flan --sample 100

      promptlift illustrate --prompts prompts.txt --output runs/mine --model sdxl-turbo

      promptlift illustrate --prompts improved.jsonl -o runs/sd15 --model sd15 --seeds 4
    """
    names = {item.name for item in fields(IllustrationConfig)} - {"model"}
    given = {name: value for name, value in locals().items() if name in names}
    with guarded("interrupted; the same command goes on with the pictures that are missing"):
        config = IllustrationConfig.resolve(model, **given)
        if (run is None) == (prompts is None):
            raise ConfigError("give a run folder, or --prompts FILE with --output RUN")
        if (prompts is None) != (output is None):
            raise ConfigError("--prompts FILE and --output RUN belong together")
        if sample is not None and sample < 1:
            raise ConfigError(f"sample is {sample} and must be 1 or more")

        if offline:  # the improver's own libraries read this, when they are imported
            os.environ["HF_HUB_OFFLINE"] = "1"

        from promptlift.illustrating.illustrator import Illustrator
        from promptlift.illustrating.inputs import count_entries, sample_of
        from promptlift.illustrating.job import IllustrationJob
        from promptlift.illustrating.pipeline import load_pipelines
        from promptlift.illustrating.sources import ImprovingChoice, improvements_of
        from promptlift.runs import Run

        if run is not None and not run.is_dir():
            raise InputError(f"{run} does not exist or is no folder.")
        opened = Run.open(run or output or Path())
        choice = ImprovingChoice(
            improver=improver,
            n=n,
            mode=mode,
            seed=improver_seed,
            sample=sample,
            sample_seed=sample_seed,
        )
        with opened.alone("drawn"):
            improvements = improvements_of(opened, prompts, choice, report=say)
            there = count_entries(improvements)
            if sample is not None and there < sample:
                say(
                    f"{improvements} holds {there} prompts; all are drawn. "
                    "Remove it to improve others"
                )
            chosen = sample_of(there, sample, sample_seed)
            illustrator = Illustrator(load_pipelines(config, say), config, say)
            job = IllustrationJob(opened, improvements, illustrator, chosen=chosen, report=say)
            _draw(job, as_json=as_json)


def _draw(job: "IllustrationJob", *, as_json: bool) -> None:
    drawn = 0
    with progress("pictures") as show:
        for item in job:
            drawn = item.drawn
            if as_json:
                print(json.dumps({**item.picture.to_row(), "notes": item.notes}), flush=True)
            for note in item.notes:
                say(f"{item.picture.file}: {note}")
            show(item.total - item.missing + drawn, item.total)
    for line in job.outcome(drawn):
        say(line)
