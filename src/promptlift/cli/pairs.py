"""`promptlift pairs`."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from promptlift.cli.door import guarded, say
from promptlift.records import Pair

app = typer.Typer(help="Make training pairs.", rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def options() -> None:
    """Make training pairs."""


@app.command()
def build(
    prompts: Annotated[
        list[Path], typer.Argument(help="Files of detailed prompts.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Pairs file to write.", show_default=False)
    ],
    column: Annotated[
        str | None, typer.Option(help="Column of the prompts [prompt].", show_default=False)
    ] = None,
    exclude_source: Annotated[
        list[str] | None,
        typer.Option(help="Leave out rows with this in column `source`.", show_default=False),
    ] = None,
    clean: Annotated[
        bool, typer.Option("--clean/--no-clean", help="Keep names of people out of targets.")
    ] = True,
    cuts: Annotated[int, typer.Option(help="Random cuts of a prompt beside the head.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed of the cuts.")] = 0,
) -> None:
    """Cut detailed prompts into pairs to extend and to rewrite.

    Example:

      promptlift pairs build prompts.parquet --output pairs.jsonl
    """
    with guarded():
        from promptlift.pairs.build import build_pairs
        from promptlift.pairs.load import load_prompts, write_pairs
        from promptlift.tables import Fault

        left_out = 0

        def texts() -> Iterator[str]:
            nonlocal left_out
            for path in prompts:
                for row in load_prompts(path, column=column, exclude_source=exclude_source or []):
                    if isinstance(row, Fault):
                        left_out += 1
                        say(f"{path} line {row.number}: {row.message}")
                    else:
                        yield str(row.value)

        counts: Counter[str] = Counter()

        def counted() -> Iterator[Pair]:
            for pair in build_pairs(texts(), clean=clean, cuts=cuts, seed=seed):
                counts[pair.mode] += 1
                yield pair

        write_pairs(output, counted())
        found = ", ".join(f"{count} to {mode}" for mode, count in sorted(counts.items()))
        faulty = f"; {left_out} faulty rows left out" if left_out else ""
        say(f"{found or 'no pairs'} in {output}{faulty}")
