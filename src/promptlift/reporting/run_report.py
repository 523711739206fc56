"""The page that tells a whole run, with every plot beside it as PNG and SVG."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from promptlift.files import write_text
from promptlift.reporting import score_sections, text_sections, training_sections, word_section
from promptlift.reporting.page import Html, figure, page, paragraph
from promptlift.reporting.plots import save
from promptlift.reporting.run_data import read_run

_log = logging.getLogger(__name__)


def write_report(
    run_folder: Path,
    output: Path | None = None,
    *,
    report: Callable[[str], None] = _log.info,
) -> Path:
    """Write the page of a run, as far as the run has come.

    Args:
        run_folder: what `promptlift train --output` made; it is only read.
        output: folder for index.html and the plots; RUN/report unless given.
        report: takes lines of progress.

    Returns:
        The page.

    Raises:
        InputError: it is no run folder.
        MissingExtraError: the extra `report` is not installed.
    """
    run = read_run(run_folder)
    folder = output or run_folder / "report"

    def draw(plot: Any, name: str, caption: str) -> Html:
        return figure(save(plot, folder, name), caption)

    report(f"drawing the plots of {run.name}")
    sections = [
        training_sections.summary(run),
        score_sections.scores(run),
        training_sections.windows(run, draw),
        training_sections.epochs(run, draw),
        training_sections.optimizer(run, draw),
        text_sections.lengths(run, draw),
        word_section.words(run, draw),
        score_sections.diversity(run, draw),
        text_sections.painters(run, draw),
        text_sections.examples(run),
    ]
    state = run.training.get("state")
    lead = paragraph("A training run of promptlift, complete." if state == "done" else
                     f"A training run of promptlift; state: {state or 'not begun'}. "
                     "The page shows what there is so far.")  # fmt: skip
    found = [section for section in sections if section is not None]
    path = folder / "index.html"
    write_text(path, page(f"Run {run.name}", found, lead=lead))
    return path
