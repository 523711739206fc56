"""How improvements are shown: as JSON, as plain lines, or with additions marked on a terminal."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from promptlift.cli.door import say
from promptlift.prompts.clip_tokens import CLIP_BUDGET
from promptlift.prompts.picture_models.encoders import TITLES


def aligned(rows: Sequence[Sequence[str]], *, right: bool = False) -> list[str]:
    """Rows as lines with their columns below each other, all but the first to the right or not."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if right and place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def printer(*, as_json: bool) -> Callable[[list[dict[str, Any]]], None]:
    """Prints the variants of a prompt, or its error, as `improve_items` gives them."""
    draw = _coloured() if sys.stdout.isatty() and not as_json else _plain

    def show(objects: list[dict[str, Any]]) -> None:
        for item in objects:
            if as_json:
                # ASCII escapes survive any terminal and any encoding of a pipe.
                unicode = sys.stdout.encoding.lower().startswith("utf")
                print(json.dumps(item, ensure_ascii=not unicode))
            elif "error" in item:
                place = (
                    f"prompt {item['index']}" if item["line"] is None else f"line {item['line']}"
                )
                say(f"{place}: {item['error']}")
            else:
                draw(item)
                for note in item["notes"]:
                    if not note.startswith("drawn again"):
                        say(f"{item['source'][:40]}: {note}")

    return show


def _plain(item: dict[str, Any]) -> None:
    print(item["prompt"])  # with its line breaks: a comment ends with its line


def _coloured() -> Callable[[dict[str, Any]], None]:
    """Prints to a terminal, with additions in colour and a meter of the budget."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)

    def draw(item: dict[str, Any]) -> None:
        text = Text(item["prompt"])
        for start, end in _places(item):
            text.stylize("bold green", start, end)
        settings = item["settings"]
        checks = item["checks"]
        if "encoder" in checks:
            tokens, limit = checks["encoder_tokens"], checks["encoder_limit"]
            unit = f"{TITLES[checks['encoder']]} tokens"
            said = meter(tokens, limit) if limit else f"{tokens} {unit}"
        else:
            limit = (settings["max_prompt_tokens"] or CLIP_BUDGET) * settings["chunks"]
            tokens = item["clip_tokens"]
            bound = settings["form"] != "paragraph"
            said = meter(tokens, limit) if bound else f"{tokens} CLIP tokens"
        console.print(text, Text(f" {said}", "dim"))

    return draw


def meter(tokens: int, limit: int) -> str:
    """How full the budget is, in ten steps: ▰▰▱▱▱▱▱▱▱▱ 16/75."""
    full = min(10, -(-10 * tokens // limit))
    return f"{'▰' * full}{'▱' * (10 - full)} {tokens}/{limit}"


def _places(item: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """Where the additions stand in a prompt: from where it parts from its source."""
    source, prompt = item["source"], item["prompt"]
    start = 0
    if item["mode"] == "extend":
        pairs = enumerate(zip(source, prompt, strict=False))
        start = next((i for i, (a, b) in pairs if a != b), min(len(source), len(prompt)))
    for phrase in item["additions"]:
        found = prompt.find(phrase, start)
        if found >= 0:
            start = found + len(phrase)
            yield found, start
