"""Plots for pages and papers: labelled, colour-blind safe, text as text, the same each time."""

import math
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from promptlift.errors import MissingExtraError
from promptlift.reporting.page import printable

# Okabe and Ito, "Color Universal Design", 2008; the order keeps neighbours apart in print too, and
# the two palest come last. Lines also differ in their dashes.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
_MARKERS = ("o", "s", "^", "D", "v", "P")
INK, _GREY, PAPER = "#1b1f24", "#9aa5b1", "#fefefe"
# At this width a phone shows letters about as large as a column of a desktop's page does.
_WIDTH_INCHES = 4.3
MOST_POINTS = 500  # of a line; more cannot be told apart
_BINS = 24
_MARKED = 40  # points of a line that are few enough to be marked
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "promptlift",
    "text.parse_math": False,  # a dollar sign begins no formula
    "font.size": 9.5,
    "figure.titlesize": 10.5,
    "figure.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _GREY,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-6, 7),  # a power of ten apart would stand in the title's place
    "grid.color": _GREY,
    "grid.alpha": 0.35,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": PAPER,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "savefig.dpi": 200,
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a plot.

    Attributes:
        label: names it in the legend.
        x, y: alike in length; where y is NaN the line has a gap.
        low, high: ends of the interval of each point; none where they are not known.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


@dataclass(frozen=True, kw_only=True)
class Axis:
    """An axis of parallel coordinates.

    Attributes:
        label: what it shows.
        ticks: places from 0, at the bottom, to 1, each with its text.
    """

    label: str
    ticks: Sequence[tuple[float, str]]


@contextmanager
def styled() -> Iterator[None]:
    """What is drawn within looks like the other plots, whatever the user's own settings.

    Raises:
        MissingExtraError: the extra `report` is not installed.
    """
    try:
        from matplotlib import style
    except ImportError as error:
        raise MissingExtraError("A page of plots", "report") from error
    with style.context(["default", _STYLE]), warnings.catch_warnings():
        # Letters that the font lacks, as in emoji, stay text in SVG: browsers have fonts for them.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


