"""The shell of every page: one HTML file that needs no network, and no script to be read.

Sections that have a finding begin with it and are folded; contents stand beside the page.

Markup is of type `Html`, text is not: what comes from prompts and files goes through `escape`, and
mypy refuses a string that did not.
"""

import base64
import hashlib
import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import NewType, TypeVar

Html = NewType("Html", str)
NOTHING = Html("")
Item = TypeVar("Item")

# A page may be opened beside others' files: it loads nothing, whatever it comes to hold. Our own
# scripts alone run, and pictures beside the page are shown where there is a script for them.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
# Left in, they would make a page that is no text, or that cannot be encoded.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Section:
    """A part of a page, with a heading that the contents lead to.

    Attributes:
        title: plain text.
        body: markup: what the functions of this module give, or the caller's own.
        finding: what the body says, in a line of plain text. The body is folded below it; without
            a finding it stands open.
    """

    title: str
    body: Html
    finding: str = ""


def page(
    title: str,
    sections: Sequence[Section],
    *,
    lead: Html | None = None,
    style: str = "",
    script: str = "",
) -> str:
    """A whole page as text.

    Args:
        title: plain text, shown as heading.
        sections: in their order.
        lead: stands between heading and contents.
        style: CSS beside that of every page.
        script: JavaScript of ours, without any text from elsewhere. A page that has one may also
            show pictures beside it.
    """
    heading, several = escape(title), len(sections) > 1
    places = {f"part-{number}": part for number, part in enumerate(sections, 1)}
    parts = "".join(map(_part, places, sections))
    scripts = [asset("page.js")] * several + [script] * bool(script)
    policy = _POLICY + (" 'self' file:" if script else "")
    if scripts:
        policy += f"; script-src {' '.join(map(_hash, scripts))}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{heading}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{asset('page.css')}{style}</style></head>\n"
        f"<body>{_contents(places) if several else NOTHING}"
        f"<main><h1 dir=auto>{heading}</h1>\n{lead or ''}{parts}</main>"
        + "".join(f"<script>{one}</script>" for one in scripts)
        + "</body></html>\n"
    )


def _part(place: str, part: Section) -> str:
    body: str = part.body
    if part.finding:
        body = f"<p class=finding dir=auto>{escape(part.finding)}</p>\n" + _around(
            f"<details><summary>{_held(body)}</summary>\n", body, "</details>"
        )
    return f'<section id="{place}"><h2>{escape(part.title)}</h2>\n{body}</section>\n'


def _held(body: str) -> str:
    """What a folded body holds, such as "2 tables, 1 plot"."""
    marks = {"pair": "<article"} if "<article" in body else {"table": "<table", "plot": "<svg"}
    counts = {what: body.count(mark) for what, mark in marks.items()}
    said = [f"{count} {what}{'s' * (count > 1)}" for what, count in counts.items() if count]
    return ", ".join(said) or "Details"


def _contents(places: Mapping[str, Section]) -> Html:
    """Beside the page where there is room, otherwise a menu above it, which needs no script."""
    links = "".join(
        f'<li><a href="#{place}">{escape(part.title)}</a></li>' for place, part in places.items()
    )
    return Html(
        f'<a class=skip href="#{next(iter(places))}">Skip the contents</a>\n'
        "<nav aria-label=Contents><button type=button popovertarget=contents>Contents</button>"
        f"<ul id=contents popover>{links}</ul>"
        "<button type=button id=unfold hidden></button></nav>\n"
    )


