"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer


def opt(help: str, *names: str) -> Any:
    """An option that shows no default but what its help says of it, as "[all cores]"."""
    return typer.Option(*names, help=help, show_default=False)


def arg(help: str) -> Any:
    """An argument."""
    return typer.Argument(help=help, show_default=False)


JudgedRun = Annotated[Path, arg("Run folder of `judge`.")]
VoteKind = Annotated[str, typer.Option(help="person, or simulated for votes that a program gave.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")]
NoOpen = Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing --output.")]
ModelName = Annotated[
    str | None,
    opt(
        "Exported folder, T5 or Llama folder or Hub name [PROMPTLIFT_MODEL, or the bundled one].",
        "--model",
        "-m",
    ),
]
TorchThreads = Annotated[
    int | None, opt("Processor threads [those of the run, or those that are free].", "--threads")
]
Threads = Annotated[int | None, opt("Processor threads [all cores].")]
ShardName = Annotated[
    str | None, opt("Do only this part of the prompts, as 2/8: every eighth, from the second.")
]
