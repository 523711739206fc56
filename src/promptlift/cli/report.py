"""`promptlift report`."""

from pathlib import Path
from typing import Annotated

import typer

from promptlift.cli.door import guarded, say
from promptlift.cli.parameters import Overwrite, arg, opt
from promptlift.files import check_new


def report(
    run: Annotated[Path, arg("Run folder, or folder of a sweep.")],
    output: Annotated[
        Path | None, opt("Folder for the page and its plots [RUN/report].", "--output", "-o")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw a run or a sweep: one page, and every plot as PNG and SVG. Prints the page's path.

    What is still going on is drawn as far as it has come.

    Example:

      promptlift report runs/mine
    """
    with guarded():
        from promptlift.reporting.run_report import write_report
        from promptlift.sweeping.journal import FILE
        from promptlift.sweeping.page import write_page

        if output is not None:  # RUN/report is of no other run
            check_new([output / "index.html"], overwrite=overwrite)
        swept = (run / FILE).is_file()
        typer.echo((write_page if swept else write_report)(run, output, report=say))
