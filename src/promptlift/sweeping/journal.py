"""The trials of a sweep in Optuna's journal, shared by all processes that work in its folder.

A process that wants a trial locks the folder while it looks for one, and then locks the trial until
its result is recorded. Both locks vanish when the process ends, however it ends. So a trial with
neither a result nor a lock was left by a process that is gone, and is continued in its run folder.
"""

import math
import os
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from promptlift.errors import MissingExtraError
from promptlift.files import LockedError, locked
from promptlift.sweeping.config import Sweep
from promptlift.sweeping.space import Choice, Part

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

FILE = "journal.log"
_LOCK = ".lock"  # that of run folders
_STUDY = "sweep"
_LOOK_S = 0.01
_STARTUP = 5  # complete trials to compare with before one is ended


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A setting with one seed.

    Attributes:
        number: from 0, and name of its run folder.
        setting: values by option.
        seed: None for those that the experiment has.
        state: "complete", "pruned", "failed" (its loss is no number), or "open".
        value: of the metric, where it is complete.
        losses: on validation pairs, after each epoch.
        error: why it could not be done, where it was tried.
    """

    number: int
    setting: dict[str, Any] = field(hash=False)
    seed: int | None
    state: str
    value: float | None
    losses: tuple[float, ...]
    error: str | None


class Journal:
    """The trials of a sweep's folder.

    Args:
        folder: of the sweep.
        lower_is_better: direction of the metric, where the journal is new.

    Raises:
        MissingExtraError: the extra `sweep` is not installed.
    """

    def __init__(self, folder: Path, *, lower_is_better: bool = True) -> None:
        check_optuna()
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.folder = folder
        path = folder / FILE
        lock: Any = _FileLock(path)
        self._storage = JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
        with alone(folder):
            self.study: Study = optuna.create_study(
                study_name=_STUDY,
                storage=self._storage,
                direction="minimize" if lower_is_better else "maximize",
                load_if_exists=True,
            )
        self._id = self._storage.get_study_id_from_name(_STUDY)

    def trials(self) -> list[Trial]:
        """All trials that were begun, by number."""
        return [_read(found) for found in self.study.get_trials(deepcopy=False)]

    @contextmanager
    def claimed(self, sweep: Sweep, skip: Collection[int] = ()) -> Iterator[Trial | None]:
        """A trial that is this process's within the block; None where there is none to have.

        Args:
            sweep: says what a new trial tries.
            skip: numbers of trials that it does not want again.
        """
        with ExitStack() as held:
            with alone(self.folder):
                number = self._left(skip, held)
                if number is None:
                    number = self._begun(sweep, held)
            yield None if number is None else self.trials()[number]

    def lock_of(self, number: int) -> Path:
        """The file of a trial's lock, beside its run folder."""
        return self.folder / "trials" / f".{number:03d}.lock"

    def note(self, trial: Trial, losses: Sequence[float]) -> None:
        """Losses after each epoch so far; those that are known are left."""
        known = self.trials()[trial.number].losses
        for epoch in range(len(known), len(losses)):
            self._storage.set_trial_intermediate_value(self._id_of(trial), epoch + 1, losses[epoch])

    def is_worse(self, trial: Trial) -> bool:
        """Whether its last loss is above the median of the complete trials after that epoch.

        Optuna's MedianPruner takes the lowest loss so far, so it would miss a trial that diverges.
        """
        trials = self.trials()
        losses = trials[trial.number].losses
        others = [one.losses[len(losses) - 1] for one in trials
                  if one.state == "complete" and len(one.losses) >= len(losses)]  # fmt: skip
        others = [loss for loss in others if not math.isnan(loss)]
        return len(others) >= _STARTUP and not losses[-1] <= median(others)

    def tell(self, trial: Trial, state: str, value: float | None = None) -> None:
        """Note how a trial ended."""
        from optuna.trial import TrialState

        self.study.tell(
            trial.number, value, TrialState[{"failed": "FAIL"}.get(state, state.upper())]
        )

    def note_error(self, trial: Trial, error: str) -> None:
        """Note why a trial could not be done; it stays open."""
        self._storage.set_trial_user_attr(self._id_of(trial), "error", error)

    def importance(self) -> dict[str, float]:
        """By option how much it decides whether a setting is among the best, together 1.

        PED-ANOVA (Watanabe et al., IJCAI 2023): how differently an option's values lie among the
        better half of the complete trials and among all.
        """
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

        return get_param_importances(
            self.study, evaluator=PedAnovaImportanceEvaluator(target_quantile=0.5)
        )

    def _left(self, skip: Collection[int], held: ExitStack) -> int | None:
        """An open trial that no process holds, which is now held."""
        for trial in self.trials():
            if trial.state != "open" or trial.number in skip:
                continue
            one = ExitStack()
            try:
                one.enter_context(locked(self.lock_of(trial.number), str(os.getpid())))
            except LockedError:
                continue
            # Whoever held it may have told its end since we read.
            if self.trials()[trial.number].state == "open":
                held.push(one)
                return trial.number
            one.close()
        return None

    def _begun(self, sweep: Sweep, held: ExitStack) -> int | None:
        """A new trial, which is held, if there is one left to begin."""
        from optuna.trial import TrialState, create_trial

        earlier = self.study.get_trials(deepcopy=False)
        number, seeds = len(earlier), sweep.seeds
        if number >= sweep.trials:
            return None
        place, repetition = divmod(number, len(seeds))
        distributions = {part.name: _distribution(part) for part in sweep.space}
        if repetition:
            setting = earlier[number - repetition].params
        elif sweep.is_grid:
            setting = next(one for at, one in enumerate(sweep.combinations()) if at == place)
        else:
            setting = self._proposed(earlier, distributions, len(seeds), sweep.config.seed)
        path = self.lock_of(number)
        path.parent.mkdir(exist_ok=True)
        held.enter_context(locked(path, str(os.getpid())))
        # One line of the journal: a kill leaves a whole trial, or none.
        trial = create_trial(
            state=TrialState.RUNNING, params=setting, distributions=distributions,
            user_attrs={"seed": seeds[repetition]},
        )  # fmt: skip
        self.study.add_trial(trial)
        return number

    def _proposed(
        self, earlier: Sequence["FrozenTrial"], distributions: dict[str, "BaseDistribution"],
        seeds: int, seed: int,
    ) -> dict[str, Any]:  # fmt: skip
        """What TPE proposes after the settings so far, each with its mean over seeds.

        Of a setting with a pruned seed it is shown that trial: the other seeds may only have been
        lucky.
        It depends on these, the seed and the number alone, not on which process asks.
        """
        import numpy as np
        import optuna
        from optuna.trial import TrialState, create_trial

        number = len(earlier)
        state = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        sampler = optuna.samplers.TPESampler(seed=state, constant_liar=True)
        study = optuna.create_study(sampler=sampler, directions=self.study.directions)
        for at in range(0, number, seeds):
            first, every = earlier[at], earlier[at : at + seeds]
            values = [one.value for one in every
                      if one.state == TrialState.COMPLETE and one.value is not None]  # fmt: skip
            pruned = [one for one in every if one.state == TrialState.PRUNED]
            if pruned:
                first = pruned[0]
            elif values:
                first = create_trial(
                    params=first.params, distributions=first.distributions,
                    value=mean(values),
                )  # fmt: skip
            study.add_trial(first)
        return study.ask(distributions).params

    def _id_of(self, trial: Trial) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, trial.number)


