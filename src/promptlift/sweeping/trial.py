"""One trial of a sweep in its run folder, and its figure."""

import gc
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from promptlift.errors import InputError
from promptlift.experimenting.choices import PairsChoice
from promptlift.experimenting.config import ExperimentConfig
from promptlift.reporting.run_data import read_run
from promptlift.runs import Run
from promptlift.sweeping.config import LOSS, Sweep
from promptlift.threads import torch_threads

Report = Callable[[str], None]


class Pruned(Exception):
    """A trial was ended early, as it was asked for."""


def run_trial(
    sweep: Sweep,
    config: ExperimentConfig,
    folder: Path,
    after_epoch: Callable[[Sequence[float]], bool],
    report: Report,
) -> float:
    """Do a trial, or go on with one that was stopped, and give the value of its metric.

    Args:
        sweep: says how far it goes.
        config: of the trial.
        folder: its run folder.
        after_epoch: is given the losses of all epochs so far, after each; True ends the trial.
        report: takes lines of progress.

    Raises:
        Pruned: `after_epoch` ended it.
        PromptliftError: it cannot be done.
        KeyboardInterrupt: a signal stopped it; the same call goes on.
    """
    ended = False

    def followed(losses: Sequence[float]) -> bool:
        nonlocal ended
        ended = after_epoch(losses)
        return ended

    try:
        if sweep.config.trained is not None:
            _score(Path(sweep.config.trained), folder, config, report)
        elif sweep.config.until == "all":
            from promptlift.experimenting.chain import run_experiment

            run_experiment(config, folder, report, followed)
        else:
            _train(sweep, folder, config, followed, report)
        # Checkpoints take several times the room of the model, and what is done needs none.
        if not config.train.keep_checkpoints:
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        return value_of(folder, sweep.config.metric)
    except KeyboardInterrupt:
        if not ended:
            raise
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        raise Pruned from None
    finally:
        _free_memory()


def value_of(folder: Path, metric: str) -> float:
    """The value of a metric in a run folder.

    Raises:
        InputError: the run has none.
    """
    found: Any = None
    if metric == LOSS.name:
        results = Run.open(folder).stage("training").get("results", {})
        found = results.get("best_validation_loss", results.get("validation_loss"))
    else:
        scores = {**_picture_scores(folder), **read_run(folder).final_scores()[0]}
        found = scores.get(metric, {}).get("value")
    if found is None:
        raise InputError(f"{folder} has no {metric}; are there pairs to measure on?")
    return float(found)


def _train(
    sweep: Sweep,
    folder: Path,
    config: ExperimentConfig,
    after_epoch: Callable[[Sequence[float]], bool],
    report: Report,
) -> None:
    from promptlift.experimenting.chain import Chain

    pairs, mode = config.pairs, config.improve.mode
    if pairs.world is not None:  # its pairs are made once for all trials that learn the same
        made = f"{pairs.world}-{pairs.count}-{pairs.test}-{mode or 'extend'}"
        shared = folder.parents[1] / "worlds" / made
        Chain(config, shared, report).files()
        config = replace(config, pairs=PairsChoice(data=str(shared)))
    chain = Chain(config, folder, report, after_epoch)
    with torch_threads(config.threads, {}, "", report) if config.threads else nullcontext():
        chain.train()
        if sweep.config.until == "texts":
            chain.texts()


def _score(trained: Path, folder: Path, config: ExperimentConfig, report: Report) -> None:
    """Scores of what a trained run's model writes for its validation pairs."""
    from promptlift.improving.improver import Improver
    from promptlift.scoring.text.inputs import read_pairs
    from promptlift.scoring.text.run import score_run

    score_run(
        read_pairs(trained / "validation.jsonl", config.texts.mode, report),
        folder,
        config.texts,
        improver=Improver.load(str(trained / "model")),
        training=trained / "training.jsonl",
        threads=config.threads,
        report=report,
    )


def _picture_scores(folder: Path) -> dict[str, Any]:
    """Scores of the improved pictures, and of the pairs, by metric; empty where there are none."""
    path = folder / "scores" / "pictures.json"
    if not path.exists():
        return {}
    systems = json.loads(path.read_text(encoding="utf-8"))["systems"]
    wanted = ("improved pictures", "pairs")
    return {
        score["metric"]: score
        for system in systems
        if system["name"] in wanted
        for score in system["scores"]
    }


def _free_memory() -> None:
    """What a trial's models held is the next one's."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
