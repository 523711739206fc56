"""The shell of every page: one HTML file that needs no network, and no script to be read.

Markup is of type `Html`, text is not: what comes from prompts and files goes through `escape`, and
mypy refuses a string that did not.
"""

import base64
import hashlib
import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NewType, TypeVar

Html = NewType("Html", str)
NOTHING = Html("")
Item = TypeVar("Item")

# A page may be opened beside others' files: it loads nothing, whatever it comes to hold. Where it
# has a script, that one alone runs, and pictures beside the page are shown.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
# Left in, they would make a page that is no text, or that cannot be encoded.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --muted: #5c6670; --line: #d5dae0;
  --shade: #f4f6f8; --plot-1: #0072b2; --plot-2: #d55e00; --plot-3: #009e73; --plot-4: #cc79a7;
  --plot-5: #e69f00; --plot-6: #56b4e9; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 76rem;
  padding: 1.5rem 1rem 3rem; color: var(--ink); background: var(--paper);
  overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: .75rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
p, ul { max-width: 46rem; margin: .5rem 0; }
nav { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; margin: 1rem 0 0; }
nav a { padding: .25rem 0; } a { color: inherit; text-underline-offset: .2em; }
.note, figcaption, .cards dt { color: var(--muted); font-size: .875rem; }
.scroll { overflow-x: auto; max-width: 100%; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .9375rem; }
td, th { padding: .25rem 1rem .25rem 0; text-align: left; vertical-align: top; }
thead th { border-bottom: 1px solid var(--muted); vertical-align: bottom; }
tbody th { font-weight: inherit; } .numbers tbody th { min-width: 8.5rem; }
tbody tr + tr > * { border-top: 1px solid var(--line); }
.numbers td, .numbers thead th + th { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.facts { columns: 20rem; column-gap: 2.5rem; margin: .75rem 0; }
.facts div { display: flex; gap: 1rem; justify-content: space-between; padding: .2rem 0;
  border-bottom: 1px solid var(--line); break-inside: avoid; }
.facts div > :last-child { text-align: right; overflow-wrap: anywhere; }
.beside { display: flex; flex-wrap: wrap; gap: 0 3rem; align-items: start; }
.beside > div { max-width: 100%; }
.plots { display: grid; gap: 1.5rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); }
figure { margin: 0; break-inside: avoid; max-width: 34rem; }
figure svg { display: block; width: 100%; height: auto; color: var(--ink); }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
.cards { display: grid; gap: .75rem; margin: .75rem 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 28rem), 1fr)); }
.cards dl { margin: 0; padding: .6rem .9rem; background: var(--shade); border-radius: .4rem;
  break-inside: avoid; }
.facts, .facts dd { margin-left: 0; } .facts dt { color: var(--muted); }
.cards dd { margin: 0 0 .4rem; white-space: pre-wrap; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --paper: #15181c; --muted: #a3adb8;
  --line: #353c44; --shade: #1f242a; --plot-1: #3d9fe0; --plot-2: #f0793a; --plot-3: #22bd92;
  --plot-4: #d891b8; --plot-6: #9ad4f5; } }
@media print { :root { color-scheme: light; --ink: #000; --paper: #fff; --muted: #444;
  --line: #bbb; --shade: #fff; --plot-1: #0072b2; --plot-2: #d55e00; --plot-3: #009e73;
  --plot-4: #cc79a7; --plot-6: #56b4e9; } body { font-size: 10pt; max-width: none; padding: 0; }
  nav { display: none; } h2, h3 { break-after: avoid; }
  .plots { grid-template-columns: 1fr 1fr; gap: 1rem; }
  .cards { grid-template-columns: 1fr; } .cards dl { border: 1px solid var(--line); }
  .scroll { overflow: visible; } table { font-size: 8pt; } .numbers td { white-space: normal; }
  tr { break-inside: avoid; } @page { margin: 15mm; } }
"""


@dataclass(frozen=True)
class Section:
    """A part of a page, with a heading that the contents lead to.

    Attributes:
        title: plain text.
        body: markup: what the functions of this module give, or the caller's own.
    """

    title: str
    body: Html


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
    heading = escape(title)
    places = [f"part-{number}" for number, _ in enumerate(sections, 1)]
    contents = "".join(
        f'<a href="#{place}">{escape(section.title)}</a>'
        for place, section in zip(places, sections, strict=True)
    )
    parts = "".join(
        f'<section id="{place}"><h2>{escape(section.title)}</h2>\n{section.body}</section>\n'
        for place, section in zip(places, sections, strict=True)
    )
    policy = _POLICY
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy += f" 'self' file:; script-src 'sha256-{digest}'"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{heading}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}{style}</style></head>\n"
        f"<body><main><h1 dir=auto>{heading}</h1>\n{lead or ''}"
        + (f"<nav>{contents}</nav>\n" if len(sections) > 1 else "")
        + f"{parts}</main>{f'<script>{script}</script>' if script else ''}</body></html>\n"
    )


def escape(text: object) -> Html:
    """Any text as markup that shows it and does nothing else."""
    return Html(html.escape(printable(str(text))))


def printable(text: str) -> str:
    """A text without what neither HTML nor SVG can hold: control characters, lone surrogates."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def section(title: str, *parts: Html | None) -> Section:
    """A section of the parts that hold something."""
    return Section(title, join(parts))


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
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return Html(f"<ul>{items}</ul>") if items else NOTHING


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
    if not body:
        return NOTHING
    # A keyboard can scroll what it can reach.
    return Html(
        f"<div class=scroll tabindex=0><table{' class=numbers' if numbers else ''}>"
        + (f"<thead><tr>{head}</tr></thead>" if head else "")
        + f"<tbody>{body}</tbody></table></div>"
    )


def columns(items: Iterable[Item], cells: Mapping[str, Callable[[Item], object]]) -> Html:
    """A table of figures with a row an item: by header, what stands in its column."""
    return table([[cell(item) for cell in cells.values()] for item in items], [*cells],
                 numbers=True)  # fmt: skip


def facts(values: Mapping[str, object]) -> Html:
    """Names and values, in columns where there is room; values that are not known are left out."""
    rows = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in values.items()
        if value not in (None, "")
    )
    return Html(f"<dl class=facts>{rows}</dl>") if rows else NOTHING


def beside(parts: Iterable[Html]) -> Html:
    """Parts side by side where there is room, such as narrow tables."""
    found = "".join(f"<div>{part}</div>" for part in parts if part)
    return Html(f"<div class=beside>{found}</div>") if found else NOTHING


def figure(drawing: Html, caption: str = "") -> Html:
    """A drawing with what it shows."""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return Html(f"<figure>{drawing}{below}</figure>")


def figures(found: Iterable[Html]) -> Html:
    """Figures side by side where there is room; nothing without any."""
    drawn = "".join(found)
    return Html(f"<div class=plots>{drawn}</div>") if drawn else NOTHING


def cards(found: Iterable[Iterable[tuple[str, str]]]) -> Html:
    """Small groups of named texts, such as a prompt and what became of it."""
    lists = (
        "".join(f"<dt>{escape(name)}</dt><dd dir=auto>{escape(text)}</dd>" for name, text in card)
        for card in found
    )
    drawn = "".join(f"<dl>{card}</dl>" for card in lists)
    return Html(f"<div class=cards>{drawn}</div>") if drawn else NOTHING
