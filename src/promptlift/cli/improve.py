"""`promptlift improve`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlift.cli.door import FAILED, guarded, say
from promptlift.cli.parameters import ModelName, Overwrite, ShardName, Threads, arg, opt
from promptlift.cli.showing import printer
from promptlift.errors import ConfigError
from promptlift.improving.config import ControlConfig, DecodingConfig
from promptlift.llm.config import LLMConfig
from promptlift.options import takes
from promptlift.progress import progress
from promptlift.ray.config import RayConfig
from promptlift.shards import Shard
from promptlift.tables import check_output_ending

if TYPE_CHECKING:
    from promptlift.improving.batch import PromptSource
    from promptlift.improving.journal import Written
    from promptlift.improving.session import Session


@takes(DecodingConfig, "decoding", show_defaults=False)
@takes(ControlConfig, "control")
@takes(LLMConfig, "llm")
@takes(RayConfig, "ray")
def improve(
    prompts: Annotated[list[str] | None, arg("Prompts to improve.")] = None,
    input: Annotated[
        list[str] | None,
        opt("File of prompts (txt, jsonl, json, csv, tsv, parquet) or -.", "--input", "-i"),
    ] = None,
    column: Annotated[str | None, opt("Column of the prompts in the file [prompt].")] = None,
    n: Annotated[int, typer.Option("-n", "--n", help="Variants of each prompt.")] = 1,
    seed: Annotated[int | None, opt("Repeats a result; drawn and recorded otherwise.")] = None,
    mode: Annotated[
        str | None,
        opt("extend keeps your words and adds; rewrite writes anew [what the model has learned]."),
    ] = None,
    preset: Annotated[str | None, opt("paper: the paper's decoding.")] = None,
    model: ModelName = None,
    llm: Any = None,
    decoding: Any = None,
    control: Any = None,
    negative: Annotated[str | None, opt("Negative prompt: given back, never improved.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, a receipt, a line and variant.")
    ] = False,
    output: Annotated[
        str | None,
        opt("Write .jsonl, .csv, .tsv or .parquet; with --engine ray a folder.", "--output", "-o"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an --output that was stopped.")
    ] = False,
    overwrite: Overwrite = False,
    shard: ShardName = None,
    threads: Threads = None,
    batch_size: Annotated[int | None, opt("Results decoded together [32].")] = None,
    ray: Any = None,
) -> None:
    """Improve prompts: print them, or write them to a file.

    Examples:

      promptlift improve "a cat in armor" "a lighthouse"

      promptlift improve "a cat in armor" -n 3 --seed 7 --json

      promptlift improve --input prompts.csv --column text --output improved.parquet

      cat prompts.txt | promptlift improve --input -

      promptlift improve "a cat" --llm-url http://127.0.0.1:11434/v1 --model qwen3:4b

      promptlift improve --input 'prompts/*.parquet' --output improved/ --engine ray
    """
    # A dash among the prompts reads standard input too, as elsewhere on a command line.
    files = [Path(name) for name in [*(input or []), *(p for p in prompts or [] if p == "-")]]
    prompts = [prompt for prompt in prompts or [] if prompt != "-"]
    options: dict[str, Any] = {**decoding, **control}
    options |= {} if batch_size is None else {"batch_size": batch_size}
    asked: dict[str, Any] = {"n": n, "seed": seed, "negative": negative}
    hint = "interrupted" if output is None else "interrupted; go on with the same and --resume"
    with guarded(hint):
        _check(prompts or files, output, to_go_on=resume or overwrite)
        if cluster := _cluster(ray, prompts, shard, as_json=as_json):
            given = {"model": model, "llm": llm, "mode": mode, "preset": preset, "column": column}
            options |= {**asked, **given, "threads": threads or 1}
            return _spread(input, output, options, cluster, resume, overwrite)
        part = _part(shard, output, seed)
        from promptlift.improving.batch import PromptSource
        from promptlift.improving.improver import Improver

        improver = Improver.load(model, threads=threads, **llm)
        # Report wrong options now, not after reading a long file.
        session = improver.session(preset=preset, **options)
        mode = improver.card.mode(mode)
        source = PromptSource(
            prompts=prompts, files=files, column=column, mode=mode, shard=part, report=say
        )
        if output is None:
            _print(session, source, asked, as_json=as_json)
        else:
            _write(session, source, asked, Path(output), resume, overwrite)


def _check(given: list[Any], output: str | None, *, to_go_on: bool) -> None:
    if not given:
        raise ConfigError('nothing to improve. Give prompts ("a cat in armor") or --input FILE')
    if output is None and to_go_on:
        raise ConfigError("--resume and --overwrite belong to --output FILE")


def _part(shard: str | None, output: str | None, seed: int | None) -> Shard | None:
    """The part of the prompts to improve, and that the output can be written."""
    if output is not None:
        check_output_ending(Path(output))
    if shard is None:
        return None
    if output is None or seed is None:
        raise ConfigError("--shard needs --output, and a --seed that all parts share")
    return Shard.of(shard)


def _cluster(
    ray: dict[str, Any], prompts: list[str], shard: str | None, *, as_json: bool
) -> RayConfig | None:
    """The cluster that is to do the work, None where this process does it."""
    config = RayConfig.asked(ray)
    if config is not None and (prompts or shard is not None or as_json):
        raise ConfigError(
            "--engine ray reads --input alone: leave out the prompts, --shard and --json"
        )
    return config


def _spread(
    input: list[str] | None,
    output: str | None,
    options: dict[str, Any],
    config: RayConfig,
    resume: bool,
    overwrite: bool,
) -> None:
    """Improve on a cluster."""
    if not input or output is None or "-" in input:
        raise ConfigError("--engine ray needs --input FOLDER and --output FOLDER")
    from promptlift.ray.improving import improve_parquet

    with progress("rows") as show:
        written = improve_parquet(
            input, output, options, config,
            resume=resume, overwrite=overwrite, report=say, progress=show,
        )  # fmt: skip
    _told(written, output)


def _told(written: "Written", output: Path | str) -> None:
    """Say what was written; the status says whether all of it could be improved."""
    failed = f", {written.failed} of them failed" if written.failed else ""
    say(f"{written.rows} rows to {output}{failed}")
    if failed:
        raise typer.Exit(FAILED)


def _print(
    session: "Session", source: "PromptSource", asked: dict[str, Any], *, as_json: bool
) -> None:
    """Print results as they come."""
    from promptlift.improving.batch import improve_items

    show, failed = printer(as_json=as_json), 0
    for objects in improve_items(session, source.items(), **asked):
        failed += "error" in objects[0]
        show(objects)
    sys.stdout.flush()
    if failed:
        raise typer.Exit(FAILED)


def _write(
    session: "Session",
    source: "PromptSource",
    asked: dict[str, Any],
    output: Path,
    resume: bool,
    overwrite: bool,
) -> None:
    """Write results to a file that goes on after a stop."""
    from promptlift.improving.journal import improve_to_file

    total, first = source.count(), True

    def told(done: int) -> None:
        nonlocal first
        if first and done:
            say(f"{done} rows are done already")
        first = False
        show(done, total)

    with progress("rows") as show:
        written = improve_to_file(
            session,
            source.items(),
            output,
            source=source.identity(resume=resume),
            resume=resume,
            overwrite=overwrite,
            progress=told,
            **asked,
        )
    _told(written, output)
