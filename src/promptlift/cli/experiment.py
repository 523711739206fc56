"""`promptlift experiment`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import FAILED, guarded, say
from promptlift.cli.parameters import arg, opt
from promptlift.experimenting.choices import Conditions
from promptlift.options import takes


@takes(Conditions, "changed", only=["judged"], renamed={"judged": "judge"})
def experiment(
    config: Annotated[str, arg("pocket, paper, or a config file of your own.")],
    output: Annotated[Path | None, opt("Run folder [runs/NAME].", "--output", "-o")] = None,
    copy: Annotated[Path | None, opt("Only write the config to this file.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what would be done, and what is missing.")
    ] = False,
    changed: Any = None,
) -> None:
    """Run the paper's whole experiment in one run folder; the same command again goes on.

    Prints the path of the page that tells it all. `pocket` takes minutes on a laptop, offline, and
    draws coloured shapes; `paper` is FLAN-T5-base and SDXL, and needs a GPU.

    Examples:

      promptlift experiment pocket

      promptlift experiment paper --check

      promptlift experiment pocket --copy mine.toml

      promptlift experiment mine.toml --judge
    """
    with guarded("interrupted; the same command goes on from there"):
        from promptlift.experimenting.config import copy_config, load_config, read_config

        if copy is not None:
            copy_config(read_config(config), copy)
            say(f"{config} is copied to {copy}; run it: promptlift experiment {copy}")
            return
        chosen = replace(load_config(config), **changed)
        folder = output or Path("runs") / chosen.name

        from promptlift.experimenting.chain import run_experiment
        from promptlift.experimenting.needs import check_needs, plan_of
        from promptlift.experimenting.reproduction import how_to_send
        from promptlift.experimenting.stages import notice_of

        if check:
            plan, lacks = plan_of(chosen)
            typer.echo("\n  ".join([f"experiment {chosen.name} in {folder}", *plan]))
            raise typer.Exit(FAILED if lacks else 0)
        check_needs(chosen)
        found = run_experiment(chosen, folder, say)
        if found.waiting:
            command, *links = found.waiting
            say("waiting for votes; ask the raters, then give the same command again")
            typer.echo("\n".join([command, *links]))
        if notice := notice_of(chosen):
            say(notice)
        say(f"improve more: promptlift improve PROMPT --model {folder / 'model'}")
        if found.reproduction is not None:
            for line in how_to_send(chosen, found.reproduction):
                say(line)
        typer.echo(found.page)
