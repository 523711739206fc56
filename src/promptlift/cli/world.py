"""`promptlift world`."""

from pathlib import Path
from typing import Annotated

import typer

from promptlift.cli.door import guarded, say
from promptlift.cli.parameters import Overwrite
from promptlift.files import check_new

app = typer.Typer(
    help="Make the pocket picture world.", rich_markup_mode=None, no_args_is_help=True
)


@app.command()
def pairs(
    output: Annotated[Path, typer.Option("--output", "-o", help="File of pairs to write.")],
    overwrite: Overwrite = False,
    count: Annotated[int, typer.Option(help="Scenes, each with a pair of each mode.")] = 8_000,
    seed: Annotated[int, typer.Option(help="0 to 9: sets that share no scene.")] = 0,
    mode: Annotated[str, typer.Option(help="extend, rewrite or both.")] = "both",
    test: Annotated[
        bool, typer.Option("--test", help="Pairs to measure with, of scenes that no set learns.")
    ] = False,
    control: Annotated[
        bool, typer.Option("--control", help="Of the world in which praise means nothing.")
    ] = False,
) -> None:
    """Write pairs of plain and detailed prompts of the pocket world, to train a rewriter on.

    Examples:

      promptlift world pairs --output pairs.jsonl

      promptlift world pairs --test --count 300 --mode extend --output test.jsonl

      promptlift train --preset pocket-world --pairs pairs.jsonl --validation test.jsonl -o runs/w
    """
    with guarded():
        check_new([output], overwrite=overwrite)
        from promptlift.pairs.load import write_pairs
        from promptlift.world.pairs import world_pairs

        found = list(world_pairs(count, seed, mode=mode, test=test, control=control))
        write_pairs(output, found)
        say(f"{len(found)} pairs of {count} scenes in {output}")
