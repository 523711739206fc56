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
    figures,
    heading,
    join,
    page,
    paragraph,
    table,
)
from promptlift.reporting.plots import Draw, Line, drawing_into, interval_plot, line_plot
from promptlift.reporting.training_sections import LOSS_UNIT, WINDOWS
from promptlift.reporting.word_section import TOP
from promptlift.reporting.wording import ends, interval, interval_or_dash, p_text, short_title

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


def _settings(found: dict[str, Any], names: Sequence[str]) -> Section:
    rows = [(row["name"], *map(_cell, row["values"])) for row in found["settings"]]
    states = [("state of training", *(run["state"] or "not begun" for run in found["runs"]))]
    parts = [table([*states, *rows], ("", *names))]
    if not rows:
        parts.append(paragraph("No setting, input or version differs."))
    for run in found["runs"]:
        if run["lacks"]:
            parts += [heading(f"What {run['name']} lacks"), bullets(run["lacks"])]
    return Section("What differs", join(parts))


def _curves(found: dict[str, Any], draw: Draw) -> Section:
    drawn = []
    for metric, title in {"loss": "Loss", **WINDOWS}.items():
        curves = found["curves"].get(metric, [])
        # Losses of all kinds in one plot could not be told apart.
        kinds = dict.fromkeys(curve["label"] for curve in curves)
        for kind in kinds:
            lines = [_line(curve) for curve in curves if curve["label"] == kind]
            label = LOSS_UNIT if metric == "loss" else title
            whole = f"{title}, {kind}" if kind else title
            plot = line_plot(whole, lines, x="step", y=label)
            origin = "log.csv" if metric == "loss" else "evaluations/, bands: 95% intervals"
            drawn.append(draw(plot, f"curve-{metric}-{kind}", f"From {origin} of each run."))
    note = paragraph(
        "Steps are updates: runs with different batch sizes have seen different numbers of pairs."
    )
    return Section("Curves", join([note, figures(drawn)]) if drawn else paragraph("None yet."))


def _line(curve: dict[str, Any]) -> Line:
    def numbers(values: list[float | None] | None) -> list[float] | None:
        if values is None:
            return None
        return [math.nan if value is None else value for value in values]

    return Line(
        label=curve["run"],
        x=curve["steps"],
        y=numbers(curve["values"]) or [],
        low=numbers(curve["low"]),
        high=numbers(curve["high"]),
    )


def _figures(found: dict[str, Any], names: Sequence[str], draw: Draw) -> Section:
    rows = [(row["title"], *map(interval_or_dash, row["scores"])) for row in found["figures"]]
    drawn = []
    for row in found["figures"]:
        values = [
            (name, *ends(score))
            for name, score in zip(names, row["scores"], strict=True)
            if score is not None and score.get("low") is not None and score.get("high") is not None
        ]
        spans = {end for _, *ends in values for end in ends}
        # What is the same everywhere, or was measured otherwise, makes no picture.
        if len(values) > 1 and len(spans) > 1 and row["same_settings"]:
            counts = "/".join(str(score["n"]) for score in row["scores"] if score is not None)
            plot = interval_plot(row["title"], values, x=short_title(row["title"]))
            caption = f"n = {counts}, 95% intervals. From {found['figures_from']}."
            drawn.append(draw(plot, f"final-{row['metric']}", caption))
    note = paragraph(f"From {found['figures_from']}. In brackets 95% intervals.", note=True)
    note = join([note, *map(paragraph, unlike(found))])
    body = [note, table(rows, ("metric", *names), numbers=True), figures(drawn)]
    return Section("Final figures", join(body if rows else [paragraph("None yet.")]))


def _tests(found: dict[str, Any]) -> Section:
    pairs = found["pairs"]
    if pairs["why_no_test"]:
        return Section("Paired tests", paragraph(f"No test: {pairs['why_no_test']}."))
    tests = found["tests"]
    rows = [
        (test["title"], test["run"], interval({**test, "value": test["difference"]}),
         p_text(test["p"]), p_text(test["p_holm"]), test["n"])
        for test in tests
    ]  # fmt: skip
    header = ("metric", "run", "difference", "p", "corrected p", "n")
    note = paragraph(ABOUT_TESTS.format(count=len(tests)), note=True)
    return Section("Paired tests", join([note, table(rows, header, numbers=True)]))


def _words(found: dict[str, Any]) -> Section:
    parts: list[Html] = []
    for side, title in (("added", "Words added most"), ("lost", "Words lost most")):
        tables = [
            table([(item["text"], f"{item['count']:,}") for item in run[side][:TOP]],
                  (run["run"], "occurrences"), numbers=True)
            for run in found["words"] if run[side]
        ]  # fmt: skip
        if tables:
            parts += [heading(title), beside(tables)]
    counts = ", ".join(f"{run['run']} {run['pairs']:,}" for run in found["words"])
    note = paragraph(f"Counted prompt by prompt against the source. Prompts: {counts}.", note=True)
    return Section("Words", join([note, *parts]))


def _examples(found: dict[str, Any], names: Sequence[str]) -> Section:
    shown = [
        [("source", item["source"]), *zip(names, item["predictions"], strict=True),
         *([("target", item["target"])] if item["target"] else [])]
        for item in found["examples"]
    ]  # fmt: skip
    if not shown:
        return Section("Examples", paragraph("The runs have no pair in common."))
    note = paragraph("Evenly spaced pairs of those that all runs have.", note=True)
    return Section("Examples", join([note, cards(shown)]))


def unlike(found: dict[str, Any]) -> list[str]:
    """A line where some metrics were measured with other settings, so that nothing is compared."""
    names = [row["title"] for row in found["figures"] if not row["same_settings"]]
    if not names:
        return []
    return [f"Measured with different settings (encoder, layer, amount of text), so neither "
            f"compared nor tested: {', '.join(names)}."]  # fmt: skip


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)
