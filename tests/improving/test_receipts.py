"""Receipts as text for other tools."""

from promptlift.improving.improver import Improver
from promptlift.improving.receipts import a1111_text, parse_a1111_parameters


def test_a1111_reads_back_what_is_pasted(bundled: Improver) -> None:
    source = "a cat, (in armor:1.2)"
    [result] = bundled.improve(source, seed=3, negative="blurry, text")
    prompt, negative, settings = parse_a1111_parameters(a1111_text(result))
    assert (prompt, negative) == (result.prompt, "blurry, text")
    assert (settings["Seed"], settings["promptlift source"]) == ("3", source)
