"""How pages write figures, intervals, p values, metrics, and what these were measured with."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from promptlift.prompts.noun_phrases import listed as listed
from promptlift.reporting.run_files import Row, finite

_KINDS = {"bertscore": "BERTScore", "meteor": "METEOR"}
TIE = "as good"
Item = TypeVar("Item")
Ends = tuple[float, float, float]


def spoken(metric: str) -> str:
    """The name of a metric or option in words."""
    return metric.replace("_", " ")


def short_title(title: str) -> str:
    """A title without its brackets, for an axis of a plot that has the whole title."""
    return title.split(" (")[0]


def interval(score: Row) -> str:
    """A value with its interval, to two digits of half the interval: 0.207 (0.199 to 0.215)."""
    low, high = finite(score.get("low")), finite(score.get("high"))
    if low is None or high is None or low >= high:
        return f"{score['value']:.4g}"
    value = abs(score["value"]) or 1.0
    most = max(4, 1 - math.floor(math.log10(value)))
    places = min(most, max(0, 1 - math.floor(math.log10((high - low) / 2))))
    return f"{score['value']:.{places}f} ({low:.{places}f} to {high:.{places}f})"


def difference(row: Row) -> str:
    """The difference of two sides with its interval."""
    return interval({**row, "value": row["difference"]})


def apart(row: Row) -> str:
    """How far one side is from the other, in that direction: 0.120 higher (0.052 to 0.188).

    Where the difference, as it is shown, is 0: as good (-0.020 to 0.020).
    """
    lower = row["difference"] < 0
    if lower:
        low, high = (None if row[end] is None else -row[end] for end in ("high", "low"))
        row = {"difference": -row["difference"], "low": low, "high": high}
    value, *brackets = difference(row).split(" ", 1)
    far = f"{value} {'lower' if lower else 'higher'}" if float(value) else TIE
    return " ".join([far, *brackets])


def interval_or_dash(score: Row | None) -> str:
    """`interval`, or a dash where there is no score."""
    return "-" if score is None else interval(score)


def percent(score: Row) -> str:
    """A share with its interval, in percent."""
    return f"{score['value']:.0%} ({score['low']:.0%} to {score['high']:.0%})"


def p_text(p: float) -> str:
    """A p value as people read it."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def ends(score: Mapping[str, Any], scale: float = 1.0) -> Ends:
    """Value and interval of a score, to be plotted; a scale of 100 gives percent."""
    return scale * score["value"], scale * score["low"], scale * score["high"]


def counts(numbers: Iterable[int | None]) -> str:
    """The different sizes of samples that are known, such as "98/100"."""
    return "/".join(map(str, sorted({n for n in numbers if n is not None})))


def counted(count: int, thing: str) -> str:
    """A number of things: "1 pair", "1,234 pairs"."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many items, at equal distances, so that nobody picks them."""
    count = min(most, len(items))
    return [items[place * len(items) // count] for place in range(count)]


def measured_with(score: Row) -> str:
    """What a score depends on besides the texts, in words; empty where there is nothing to note."""
    settings = score.get("settings") or {}
    said = []
    if "encoder" in settings:
        said.append(f"encoder {settings['encoder']}, layer {settings.get('layer', 'not recorded')}")
    if settings.get("wordnet") is False:
        said.append(f"{settings.get('matches', 'exact and stem only')}, as WordNet was not found")
    if settings.get("note"):
        said.append(str(settings["note"]))
    return "; ".join(said)


def all_measured_with(scores: Iterable[Row], titles: Mapping[str, str]) -> list[str]:
    """A line for each way of measuring, which begins with the metrics that were measured so."""
    noted: dict[str, dict[str, None]] = {}
    for score in scores:
        if said := measured_with(score):
            name = str(score["metric"])
            kind = next((title for start, title in _KINDS.items() if name.startswith(start)), None)
            noted.setdefault(said, {})[kind or titles.get(name, name)] = None
    return [f"{', '.join(names)}: {said}." for said, names in noted.items()]


def sentence(said: str) -> str:
    """Words as a sentence that follows others; empty where there are none."""
    return f" {said[0].upper()}{said[1:]}." if said else ""