@styled()
def line_plot(
    title: str, lines: Sequence[Line], *, x: str, y: str, bars: bool = False, log: bool = False
) -> Any:
    """Lines with their 95% intervals, as bands or as bars, and a legend where there are several.

    Long lines are thinned, see `thinned`.

    Args:
        title: what is measured.
        lines: in the order of the legend.
        x, y: labels of the axes, with units.
        bars: draw intervals as bars on points, fit for few points.
        log: logarithmic y axis.
    """
    drawing, axes = _axes(title, x=x, y=y)
    for number, line in enumerate(lines):
        colour, marker = COLOURS[number % 6], _MARKERS[number % 6]
        dashes = _DASHES[number // 6 % 6] if number >= 6 else _DASHES[number]
        steps, values = thinned(line.x, line.y)
        few = sum(map(math.isfinite, values)) <= _MARKED
        axes.plot(
            steps, values, color=colour, label=_short(line.label), linestyle=dashes,
            marker=marker if few else "", markersize=4,
        )  # fmt: skip
        if line.low is None or line.high is None:
            continue
        if bars:
            reach = [
                [abs(end - value) for end, value in zip(ends, line.y, strict=True)]
                for ends in (line.low, line.high)
            ]
            axes.errorbar(line.x, line.y, yerr=reach, color=colour, fmt="none", capsize=3)
        else:
            low, high = thinned(line.x, line.low)[1], thinned(line.x, line.high)[1]
            axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
    if log and any(0 < value < math.inf for line in lines for value in line.y):
        axes.set_yscale("log")
    axes.xaxis.set_major_formatter("{x:,g}")
    if all(float(value).is_integer() for line in lines for value in line.x):
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.margins(y=0.1)
    if len(lines) > 1:
        _legend(drawing)
    return drawing


@styled()
def bar_plot(
    title: str, rows: Sequence[tuple[str, float]], *, x: str, form: str = "{:,.0f}"
) -> Any:
    """Bars to the right, each with its name and figure; the figures make an axis needless.

    Args:
        title: what is counted.
        rows: names and values, at least one, the first on top.
        x: what the values are, with units.
        form: of the figures, for `str.format`.
    """
    drawing, axes = _axes(title, x=x, y="", height=0.23 * len(rows) + 1.0)
    bars = axes.barh(range(len(rows)), [value for _, value in rows], color=COLOURS[0], height=0.72)
    axes.set_yticks(range(len(rows)), [_short(name) for name, _ in rows])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.bar_label(bars, labels=[form.format(value) for _, value in rows], padding=3)
    axes.set_xlim(0, 1.2 * max(value for _, value in rows) or 1)
    axes.margins(y=0.01)
    axes.set_xticks([])
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    return drawing


@styled()
def histogram(
    title: str, groups: Sequence[tuple[str, Sequence[int]]], *, x: str, y: str,
    limit: tuple[int, str] | None = None,
) -> Any:  # fmt: skip
    """Counts of whole numbers, each group an outline over the same bins.

    Values beyond the 99.5% quantile are not shown, but counted in the label.

    Args:
        title: what is measured.
        groups: names and values.
        x, y: labels of the axes, with units.
        limit: a value to mark, and what it is.
    """
    drawing, axes = _axes(title, x=x, y=y)
    every = sorted(value for _, values in groups for value in values)
    # A few that are far longer would leave the others no room.
    longest = max(every[len(every) * 199 // 200] if every else 0, limit[0] if limit else 0)
    beyond = sum(value > longest for value in every)
    width = max(1, math.ceil((longest + 1) / _BINS))
    edges = [width * place - 0.5 for place in range(longest // width + 2)]
    for number, (name, values) in enumerate(groups):
        counts, _ = np.histogram([value for value in values if value <= longest], edges)
        axes.stairs(counts, edges, color=COLOURS[number], fill=True, alpha=0.12)
        axes.stairs(
            counts, edges, color=COLOURS[number], linewidth=1.5, linestyle=_DASHES[number],
            label=_short(name),
        )  # fmt: skip
    if limit is not None:
        axes.axvline(limit[0] + 0.5, color=INK, linewidth=1, linestyle=":", label=limit[1])
    axes.set_xlim(-0.5, edges[-1] + 0.02 * len(edges) * width)
    axes.set_ylim(bottom=0)
    if beyond:
        axes.set_xlabel(f"{x} ({beyond:,} beyond {longest:,} not shown)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.set_major_formatter("{x:,g}")
    if len(groups) > 1 or limit is not None:
        _legend(drawing)
    return drawing


@styled()
def interval_plot(
    title: str, rows: Sequence[tuple[str, float, float, float]], *, x: str, marked: int = 1,
    line: float | None = None,
) -> Any:  # fmt: skip
    """Values with their 95% intervals, one below another.

    Args:
        title: what is measured.
        rows: names, values, lower and upper ends, the first on top.
        x: label of the axis, with units.
        marked: so many rows from the top are coloured, the others grey.
        line: a value to compare with.
    """
    drawing, axes = _axes(title, x=x, y="", height=0.27 * len(rows) + 1.1)
    for place, (_, value, low, high) in enumerate(rows):
        colour = COLOURS[0] if place < marked else _GREY
        axes.plot([low, high], [place, place], color=colour, linewidth=2)
        axes.plot([value], [place], "o", color=colour, markersize=5)
    if line is not None:
        axes.axvline(line, color=INK, linewidth=1, linestyle=":")
    axes.set_yticks(range(len(rows)), [_short(name) for name, *_ in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.grid(visible=False, axis="y")
    axes.xaxis.get_major_locator().set_params(nbins=5)
    return drawing


@styled()
def parallel_plot(
    title: str, lines: Sequence[tuple[Sequence[float], str]], *, axes: Sequence[Axis]
) -> Any:
    """Parallel coordinates: lines across upright axes.

    Args:
        title: what the lines are.
        lines: of each its place on each axis, from 0 to 1, and its kind: "best" is coloured,
            "pruned" dotted, all others are grey.
        axes: two or more, from the left.
    """
    drawing, plot = _axes(title, x="", y="", height=3.3)
    drawing.set_figwidth(max(_WIDTH_INCHES, 1.5 * len(axes)))
    for places, kind in lines:
        best = kind == "best"
        plot.plot(
            range(len(axes)), places, color=COLOURS[0] if best else _GREY,
            linewidth=2 if best else 1, alpha=1 if best else 0.8,
            linestyle=":" if kind == "pruned" else "-", marker="o", markersize=4 if best else 3,
        )  # fmt: skip
    for number, axis in enumerate(axes):
        plot.axvline(number, color=INK, linewidth=0.8)
        for place, text in axis.ticks:
            plot.annotate(
                _short(text, 16), (number, place), xytext=(4, 0), textcoords="offset points",
                va="center", fontsize=8,
                bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6, "alpha": 0.8},
            )  # fmt: skip
    plot.set_xticks(range(len(axes)), [_wrapped(axis.label) for axis in axes])
    plot.set_yticks([])
    plot.set_xlim(-0.15, len(axes) - 0.55)
    plot.set_ylim(-0.06, 1.06)
    plot.grid(visible=False)
    for side in ("left", "bottom"):
        plot.spines[side].set_visible(False)
    plot.tick_params(axis="x", length=0)
    return drawing


def thinned(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    """A line of at most some 500 points: means over runs of equally many neighbours.

    A run that holds no number gives NaN, and so a gap.
    """
    run = math.ceil(len(x) / MOST_POINTS) or 1
    starts = range(0, len(x), run)
    return [_mean(x[at : at + run]) for at in starts], [_mean(y[at : at + run]) for at in starts]


def _axes(title: str, *, x: str, y: str, height: float = 2.9) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(_WIDTH_INCHES, height), layout="constrained")
    axes = drawing.subplots()
    # A title of the axes would take its width from the plot.
    drawing.suptitle(_short(title, 50), x=0.01, ha="left")
    axes.set_xlabel(_short(x, 44))
    axes.set_ylabel(_short(y, 32))
    return drawing, axes


def _legend(drawing: Any) -> None:
    """Below the plot, where it hides nothing."""
    drawing.legend(loc="outside lower left", ncols=2, handlelength=2.6, columnspacing=1.2)


def _short(name: str, most: int = 30) -> str:
    """On one line, without its middle where it is long: names differ at their ends."""
    text = " ".join(printable(name).split())
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most // 2 - 1) :]}"


def _wrapped(label: str) -> str:
    """A label over lines, for an axis beside others."""
    return "\n".join(textwrap.wrap(_short(label.replace("_", " "), 44), 15))


def _mean(values: Sequence[float]) -> float:
    found = [value for value in values if math.isfinite(value)]
    return sum(found) / len(found) if found else math.nan
