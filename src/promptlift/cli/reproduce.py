"""`promptlift reproduce`."""

from pathlib import Path
from typing import Annotated

import typer

from promptlift.cli.door import guarded, say
from promptlift.cli.parameters import Overwrite, arg, opt
from promptlift.cli.showing import aligned
from promptlift.files import check_new, check_overwrites, write_text

app = typer.Typer(
    help="The paper's figures beside those of runs.", rich_markup_mode=None, no_args_is_help=True
)


@app.callback()
def group() -> None:
    """The paper's figures beside those of runs."""


@app.command()
def show(
    files: Annotated[list[Path], arg("Files reproduction.json of run folders, or sent by others.")],
    output: Annotated[Path | None, opt("Write Markdown to this file.", "--output", "-o")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Lay the figures of runs beside the paper's, and say what each run lacks.

    Examples:

      promptlift reproduce show runs/paper/reproduction.json

      promptlift reproduce show mine.json theirs.json --output beside.md
    """
    with guarded():
        from promptlift.experimenting.beside_paper import (
            as_markdown,
            as_text,
            missing_of,
            read_reproductions,
            tables_of,
        )

        check_overwrites([output], files)
        check_new([output], overwrite=overwrite)
        found = read_reproductions(files)
        tables = tables_of(found)
        if output is None:
            typer.echo(as_text(tables, aligned))
        else:
            write_text(output, as_markdown(tables))
            say(f"tables are in {output}")
        for line in missing_of(found):
            say(line)
