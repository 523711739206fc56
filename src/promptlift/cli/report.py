"""`promptlift report`."""

from pathlib import Path
from typing import Annotated

import typer

from promptlift.cli.door import guarded, say
from promptlift.cli.parameters import arg, opt


def report(
    run: Annotated[Path, arg("Run folder.")],
    output: Annotated[
        Path | None, opt("Folder for the page and its plots [RUN/report].", "--output", "-o")
    ] = None,
) -> None:
    """Draw a run: one page, and every plot as PNG and SVG. Prints the page's path.

    A run that is still going on is drawn as far as it has come.

    Example:

      promptlift report runs/mine
    """
    with guarded():
        from promptlift.reporting.run_report import write_report

        typer.echo(write_report(run, output, report=say))
