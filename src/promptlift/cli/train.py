"""`promptlift train`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import FAILED, INTERRUPTED, guarded, say
from promptlift.cli.parameters import TorchThreads, opt
from promptlift.errors import ConfigError
from promptlift.options import takes
from promptlift.pairs.config import ColumnsConfig
from promptlift.scoring.text.config import TextConfig
from promptlift.training.config import TrainingConfig

_PRESETS = (
    "pocket: a small T5 from scratch; writer: LoRA of a Llama, SmolLM2-135M-Instruct unless "
    "--model names another; pocket-world: a small rewriter for the pocket picture world, in "
    "minutes; paper: the paper's; paper-exact: evaluated as its script does, cut, greedy and with "
    "roberta-large, too."
)


@takes(TrainingConfig, "settings", show_defaults=False)
@takes(ColumnsConfig, "columns", only=["source", "target", "keep_unfit"])
@takes(TextConfig, "scoring", only=["encoder", "layer"])
def train(
    pairs: Annotated[
        list[Path] | None, opt("Files of pairs; the paper's of the Hub with its presets.")
    ] = None,
    validation: Annotated[
        list[Path] | None, opt("Files of pairs to measure on; set apart where none.")
    ] = None,
    output: Annotated[Path | None, opt("Run folder.", "--output", "-o")] = None,
    preset: Annotated[
        str,
        typer.Option(help=_PRESETS),
    ] = "pocket",
    preflight: Annotated[
        bool | None,
        opt(
            "Only say how long the run takes and whether it fits; long runs begin with that.",
            "--preflight/--no-preflight",
        ),
    ] = None,
    threads: TorchThreads = None,
    columns: Any = None,
    settings: Any = None,
    scoring: Any = None,
) -> None:
    """Train a model in a run folder; the same command again goes on where it stopped.

    Each epoch is measured; RUN/log.csv has the figures, and RUN/evaluations what the model wrote.

    Examples:

      promptlift train --preset pocket --pairs pairs.jsonl --output runs/pocket

      promptlift train --preset paper --output runs/paper

      promptlift train --preset paper --lora --preflight

      promptlift train --model google/flan-t5-small --pairs pairs.csv --output runs/flan

      promptlift train --preset writer --pairs pairs.jsonl --output runs/writer

      torchrun --nproc-per-node 2 -m promptlift train --preset paper --output runs/paper
    """
    with guarded("interrupted; the same command goes on from the last checkpoint"):
        from promptlift.training.data import read_files
        from promptlift.training.distributed import launched

        config = TrainingConfig.resolve(preset, settings)
        if output is None and not preflight:
            raise ConfigError("name the run folder: --output FOLDER")
        report = say if launched().main else lambda line: None  # only the main process reports
        files = read_files(pairs or [], validation or [], preset=preset, report=report, **columns)

        from promptlift.training.train import measure_run
        from promptlift.training.train import train as train_model

        if preflight:
            found = measure_run(files.learned, config, validation=files.validation,
                                threads=threads, report=report)  # fmt: skip
            if found.fits:
                return
            report(f"error: {found.advice(config)}")
            raise typer.Exit(FAILED)
        assert output is not None
        evaluator, measuring = None, dict[str, str]()
        if config.evaluation_decoding != "none" and launched().main:
            from promptlift.scoring.text.epochs import epoch_evaluator

            exact = {"encoder": "roberta-large"} if preset == "paper-exact" else {}
            evaluator, measuring = epoch_evaluator(TextConfig(**exact | scoring), report)
        trained = train_model(
            files.learned, output, config, validation=files.validation,
            inputs=files.hashes | measuring,  # figures of one run must compare
            evaluator=evaluator, preflight=preflight, threads=threads, report=report,
        )  # fmt: skip
        if trained is None:
            report("stopped; the same command goes on from the last checkpoint")
            raise typer.Exit(INTERRUPTED)
        report(f"model in {trained}; for the engine: promptlift export {trained} --output FOLDER")
