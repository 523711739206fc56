"""`promptlift world`."""

from pathlib import Path
from typing import Annotated

import typer

from promptlift.cli.door import guarded, say
from promptlift.errors import MissingExtraError

app = typer.Typer(
    help="Make the pocket picture world.", rich_markup_mode=None, no_args_is_help=True
)


@app.callback()
def _group() -> None:
    """Keeps `train` a command of its own."""


@app.command()
def train(
    parts: Annotated[
        list[str],
        typer.Argument(help="oracle, vae, clip, base and refiner, in this order, or all."),
    ],
    folder: Annotated[
        Path, typer.Option("--folder", "-o", help="Holds renders, checkpoints and the models.")
    ],
    control: Annotated[
        bool, typer.Option("--control", help="Of the world in which praise means nothing.")
    ] = False,
) -> None:
    """Train models of the pocket world; a stopped training goes on with the same command.

    Examples:

      promptlift world train all --folder world

      promptlift world train base refiner --folder world --control
    """
    with guarded("interrupted; the same command goes on from the last checkpoint"):
        try:
            from promptlift.world.recipe import PARTS, Recipe
        except ImportError as error:
            raise MissingExtraError("Training the pocket world", "illustrate") from error
        recipe = Recipe(folder, say, control=control)
        for part in PARTS if parts == ["all"] else parts:
            say(f"{part} is in {recipe.train(part)}")
