"""The page of a comparison, drawn from what `compare_runs` found."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from promptlift.files import write_json, write_text
from promptlift.reporting.page import (
    Html,
    Section,
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
from promptlift.reporting.text_sections import TOP
from promptlift.reporting.training_sections import LOSS_UNIT, WINDOWS
from promptlift.reporting.wording import difference, ends, interval_or_dash, p_text, short_title

ABOUT_TESTS = (
    "Differences are those of each run minus the reference, on the same pairs, with 95% bootstrap "
    "intervals. p is that of a two-sided sign-flip permutation test; corrected p (Holm) takes into "
    "account that {count} tests were made: read it if you look for any metric that differs. "
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
        _settings(found, names),
        section("Curves", *_curves(found, draw)),
        section("Final figures", *_figures(found, names, draw)),
        section("Paired tests", *_tests(found)),
        _words(found),
        section("Examples", *_examples(found, names)),
    ]
    lead = paragraph(f"The reference is {names[0]}; it is compared with {', '.join(names[1:])}.")
    path = folder / "index.html"
    write_json(folder / "comparison.json", found)
    write_text(path, page(f"{len(names)} runs compared", sections, lead=lead))
    return path


def _settings(found: dict[str, Any], names: Sequence[str]) -> Section:
    rows = [(row["name"], *map(_cell, row["values"])) for row in found["settings"]]
    states = ("state of training", *(run["state"] or "not begun" for run in found["runs"]))
    return section(
        "What differs",
        table([states, *rows], ("", *names)),
        None if rows else paragraph("No setting, input or version differs."),
        *(subsection(f"What {run['name']} lacks", bullets(run["lacks"])) for run in found["runs"]),
    )


def _curves(found: dict[str, Any], draw: Draw) -> list[Html]:
    drawn = []
    for metric, title in {"loss": "Loss", **WINDOWS}.items():
        curves = found["curves"].get(metric, [])
        label, origin = (
            (LOSS_UNIT, "log.csv")
            if metric == "loss"
            else (title, "evaluations/, bands: 95% intervals")
        )
        # Losses of all kinds in one plot could not be told apart.
        for kind in dict.fromkeys(curve["label"] for curve in curves):
            lines = [_line(curve) for curve in curves if curve["label"] == kind]
            drawn.append(draw(line_plot, f"curve-{metric}-{kind}",
                              f"{title}, {kind}" if kind else title, lines, x="step", y=label,
                              caption=f"From {origin} of each run."))  # fmt: skip
    if not drawn:
        return [paragraph("None yet.")]
    text = (
        "Steps are updates: runs with different batch sizes have seen different numbers of pairs."
    )
    return [paragraph(text), figures(drawn)]


def _line(curve: dict[str, Any]) -> Line:
    y, low, high = (
        None if curve[name] is None else [math.nan if one is None else one for one in curve[name]]
        for name in ("values", "low", "high")
    )
    return Line(label=curve["run"], x=curve["steps"], y=y or [], low=low, high=high)


def _figures(found: dict[str, Any], names: Sequence[str], draw: Draw) -> list[Html]:
    if not found["figures"]:
        return [paragraph("None yet.")]
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
    return [
        note(f"From {found['figures_from']}. In brackets are 95% intervals."),
        *map(paragraph, unlike(found)),
        table(rows, ("metric", *names), numbers=True),
        figures(drawn),
    ]


def _tests(found: dict[str, Any]) -> list[Html]:
    if found["pairs"]["why_no_test"]:
        return [paragraph(f"No test: {found['pairs']['why_no_test']}.")]
    tests = found["tests"]
    return [
        note(ABOUT_TESTS.format(count=len(tests))),
        columns(tests, {
            "metric": lambda test: test["title"],
            "run": lambda test: test["run"],
            "difference": difference,
            "p": lambda test: p_text(test["p"]),
            "corrected p": lambda test: p_text(test["p_holm"]),
            "n": lambda test: test["n"],
        }),
    ]  # fmt: skip


def _words(found: dict[str, Any]) -> Section:
    def tables(side: str) -> Html:
        return beside(
            table([(item["text"], f"{item['count']:,}") for item in run[side][:TOP]],
                  (run["run"], "occurrences"), numbers=True)
            for run in found["words"]
        )  # fmt: skip

    counts = ", ".join(f"{run['run']} {run['pairs']:,}" for run in found["words"])
    return section(
        "Words",
        note(f"Counted in each prompt against its source. Prompts: {counts}."),
        subsection("Words added most", tables("added")),
        subsection("Words lost most", tables("lost")),
    )


def _examples(found: dict[str, Any], names: Sequence[str]) -> list[Html]:
    shown = [
        [("source", item["source"]), *zip(names, item["predictions"], strict=True),
         *([("target", item["target"])] if item["target"] else [])]
        for item in found["examples"]
    ]  # fmt: skip
    if not shown:
        return [paragraph("The runs have no pair in common.")]
    return [note("Evenly spaced pairs of those that all runs have."), cards(shown)]


def unlike(found: dict[str, Any]) -> list[str]:
    """A line where some metrics were measured with other settings, so that nothing is compared."""
    names = [row["title"] for row in found["figures"] if not row["same_settings"]]
    if not names:
        return []
    return [f"Measured with different settings (encoder, layer, amount of text), so neither "
            f"compared nor tested: {', '.join(names)}."]  # fmt: skip


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)
