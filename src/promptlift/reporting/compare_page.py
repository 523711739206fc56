"""The page of a comparison, drawn from what `compare_runs` found."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from promptlift.files import write_json, write_text
from promptlift.reporting.page import (
    Html,
    Section,
    answer_first,
    beside,
    bullets,
    cards,
    columns,
    figures,
    note,
    page,
    paragraph,
    section,
    subsection,
    table,
)
from promptlift.reporting.plot_files import Draw, drawing_into
from promptlift.reporting.plots import Line, interval_plot, line_plot
from promptlift.reporting.run_data import CANNOT_TELL
from promptlift.reporting.text_sections import TOP
from promptlift.reporting.training_sections import LOSS_UNIT, WINDOWS
from promptlift.reporting.wording import (
    apart,
    counted,
    difference,
    ends,
    interval_or_dash,
    listed,
    p_text,
    short_title,
)
from promptlift.scoring.text.metrics import TEXT_METRICS

_CLEAR = 0.05  # a corrected p below it
_SHOWN = 3  # items of a sentence
_NOTHING_ALIKE = "no figure is in all runs, measured alike"
ABOUT_TESTS = (
    "Differences are those of each run minus the reference, on the same pairs, with 95% bootstrap "
    "intervals. p is that of a two-sided sign-flip permutation test; corrected p (Holm) takes into "
    "account how many tests were made ({count}): read it if you look for any metric that differs. "
    "The tests hold for these validation pairs and these weights; training with another seed "
    "may differ as much."
)


def write_comparison(found: dict[str, Any], folder: Path) -> Path:
    """Write index.html, comparison.json and the plots of a comparison.

    Args:
        found: what `compare_runs` gave.
        folder: made where it is missing.

    Returns:
        The page.

    Raises:
        MissingExtraError: the extra `report` is not installed.
    """
    names, draw = [run["name"] for run in found["runs"]], drawing_into(folder)
    sections = [
        _answer(found, names),
        _settings(found, names),
        _curves(found, draw),
        _figures(found, names, draw),
        _tests(found),
        _words(found),
        _examples(found, names),
    ]
    lead = paragraph(f"The reference is {names[0]}; it is compared with {', '.join(names[1:])}.")
    path = folder / "index.html"
    write_json(folder / "comparison.json", found)
    write_text(path, page(f"{len(names)} runs compared", sections, lead=lead))
    return path


def _answer(found: dict[str, Any], names: Sequence[str]) -> Section:
    tests, why = found["tests"], found["pairs"]["why_no_test"]
    if not tests:
        return answer_first(f"Nothing was tested: {why or _NOTHING_ALIKE}.", unlike(found))
    reference, *others = names
    said = {name: _against(name, reference, tests) for name in others}
    alike = [f"“{name}”" for name, text in said.items() if not text]
    lines = [*filter(None, said.values())]
    if alike:
        lines.append(f"Nothing differs clearly between “{reference}” and {listed(alike)}.")
    return answer_first(
        " ".join(lines),
        [
            "A difference is called clear where its p, corrected for "
            f"{counted(len(tests), 'test')} (Holm), is below {_CLEAR}; in brackets are 95% "
            f"intervals. n = {counted(found['pairs']['n'], 'pair')}.",
            "Training with another seed may differ as much: that was not tested.",
            *unlike(found),
        ],
    )


def _against(name: str, reference: str, tests: Sequence[dict[str, Any]]) -> str:
    """By which metrics a run is clearly better than the reference, or worse, or only other."""
    better: list[str] = []
    worse: list[str] = []
    other: list[str] = []
    for test in tests:
        if test["run"] != name or test["p_holm"] >= _CLEAR:
            continue
        metric = TEXT_METRICS.get(test["metric"])
        side = other
        if metric and metric.higher_is_better is not None and CANNOT_TELL not in test["title"]:
            side = better if (test["difference"] > 0) == metric.higher_is_better else worse
        side.append(f"{test['title']} {apart(test)}")
    kinds = {"is better than {}": better, "is worse than {}": worse,
             "differs from {} in what makes neither better": other}  # fmt: skip
    said = [f"{what.format(f'“{reference}”')}: {listed(_first(found))}"
            for what, found in kinds.items() if found]  # fmt: skip
    return f"“{name}” {'; it '.join(said)}." if said else ""


def _first(items: Sequence[str]) -> list[str]:
    """The first few, and how many more there are."""
    more = len(items) - _SHOWN
    return [*items[:_SHOWN], *([f"{more} more"] if more > 0 else [])]


def _settings(found: dict[str, Any], names: Sequence[str]) -> Section:
    rows = [(row["name"], *map(_cell, row["values"])) for row in found["settings"]]
    states = ("state of training", *(run["state"] or "not begun" for run in found["runs"]))
    differing = "; ".join(_first([row[0] for row in rows]))
    return section(
        "What differs",
        table([states, *rows], ("", *names)),
        *(subsection(f"What {run['name']} lacks", bullets(run["lacks"])) for run in found["runs"]),
        finding=f"{differing}." if rows else "No setting, input or version differs.",
    )


def _curves(found: dict[str, Any], draw: Draw) -> Section:
    plots = []
    for metric, title in {"loss": "Loss", **WINDOWS}.items():
        curves = found["curves"].get(metric, [])
        # Losses of all kinds in one plot could not be told apart.
        for kind in dict.fromkeys(curve["label"] for curve in curves):
            plots.append((metric, title, kind, [one for one in curves if one["label"] == kind]))
    if not plots:
        return section("Curves", paragraph("None yet."))
    drawn = []
    for metric, title, kind, curves in plots:
        label, origin = (
            (LOSS_UNIT, "log.csv")
            if metric == "loss"
            else (title, "evaluations/, bands: 95% intervals")
        )
        drawn.append(draw(line_plot, f"curve-{metric}-{kind}",
                          f"{title}, {kind}" if kind else title, [*map(_line, curves)], x="step",
                          y=label, caption=f"From {origin} of each run."))  # fmt: skip
    text = (
        "Steps are updates: runs with different batch sizes have seen different numbers of pairs."
    )
    evaluated = [plot for plot in plots if plot[2] == "evaluation"]
    _, title, kind, curves = (evaluated or plots)[0]
    return section("Curves", paragraph(text), figures(drawn), finding=_ends(title, kind, curves))


def _ends(title: str, kind: str, curves: Sequence[dict[str, Any]]) -> str:
    """The last value of each curve that has one, in words."""
    known = {curve["run"]: [one for one in curve["values"] if one is not None] for curve in curves}
    last = [f"{run} {values[-1]:.4g}" for run, values in known.items() if values]
    return f"{title}{kind and f', {kind}'}, at the end: {listed(last)}." if last else ""


def _line(curve: dict[str, Any]) -> Line:
    y, low, high = (
        None if curve[name] is None else [math.nan if one is None else one for one in curve[name]]
        for name in ("values", "low", "high")
    )
    return Line(label=curve["run"], x=curve["steps"], y=y or [], low=low, high=high)


def _figures(found: dict[str, Any], names: Sequence[str], draw: Draw) -> Section:
    if not found["figures"]:
        return section("Final figures", paragraph("None yet."))
    drawn = []
    for row in found["figures"]:
        scores = dict(zip(names, row["scores"], strict=True))
        values = [
            (name, *ends(score))
            for name, score in scores.items()
            if score is not None and score.get("low") is not None and score.get("high") is not None
        ]
        spans = {end for _, *ends in values for end in ends}
        # What is the same everywhere, or was measured otherwise, makes no picture.
        if len(values) > 1 and len(spans) > 1 and row["same_settings"]:
            counts = "/".join(str(score["n"]) for score in scores.values() if score is not None)
            drawn.append(draw(
                interval_plot, f"final-{row['metric']}", row["title"], values,
                x=short_title(row["title"]),
                caption=f"n = {counts}, 95% intervals. From {found['figures_from']}.",
            ))  # fmt: skip
    rows = [(row["title"], *map(interval_or_dash, row["scores"])) for row in found["figures"]]
    title, *shown = rows[0]
    each = [f"{name} {score}" for name, score in zip(names, shown, strict=True)]
    return section(
        "Final figures",
        note(f"From {found['figures_from']}. In brackets are 95% intervals."),
        *map(paragraph, unlike(found)),
        table(rows, ("metric", *names), numbers=True),
        figures(drawn),
        finding=f"{title}: {listed(each)}.",
    )


def _tests(found: dict[str, Any]) -> Section:
    tests, why = found["tests"], found["pairs"]["why_no_test"]
    if not tests:
        return section("Paired tests", paragraph(f"No test: {why or _NOTHING_ALIKE}."))
    clear = sum(test["p_holm"] < _CLEAR for test in tests)
    return section(
        "Paired tests",
        note(ABOUT_TESTS.format(count=len(tests))),
        columns(tests, {
            "metric": lambda test: test["title"],
            "run": lambda test: test["run"],
            "difference": difference,
            "p": lambda test: p_text(test["p"]),
            "corrected p": lambda test: p_text(test["p_holm"]),
            "n": lambda test: test["n"],
        }),
        finding=f"Corrected p below {_CLEAR}: {clear} of {counted(len(tests), 'test')}.",
    )  # fmt: skip


def _words(found: dict[str, Any]) -> Section:
    def tables(side: str) -> Html:
        return beside(
            table([(item["text"], f"{item['count']:,}") for item in run[side][:TOP]],
                  (run["run"], "occurrences"), numbers=True)
            for run in found["words"]
        )  # fmt: skip

    counts = ", ".join(f"{run['run']} {run['pairs']:,}" for run in found["words"])
    most = "; ".join(
        f"{run['run']}: {listed([item['text'] for item in run['added'][:_SHOWN]]) or 'none'}"
        for run in found["words"]
    )
    return section(
        "Words",
        note(f"Counted in each prompt against its source. Prompts: {counts}."),
        subsection("Words added most", tables("added")),
        subsection("Words lost most", tables("lost")),
        finding=f"Words added most: {most}.",
    )


def _examples(found: dict[str, Any], names: Sequence[str]) -> Section:
    shown = [
        [("source", item["source"]), *zip(names, item["predictions"], strict=True),
         *([("target", item["target"])] if item["target"] else [])]
        for item in found["examples"]
    ]  # fmt: skip
    if not shown:
        return section("Examples", paragraph("The runs have no pair in common."))
    first = found["examples"][0]
    texts = zip(names, first["predictions"], strict=True)
    became = listed([f"“{text}” ({name})" for name, text in texts])
    return section(
        "Examples",
        note("Evenly spaced pairs of those that all runs have."),
        cards(shown),
        finding=f"“{first['source']}” became {became}.",
    )


def unlike(found: dict[str, Any]) -> list[str]:
    """A line where some metrics were measured with other settings, so that nothing is compared."""
    names = [row["title"] for row in found["figures"] if not row["same_settings"]]
    if not names:
        return []
    return [f"Measured with different settings (encoder, layer, amount of text), so neither "
            f"compared nor tested: {', '.join(names)}."]  # fmt: skip


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)
