"""`promptlift illustrate`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlift.cli.door import FAILED, go_offline, guarded, say
from promptlift.cli.parameters import ShardName, TorchThreads, arg, opt
from promptlift.errors import ConfigError
from promptlift.illustrating.config import IllustrationConfig
from promptlift.improving.config import ControlConfig
from promptlift.options import takes
from promptlift.progress import progress
from promptlift.ray.config import RayConfig
from promptlift.runs import check_folder
from promptlift.shards import Shard

if TYPE_CHECKING:
    from promptlift.illustrating.job import IllustrationJob
    from promptlift.runs import Run


@takes(
    ControlConfig,
    "control",
    only=["form", "picture_model", "coherent"],
    defaults={"coherent": "as the run was begun; on in a new one"},
)
@takes(IllustrationConfig, "drawing")
@takes(RayConfig, "ray", only=["engine", "ray_address", "actors"])
def illustrate(
    run: Annotated[
        Path | None, arg("Run folder with improvements, or with validation pairs and a model.")
    ] = None,
    prompts: Annotated[
        Path | None,
        opt("File of improvements (columns source, prompt), or of plain prompts to improve."),
    ] = None,
    embedding: Annotated[
        Path | None, opt("File of an embedding, drawn beside the prompt it began with.")
    ] = None,
    output: Annotated[
        Path | None, opt("Run folder for --prompts or --embedding.", "--output", "-o")
    ] = None,
    sample: Annotated[int | None, opt("Draw so many prompts, chosen at random [all].")] = None,
    sample_seed: Annotated[int, opt("Which prompts --sample chooses [0].")] = 0,
    shard: ShardName = None,
    improver: Annotated[
        str | None,
        opt("Model that improves plain prompts [the run's own, or that of `improve`]."),
    ] = None,
    n: Annotated[int, opt("Variants of each plain prompt [1].", "-n", "--n")] = 1,
    mode: Annotated[
        str | None,
        opt("extend or rewrite [that of a run's pairs, otherwise what the model has learned]."),
    ] = None,
    threads: TorchThreads = None,
    improver_seed: Annotated[int, opt("Seed of the improvements [0].")] = 0,
    control: Any = None,
    drawing: Any = None,
    ray: Any = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line a picture.")] = False,
) -> None:
    """Draw original and improved prompts from the same noise; the same command again goes on.

    Examples:

      promptlift illustrate runs/flan --sample 100

      promptlift illustrate --prompts prompts.txt --output runs/mine --model sdxl-turbo

      promptlift illustrate --prompts improved.jsonl -o runs/sd15 --model sd15 --seeds 4

      promptlift illustrate --embedding star.safetensors -o runs/star --seeds 4

      promptlift illustrate --prompts p.txt -o runs/mine --backend comfyui --workflow portrait.json
    """
    with guarded("interrupted; the same command goes on with the pictures that are missing"):
        config = IllustrationConfig.resolve(**drawing)
        _check(run, prompts, embedding, output, sample)
        cluster = RayConfig.asked(ray)
        part = Shard(1, 1) if shard is None else Shard.of(shard)
        go_offline(config.offline)

        from promptlift.illustrating.illustrator import Illustrator
        from promptlift.illustrating.job import STAGE, IllustrationJob
        from promptlift.illustrating.sources import ImprovingChoice, improvements_of
        from promptlift.runs import Run
        from promptlift.threads import torch_threads

        opened = Run.open(run or output or Path())
        if embedding is not None:
            _write(opened, embedding)
        choice = ImprovingChoice(
            improver=improver, n=n, mode=mode, seed=improver_seed, sample=sample,
            sample_seed=sample_seed, **control,
        )  # fmt: skip
        if cluster and (config.is_server or as_json):
            other = "--json" if as_json else f"--backend {config.backend}"
            raise ConfigError(f"--engine ray draws with diffusers, and takes no {other}")
        # Report a server that does not answer before improving anything.
        server = Illustrator.of(config, say) if config.is_server else None
        with opened.alone("drawn"), torch_threads(threads, opened.threads, STAGE, say):
            improvements = improvements_of(opened, prompts, choice, report=say)
            chosen = _chosen(improvements, sample, sample_seed, part)
            if cluster:
                return _spread(opened, improvements, config, chosen, cluster, threads)
            illustrator = server or Illustrator.of(config, say)
            job = IllustrationJob(opened, improvements, illustrator, chosen=chosen, report=say)
            _draw(job, as_json=as_json)


def _chosen(improvements: Path, sample: int | None, sample_seed: int, part: Shard) -> set[int]:
    """The positions of the prompts to draw."""
    from promptlift.illustrating.inputs import count_entries, sample_of

    there = count_entries(improvements)
    if sample is not None and there < sample:
        say(f"{improvements} holds {there} prompts; all are drawn. Remove it to improve others")
    return set(filter(part.holds, sample_of(there, sample, sample_seed)))


def _spread(
    run: "Run",
    improvements: Path,
    config: IllustrationConfig,
    chosen: set[int],
    cluster: RayConfig,
    threads: int | None,
) -> None:
    """Draw on a cluster."""
    from promptlift.ray.drawing import draw

    with progress("prompts") as show:
        draw(run, improvements, config, chosen, cluster, threads=threads, report=say, progress=show)


def _check(
    run: Path | None,
    prompts: Path | None,
    embedding: Path | None,
    output: Path | None,
    sample: int | None,
) -> None:
    if sum(one is not None for one in (run, prompts, embedding)) != 1:
        raise ConfigError(
            "give a run folder, or --prompts FILE or --embedding FILE with --output RUN"
        )
    if (run is None) != (output is not None):
        raise ConfigError("--output RUN and --prompts FILE or --embedding FILE belong together")
    if sample is not None and sample < 1:
        raise ConfigError(f"sample is {sample} and must be 1 or more")
    check_folder(run)


def _write(run: "Run", path: Path) -> None:
    """An embedding as the only improvement of a run, of the prompt that it began with."""
    from promptlift.illustrating.embedding import load_embedding
    from promptlift.steering.run import Variant, make_variants

    found = load_embedding(path)
    with run.alone("drawn"):
        variant = Variant(prompt=found.prompt, embedding=found, note=path.name)
        make_variants(run, found.prompt, {"embedding": found.sha256}, lambda: [variant])


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
    if job.refused:
        raise typer.Exit(FAILED)
