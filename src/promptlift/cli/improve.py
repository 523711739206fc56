"""`promptlift improve`."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import FAILED, guarded, say
from promptlift.errors import ConfigError
from promptlift.improving.config import ControlConfig, DecodingConfig, resolve_options
from promptlift.progress import progress
from promptlift.prompts.clip_tokens import CLIP_BUDGET
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
    options |= {"n": n, "mode": mode, "preset": preset, "negative": negative}
    hint = "interrupted" if output is None else "interrupted; go on with the same and --resume"
    with guarded(hint):
        if not prompts and not files:
            raise ConfigError('nothing to improve. Give prompts ("a cat in armor") or --input FILE')
        if output is None and (resume or overwrite):
            raise ConfigError("--resume and --overwrite belong to --output FILE")
        if output is not None:
            check_output_ending(output)
        source = _Source(prompts, files, column)
        chosen = _Choice(model, threads, batch_size, seed, options)
        if output is not None:
            failed = _to_file(source, chosen, output, resume=resume, overwrite=overwrite)
        else:
            failed = _to_stdout(source, chosen, _print_json if as_json else _printer())
    if failed:
        raise typer.Exit(FAILED)


@dataclass(frozen=True)
class _Source:
    """Where prompts come from."""

    prompts: list[str]
    files: list[Path]
    column: str | None


def _strength(given: str | None) -> float | str | None:
    """A number where it is one: the config says what else there is."""
    try:
        return None if given is None else float(given)
    except ValueError:
        return given


class _Choice:
    """The model and its options."""

    def __init__(
        self,
        model: str | None,
        threads: int | None,
        batch_size: int | None,
        seed: int | None,
        options: dict[str, Any],
    ) -> None:
        from promptlift.improving.improver import BATCH_SIZE, Improver

        self.improver = Improver.load(model, threads=threads)
        self.seed, self.options = seed, options
        self.batch_size = BATCH_SIZE if batch_size is None else batch_size
        # A wrong option is told now, not after a long file was read.
        self.improver.improve_stream([], **self.all(0))

    def resolved(self) -> dict[str, Any]:
        """All that decides a result beside model and seed, the model's defaults included."""
        mode, preset = self.options["mode"], self.options["preset"]
        other = ("n", "mode", "preset", "negative")
        given = {name: value for name, value in self.options.items() if name not in other}
        decoding, control = resolve_options(self.improver.card.decoding, preset, given)
        prefix = {"prefix": self.improver.card.modes[mode]}
        # As JSON gives it back: a journal's header is compared with this.
        return dict(json.loads(json.dumps({**asdict(decoding), **asdict(control), **prefix})))

    def all(self, seed: int) -> dict[str, Any]:
        return {**self.options, "seed": seed, "batch_size": self.batch_size}


def _to_stdout(
    source: _Source, chosen: _Choice, show: Callable[[list[dict[str, Any]]], None]
) -> int:
    import secrets

    from promptlift.improving.batch import improve_items, read_items

    failed = 0
    seed = secrets.randbits(32) if chosen.seed is None else chosen.seed
    items = read_items(source.prompts, source.files, source.column)
    for objects in improve_items(chosen.improver, items, **chosen.all(seed)):
        failed += "error" in objects[0]
        show(objects)
    sys.stdout.flush()
    return failed


def _to_file(
    source: _Source, chosen: _Choice, output: Path, *, resume: bool, overwrite: bool
) -> int:
    import secrets
    from itertools import islice

    from promptlift.improving.batch import (
        Job,
        count_lines,
        improve_items,
        input_identity,
        read_items,
        seed_of_journal,
    )

    seed = chosen.seed
    if seed is None and resume:
        seed = seed_of_journal(output)
    seed = secrets.randbits(32) if seed is None else seed
    header = {
        "options": json.loads(json.dumps(chosen.options)),
        "resolved": chosen.resolved(),
        "seed": seed,
        "model": chosen.improver.model_id,
        "input": input_identity(source.prompts, source.files, source.column, resume=resume),
    }
    job = Job(output, header, resume=resume, overwrite=overwrite)
    if job.done:
        say(f"{job.done} rows are done already")
    total = count_lines(source.files)
    items = read_items(source.prompts, source.files, source.column)
    results = improve_items(chosen.improver, islice(items, job.done, None), **chosen.all(seed))
    for _ in _with_progress(job.run(results), total):
        pass
    say(f"{job.done} rows to {output}" + (f", {job.failed} of them failed" if job.failed else ""))
    return job.failed


def _with_progress(done: Iterable[int], total: int | None) -> Iterator[int]:
    """Progress with rate and time left, on stderr."""
    with progress("rows") as show:
        for count in done:
            show(count, total)
            yield count


def _print_json(objects: list[dict[str, Any]]) -> None:
    for item in objects:
        # ASCII escapes survive any terminal and any encoding of a pipe.
        print(json.dumps(item, ensure_ascii=not sys.stdout.encoding.lower().startswith("utf")))


def _printer() -> Callable[[list[dict[str, Any]]], None]:
    if not sys.stdout.isatty():
        return _print_plain
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)

    def show(objects: list[dict[str, Any]]) -> None:
        for item in objects:
            if "error" in item:
                _say_error(item)
                continue
            text = Text(item["prompt"])
            for start, end in _places(item):
                text.stylize("bold green", start, end)
            limit = (item["settings"]["budget"] or CLIP_BUDGET) * item["settings"]["chunks"]
            console.print(text, Text(f" {meter(item['clip_tokens'], limit)}", "dim"))
            _say_notes(item)

    return show


def meter(tokens: int, limit: int) -> str:
    """How full the budget is, in ten steps: ▰▰▱▱▱▱▱▱▱▱ 16/75."""
    full = min(10, -(-10 * tokens // limit))
    return f"{'▰' * full}{'▱' * (10 - full)} {tokens}/{limit}"


def _places(item: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """Where the additions stand in a prompt: from where it parts from its source."""
    source, prompt = item["source"], item["prompt"]
    start = 0
    if item["mode"] == "extend":
        pairs = enumerate(zip(source, prompt, strict=False))
        start = next((i for i, (a, b) in pairs if a != b), min(len(source), len(prompt)))
    for phrase in item["additions"]:
        found = prompt.find(phrase, start)
        if found >= 0:
            start = found + len(phrase)
            yield found, start


def _print_plain(objects: list[dict[str, Any]]) -> None:
    for item in objects:
        if "error" in item:
            _say_error(item)
        else:
            print(" ".join(item["prompt"].splitlines()))
            _say_notes(item)


def _say_notes(item: dict[str, Any]) -> None:
    for note in item["notes"]:
        if not note.startswith("drawn again"):
            say(f"{item['source'][:40]}: {note}")


def _say_error(item: dict[str, Any]) -> None:
    place = f"prompt {item['index']}" if item["line"] is None else f"line {item['line']}"
    say(f"{place}: {item['error']}")
