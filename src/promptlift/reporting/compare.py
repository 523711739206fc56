"""Runs against each other: settings, curves, final figures, a paired test, examples."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from promptlift.errors import ConfigError
from promptlift.reporting.run_data import ROW_FIELDS, RunData, read_run, whole_target
from promptlift.reporting.run_files import Row, finite, number
from promptlift.reporting.training_sections import WINDOWS, loss_lines, metric_line
from promptlift.reporting.wording import spoken, spread
from promptlift.scoring.text.bits import characters_of
from promptlift.scoring.text.words import word_frequencies
from promptlift.statistics import holm, paired_test

SCHEMA_VERSION = 1
_COUNTS = ("truncated",)  # what comes of texts, among the settings of a score
_SCORED, _EVALUATED = "scores/text", "the final evaluation"


def compare_runs(
    folders: Sequence[Path], *, examples: int = 5, report: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """What sets runs apart, as plain JSON types. The first run is the reference.

    Final figures and paired tests come from scores/text.* where all runs have it, otherwise from
    the evaluation of the weights that each run kept. Tests are given only where all runs were
    measured on the same pairs: those with the same index, source and target.

    Args:
        folders: run folders, two or more.
        examples: how many pairs to show side by side.
        report: takes lines of progress.

    Returns:
        `runs`: `name`, `folder`, `state` and `lacks` of each.
        `settings`: those that differ, each `name` and `values`, null where a run has none.
        `curves`: by "loss" and the metrics of the paper's windows, lines with `run`, `label`,
        `steps`, `values`, `low` and `high` (null where unknown).
        `figures_from`; `figures`: each `metric`, `title`, `scores`, one a run or null, and
        `same_settings`: whether encoder, layer and the like are the same. If not, no test.
        `pairs`: `same`, `n`, and `why_no_test`, null where there are tests.
        `tests`: each `metric`, `title`, `run`, `n`, `difference` (of the run minus the reference),
        `low`, `high`, `p`, and `p_holm`, Holm's p over all tests of the comparison.
        `words`: `run`, `pairs`, `added` and `lost` of each.
        `examples`: `index`, `source`, `target`, `mode` and `predictions`, one a run; targets and
        predictions are whole prompts.

    Raises:
        ConfigError: fewer than two runs, or one named twice.
        InputError: a folder is no run folder.
    """
    if len(folders) < 2:
        raise ConfigError("one run alone cannot be compared; name two or more")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("a run is named twice; a comparison with itself says nothing")
    runs = [read_run(folder) for folder in folders]
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    scored = all(run.final_scores()[1] == "scores/text.json" for run in runs)
    titles = {name: title for run in runs for name, title in run.titles.items()}
    rows = [
        {_key_of(row): row for row in (run.model_rows()[0] if scored else run.predictions)}
        for run in runs
    ]
    why = _why_no_test(rows, names)
    figures = _figures(runs, scored, titles)
    other = {row["metric"] for row in figures if not row["same_settings"]}
    return {
        "schema_version": SCHEMA_VERSION,
        "runs": [
            {"name": name, "folder": str(run.folder), "state": run.training.get("state"),
             "lacks": list(run.missing)}
            for name, run in zip(names, runs, strict=True)
        ],
        "settings": differing_settings(runs),
        "curves": _curves(runs, names),
        "figures_from": _SCORED if scored else _EVALUATED,
        "figures": figures,
        "pairs": {"same": why is None, "n": len(rows[0]) if why is None else None,
                  "why_no_test": why},
        "tests": [] if why else _tests(rows, names, titles, other, report),
        "words": [_words(name, found) for name, found in zip(names, rows, strict=True)],
        "examples": _examples(rows, examples),
    }  # fmt: skip


def differing_settings(runs: Sequence[RunData]) -> list[dict[str, Any]]:
    """Settings, inputs, versions and revisions of all stages that are not the same in all runs."""
    found = [dict(_flat(run.stages)) for run in runs]
    names = list(dict.fromkeys(name for settings in found for name in settings))
    rows = [{"name": name, "values": [settings.get(name) for settings in found]} for name in names]
    return [row for row in rows if any(value != row["values"][0] for value in row["values"])]


_Key = tuple[Any, str, Any]


def _why_no_test(rows: Sequence[Mapping[_Key, Row]], names: Sequence[str]) -> str | None:
    for name, found in zip(names, rows, strict=True):
        if not found:
            return f"{name} has no predictions with scores"
    for name, found in zip(names[1:], rows[1:], strict=True):
        if found.keys() != rows[0].keys():
            shared = len(found.keys() & rows[0].keys())
            return (
                f"{names[0]} and {name} were measured on different pairs ({len(rows[0])} and "
                f"{len(found)}, {shared} of them the same), so figures differ by their pairs too; "
                "`promptlift score RUN --pairs FILE` measures each on the same"
            )
    return None


def _tests(
    rows: Sequence[Mapping[_Key, Row]],
    names: Sequence[str],
    titles: Mapping[str, str],
    without: Collection[str],
    report: Callable[[str], None],
) -> list[dict[str, Any]]:
    first, *others = rows
    tests: list[dict[str, Any]] = []
    for metric in _metrics(rows):
        if metric in without:
            continue
        report(f"testing {metric}")
        for name, other in zip(names[1:], others, strict=True):
            # Where one has no value, as an empty text may, the pair says nothing.
            both = [(one, two, row.get("target") or "") for key, row in first.items()
                    if (one := finite(row.get(metric))) is not None
                    and (two := finite(other[key].get(metric))) is not None]  # fmt: skip
            if both:
                ones, twos, targets = zip(*both, strict=True)
                # The figure is bits of all targets over their characters; so is the difference.
                bits = metric == "bits_per_character"
                weights = characters_of(targets) if bits else None
                result = paired_test(ones, twos, weights=weights)
                tests.append({"metric": metric, "title": titles.get(metric, spoken(metric)),
                              "run": name, "n": len(both), **result})  # fmt: skip
    corrected = holm([test["p"] for test in tests])
    return [{**test, "p_holm": p} for test, p in zip(tests, corrected, strict=True)]


def _metrics(rows: Sequence[Mapping[_Key, Row]]) -> list[str]:
    """Columns of figures that all runs have, in the order of the first."""
    columns = [dict.fromkeys(name for row in found.values() for name in row) for found in rows]
    return [
        name
        for name in columns[0]
        if name not in ROW_FIELDS
        and all(name in others for others in columns)
        and all(number(row.get(name)) is not None or row.get(name) is None
                for found in rows for row in found.values())
    ]  # fmt: skip


def _figures(
    runs: Sequence[RunData], scored: bool, titles: Mapping[str, str]
) -> list[dict[str, Any]]:
    finals = [run.final_evaluation() for run in runs]
    scores = [run.final_scores()[0] if scored else (final.scores if final else {})
              for run, final in zip(runs, finals, strict=True)]  # fmt: skip
    names = dict.fromkeys(name for found in scores for name in found)
    return [
        {"metric": name, "title": titles.get(name, spoken(name)),
         "scores": [found.get(name) for found in scores],
         "same_settings": _same_settings([found[name] for found in scores if name in found])}
        for name in names
    ]  # fmt: skip


def _same_settings(scores: Sequence[Row]) -> bool:
    kept = [{name: value for name, value in (score.get("settings") or {}).items()
             if name not in _COUNTS} for score in scores]  # fmt: skip
    return all(settings == kept[0] for settings in kept)


def _curves(runs: Sequence[RunData], names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    curves: dict[str, list[dict[str, Any]]] = {}
    for name, run in zip(names, runs, strict=True):
        lines = [("loss", line) for line in loss_lines(run)]
        lines += [(metric, metric_line(run, metric)[0]) for metric in WINDOWS]
        for metric, line in lines:
            if line.x:
                curves.setdefault(metric, []).append(
                    {"run": name, "label": line.label, "steps": list(line.x),
                     "values": _finite(line.y), "low": _finite(line.low),
                     "high": _finite(line.high)}
                )  # fmt: skip
    return curves


def _finite(values: Sequence[float] | None) -> list[float | None] | None:
    """JSON has no NaN."""
    return None if values is None else [one if math.isfinite(one) else None for one in values]


def _words(name: str, rows: Mapping[_Key, Row]) -> dict[str, Any]:
    found = word_frequencies([(row["source"], row["prediction"]) for row in rows.values()])
    return {"run": name, "pairs": len(rows), "added": found["added"], "lost": found["lost"]}


def _examples(rows: Sequence[Mapping[_Key, Row]], count: int) -> list[dict[str, Any]]:
    """Pairs that all runs have, at equal distances, so that none is picked."""
    shared = [key for key in rows[0] if all(key in found for found in rows[1:])]
    return [
        {"index": row.get("index"), "source": row["source"], "target": whole_target(row),
         "mode": row.get("mode"),
         "predictions": [found[_key_of(row)]["prediction"] for found in rows]}
        for row in spread([rows[0][key] for key in shared], count)
    ]  # fmt: skip


def _key_of(row: Row) -> _Key:
    return row.get("index"), row["source"], row.get("target")


def _flat(stages: Mapping[str, Row]) -> Iterable[tuple[str, Any]]:
    for stage, found in stages.items():
        for part in ("config", "inputs", "versions"):
            for name, value in (found.get(part) or {}).items():
                yield f"{stage}, {name}" if part == "config" else f"{stage} {part}, {name}", value
        if found.get("git_revision"):
            yield f"{stage}, git revision", found["git_revision"]
