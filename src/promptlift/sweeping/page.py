"""The page of a sweep: which setting is best, how surely, and which options decide it."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from promptlift.files import write_text
from promptlift.reporting.page import (
    Html,
    Section,
    answer_first,
    columns,
    figures,
    note,
    page,
    paragraph,
    section,
)
from promptlift.reporting.plot_files import Draw, drawing_into
from promptlift.reporting.plots import Axis, Line, bar_plot, interval_plot, line_plot, parallel_plot
from promptlift.reporting.wording import TIE, apart, difference, interval, listed
from promptlift.sweeping.results import FEWEST, named, results_of, short

_SHOWN = 12  # settings of a plot
_CURVES = 6  # colours
_TICKS, _APART = 5, 0.08


def write_page(
    folder: Path, output: Path | None = None, *, report: Callable[[str], None] = lambda line: None
) -> Path:
    """Write the page of a sweep as far as it has come, with every plot as PNG and SVG.

    Args:
        folder: of the sweep.
        output: folder for index.html and the plots; SWEEP/report unless given.
        report: takes lines of progress.

    Returns:
        The page.

    Raises:
        InputError: it is no folder of a sweep.
        MissingExtraError: the extras `sweep` and `report` are not installed.
    """
    found = results_of(folder)
    report(f"drawing the plots of {found['name']}")
    target = output or folder / "report"
    draw = drawing_into(target)
    sections = [
        _answer(found),
        _settings(found, draw),
        _parallel(found, draw),
        _importance(found, draw),
        _curves(found, draw),
        _trials(found, folder),
    ]
    path = target / "index.html"
    write_text(path, page(f"Sweep {found['name']}", sections))
    return path


def _answer(found: Mapping[str, Any]) -> Section:
    best, shares = found["best"], found["importance"]
    if best is None:
        return answer_first("No setting is complete yet.", [_done(found)])
    text = f"The best setting is {named(best['setting'])}: {found['metric']['title']} "
    text += interval(best) + (f" over {best['n']} seeds." if best["n"] > 1 else ".")
    most = f"Of the options, {_decided(shares)[0]} decides most." if shares else ""
    return answer_first(text, filter(None, [_how_surely(found), most, _done(found)]))


def _done(found: Mapping[str, Any]) -> str:
    """How many trials have come to an end, and how."""
    states = [one["state"] for one in found["trials"]]
    failed = sum(bool(one["error"]) for one in found["trials"])
    text = f"{len(states) - states.count('open')} of {found['planned']} trials are done"
    text += f", {pruned} of them ended early" if (pruned := states.count("pruned")) else ""
    return text + (f"; {failed} could not be done." if failed else ".")


def _decided(shares: Mapping[str, float]) -> list[str]:
    """The options with their importance, the one that decides most first."""
    return [f"{name.split('.', 1)[1]} ({share:.0%})"
            for name, share in sorted(shares.items(), key=lambda item: -item[1])]  # fmt: skip


def _how_surely(found: Mapping[str, Any]) -> str:
    """How far the next is from the best, and whether that is clear over the seeds."""
    others = [one for one in found["settings"] if one is not found["best"] and one["complete"]]
    if not others:
        return ""
    less = others[0]["less_best"]
    far = apart(less)
    text = f"The next best, {named(others[0]['setting'])}, is {far}"
    if less["low"] is None:
        return f"{text}. There is one seed, so you cannot tell luck from a better setting."
    if not far.startswith(TIE):
        clear = "is clear" if less["low"] * less["high"] > 0 else "is not clear"
        text += f"; that difference {clear} over the seeds"
    return (
        f"{text}. The best was picked from {len(others) + 1} complete settings, and the "
        "intervals do not allow for that."
    )


def _settings(found: Mapping[str, Any], draw: Draw) -> Section:
    title, names = found["metric"]["title"], list(_options(found))
    known = [one for one in found["settings"] if one["value"] is not None]
    rows = [(_values(one), one["value"], one["low"], one["high"])
            for one in known if one["low"] is not None]  # fmt: skip
    plot = draw(
        interval_plot, "settings", f"Settings, best first: {title}", rows[:_SHOWN], x=title,
        caption=f"Mean over seeds, and its 95% interval (Student's t). {_order(names)}",
    )  # fmt: skip
    cells: dict[str, Callable[[dict[str, Any]], object]] = {
        "rank": lambda one: found["settings"].index(one) + 1,
        **{name: _cell(name) for name in names},
        title: lambda one: "-" if one["value"] is None else interval(one),
        "seeds": lambda one: f"{one['n']} of {len(one['trials'])}",
        "from the best": lambda one: difference(one["less_best"]) if one["less_best"] else "-",
    }
    text = (
        "The mean is over seeds, in brackets is its 95% interval. Differences are paired: of each "
        "seed between the two settings. The best of many is a little lucky: to know its value, "
        "train it with seeds that chose nothing."
    )
    ends = [one["value"] for one in found["settings"] if one["complete"]]
    finding = f"{len(ends)} of {len(found['settings'])} settings are complete"
    finding += f"; the best has {ends[0]:.4g}, the worst {ends[-1]:.4g}." if len(ends) > 1 else "."
    return section(
        "Settings", note(text), columns(found["settings"], cells), figures([plot]), finding=finding
    )


def _parallel(found: Mapping[str, Any], draw: Draw) -> Section:
    """Parallel coordinates: a line a trial, across its options and what came of it."""
    metric, names = found["metric"], list(_options(found))
    trials = [one for one in found["trials"] if _end(one) is not None]
    axes = [_Places(name.split(".", 1)[1], [one["setting"][name] for one in found["trials"]])
            for name in names]  # fmt: skip
    ends = [value for one in trials if (value := _end(one)) is not None]
    if not trials:
        return section("Trials side by side", paragraph("No trial has a figure yet."))
    last = _Places(metric["title"], ends)
    best = set(found["best"]["trials"]) if found["best"] else set()
    lines = [
        ([*(axis.place(one["setting"][name]) for axis, name in zip(axes, names, strict=True)),
          last.place(end)],
         "best" if one["number"] in best else one["state"])
        for one, end in zip(trials, ends, strict=True)
    ]  # fmt: skip
    # What is coloured is drawn over what is not.
    lines.sort(key=lambda line: line[1] == "best")
    drawn = draw(
        parallel_plot, "parallel", f"{len(trials)} trials", lines,
        axes=[axis.drawn() for axis in (*axes, last)],
        caption="A line a trial: the values of its options and, at the right, what came of it. The "
        "best setting is coloured; trials that were ended early are dotted, at their last loss.",
    )  # fmt: skip
    finding = f"{len(ends)} trials have a figure, from {min(ends):.4g} to {max(ends):.4g}."
    return section("Trials side by side", drawn, finding=finding)


def _importance(found: Mapping[str, Any], draw: Draw) -> Section:
    shares = found["importance"]
    if shares is None:
        return section("Which options decide", paragraph(
            f"Needs two options or more and {FEWEST} complete trials."
        ))  # fmt: skip
    rows = sorted(shares.items(), key=lambda row: -row[1])
    drawn = draw(
        bar_plot, "importance", "Which options decide", [(name, 100 * one) for name, one in rows],
        x="importance, percent", form="{:.0f}%",
        caption="PED-ANOVA: how differently an option's values lie among the better half of the "
        "trials and among all.",
    )  # fmt: skip
    text = (
        "The importance holds for the values that were tried, and says nothing of how options work "
        "together. With few trials it is rough."
    )
    finding = f"{listed(_decided(shares))}."
    return section("Which options decide", note(text), figures([drawn]), finding=finding)


def _curves(found: Mapping[str, Any], draw: Draw) -> Section:
    """Losses of the best settings, of each its first trial."""
    trained = [
        (one, losses) for one in found["settings"][:_CURVES]
        if (losses := found["trials"][one["trials"][0]]["losses"])
    ]  # fmt: skip
    if not trained:
        return section("Loss after each epoch", paragraph("Nothing was trained."))
    lines = [Line(label=_values(one), x=list(range(1, len(losses) + 1)), y=losses)
             for one, losses in trained]  # fmt: skip
    drawn = draw(line_plot, "curves", "Loss after each epoch", lines, x="epoch",
                 y="loss on validation pairs",
                 caption=f"The best {len(lines)} settings, of each the first seed. "
                 f"{_order(list(_options(found)))}")  # fmt: skip
    first, losses = trained[0]
    known = [loss for loss in losses if math.isfinite(loss)]
    finding = f"{named(first['setting'])} ends at {known[-1]:.4g}." if known else ""
    return section("Loss after each epoch", figures([drawn]), finding=finding)


def _trials(found: Mapping[str, Any], folder: Path) -> Section:
    title = found["metric"]["title"]
    cells: dict[str, Callable[[dict[str, Any]], object]] = {
        "run folder": lambda one: f"trials/{one['number']:03d}",
        **{name: _cell(name) for name in _options(found)},
        "seed": lambda one: "-" if one["seed"] is None else one["seed"],
        "state": lambda one: one["error"] or one["state"],
        "epochs": lambda one: len(one["losses"]) or "-",
        title: lambda one: "-" if one["value"] is None else f"{one['value']:.5g}",
    }
    parts: list[Html] = [columns(found["trials"], cells)]
    ranked = [one["trials"][0] for one in found["settings"] if one["complete"]][:2]
    if len(ranked) == 2:
        runs = " ".join(str(folder / "trials" / f"{number:03d}") for number in ranked)
        parts.append(note(f"Any two of them can be compared: promptlift compare {runs}"))
    return section("Trials", *parts, finding=_done(found))


def _options(found: Mapping[str, Any]) -> Mapping[str, Any]:
    return found["trials"][0]["setting"] if found["trials"] else {}


def _values(one: Mapping[str, Any]) -> str:
    """A setting so short that it fits a plot."""
    return ", ".join(map(short, one["setting"].values()))


def _order(names: Sequence[str]) -> str:
    """What the values are that name a setting in a plot."""
    return f"Settings are named by {', '.join(names)}."


def _cell(option: str) -> Callable[[dict[str, Any]], str]:
    """What stands in the column of an option."""
    return lambda one: short(one["setting"][option])


def _end(trial: Mapping[str, Any]) -> float | None:
    """The value of a trial, or the loss at which it was ended."""
    if trial["state"] == "pruned" and trial["losses"]:
        return float(trial["losses"][-1])
    value: float | None = trial["value"]
    return value


class _Places:
    """Where values of an option lie between the ends of its axis."""

    def __init__(self, label: str, values: Sequence[Any]) -> None:
        self.label = label
        self.known = sorted({*values}, key=lambda one: (isinstance(one, str), one))
        self.numeric = all(isinstance(one, int | float) and not isinstance(one, bool)
                           for one in self.known)  # fmt: skip
        low, high = self.known[0], self.known[-1]
        self.log = self.numeric and low > 0 and high / low >= 10

    def place(self, value: Any) -> float:
        """From 0 to 1."""
        if len(self.known) == 1:
            return 0.5
        if not self.numeric:
            return self.known.index(value) / (len(self.known) - 1)
        scale = math.log if self.log else float
        low, high = scale(self.known[0]), scale(self.known[-1])
        return (scale(value) - low) / (high - low)

    def drawn(self) -> Axis:
        """The axis with its values, or with some of them where they are many."""
        shown = self.known
        if len(shown) > _TICKS:
            places = [at / (_TICKS - 1) for at in range(_TICKS)]
            nearest = [min(self.known, key=lambda one: abs(self.place(one) - at)) for at in places]
            shown = []
            for one in nearest:  # texts need room
                if not shown or self.place(one) - self.place(shown[-1]) > _APART:
                    shown.append(one)
        return Axis(label=self.label, ticks=[(self.place(one), short(one)) for one in shown])
