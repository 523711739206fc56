"""What a sweep has found so far: its trials, its settings with intervals over seeds, the best."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from promptlift.errors import InputError
from promptlift.files import write_json
from promptlift.runs import Run
from promptlift.statistics import t_quantile
from promptlift.sweeping.journal import FILE, Journal, Trial

STAGE = "sweeping"
RESULTS = "results.json"
SCHEMA_VERSION = 1
FEWEST = 10  # complete trials for which importance says something


def results_of(folder: Path) -> dict[str, Any]:
    """What a sweep has found, as plain JSON types, written to `SWEEP/results.json` too.

    Returns:
        `name`; `metric`: `name`, `title`, `higher_is_better`; `state`; `planned`: trials of the
        whole sweep.
        `trials`: those that were begun, each `number`, `setting` (values by option), `seed`,
        `state`, `value`, `losses` and `error`, as `journal.Trial` has them.
        `settings`: the best first, each `setting`, `trials` (numbers), `complete` (whether all of
        them are), `n`, `value` (mean over seeds), `low` and `high` (95% interval of Student's t
        over seeds, null of fewer than two), and `less_best`: the paired `difference` to the best
        over the seeds of both, `low`, `high`, `n`.
        `best`: the best of the settings all of whose trials are complete; null where none is.
        `importance`: by option, together 1; null where `FEWEST` trials are not complete or there is
        a single option.

    Raises:
        InputError: it is no folder of a sweep.
        MissingExtraError: the extras `sweep` and `report` are not installed.
    """
    if not (folder / FILE).is_file():
        raise InputError(f"{folder} holds no {FILE}, so it is no folder of a sweep")
    stage = Run.open(folder).stage(STAGE)
    journal, metric = Journal(folder), stage["metric"]
    trials = journal.trials()
    sign = -1.0 if metric["higher_is_better"] else 1.0
    seeds = len(stage["config"]["sweep.seeds"]) or 1
    groups = [trials[at : at + seeds] for at in range(0, len(trials), seeds)]
    settings = [_setting(group, seeds) for group in groups]
    settings.sort(key=lambda one: (not one["complete"], one["value"] is None,
                                   sign * (one["value"] or 0.0)))  # fmt: skip
    best = next((one for one in settings if one["complete"]), None)
    for one in settings:
        one["less_best"] = None if best in (None, one) else _less(one, best, trials)
    known = sum(trial.state == "complete" for trial in trials)
    several = bool(trials) and len(trials[0].setting) > 1
    found = {
        "schema_version": SCHEMA_VERSION,
        "name": folder.resolve().name,
        "metric": metric,
        "state": stage["state"],
        "planned": stage["trials"],
        "trials": [asdict(trial) for trial in trials],
        "settings": settings,
        "best": best,
        "importance": journal.importance() if several and known >= FEWEST else None,
    }
    write_json(folder / RESULTS, _without_nan(found))
    return found


def named(setting: Mapping[str, Any], seed: int | None = None) -> str:
    """A setting, or a trial, in words."""
    words = [f"{name.split('.', 1)[1]} {short(value)}" for name, value in setting.items()]
    return ", ".join([*words, *([] if seed is None else [f"seed {seed}"])])


def short(value: object) -> str:
    """A value of an option as people read it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _setting(group: Sequence[Trial], seeds: int) -> dict[str, Any]:
    values = [trial.value for trial in group if trial.value is not None]
    middle, low, high = _interval(values) if values else (None, None, None)
    return {
        "setting": group[0].setting,
        "trials": [trial.number for trial in group],
        "complete": len(values) == seeds,
        "n": len(values),
        "value": middle,
        "low": low,
        "high": high,
    }


def _less(one: Mapping[str, Any], best: Any, trials: Sequence[Trial]) -> dict[str, Any] | None:
    """By how much a setting lies above the best, over the seeds of both."""
    pairs = [(trials[own].value, trials[other].value)
             for own, other in zip(one["trials"], best["trials"], strict=False)]  # fmt: skip
    differences = [own - other for own, other in pairs if own is not None and other is not None]
    if not differences:
        return None
    difference, low, high = _interval(differences)
    return {"difference": difference, "low": low, "high": high, "n": len(differences)}


def _interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Mean and 95% interval of Student's t, which a few values need: a bootstrap's is too short."""
    middle = mean(values)
    if len(values) < 2:
        return middle, None, None
    reach = t_quantile(0.975, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return middle, middle - reach, middle + reach


def _without_nan(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(one) for key, one in value.items()}
    return [_without_nan(one) for one in value] if isinstance(value, list | tuple) else value
