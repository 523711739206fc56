"""`promptlift train`."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlift.cli.door import FAILED, INTERRUPTED, guarded, say
from promptlift.options import takes
from promptlift.training.config import TrainingConfig

if TYPE_CHECKING:
    from promptlift.records import Pair


def _opt(help: str) -> Any:
    return typer.Option(help=help, show_default=False)


@takes(TrainingConfig, "settings", show_defaults=False)
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
    keep_unfit: Annotated[
        bool,
        typer.Option(
            "--keep-unfit",
            help="Learn texts that are no prompts, too: nan, refusals, prefaces and fences of a "
            "chat, settings, negative prompts, flags, tags, JSON.",
        ),
    ] = False,
    settings: Any = None,
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
    with guarded("interrupted; the same command goes on from the last checkpoint"):
        from promptlift.errors import ConfigError
        from promptlift.pairs.load import collect_pairs
        from promptlift.training.distributed import launched
        from promptlift.training.train import hash_inputs

        config = TrainingConfig.resolve(preset, settings)
        if output is None and not preflight:
            raise ConfigError("name the run folder: --output FOLDER")
        report = say if launched().main else _silent
        files, held = pairs or [], validation or []
        if not files:
            from promptlift.training.data import paper_files

            files, held = paper_files(preset, held)
        collect = partial(collect_pairs, source=source, target=target, report=report)
        # In one's own a faulty row is an error; the paper's are learned as they were published.
        drop = not keep_unfit
        learned = collect(files, drop_faulty=not pairs, drop_unfit=drop and bool(pairs))
        measured = collect(held, drop_faulty=not validation, drop_unfit=drop and bool(validation))
        given = measured if held else None
        if preflight:
            _measure(learned, config, given, report)
            return
        assert output is not None
        encoder = encoder or ("roberta-large" if preset == "paper-exact" else None)
        evaluator, measuring = _evaluator(config, encoder, layer, report)
        _train(
            learned,
            output,
            config,
            validation=given,
            inputs=hash_inputs([*files, *held]) | measuring,  # figures of one run must compare
            evaluator=evaluator,
            preflight=preflight,
            report=report,
        )


def _measure(
    learned: "list[Pair]",
    config: TrainingConfig,
    validation: "list[Pair] | None",
    report: Callable[[str], None],
) -> None:
    """The preflight alone; fails where the run does not fit into memory."""
    from promptlift.training.train import measure_run

    with tempfile.TemporaryDirectory() as folder:
        found = measure_run(learned, config, Path(folder), validation=validation, report=report)
    if not found.fits:
        report(f"error: {found.advice(config)}")
        raise typer.Exit(FAILED)


def _evaluator(
    config: TrainingConfig, encoder: str | None, layer: int | None, report: Callable[[str], None]
) -> tuple[Any, dict[str, str]]:
    """What measures each epoch, in the main process, and what identifies it."""
    from promptlift.training.distributed import launched

    if config.evaluation_decoding == "none" or not launched().main:
        return None, {}
    from promptlift.scoring.text.config import TextConfig
    from promptlift.scoring.text.epochs import epoch_evaluator

    return epoch_evaluator(TextConfig(encoder=encoder, layer=layer), report)


def _train(*args: Any, report: Callable[[str], None], **settings: Any) -> None:
    """Train, and say where the model is."""
    from promptlift.training.train import train as train_model

    trained = train_model(*args, report=report, **settings)
    if trained is None:
        report("stopped; the same command goes on from the last checkpoint")
        raise typer.Exit(INTERRUPTED)
    report(f"model in {trained}; for the engine: promptlift export {trained} --output FOLDER")


def _silent(line: str) -> None:
    """Only the main process reports."""