def _hash(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def asset(name: str) -> str:
    """A style sheet or script that lies beside this module."""
    return (files("promptlift.reporting") / name).read_text(encoding="utf-8")


def escape(text: object) -> Html:
    """Any text as markup that shows it and does nothing else."""
    return Html(html.escape(printable(str(text))))


def printable(text: str) -> str:
    """A text without what neither HTML nor SVG can hold: control characters, lone surrogates."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def section(title: str, *parts: Html | None, finding: str = "") -> Section:
    """A section of the parts that hold something."""
    return Section(title, join(parts), finding)


def answer_first(first: str, others: Iterable[str] = (), *parts: Html | None) -> Section:
    """The section that a page begins with: the answer, and below it what belongs to it.

    Args:
        first: the answer, plain text.
        others: plain lines below it.
        parts: markup after them.
    """
    answer = Html(f"<p class=answer>{escape(first)}</p>")
    return section("The answer", answer, bullets(others), *parts)


def subsection(title: str, *parts: Html | None) -> Html:
    """A heading and the parts that hold something; nothing where none does."""
    body = join(parts)
    return join([Html(f"<h3>{escape(title)}</h3>"), body]) if body else NOTHING


def join(parts: Iterable[Html | None]) -> Html:
    """The parts that hold something, one after another."""
    return Html("\n".join(part for part in parts if part))


def paragraph(text: str) -> Html:
    """A paragraph of plain text."""
    return Html(f"<p>{escape(text)}</p>")


def note(text: str) -> Html:
    """A paragraph of plain text, smaller and paler."""
    return Html(f"<p class=note>{escape(text)}</p>")


def bullets(lines: Iterable[str]) -> Html:
    """A list of plain lines; nothing without any."""
    return _around("<ul>", "".join(f"<li>{escape(line)}</li>" for line in lines), "</ul>")


def table(
    rows: Iterable[Sequence[object]], header: Sequence[object] = (), *, numbers: bool = False
) -> Html:
    """A table of plain text that scrolls by itself where it is wider than the page.

    Without rows there is no table.

    Args:
        rows: their first cells name them.
        header: names of the columns.
        numbers: all cells but the first of a row are figures, set to the right.
    """
    head = "".join(f"<th scope=col>{escape(cell)}</th>" for cell in header)
    body = "".join(
        f"<tr><th scope=row dir=auto>{escape(first)}</th>"
        + "".join(f"<td dir=auto>{escape(cell)}</td>" for cell in rest)
        + "</tr>\n"
        for first, *rest in rows
    )
    # A keyboard can scroll what it can reach.
    return _around(
        f"<div class=scroll tabindex=0><table{' class=numbers' if numbers else ''}>"
        + (f"<thead><tr>{head}</tr></thead>" if head else "")
        + "<tbody>",
        body,
        "</tbody></table></div>",
    )


def columns(items: Iterable[Item], cells: Mapping[str, Callable[[Item], object]]) -> Html:
    """A table of figures with a row an item: by header, what stands in its column."""
    return table([[cell(item) for cell in cells.values()] for item in items], [*cells],
                 numbers=True)  # fmt: skip


def facts(values: Mapping[str, object]) -> Html:
    """Names and values, in columns where there is room; values that are not known are left out."""
    rows = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in values.items()
        if value not in (None, "")
    )
    return _around("<dl class=facts>", "".join(rows), "</dl>")


def beside(parts: Iterable[Html]) -> Html:
    """Parts side by side where there is room, such as narrow tables."""
    found = "".join(f"<div>{part}</div>" for part in parts if part)
    return _around("<div class=beside>", found, "</div>")


def figure(drawing: Html, caption: str = "") -> Html:
    """A drawing with what it shows."""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return Html(f"<figure>{drawing}{below}</figure>")


def figures(found: Iterable[Html]) -> Html:
    """Figures side by side where there is room; nothing without any."""
    return _around("<div class=plots>", "".join(found), "</div>")


def cards(found: Iterable[Iterable[tuple[str, str]]]) -> Html:
    """Small groups of named texts, such as a prompt and what became of it."""
    lists = (
        "".join(f"<dt>{escape(name)}</dt><dd dir=auto>{escape(text)}</dd>" for name, text in card)
        for card in found
    )
    return _around("<div class=cards>", "".join(f"<dl>{card}</dl>" for card in lists), "</div>")


def _around(start: str, body: str, end: str) -> Html:
    """Markup around what stands in it; nothing around nothing."""
    return Html(start + body + end) if body else NOTHING
