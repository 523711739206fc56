"""`promptlift sweep`."""

from pathlib import Path
from typing import Annotated

import typer

from promptlift.cli.door import FAILED, guarded, say
from promptlift.cli.parameters import arg, opt


def sweep(
    file: Annotated[str, arg("A sweep file, or the name of one that is shipped.")],
    output: Annotated[Path | None, opt("Folder [runs/NAME].", "--output", "-o")] = None,
    copy: Annotated[Path | None, opt("Only write the file to this one.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what would be tried, and what is missing.")
    ] = False,
) -> None:
    """Train with many settings and say which are best; the same command again goes on.

    Given several times, also on other machines that share the folder, it divides the trials. Each
    trial is a run folder. Prints the path of the page that compares them.

    Shipped: pocket-learning-rate (minutes, offline), and the paper's questions, which need a GPU:
    paper-epochs, paper-learning-rate, paper-batch-size, paper-new-tokens, paper-t5, paper-lora.

    Examples:

      promptlift sweep pocket-learning-rate

      promptlift sweep paper-epochs --check

      promptlift sweep paper-epochs --copy mine.toml

      promptlift sweep mine.toml --output runs/mine
    """
    with guarded("interrupted; the same command goes on from there"):
        from promptlift.experimenting.config import copy_config
        from promptlift.sweeping.config import load_sweep, read_sweep

        if copy is not None:
            copy_config(read_sweep(file), copy)
            say(f"{file} is copied to {copy}; run it: promptlift sweep {copy}")
            return
        chosen = load_sweep(file)
        folder = output or Path("runs") / chosen.name

        from promptlift.sweeping.run import plan_of, run_sweep

        if check:
            plan, lacks = plan_of(chosen)
            typer.echo("\n  ".join([f"sweep {chosen.name} in {folder}", *plan]))
            raise typer.Exit(FAILED if lacks else 0)
        left = run_sweep(chosen, folder, say)

        from promptlift.sweeping.page import write_page

        typer.echo(write_page(folder, report=say))
        for number in left.others:
            say(f"trial {number} is being done by another process")
        if left.errors:
            say("the same command tries again what could not be done")
            raise typer.Exit(FAILED)
