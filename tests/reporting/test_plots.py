"""Plots: the same each time, sound for any text and any figures."""

import math
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
from hypothesis import example, given, settings
from hypothesis import strategies as st

from promptlift.reporting.plot_files import inline, save
from promptlift.reporting.plots import (
    MOST_POINTS,
    Line,
    bar_plot,
    histogram,
    interval_plot,
    line_plot,
    thinned,
)

# Markup, a formula, letters that the font lacks, right to left, what XML cannot hold.
ODD = ["<b>&amp;", "$x^2$ and $", "\N{FOX FACE} 狐", "שלום عالم", "\0\x1b[0m", "\ud800", "", "a\nb"]


def test_any_text_gives_a_sound_plot(tmp_path: Path) -> None:
    every = " ".join(ODD)
    plots = [
        bar_plot(every, [(text * 9, 3) for text in ODD], x=every),
        line_plot("a", [Line(label=text, x=[1, 2], y=[1, 2]) for text in ODD], x="x", y="y"),
    ]
    for number, plot in enumerate(plots):
        drawn = save(plot, tmp_path, f"plot-{number}")
        ElementTree.fromstring(drawn)
        ElementTree.fromstring((tmp_path / f"plot-{number}.svg").read_text(encoding="utf-8"))


@settings(max_examples=6)
@example([math.inf], False, True)  # no loss was finite: nothing that a log scale could show
@given(st.lists(st.floats(width=32), min_size=1, max_size=5), st.booleans(), st.booleans())
def test_any_figures_give_a_sound_plot(values: list[float], bars: bool, log: bool) -> None:
    x = [*map(float, range(len(values)))]
    line = Line(label="", x=x, y=values, low=values, high=values)
    ElementTree.fromstring(inline(line_plot("a", [line], x="x", y="y", bars=bars, log=log), "p"))


def test_the_same_plot_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save(histogram("Words", [("a", [1, 2, 2]), ("b", [3])], x="words", y="n"), tmp_path, name)
    for ending in ("svg", "png"):
        assert (tmp_path / f"one.{ending}").read_bytes() == (
            tmp_path / f"two.{ending}"
        ).read_bytes()


def test_the_users_own_settings_change_nothing_and_stay() -> None:
    def drawn() -> str:
        return inline(interval_plot("a", [("b", 1.0, 0.5, 1.5)], x="c"), "p")

    before = drawn()
    with matplotlib.rc_context({"font.size": 30, "text.usetex": True, "figure.dpi": 30}):
        assert drawn() == before
        assert matplotlib.rcParams["font.size"] == 30


def test_letters_stay_letters() -> None:
    drawn = inline(bar_plot("Top words", [("lighthouse", 3)], x="occurrences"), "p")
    assert "lighthouse" in drawn and "occurrences" in drawn and "Top words" in drawn


def test_plots_of_one_page_share_no_names() -> None:
    drawn = [inline(bar_plot("a", [("b", 1)], x="c"), name) for name in ("one", "two")]
    ids = [
        {element.get("id") for element in ElementTree.fromstring(plot).iter()} - {None}
        for plot in drawn
    ]
    assert ids[0] and not ids[0] & ids[1]


def test_ink_follows_the_page() -> None:
    drawn = inline(bar_plot("a", [("b", 1)], x="c"), "p")
    assert "currentColor" in drawn and "var(--plot-1)" in drawn
    assert "#1b1f24" not in drawn and "#fefefe" not in drawn


def test_a_histogram_counts_every_value() -> None:
    plot = histogram("a", [("b", [0, 1, 1, 5])], x="x", y="y", limit=(75, "75"))
    filled = plot.axes[0].patches[0]
    assert sum(filled.get_data().values) == 4
    values = [*range(100)] * 10 + [10_000]
    plot = histogram("a", [("b", values)], x="words", y="y")
    assert "1 beyond" in plot.axes[0].get_xlabel()
    assert sum(plot.axes[0].patches[0].get_data().values) == len(values) - 1


def test_bars_are_as_long_as_their_figures_say() -> None:
    plot = bar_plot("a", [("b", 7), ("c", 2.5)], x="c", form="{:.1f}")
    assert [bar.get_width() for bar in plot.axes[0].patches] == [7, 2.5]
    assert {text.get_text() for text in plot.axes[0].texts} == {"7.0", "2.5"}


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=3000))
def test_a_thinned_line_is_short_and_keeps_its_range(values: list[float]) -> None:
    x = [*map(float, range(len(values)))]
    steps, found = thinned(x, values)
    assert len(steps) == len(found) <= MOST_POINTS
    assert steps == sorted(steps)
    assert min(values) - 1e-6 <= min(found) and max(found) <= max(values) + 1e-6
    if len(values) <= MOST_POINTS:
        assert found == values


def test_a_thinned_line_of_equal_runs_keeps_its_mean_and_its_gaps() -> None:
    values = [float(n % 7) for n in range(2 * MOST_POINTS)]
    _, found = thinned(values, values)
    assert math.isclose(sum(found) / len(found), sum(values) / len(values))
    values[:2] = [math.nan, math.nan]
    values[2] = math.nan
    _, found = thinned(values, values)
    assert math.isnan(found[0]) and found[1] == values[3]
