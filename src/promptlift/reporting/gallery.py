"""The gallery: pairs of pictures side by side, with prompts, scores and verdicts.

Thumbnails are in the page, whole pictures beside it. Without a script all pairs are listed and a
click opens the picture; `gallery.js` adds choosing, sorting and the viewer.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from pathlib import Path

from promptlift.reporting.page import Html, Section, columns, escape, join, note, paragraph, section
from promptlift.reporting.picture_data import PictureData, ShownPair
from promptlift.reporting.prompt_marks import marked_prompt
from promptlift.reporting.thumbnails import Thumbnails
from promptlift.reporting.wording import spread

# At about 10 kB a thumbnail a page of so many pairs has about 8 MB.
MOST_PAIRS = 300
_FEW = 20  # pairs that are "best" or "worst", or a quarter of all where those are fewer

Report = Callable[[str], None]


def gallery(
    shown: PictureData,
    folder: Path,
    *,
    most: int = MOST_PAIRS,
    report: Report = lambda line: None,
) -> Section:
    """The section; the page that it goes into needs `gallery.css` and `gallery.js`.

    Args:
        shown: the pictures, with at least one pair.
        folder: where the page will be.
        most: pairs on the page; `choose` says which.
        report: takes a line for each picture that cannot be read.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    chosen = choose(shown.pairs, most)
    metrics = [name for name in shown.metrics if any(name in pair.gains for pair in chosen)]
    thumbnails = Thumbnails(folder)
    cards = [_card(shown, pair, metrics, thumbnails) for pair in chosen]
    for trouble in thumbnails.faults:
        report(trouble)
    return section(
        "Gallery",
        paragraph(_about(shown, len(chosen))),
        _controls(shown, chosen, metrics),
        Html(f"<div class=pairs id=pairs>{join(cards)}</div>"),
        _VIEWER,
        finding=f"{len(chosen):,} pairs of pictures side by side, with prompts, scores and "
                "verdicts.",
    )  # fmt: skip