def check_optuna() -> None:
    """Raise MissingExtraError where the extra `sweep` is not installed."""
    if find_spec("optuna") is None:
        raise MissingExtraError("A sweep", "sweep")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a sweep's folder, for a moment; wait for whoever has it."""
    with _waiting(folder / _LOCK):
        yield


@contextmanager
def _waiting(path: Path) -> Iterator[None]:
    """Hold a lock that others hold for moments only."""
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(locked(path, str(os.getpid())))
                break
            except LockedError:
                time.sleep(_LOOK_S)
        yield


def _read(found: "FrozenTrial") -> Trial:
    from optuna.trial import TrialState

    states = {
        TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed",
    }  # fmt: skip
    state = states.get(found.state, "open")
    return Trial(
        number=found.number,
        setting=found.params,
        seed=found.user_attrs.get("seed"),
        state=state,
        value=found.value if state == "complete" else None,
        losses=tuple(loss for _, loss in sorted(found.intermediate_values.items())),
        error=found.user_attrs.get("error") if state == "open" else None,
    )


def _distribution(part: Part) -> "BaseDistribution":
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(part, Choice):
        return CategoricalDistribution(part.values)
    if part.whole:
        step = 1 if part.step is None else int(part.step)
        return IntDistribution(int(part.low), int(part.high), log=part.log, step=step)
    return FloatDistribution(part.low, part.high, log=part.log, step=part.step)


class _FileLock:
    """A lock of Optuna's journal that vanishes with the process, and leaves whole lines.

    Optuna's own locks outlive a killed process for 30 s, in which all others wait.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._held = path, ExitStack()

    def acquire(self) -> bool:
        self._held.enter_context(_waiting(self._path.with_name(f".{self._path.name}.lock")))
        _cut_to_lines(self._path)
        return True

    def release(self) -> None:
        self._held.close()


def _cut_to_lines(path: Path) -> None:
    """Take off what a kill or a full disk left of a line: the next one would be glued to it."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        kept = end
        while kept and _byte(file, kept - 1) != b"\n":
            kept -= 1
        if kept < end:
            file.truncate(kept)


def _byte(file: Any, place: int) -> bytes:
    file.seek(place)
    found: bytes = file.read(1)
    return found
