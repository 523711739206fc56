"""`promptlift export`."""

from pathlib import Path
from typing import Annotated

import typer

from promptlift.cli.door import guarded, say
from promptlift.cli.parameters import arg, opt


def export(
    model_folder: Annotated[Path, arg("T5, FLAN-T5 or Llama as trained.")],
    output: Annotated[Path, opt("Folder to write.", "--output", "-o")],
    precision: Annotated[str, typer.Option(help="int8, fp32 or, for a Llama, int4.")] = "int8",
    calibration: Annotated[
        Path | None, opt("Pairs to compare with PyTorch on [a packaged file].")
    ] = None,
    name: Annotated[str | None, opt("Name of the model [its own].")] = None,
    base: Annotated[
        str | None,
        opt(
            "int4 export that training began with, or writer, the bundled one: keep its weights, "
            "and add what was learned since as products of low rank. For int4."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export.")
    ] = False,
) -> None:
    """Write a model in the engine's format, checked against PyTorch.

    Example:

      promptlift export runs/pocket/model --output exported/pocket
    """
    with guarded():
        from promptlift.export.export import export_model

        manifest = export_model(
            model_folder,
            output,
            precision=precision,
            calibration=calibration,
            name=name,
            base=base,
            overwrite=overwrite,
        )
        check = manifest.check
        say(
            f"{manifest.model_id} in {precision} to {output}; loss on {check['pairs']} pairs "
            f"{check['loss_exported']:.4f}, in PyTorch {check['loss_pytorch']:.4f}"
        )