def choose(pairs: Sequence[ShownPair], most: int) -> list[ShownPair]:
    """At most so many pairs, in their order.

    Half of them are those that the filters look for: by turns the best and the worst of each
    metric, and the pairs that metrics disagree about most. The others stand at equal distances
    through the rest, so that ordinary pairs are seen too.
    """
    if len(pairs) <= most:
        return list(pairs)
    wanted = [*islice(dict.fromkeys(_notable(pairs)), most // 2)]
    others = [place for place in range(len(pairs)) if place not in wanted]
    return [pairs[place] for place in sorted({*wanted, *spread(others, most - len(wanted))})]


def _notable(pairs: Sequence[ShownPair]) -> Iterator[int]:
    """Places of pairs: the best and worst by each metric and most disagreeing, by turns."""
    orders = []
    for name in dict.fromkeys(name for pair in pairs for name in pair.gains):
        having = [place for place, pair in enumerate(pairs) if name in pair.gains]
        rising = sorted(having, key=lambda place: pairs[place].gains[name])
        orders += [reversed(rising), iter(rising)]
    far = [(pair.disagreement or 0.0, -place) for place, pair in enumerate(pairs)]
    orders.append(-place for distance, place in sorted(far, reverse=True) if distance > 0)
    for turn in zip_longest(*orders):
        yield from (place for place in turn if place is not None)


def _about(shown: PictureData, count: int) -> str:
    total = len(shown.pairs)
    prompts = len({pair.improved.prompt_index for pair in shown.pairs})
    of = f"All {total:,} pairs" if count == total else f"{count:,} of {total:,} pairs"
    text = (
        f"{of} of {prompts:,} prompts; the two pictures of a pair share their noise. "
        "Marked: words that were added. Struck out: words of the original prompt that were lost. "
        "A click shows the pictures in full size."
    )
    if count == total:
        return text
    return (
        f"{text} The other {total - count:,} pairs are left out to keep the page small: half of "
        "those shown are the best and worst by each metric and those that metrics disagree about "
        "most, and the others are evenly spaced. All pictures are in the folder pictures."
    )


def _card(
    shown: PictureData, pair: ShownPair, metrics: Sequence[str], thumbnails: Thumbnails
) -> Html:
    gains = [pair.gains.get(name) for name in metrics]
    choice = str(pair.verdict["choice"]) if pair.verdict else ""
    far = "" if pair.disagreement is None else f"{pair.disagreement:.4f}"
    one = pair.improved
    place = f"prompt {one.prompt_index}, seed {one.seed}"
    if any(other.improved.variant for other in shown.pairs):
        place += f", variant {one.variant}"
    pictures = [
        (side, picture, thumbnails.markup(picture, f"{side} picture: {picture.prompt}"))
        for side, picture in (("original", pair.original), ("improved", pair.improved))
    ]
    figures = "".join(
        f'<figure><a class=whole href="{escape(thumbnails.address(picture))}" '
        f"data-side={side}>{image}</a><figcaption>{side}{_blank(pair, at)}</figcaption></figure>"
        for at, (side, picture, image) in enumerate(pictures)
    )
    return Html(
        f'<article class=pair id=pair-{pair.number} data-gains="{escape(json.dumps(gains))}" '
        f'data-far="{far}" data-choice="{escape(choice)}">'
        f"<h3><a href=#pair-{pair.number}>Pair {pair.number}</a> "
        f"<small>{escape(place)}</small></h3>"
        f"<div class=two>{figures}</div>"
        f"<div class=about>{_prompts(pair)}{_judged(shown, pair)}{_scores(shown, pair)}</div>"
        "</article>"
    )


def _blank(pair: ShownPair, side: int) -> str:
    return ", near-blank" if pair.values.get("near_blank", (0, 0))[side] else ""


def _prompts(pair: ShownPair) -> Html:
    source, prompt = pair.improved.source, pair.improved.prompt
    same = " <small>(unchanged)</small>" if source == prompt else ""
    return Html(
        f"<dl><dt>original prompt</dt><dd dir=auto>{escape(source)}</dd>"
        f"<dt>improved prompt{same}</dt><dd dir=auto>{marked_prompt(source, prompt)}</dd></dl>"
    )


def _judged(shown: PictureData, pair: ShownPair) -> Html:
    lines = []
    if pair.verdict:
        choice, reason = pair.verdict["choice"], shown.titled(pair.verdict["reason"])
        lines.append(f"Verdict: use the {choice} prompt ({reason}).")
    if pair.disagreement is not None:
        least, *_, greatest = sorted(pair.ranks, key=pair.ranks.__getitem__)
        ends = [
            f"{100 * pair.ranks[name]:.0f} by {shown.title(name)}" for name in (greatest, least)
        ]
        lines.append(f"The gain of this pair, as a percentile among all pairs: {', '.join(ends)}.")
    return join(map(note, lines))


def _scores(shown: PictureData, pair: ShownPair) -> Html:
    """A table of those values that are opinions of the picture, and the others folded."""
    cells: dict[str, Callable[[str], object]] = {
        "": shown.title,
        "original": lambda name: figure_text(pair.values[name][0]),
        "improved": lambda name: figure_text(pair.values[name][1]),
        "difference": lambda name: figure_text(_difference(*pair.values[name]), "+"),
    }
    more = columns([name for name in pair.values if name not in pair.ranks], cells)
    found = (f"{shown.title(name)} {figure_text(v)}" for name, v in pair.of_pair.items())
    return join([
        columns([name for name in pair.values if name in pair.ranks], cells),
        note(f"{'; '.join(found)}.") if pair.of_pair else None,
        Html(f"<details><summary>More scores</summary>{more}</details>") if more else None,
    ])  # fmt: skip


def _difference(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else second - first


def figure_text(value: float | None, sign: str = "") -> str:
    """A figure to four digits at most, and no more than four after the point; "-" for none."""
    if not value:
        return "-" if value is None else "0"
    digits = 3 - math.floor(math.log10(abs(value)))
    return f"{value:{sign},.{min(4, max(0, digits))}f}"


def _controls(shown: PictureData, chosen: Sequence[ShownPair], metrics: Sequence[str]) -> Html:
    """What to show and in which order; without a script it stays hidden, as it would do nothing."""
    few = min(_FEW, math.ceil(len(chosen) / 4))
    shows, orders = {"all": "all"}, {"number": "prompt"}
    if metrics:
        shows |= {"best": f"best {few}", "worst": f"worst {few}"}
        orders |= {"rise": "greatest gain first", "fall": "smallest gain first"}
    if len(shown.opinions) > 1:
        shows["far"] = f"largest disagreement {few}"
        orders["far"] = "largest disagreement first"
    verdicts = sorted({str(pair.verdict["choice"]) for pair in chosen if pair.verdict})
    shows |= {f"choice:{name}": f"verdict: {name}" for name in verdicts}
    radios = "".join(
        f'<label><input type=radio name=show value="{escape(value)}"'
        f"{' checked' if value == 'all' else ''}> {escape(label)}</label>"
        for value, label in shows.items()
    )
    by_metric = {str(place): shown.title(name) for place, name in enumerate(metrics)}
    several = len(shows) > 1
    return Html(
        f"<form id=choose data-few={few} hidden>"
        f"{f'<fieldset><legend>Show</legend>{radios}</fieldset>' if several else ''}"
        f"<p>{_select('gain in', 'metric', by_metric)} "
        f"{_select('order', 'order', orders if several else {})} "
        f"<output id=count aria-live=polite></output></p>"
        "<p class='note keys'>Keys: J or → next pair, K or ← previous pair, Enter opens, Escape "
        "closes. The address of a pair ends in #pair- and its number.</p></form>"
    )


def _select(label: str, name: str, choices: Mapping[str, str]) -> str:
    options = "".join(f"<option value={value}>{escape(text)}</option>"
                      for value, text in choices.items())  # fmt: skip
    return f"<label>{label} <select name={name}>{options}</select></label>" if options else ""


_VIEWER = Html(
    "<dialog id=viewer aria-labelledby=viewer-title><div class=bar><h3 id=viewer-title></h3>"
    "<button type=button data-go=-1>‹ Previous</button>"
    "<button type=button data-go=1>Next ›</button>"
    "<button type=button data-go=0>Close</button></div>"
    "<div class=two></div><div class=about></div></dialog>"
)
