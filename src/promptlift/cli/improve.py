"""`promptlift improve`."""

import sys
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import FAILED, guarded, say
from promptlift.cli.showing import printer
from promptlift.errors import ConfigError
from promptlift.improving.config import ControlConfig, DecodingConfig
from promptlift.progress import progress
from promptlift.tables import check_output_ending

_HELP = {
    item.name: item.metadata["help"]
    for config in (DecodingConfig, ControlConfig)
    for item in fields(config)
}


def _opt(*names: str, help: str) -> Any:
    return typer.Option(*names, help=help, show_default=False)


def _flag(name: str, flag: str = "", panel: str = "Drawing tokens") -> Any:
    default = {item.name: item.default for item in fields(ControlConfig)}.get(name)
    shown = "" if default in (None, False, ()) else f" [{'on' if default is True else default}]"
    return typer.Option(
        flag or f"--{name.replace('_', '-')}",
        help=_HELP[name] + shown,
        show_default=False,
        rich_help_panel=panel,
    )


def _wish(name: str, flag: str = "") -> Any:
    return _flag(name, flag, "What is added")


def improve(
    prompts: Annotated[
        list[str] | None, typer.Argument(help="Prompts to improve.", show_default=False)
    ] = None,
    input: Annotated[
        list[str] | None,
        _opt("--input", "-i", help="File of prompts (txt, jsonl, json, csv, tsv, parquet) or -."),
    ] = None,
    column: Annotated[
        str | None, _opt("--column", help="Column of the prompts in the file [prompt].")
    ] = None,
    n: Annotated[int, typer.Option("-n", "--n", help="Variants of each prompt.")] = 1,
    seed: Annotated[
        int | None, _opt("--seed", help="Repeats a result; drawn and recorded otherwise.")
    ] = None,
    mode: Annotated[
        str, typer.Option(help="extend keeps your words and adds; rewrite writes anew.")
    ] = "extend",
    preset: Annotated[str | None, _opt("--preset", help="paper: the paper's decoding.")] = None,
    model: Annotated[
        str | None,
        _opt("--model", "-m", help="Exported folder, T5 folder or Hub name [the bundled model]."),
    ] = None,
    do_sample: Annotated[bool | None, _flag("do_sample", "--do-sample/--greedy")] = None,
    temperature: Annotated[float | None, _flag("temperature")] = None,
    top_k: Annotated[int | None, _flag("top_k")] = None,
    top_p: Annotated[float | None, _flag("top_p")] = None,
    min_new_tokens: Annotated[int | None, _flag("min_new_tokens")] = None,
    max_new_tokens: Annotated[int | None, _flag("max_new_tokens")] = None,
    repetition_penalty: Annotated[float | None, _flag("repetition_penalty")] = None,
    no_repeat_ngram_size: Annotated[int | None, _flag("no_repeat_ngram_size")] = None,
    painters: Annotated[str | None, _wish("painters")] = None,
    styles: Annotated[str | None, _wish("styles")] = None,
    avoid: Annotated[list[str] | None, _wish("avoid")] = None,
    prefer: Annotated[list[str] | None, _wish("prefer")] = None,
    safe: Annotated[bool | None, _wish("safe", "--safe/--no-safe")] = None,
    style: Annotated[str | None, _wish("style")] = None,
    like: Annotated[str | None, _wish("like")] = None,
    length: Annotated[str | None, _wish("length")] = None,
    variety: Annotated[float | None, _wish("variety")] = None,
    budget: Annotated[int | None, _wish("budget")] = None,
    chunks: Annotated[int | None, _wish("chunks")] = None,
    lock: Annotated[bool | None, _wish("lock", "--lock/--no-lock")] = None,
    guards: Annotated[bool | None, _wish("guards", "--guards/--no-guards")] = None,
    force: Annotated[bool | None, _wish("force", "--force")] = None,
    negative: Annotated[
        str | None, _opt("--negative", help="Negative prompt: given back, never improved.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, a receipt, a line and variant.")
    ] = False,
    output: Annotated[
        Path | None, _opt("--output", "-o", help="Write .jsonl, .csv, .tsv or .parquet.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an --output that was stopped.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing --output.")
    ] = False,
    threads: Annotated[int | None, _opt("--threads", help="Processor threads [all cores].")] = None,
    batch_size: Annotated[
        int | None, _opt("--batch-size", help="Results decoded together [32].")
    ] = None,
) -> None:
    """Improve prompts: print them, or write them to a file.

    Examples:

      promptlift improve "a cat in armor" "a lighthouse"

      promptlift improve "a cat in armor" -n 3 --seed 7 --json

      promptlift improve --input prompts.csv --column text --output improved.parquet

      cat prompts.txt | promptlift improve --input -
    """
    # A dash among the prompts reads standard input too, as elsewhere on a command line.
    files = [Path(name) for name in [*(input or []), *(p for p in prompts or [] if p == "-")]]
    prompts = [prompt for prompt in prompts or [] if prompt != "-"]
    given = {
        "do_sample": do_sample,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_new_tokens": min_new_tokens,
        "max_new_tokens": max_new_tokens,
        "repetition_penalty": repetition_penalty,
        "no_repeat_ngram_size": no_repeat_ngram_size,
        "painters": _strength(painters),
        "styles": _strength(styles),
        "avoid": tuple(avoid) if avoid else None,
        "prefer": tuple(prefer) if prefer else None,
        "safe": safe,
        "style": style,
        "like": like,
        "length": length,
        "variety": variety,
        "budget": budget,
        "chunks": chunks,
        "lock": lock,
        "guards": guards,
        "force": force,
    }
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if batch_size is not None:
        options["batch_size"] = batch_size
    hint = "interrupted" if output is None else "interrupted; go on with the same and --resume"
    with guarded(hint):
        if not prompts and not files:
            raise ConfigError('nothing to improve. Give prompts ("a cat in armor") or --input FILE')
        if output is None and (resume or overwrite):
            raise ConfigError("--resume and --overwrite belong to --output FILE")
        if output is not None:
            check_output_ending(output)
        from promptlift.improving.batch import PromptSource, improve_items
        from promptlift.improving.improver import Improver
        from promptlift.improving.journal import improve_to_file

        improver = Improver.load(model, threads=threads)
        # Wrong options are told now, not after a long file was read.
        session = improver.session(preset=preset, **options)
        improver.card.prefix(mode)
        source = PromptSource(prompts=prompts, files=files, column=column, mode=mode)
        if output is None:
            show = printer(as_json=as_json)
            failed = 0
            for objects in improve_items(
                session, source.items(), n=n, seed=seed, negative=negative
            ):
                failed += "error" in objects[0]
                show(objects)
            sys.stdout.flush()
        else:
            total = source.count()
            with progress("rows") as show_progress:
                written = improve_to_file(
                    session,
                    source.items(),
                    output,
                    source=source.identity(resume=resume),
                    n=n,
                    seed=seed,
                    negative=negative,
                    resume=resume,
                    overwrite=overwrite,
                    progress=lambda done: show_progress(done, total),
                )
            failed = written.failed
            say(f"{written.rows} rows to {output}" + (f", {failed} of them failed" * bool(failed)))
    if failed:
        raise typer.Exit(FAILED)


def _strength(given: str | None) -> float | str | None:
    """A number where it is one: the config says what else there is."""
    try:
        return None if given is None else float(given)
    except ValueError:
        return given
