"""Results as HTML, as notebooks show them where the last line of a cell is a result."""

import base64
import html
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


def escape(text: object) -> str:
    """Any text as markup that shows it and does nothing else."""
    # A notebook is a file in UTF-8, which has no lone surrogates.
    return html.escape(str(text).encode("utf-8", "replace").decode("utf-8"))


def marked(prompt: str, additions: Sequence[str], source: str) -> str:
    """A prompt with the additions that stand in it, in their order, in `<mark>`.

    Args:
        prompt: the whole prompt.
        additions: phrases or sentences of it.
        source: where the prompt begins with it, nothing in it is marked.
    """
    at = len(source) if prompt.startswith(source) else 0
    parts = [escape(prompt[:at])]
    for addition in additions:
        found = prompt.find(addition, at)
        if addition and found >= 0:
            parts += escape(prompt[at:found]), f"<mark>{escape(addition)}</mark>"
            at = found + len(addition)
    return "".join([*parts, escape(prompt[at:])])


def with_facts(head: str, facts: Iterable[tuple[str, object]]) -> str:
    """Markup, and beneath it a line for each fact that there is: its name and its text."""
    lines = (f"<small>{escape(name)}: {escape(text)}</small><br />" for name, text in facts if text)
    return f"<div><p>{head}</p>{''.join(lines)}</div>"


def figure(image: "Image", caption: str, facts: Iterable[tuple[str, object]] = ()) -> str:
    """A picture of at most its own size, with a caption and facts beneath."""
    with io.BytesIO() as file:
        image.save(file, "PNG")
        data = base64.b64encode(file.getvalue()).decode()
    return (
        f'<figure style="margin: 0 1em 1em 0; max-width: {image.width}px; flex: 1 1 0">'
        f'<img style="width: 100%" alt="{escape(caption)}" src="data:image/png;base64,{data}" />'
        f"<figcaption>{with_facts(escape(caption), facts)}</figcaption></figure>"
    )


def side_by_side(*figures: str) -> str:
    """Figures in a row."""
    return f'<div style="display: flex; align-items: start">{"".join(figures)}</div>'
