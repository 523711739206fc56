"""The page that tells a whole run, with every plot beside it as PNG and SVG."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from promptlift.files import write_text
from promptlift.reporting import (
    arms_section,
    picture_metrics,
    picture_sections,
    preference_section,
    score_sections,
    text_sections,
    training_sections,
    tuning_section,
)
from promptlift.reporting.answer import answer
from promptlift.reporting.gallery import gallery
from promptlift.reporting.page import Section, asset, page, paragraph
from promptlift.reporting.picture_data import PictureData, read_pictures
from promptlift.reporting.plot_files import Draw, drawing_into
from promptlift.reporting.run_data import RunData, read_run
from promptlift.reporting.thumbnails import Thumbnails
from promptlift.tuning.tune import STAGE as TUNING

_log = logging.getLogger(__name__)


def write_report(
    run_folder: Path,
    output: Path | None = None,
    *,
    report: Callable[[str], None] = _log.info,
) -> Path:
    """Write the page of a run, as far as the run has come.

    Where pictures were drawn, the page has thumbnails of them and looks for the whole ones at
    `pictures` of the run folder, from where the page is written.

    Args:
        run_folder: what `promptlift train` or `illustrate` made; it is only read.
        output: folder for index.html and the plots; RUN/report unless given.
        report: takes lines of progress.

    Returns:
        The page.

    Raises:
        InputError: it is no run folder.
        MissingExtraError: the extra `report` is not installed.
    """
    run, shown = read_run(run_folder), read_pictures(run_folder)
    # Of a tuning, improvements, pictures and scores are those of its rounds.
    missing = [] if TUNING in run.stages else [*run.missing, *shown.missing]
    folder = output or run_folder / "report"
    thumbnails = Thumbnails(folder)
    found = arms_section.read_arms(run_folder, missing) if shown.pairs else None
    run = replace(run, missing=missing)

    report(f"drawing the plots of {run.name}")
    draw = drawing_into(folder)
    tuned = run.folder / arms_section.TUNED  # of an experiment
    tuning = tuning_section.tuning(
        read_run(tuned) if (tuned / "manifest.json").exists() else run, draw
    )
    people = preference_section.preference(run.folder, shown, draw)
    winner = arms_section.winner(found) if found else ""
    said = [winner, *(part.finding for part in (people, tuning) if part)]
    sections = [
        answer(
            run,
            shown,
            thumbnails,
            said=said,
            judged=bool(people and people.finding),
            tuned=tuning is not None,
        ),
        arms_section.arms(found, run_folder, thumbnails) if found else None,
        tuning,
        *_sections(run, shown, people, draw),
        training_sections.summary(run),
    ]
    style = script = ""
    if shown.pairs:
        report(f"making thumbnails of {run.name}")
        sections.append(gallery(shown, folder, report=report))
        style, script = asset("gallery.css"), asset("gallery.js")
    path = folder / "index.html"
    kind = "Experiment" if "experimenting" in run.stages else "Run"
    shell = page(
        f"{kind} {run.name}", [part for part in sections if part],
        lead=paragraph(_lead(run)), style=style, script=script,
    )  # fmt: skip
    write_text(path, shell)
    return path


def _sections(
    run: RunData, shown: PictureData, people: Section | None, draw: Draw
) -> list[Section | None]:
    """Findings of pictures first, then those of texts, and how training went."""
    return [
        picture_metrics.metrics(shown, draw),
        picture_sections.verdicts(shown, draw),
        people,
        picture_sections.clip_row(shown, draw),
        picture_sections.drawing(shown),
        score_sections.scores(run),
        training_sections.windows(run, draw),
        training_sections.epochs(run, draw),
        training_sections.optimizer(run, draw),
        text_sections.lengths(run, draw),
        text_sections.words(run, draw),
        score_sections.diversity(run, draw),
        text_sections.painters(run, draw),
        text_sections.examples(run),
    ]


def _lead(run: RunData) -> str:
    state = run.training.get("state")
    if state is None and TUNING in run.stages:
        return "A model that learned from the pictures that its prompts draw."
    if state is None and run.stages:
        return "A run of promptlift in which nothing was trained."
    if state == "done":
        if "experimenting" in run.stages:
            return "A whole experiment of promptlift: pairs, training, pictures and scores."
        return "A training run of promptlift, complete."
    return (
        f"A training run of promptlift; state: {state or 'not begun'}. "
        "The page shows what there is so far."
    )
