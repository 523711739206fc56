"""Plots as PNG and SVG files, and as markup within a page."""

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from promptlift.files import atomic_path, write_text
from promptlift.reporting.page import NOTHING, Html, escape, figure
from promptlift.reporting.plots import COLOURS, INK, PAPER, styled


class Draw(Protocol):
    """Draws a plot, saves it, and gives it as a figure of a page; nothing where it has no rows.

    Args:
        plot: a function of `plots`, which takes title, rows and options.
        name: any text; the files have hyphens for what is no letter, digit or point.
        title, rows, options: what the plot shows.
        caption: plain text below the plot.
    """

    def __call__(
        self, plot: Callable[..., Any], name: str, title: str, rows: Sequence[Any], *,
        caption: str, **options: Any,
    ) -> Html: ...  # fmt: skip


def drawing_into(folder: Path) -> Draw:
    """What draws plots into a folder."""

    def draw(
        plot: Callable[..., Any], name: str, title: str, rows: Sequence[Any], *, caption: str,
        **options: Any,
    ) -> Html:  # fmt: skip
        if not rows:
            return NOTHING
        # Addresses within SVG cannot have the spaces and brackets of a system's name.
        file = re.sub(r"(?:[^\w.]|_)+", "-", name).strip("-")
        return figure(save(plot(title, rows, **options), folder, file), caption)

    return draw


def save(drawing: Any, folder: Path, name: str) -> Html:
    """Write a plot as NAME.svg and NAME.png, and give it as markup for a page."""
    svg = _svg(drawing)
    write_text(folder / f"{name}.svg", svg)
    with styled(), atomic_path(folder / f"{name}.png") as temporary:
        drawing.savefig(temporary, format="png", metadata={"Software": None})
    return _inline(svg, drawing, name)


def inline(drawing: Any, name: str) -> Html:
    """A plot as markup for a page; `name` keeps apart what plots on one page refer to."""
    return _inline(_svg(drawing), drawing, name)


def _svg(drawing: Any) -> str:
    text = io.StringIO()
    # Letters stay letters, and ids are the same at each run.
    with styled():
        # Laid out once: with a layout engine each saving would draw the figure twice.
        drawing.draw_without_rendering()
        drawing.set_layout_engine(None)
        drawing.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def _inline(svg: str, drawing: Any, name: str) -> Html:
    """Without what a page has once, on no paper of its own, and in the ink of the page."""
    drawn = svg[svg.index("<svg") :]
    drawn = re.sub(r"\s*<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r"\s*<style.*?</style>", "", drawn, count=1, flags=re.DOTALL)
    drawn = drawn.replace(INK, "currentColor").replace(f"fill: {PAPER}", "fill: none")
    for number, colour in enumerate(COLOURS, 1):  # paler where the page is dark
        drawn = drawn.replace(colour, f"var(--plot-{number})")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', drawn))
    drawn = re.sub(
        r' id="([^"]*)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", drawn
    )
    drawn = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", drawn)
    title = escape(drawing.get_suptitle())
    return Html(drawn.replace("<svg", f'<svg role="img" aria-label="{title}"', 1).strip())
