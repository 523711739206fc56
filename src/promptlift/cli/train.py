"""`promptlift train`."""

import tempfile
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import FAILED, INTERRUPTED, guarded, say
from promptlift.training.config import TrainingConfig

_HELP = {item.name: item.metadata["help"] for item in fields(TrainingConfig)}


def _opt(help: str) -> Any:
    return typer.Option(help=help, show_default=False)


def _setting(name: str) -> Any:
    return _opt(_HELP[name])


def _switch(name: str) -> Any:
    dashed = name.replace("_", "-")
    return typer.Option(f"--{dashed}/--no-{dashed}", help=_HELP[name], show_default=False)


def train(
    pairs: Annotated[
        list[Path] | None,
        typer.Option("--pairs", help="Files of pairs; the paper's of the Hub with its presets."),
    ] = None,
    validation: Annotated[
        list[Path] | None,
        typer.Option("--validation", help="Files of pairs to measure on; set apart where none."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Run folder.", show_default=False)
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            help="pocket: the bundled model's settings; pocket-world: a small rewriter for the "
            "pocket picture world, in minutes; paper: the paper's; paper-exact: evaluated as its "
            "script does, cut and greedy, too."
        ),
    ] = "pocket",
    preflight: Annotated[
        bool | None,
        typer.Option(
            "--preflight/--no-preflight",
            help="Only say how long the run takes and whether it fits into memory; long runs "
            "begin with that unless --no-preflight.",
            show_default=False,
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        _opt(
            "BERTScore's encoder, a folder or Hub name; roberta-large with paper-exact, else "
            "all-MiniLM-L6-v2, which is installed."
        ),
    ] = None,
    layer: Annotated[
        int | None, _opt("Layer of the encoder; the one known to be best where none.")
    ] = None,
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
    tasks: Annotated[str | None, _setting("tasks")] = None,
    rewrite_prefix: Annotated[str | None, _setting("rewrite_prefix")] = None,
    epochs: Annotated[float | None, _setting("epochs")] = None,
    batch_size: Annotated[int | None, _setting("batch_size")] = None,
    eval_batch_size: Annotated[int | None, _setting("eval_batch_size")] = None,
    gradient_accumulation_steps: Annotated[
        int | None, _setting("gradient_accumulation_steps")
    ] = None,
    group_by_length: Annotated[bool | None, _switch("group_by_length")] = None,
    gradient_checkpointing: Annotated[str | None, _setting("gradient_checkpointing")] = None,
    lora: Annotated[bool | None, _switch("lora")] = None,
    lora_rank: Annotated[int | None, _setting("lora_rank")] = None,
    lora_alpha: Annotated[float | None, _setting("lora_alpha")] = None,
    optimizer: Annotated[str | None, _setting("optimizer")] = None,
    learning_rate: Annotated[float | None, _setting("learning_rate")] = None,
    lr_scheduler_type: Annotated[str | None, _setting("lr_scheduler_type")] = None,
    warmup_steps: Annotated[int | None, _setting("warmup_steps")] = None,
    weight_decay: Annotated[float | None, _setting("weight_decay")] = None,
    max_source_tokens: Annotated[int | None, _setting("max_source_tokens")] = None,
    max_target_tokens: Annotated[int | None, _setting("max_target_tokens")] = None,
    validation_pairs: Annotated[int | None, _setting("validation_pairs")] = None,
    training_sample: Annotated[int | None, _setting("training_sample")] = None,
    evaluation_decoding: Annotated[str | None, _setting("evaluation_decoding")] = None,
    evaluation_pairs: Annotated[int | None, _setting("evaluation_pairs")] = None,
    keep_checkpoints: Annotated[int | None, _setting("keep_checkpoints")] = None,
    best: Annotated[bool | None, _switch("best")] = None,
    logging_steps: Annotated[int | None, _setting("logging_steps")] = None,
    save_minutes: Annotated[float | None, _setting("save_minutes")] = None,
    save_steps: Annotated[int | None, _setting("save_steps")] = None,
    precision: Annotated[str | None, _setting("precision")] = None,
    compile: Annotated[bool | None, _switch("compile")] = None,
    seed: Annotated[int | None, _setting("seed")] = None,
    licence: Annotated[str | None, _setting("licence")] = None,
) -> None:
    """Train a model in a run folder; the same command again goes on where it stopped.

    Each epoch is measured; RUN/log.csv has the figures, and RUN/evaluations what the model wrote.

    Examples:

      promptlift train --preset pocket --pairs pairs.jsonl --output runs/pocket

      promptlift train --preset paper --output runs/paper

      promptlift train --preset paper --lora --preflight

      promptlift train --model google/flan-t5-small --pairs pairs.csv --output runs/flan

      torchrun --nproc-per-node 2 -m promptlift train --preset paper --output runs/paper
    """
    flags = {key: value for key, value in locals().items() if key not in _NO_SETTINGS}
    with guarded("interrupted; the same command goes on from the last checkpoint"):
        from promptlift.errors import ConfigError
        from promptlift.pairs.load import collect_pairs
        from promptlift.training.data import paper_files
        from promptlift.training.distributed import launched
        from promptlift.training.train import hash_inputs, measure_run
        from promptlift.training.train import train as train_model

        config = TrainingConfig.resolve(preset, flags)
        if output is None and not preflight:
            raise ConfigError("name the run folder: --output FOLDER")
        report = say if launched().main else _silent
        files, held = pairs or [], validation or []
        if not files:
            files, held = paper_files(preset, held)
        collect = partial(collect_pairs, source=source, target=target, report=report)
        learned = collect(files, drop_faulty=not pairs)  # in one's own a faulty row is an error
        measured = collect(held, drop_faulty=not validation)
        given = measured if held else None
        if preflight:
            with tempfile.TemporaryDirectory() as folder:
                found = measure_run(learned, config, Path(folder), validation=given, report=report)
            if not found.fits:
                report(f"error: {found.advice(config)}")
                raise typer.Exit(FAILED)
            return
        assert output is not None
        inputs = hash_inputs([*files, *held])
        evaluator = None
        if config.evaluation_decoding != "none":
            encoder = encoder or ("roberta-large" if preset == "paper-exact" else None)
            if launched().main:
                from promptlift.scoring.text.config import TextConfig
                from promptlift.scoring.text.epochs import epoch_evaluator

                scoring = TextConfig(encoder=encoder, layer=layer)
                evaluator, measuring = epoch_evaluator(scoring, report)
                inputs |= measuring  # figures of one run must compare
        trained = train_model(
            learned,
            output,
            config,
            validation=given,
            inputs=inputs,
            evaluator=evaluator,
            preflight=preflight,
            report=report,
        )
        if trained is None:
            report("stopped; the same command goes on from the last checkpoint")
            raise typer.Exit(INTERRUPTED)
        report(f"model in {trained}; for the engine: promptlift export {trained} --output FOLDER")


def _silent(line: str) -> None:
    """Only the main process reports."""


_NO_SETTINGS = {
    "pairs", "validation", "output", "preset", "preflight", "encoder", "layer", "source", "target",
}  # fmt: skip
