"""`promptlift train`."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import INTERRUPTED, guarded, say
from promptlift.training.config import TrainingConfig

_HELP = {item.name: item.metadata["help"] for item in fields(TrainingConfig)}


def _opt(help: str) -> Any:
    return typer.Option(help=help, show_default=False)


def _setting(name: str) -> Any:
    return _opt(_HELP[name])


def train(
    pairs: Annotated[
        list[Path], typer.Option("--pairs", help="Files of pairs.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder.", show_default=False)],
    preset: Annotated[str, typer.Option(help="pocket: the bundled model's settings.")] = "pocket",
    source: Annotated[str | None, _opt("Column of the sources.")] = None,
    target: Annotated[str | None, _opt("Column of the targets.")] = None,
    model: Annotated[str | None, _setting("model")] = None,
    name: Annotated[str | None, _setting("name")] = None,
    vocab_size: Annotated[int | None, _setting("vocab_size")] = None,
    d_model: Annotated[int | None, _setting("d_model")] = None,
    d_ff: Annotated[int | None, _setting("d_ff")] = None,
    num_layers: Annotated[int | None, _setting("num_layers")] = None,
    num_decoder_layers: Annotated[int | None, _setting("num_decoder_layers")] = None,
    num_heads: Annotated[int | None, _setting("num_heads")] = None,
    dropout_rate: Annotated[float | None, _setting("dropout_rate")] = None,
    epochs: Annotated[float | None, _setting("epochs")] = None,
    batch_size: Annotated[int | None, _setting("batch_size")] = None,
    gradient_accumulation_steps: Annotated[
        int | None, _setting("gradient_accumulation_steps")
    ] = None,
    optimizer: Annotated[str | None, _setting("optimizer")] = None,
    learning_rate: Annotated[float | None, _setting("learning_rate")] = None,
    warmup_steps: Annotated[int | None, _setting("warmup_steps")] = None,
    weight_decay: Annotated[float | None, _setting("weight_decay")] = None,
    max_source_tokens: Annotated[int | None, _setting("max_source_tokens")] = None,
    max_target_tokens: Annotated[int | None, _setting("max_target_tokens")] = None,
    validation_pairs: Annotated[int | None, _setting("validation_pairs")] = None,
    save_minutes: Annotated[float | None, _setting("save_minutes")] = None,
    save_steps: Annotated[int | None, _setting("save_steps")] = None,
    precision: Annotated[str | None, _setting("precision")] = None,
    compile: Annotated[
        bool | None, typer.Option("--compile/--no-compile", help=_HELP["compile"])
    ] = None,
    seed: Annotated[int | None, _setting("seed")] = None,
    licence: Annotated[str | None, _setting("licence")] = None,
) -> None:
    """Train a model in a run folder; the same command again goes on where it stopped.

    Examples:

      promptlift train --preset pocket --pairs pairs.jsonl --output runs/pocket

      promptlift train --model google/flan-t5-small --pairs pairs.csv --output runs/flan
    """
    flags = {key: value for key, value in locals().items() if key not in _NO_SETTINGS}
    with guarded("interrupted; the same command goes on from the last checkpoint"):
        from promptlift.errors import InputError
        from promptlift.pairs.load import load_pairs
        from promptlift.records import Pair
        from promptlift.training.train import hash_inputs
        from promptlift.training.train import train as train_model

        config = TrainingConfig.resolve(preset, flags)
        learned = []
        for path in pairs:
            for item in load_pairs(path, source=source, target=target):
                if not isinstance(item, Pair):
                    raise InputError(f"{path} line {item.number}: {item.message}")
                learned.append(item)
        folder = train_model(learned, output, config, inputs=hash_inputs(pairs), report=say)
        if folder is None:
            say("stopped; the same command goes on from the last checkpoint")
            raise typer.Exit(INTERRUPTED)
        say(f"model in {folder}; for the engine: promptlift export {folder} --output FOLDER")


_NO_SETTINGS = {"pairs", "output", "preset", "source", "target"}
