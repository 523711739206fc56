"""`promptlift train`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import INTERRUPTED, guarded, say


def _opt(help: str) -> Any:
    return typer.Option(help=help, show_default=False)


def train(
    pairs: Annotated[
        list[Path], typer.Option("--pairs", help="Files of pairs.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder.", show_default=False)],
    preset: Annotated[str, typer.Option(help="pocket: the bundled model's settings.")] = "pocket",
    source: Annotated[str | None, _opt("Column of the sources.")] = None,
    target: Annotated[str | None, _opt("Column of the targets.")] = None,
    model: Annotated[str | None, _opt("T5 or FLAN-T5 folder or Hub name to fine-tune.")] = None,
    name: Annotated[str | None, _opt("Name of the model.")] = None,
    epochs: Annotated[float | None, _opt("Passes over the pairs.")] = None,
    batch_size: Annotated[int | None, _opt("Pairs a step.")] = None,
    gradient_accumulation_steps: Annotated[int | None, _opt("Batches a weight update.")] = None,
    learning_rate: Annotated[float | None, _opt("Peak learning rate.")] = None,
    warmup_steps: Annotated[int | None, _opt("Updates until the peak.")] = None,
    d_model: Annotated[int | None, _opt("Width, from scratch.")] = None,
    d_ff: Annotated[int | None, _opt("Feed-forward width, from scratch.")] = None,
    num_layers: Annotated[int | None, _opt("Encoder layers, from scratch.")] = None,
    num_decoder_layers: Annotated[int | None, _opt("Decoder layers, from scratch.")] = None,
    num_heads: Annotated[int | None, _opt("Attention heads, from scratch.")] = None,
    vocab_size: Annotated[int | None, _opt("Pieces of the tokenizer, from scratch.")] = None,
    dropout_rate: Annotated[float | None, _opt("Dropout, from scratch.")] = None,
    precision: Annotated[str | None, _opt("auto, bf16 or fp32.")] = None,
    save_minutes: Annotated[float | None, _opt("Minutes between checkpoints.")] = None,
    save_steps: Annotated[int | None, _opt("Updates between checkpoints.")] = None,
    seed: Annotated[int | None, _opt("Seed of weights, order and dropout.")] = None,
    licence: Annotated[str | None, _opt("SPDX licence of the resulting weights.")] = None,
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
        from promptlift.training.config import TrainingConfig
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
