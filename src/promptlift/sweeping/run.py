"""A sweep in its folder: one trial after another, by however many processes work there."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from promptlift.devices import find_device
from promptlift.errors import ConfigError, InputError, PromptliftError
from promptlift.experimenting.chain import Chain
from promptlift.runs import Run
from promptlift.sweeping.config import Sweep
from promptlift.sweeping.journal import Journal, Trial, alone, check_optuna
from promptlift.sweeping.results import STAGE, named, results_of, short
from promptlift.sweeping.space import Choice, Part
from promptlift.sweeping.trial import Pruned, run_trial
from promptlift.training.data import hash_inputs

Report = Callable[[str], None]
_STEPS = {
    "train": "is trained",
    "texts": "is trained, and what its model writes is scored",
    "trained": "scores what the trained model writes",
    "all": "is a whole experiment",
}


@dataclass(frozen=True)
class Left:
    """Trials that a process leaves undone.

    Attributes:
        errors: why, by number, of those that could not be done.
        others: numbers of those that other processes are doing.
    """

    errors: dict[int, str]
    others: list[int]


def run_sweep(sweep: Sweep, folder: Path, report: Report) -> Left:
    """Do all trials that no other process has done or is doing, or go on with those left.

    Any number of processes may do this in one folder at the same time.

    Args:
        sweep: what a sweep file says.
        folder: of the sweep; `trials/NNN` in it are run folders.
        report: takes lines of progress.

    Returns:
        What is left.

    Raises:
        ConfigError: the folder was begun with another file.
        InputError: pairs or the trained run cannot be read.
        MissingExtraError: the extra `sweep` is not installed.
        KeyboardInterrupt: a signal stopped a trial; the same call goes on.
    """
    check_needs(sweep)
    inputs = _inputs(sweep, folder)
    Run.open(folder).check(STAGE, sweep.given(), inputs)
    folder.mkdir(parents=True, exist_ok=True)
    metric = {name: getattr(sweep.metric, name) for name in ("name", "title", "higher_is_better")}
    with alone(folder):
        run = Run.open(folder)
        run.begin(STAGE, sweep.given(), inputs)
        run.note(STAGE, trials=sweep.trials, metric=metric)
    journal = Journal(folder, lower_is_better=not sweep.metric.higher_is_better)
    errors: dict[int, str] = {}
    try:
        while _another(sweep, journal, errors, report):
            pass
    except KeyboardInterrupt:
        with alone(folder):
            Run.open(folder).interrupt(STAGE)
        raise
    left = [trial.number for trial in journal.trials() if trial.state == "open"]
    # Another process may have done since what failed here.
    errors = {number: error for number, error in errors.items() if number in left}
    others = [number for number in left if number not in errors]
    if not errors and not others:
        best = results_of(folder)["best"] or {}
        with alone(folder):
            Run.open(folder).finish(STAGE, best)
    return Left(errors, others)


def plan_of(sweep: Sweep) -> tuple[list[str], bool]:
    """What a sweep would try, a line each; whether it lacks anything."""
    seeds, config = sweep.config.seeds, sweep.config
    kind = "all combinations" if sweep.is_grid else "proposed by TPE"
    number = f"{sweep.count} settings" + (f" with {len(seeds)} seeds each" if seeds else "")
    lines = [
        f"{sweep.trials} trials: {number}, {kind}",
        *(f"{part.name}: {_range_of(part)}" for part in sweep.space),
        f"each {_STEPS['trained' if config.trained else config.until]}",
        f"the best has the {'highest' if sweep.metric.higher_is_better else 'lowest'} "
        f"{sweep.metric.title}",
        *(["trials whose loss is above the median are ended"] if sweep.prunes else []),
    ]
    try:
        check_needs(sweep)
    except PromptliftError as error:
        return [*lines, f"missing: {error}"], True
    return lines, False


def _another(sweep: Sweep, journal: Journal, errors: dict[int, str], report: Report) -> bool:
    """Do a trial, if there is one to have."""
    with journal.claimed(sweep, errors) as trial:
        if trial is None:
            return False
        what = named(trial.setting, trial.seed)
        report(f"trial {trial.number}, {trial.number + 1} of {sweep.trials}: {what}")
        if (error := _done(sweep, journal, trial, report)) is not None:
            errors[trial.number] = error
            journal.note_error(trial, error)
            report(f"trial {trial.number} cannot be done: {error}")
        return True


def check_needs(sweep: Sweep) -> None:
    """Refuse a sweep that could not be finished.

    Raises:
        MissingExtraError: the extra `sweep` is not installed.
        PromptliftError: a GPU or what an experiment needs is missing.
        InputError: the trained run has no model or no pairs.
    """
    check_optuna()
    config = sweep.experiment({part.name: part.values[0] for part in sweep.space}, None)
    if sweep.config.until == "all":
        from promptlift.experimenting.needs import check_needs as check_experiment

        if config.judged:
            raise ConfigError(f"{sweep.file} [judge]: a sweep does not wait for votes of people")
        check_experiment(config)
    if config.gpu and find_device("auto") == "cpu":
        raise PromptliftError(
            f"{sweep.name} needs a GPU that PyTorch can use; gpu = false in a copy of the file "
            "(--copy) begins without"
        )
    if sweep.config.trained is not None:
        trained = Path(sweep.config.trained)
        for name in ("model", "validation.jsonl", "training.jsonl"):
            if not (trained / name).exists():
                raise InputError(
                    f"{trained / name} does not exist; train first, or name a trained run in "
                    f"[sweep] of a copy of the file: trained = {str(trained)!r}"
                )


def _done(sweep: Sweep, journal: Journal, trial: Trial, report: Report) -> str | None:
    """Do a trial and tell its end; why it could not be done, where it could not."""

    def after_epoch(losses: Sequence[float]) -> bool:
        journal.note(trial, losses)
        return sweep.prunes and journal.is_worse(trial)

    folder = journal.folder / "trials" / f"{trial.number:03d}"
    try:
        config = sweep.experiment(trial.setting, trial.seed)
        value = run_trial(sweep, config, folder, after_epoch, report)
    except Pruned:
        report(f"trial {trial.number} is ended: its loss is above the median")
        journal.tell(trial, "pruned")
    except PromptliftError as error:
        return str(error)
    else:
        is_number = math.isfinite(value)
        journal.tell(trial, "complete" if is_number else "failed", value if is_number else None)
        report(f"trial {trial.number}: {sweep.metric.name} {value:.4f}")
    return None


def _range_of(part: Part) -> str:
    """What an option is tried with, in words."""
    if isinstance(part, Choice):
        return ", ".join(map(short, part.values))
    return f"{short(part.low)} to {short(part.high)}" + (", logarithmic" if part.log else "")


def _inputs(sweep: Sweep, folder: Path) -> dict[str, str]:
    """Hashes of what all trials read, so that they stay comparable."""
    if sweep.config.trained is not None:
        trained = Path(sweep.config.trained)
        return hash_inputs(
            [trained / "validation.jsonl", *sorted((trained / "model").glob("*.safetensors"))]
        )
    if any(part.name.startswith("pairs.") for part in sweep.space):
        return {}  # each trial notes its own
    config = sweep.experiment({part.name: part.values[0] for part in sweep.space}, None)
    if config.pairs.data is None:
        return {}  # a world makes them, the same each time
    files = Chain(config, folder, lambda line: None).files()
    return hash_inputs([path for paths in files.values() for path in paths])
