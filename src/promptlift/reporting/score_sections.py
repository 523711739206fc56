"""How good a run's model is beside baselines, and which metrics can tell."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from promptlift.reporting.page import (
    Html,
    Section,
    bullets,
    columns,
    figures,
    note,
    section,
    subsection,
)
from promptlift.reporting.plot_files import Draw
from promptlift.reporting.plots import interval_plot
from promptlift.reporting.run_data import RunData
from promptlift.reporting.run_files import Row, finite
from promptlift.reporting.wording import (
    all_measured_with,
    counts,
    difference,
    ends,
    interval,
    interval_or_dash,
    listed,
    short_title,
    spoken,
)

_DIVERSITY = ("distinct_1", "distinct_2", "self_bleu")
_INTERVALS = "In brackets are 95% intervals."


def scores(run: RunData) -> Section | None:
    """The table of systems with intervals, and what the shuffle control says."""
    titles, by_system = run.titles, systems(run)
    if not by_system:
        return _scores_of_last(run, titles)
    metrics = dict.fromkeys(name for scores in by_system.values() for name in scores)
    return section(
        "Scores",
        note(f"From scores/text.json. {_INTERVALS}"),
        columns(metrics, {
            "metric": lambda metric: titles.get(metric, spoken(metric)),
            **{name: partial(_cell, scores) for name, scores in by_system.items()},
            "n": lambda metric: counts(scores[metric].get("n") for scores in by_system.values()
                                       if metric in scores),
        }),
        bullets(_measured(by_system, titles)),
        _shuffle_control((run.text or {}).get("doctor") or [], titles),
        finding=_of_systems(by_system, titles, ["meteor_target", *metrics]),
    )  # fmt: skip


def _of_systems(
    by_system: Mapping[str, Mapping[str, Row]], titles: Mapping[str, str], metrics: Iterable[str]
) -> str:
    """The first of some metrics that there is, of each system."""
    for metric in metrics:
        if said := [f"{name} {interval(scores[metric])}" for name, scores in by_system.items()
                    if metric in scores]:  # fmt: skip
            return f"{titles.get(metric, spoken(metric))}: {listed(said)}."
    return ""


def _cell(scores: Mapping[str, Row], metric: str) -> str:
    return interval_or_dash(scores.get(metric))


def _scores_of_last(run: RunData, titles: Mapping[str, str]) -> Section | None:
    """The scores of the evaluation that counts, where no baselines were scored."""
    last = run.final_evaluation()
    if last is None:
        return None
    return section(
        "Scores",
        note(f"From {last.file}; no baselines were scored. {_INTERVALS}"),
        columns(last.scores.items(), {
            "metric": lambda item: titles.get(item[0], spoken(item[0])),
            "value (95% interval)": lambda item: interval(item[1]),
            "n": lambda item: item[1].get("n"),
        }),
        bullets(all_measured_with(last.scores.values(), titles)),
        finding=_of_systems({"model": last.scores}, titles, ["meteor_target", *last.scores]),
    )  # fmt: skip


def _measured(by_system: Mapping[str, Mapping[str, Row]], titles: Mapping[str, str]) -> list[str]:
    """What scores were measured with; with the systems' names where not all are alike."""
    lines = _grouped((line, name) for name, scores in by_system.items()
                     for line in all_measured_with(scores.values(), titles))  # fmt: skip
    return [line if len(names) == len(by_system) else f"{', '.join(names)}: {line}"
            for line, names in lines.items()]  # fmt: skip


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The second texts by the first."""
    found: dict[str, list[str]] = {}
    for first, second in pairs:
        found.setdefault(first, []).append(second)
    return found


def _shuffle_control(verdicts: Sequence[Row], titles: Mapping[str, str]) -> Html:
    """Which metrics can tell a real pair from a shuffled one."""

    def title(row: Row) -> str:
        return titles.get(row["metric"], row["metric"])

    notes = _grouped((str(row["note"]), title(row)) for row in verdicts if row.get("note"))
    return subsection(
        "What the shuffle control says",
        note(
            "Each prediction is scored against another pair's target or source, and so is each "
            "target. A metric that cannot tell these from the real ones does not measure how well "
            "texts fit."
        ) if verdicts else None,
        columns(verdicts, {
            "metric": title,
            "of": lambda row: row.get("of", ""),
            "real": lambda row: f"{row['real']:.4g}" if "real" in row else "-",
            "shuffled": lambda row: f"{row['shuffled']:.4g}" if "shuffled" in row else "-",
            "difference": lambda row: difference(row) if "difference" in row else "-",
            "n": lambda row: row.get("n", "-"),
            "tells them apart": lambda row: "yes" if row.get("tells") else "no",
        }),
        bullets(f"{', '.join(names)}: {text}." for text, names in notes.items()),
    )  # fmt: skip


def diversity(run: RunData, draw: Draw) -> Section | None:
    """Distinct-1, distinct-2 and self-BLEU of the model against the baselines."""
    drawn = [by_system(run, name, f"diversity-{name}", draw) for name in _DIVERSITY]
    if not any(drawn):
        return None
    return section(
        "Diversity",
        note(
            "Distinct-n: distinct n-grams divided by all n-grams. Self-BLEU: how much predictions "
            "resemble each other. Diversity alone is no merit: shuffled targets are as diverse as "
            "targets."
        ),
        figures(drawn),
        finding=_of_systems(systems(run), run.titles, _DIVERSITY[::-1]),
    )


def by_system(run: RunData, metric: str, name: str, draw: Draw) -> Html:
    """A plot of a metric of each system; nothing where it was not scored."""
    found = {name: scores[metric] for name, scores in systems(run).items() if metric in scores}
    # Of too few words distinct-n is too high: it would only mislead beside the others.
    noted = [name for name, score in found.items() if (score.get("settings") or {}).get("note")]
    noted = noted if metric.startswith("distinct") else []
    rows = [(name, *ends(score)) for name, score in found.items() if name not in noted]
    title = run.titles.get(metric, spoken(metric))
    n = counts(found[name].get("n") for name, *_ in rows)
    caption = f"n = {n} predictions, 95% intervals. From scores/text.json."
    if noted:
        caption += f" Left out because they add too few words: {', '.join(noted)}."
    return draw(interval_plot, name, title, rows, x=short_title(title), caption=caption)


def systems(run: RunData) -> dict[str, dict[str, Row]]:
    """The scores of scores/text.json by system and metric, those that are finite."""
    found = {
        system["name"]: {
            score["metric"]: score for score in system.get("scores") or []
            if all(finite(score.get(name)) is not None for name in ("value", "low", "high"))
        }
        for system in (run.text or {}).get("systems", []) if isinstance(system, dict)
    }  # fmt: skip
    return {name: scores for name, scores in found.items() if scores}
