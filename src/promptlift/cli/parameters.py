"""Options and arguments that several commands share."""

from typing import Annotated, Any

import typer


def opt(help: str, *names: str, panel: str | None = None) -> Any:
    """An option that shows no default but what its help says of it, as "[all cores]"."""
    return typer.Option(*names, help=help, show_default=False, rich_help_panel=panel)


def arg(help: str) -> Any:
    """An argument."""
    return typer.Argument(help=help, show_default=False)


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
ModelName = Annotated[
    str | None, opt("Exported folder, T5 folder or Hub name [the bundled model].", "--model", "-m")
]
Threads = Annotated[int | None, opt("Processor threads [all cores].")]
