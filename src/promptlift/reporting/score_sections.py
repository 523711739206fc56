"""How good a run's model is beside baselines, and which metrics can tell."""

from collections.abc import Mapping, Sequence
from typing import Any

from promptlift.reporting.measured import all_measured_with
from promptlift.reporting.page import (
    Html,
    Section,
    bullets,
    figures,
    heading,
    join,
    paragraph,
    table,
)
from promptlift.reporting.plots import Draw, interval_plot
from promptlift.reporting.run_data import Row, RunData, finite
from promptlift.reporting.training_sections import metric_titles
from promptlift.reporting.wording import ends, interval, interval_or_dash, short_title, spoken

_DIVERSITY = ("distinct_1", "distinct_2", "self_bleu")
_INTERVALS = "In brackets 95% intervals."


def scores(run: RunData) -> Section | None:
    """The table of systems with intervals, and what the shuffle control says."""
    found = systems(run)
    titles = metric_titles(run)
    if not found:
        last = run.final_evaluation()
        if last is None:
            return None
        of_last = [(titles.get(name, spoken(name)), interval(score), score.get("n"))
                   for name, score in last.scores.items()]  # fmt: skip
        note = f"Of {last.file}; no baselines were scored. "
        lines = all_measured_with(last.scores.values(), titles)
        parts = [table(of_last, ("metric", "value (95% interval)", "n"), numbers=True),
                 *([bullets(lines)] if lines else [])]  # fmt: skip
        return Section("Scores", join([paragraph(note + _INTERVALS, note=True), *parts]))
    by_name = [{score["metric"]: score for score in system["scores"] if _is_finite(score)}
               for system in found]  # fmt: skip
    names = list(dict.fromkeys(name for scores in by_name for name in scores))
    rows: list[tuple[object, ...]] = []
    for name in names:
        cells = [interval_or_dash(scores.get(name)) for scores in by_name]
        counts = {scores[name].get("n") for scores in by_name if name in scores}
        n = "/".join(str(count) for count in sorted(counts, key=str))
        rows.append((titles.get(name, spoken(name)), *cells, n))
    header = ("metric", *(system["name"] for system in found), "n")
    parts = [paragraph(f"From scores/text.json. {_INTERVALS}", note=True),
             table(rows, header, numbers=True)]  # fmt: skip
    if lines := _measured(found, titles):
        parts.append(bullets(lines))
    parts += _shuffle_control((run.text or {}).get("doctor") or [], titles)
    return Section("Scores", join(parts))


def _measured(found: Sequence[Row], titles: Mapping[str, str]) -> list[str]:
    """What scores were measured with; with the systems' names where not all are alike."""
    by_line: dict[str, list[str]] = {}
    for system in found:
        for line in all_measured_with(system["scores"], titles):
            by_line.setdefault(line, []).append(system["name"])
    return [line if len(names) == len(found) else f"{', '.join(names)}: {line}"
            for line, names in by_line.items()]  # fmt: skip


def _shuffle_control(verdicts: Sequence[Row], titles: Mapping[str, str]) -> list[Html]:
    """Which metrics can tell a real pair from a shuffled one."""
    if not verdicts:
        return []
    rows = [
        (titles.get(row["metric"], row["metric"]), row.get("of", ""),
         *([f"{row['real']:.4g}", f"{row['shuffled']:.4g}",
            interval({**row, "value": row["difference"]})]
           if "difference" in row else ["-", "-", "-"]),
         row.get("n", "-"), "yes" if row.get("tells") else "no")
        for row in verdicts
    ]  # fmt: skip
    header = ("metric", "of", "real", "shuffled", "difference", "n", "tells them apart")
    note = (
        "Each prediction is scored against another pair's target or source, and so is each target. "
        "A metric that cannot tell these from the real ones does not measure how well texts fit."
    )
    noted: dict[str, list[str]] = {}
    for row in verdicts:
        if row.get("note"):
            noted.setdefault(str(row["note"]), []).append(titles.get(row["metric"], row["metric"]))
    lines = [f"{', '.join(names)}: {note}." for note, names in noted.items()]
    return [heading("What the shuffle control says"), paragraph(note, note=True),
            table(rows, header, numbers=True), bullets(lines)]  # fmt: skip


def diversity(run: RunData, draw: Draw) -> Section | None:
    """Distinct-1, distinct-2 and self-BLEU of the model against the baselines."""
    drawn = [by_system(run, name, f"diversity-{name}", draw) for name in _DIVERSITY]
    found = [figure for figure in drawn if figure]
    if not found:
        return None
    note = paragraph(
        "Distinct-n: distinct n-grams divided by all n-grams. Self-BLEU: how much predictions "
        "resemble each other. Diversity alone is no merit: shuffled targets are as diverse as "
        "targets.",
        note=True,
    )
    return Section("Diversity", join([note, figures(found)]))


def by_system(run: RunData, metric: str, name: str, draw: Draw) -> Html | None:
    """A metric of each system; None where it was not scored."""
    found = [(system["name"], score)
             for system in systems(run) for score in system["scores"]
             if score.get("metric") == metric and _is_finite(score)]  # fmt: skip
    if not found:
        return None
    title = metric_titles(run).get(metric, spoken(metric))
    # Of too few words distinct-n is too high: it would only mislead beside the others.
    noted = [name for name, score in found if metric.startswith("distinct") and _noted(score)]
    found = [item for item in found if item[0] not in noted]
    if not found:
        return None
    rows = [(name, *ends(score)) for name, score in found]
    caption = f"n = {found[0][1].get('n')} predictions, 95% intervals. From scores/text.json."
    if noted:
        caption += f" Left out because they add too few words: {', '.join(noted)}."
    return draw(interval_plot(title, rows, x=short_title(title)), name, caption)


def systems(run: RunData) -> list[dict[str, Any]]:
    """The systems of scores/text.json that have scores."""
    return [system for system in (run.text or {}).get("systems", [])
            if isinstance(system, dict) and system.get("scores")]  # fmt: skip


def _noted(score: Row) -> bool:
    return bool((score.get("settings") or {}).get("note"))


def _is_finite(score: Row) -> bool:
    return all(finite(score.get(name)) is not None for name in ("value", "low", "high"))
