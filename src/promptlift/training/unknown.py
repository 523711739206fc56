"""Characters of training pairs that a tokenizer does not know, so that no model learns them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from promptlift.records import Pair

if TYPE_CHECKING:
    from promptlift.training.models import Start

WARNED_SHARE = 0.01  # of the pairs, from which the report is a warning
_NAMED = 5
_LINE_BREAKS = "\n\r\v\f\x85\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}"


@dataclass(frozen=True)
class Unknown:
    """What a tokenizer does not know.

    Attributes:
        pairs: number of pairs that were looked at.
        affected: how many of them hold such a character.
        characters: in how many pairs each stands, by its name.
    """

    pairs: int
    affected: int
    characters: Counter[str]

    def line(self) -> str | None:
        """For people; None where there is nothing to say."""
        if not self.affected:
            return None
        share = self.affected / self.pairs
        named = ", ".join(f"{name} in {count}" for name, count in _commonest(self.characters))
        more = len(self.characters) - _NAMED
        return (
            f"{'warning: ' if share >= WARNED_SHARE else ''}the tokenizer does not know characters "
            f"in {self.affected} of {self.pairs} pairs ({share:.1%}): {named}"
            f"{f' and {more} others' if more > 0 else ''}. The model will not write them; take "
            "them out of the pairs, or train a model whose tokenizer has them."
        )


def unknown_characters(pairs: Sequence[Pair], start: "Start") -> Unknown:
    """Characters that the model's tokenizer gives as unknown, or drops.

    T5 has no `{`, `<` or `~`, and reads a line break as a blank. Characters that it writes in
    another way, as a half or a wide letter, and other blanks are no loss.
    """
    held = [{*pair.source, *pair.target} for pair in pairs]
    lost = _lost(sorted(set().union(*held)), start)
    affected, characters = 0, Counter[str]()
    for chars in held:
        names = {_name(char) for char in chars & lost}
        affected += bool(names)
        characters.update(names)
    return Unknown(len(held), affected, characters)


def _lost(chars: list[str], start: "Start") -> set[str]:
    """Those that do not come back between two letters."""
    asked = [char for char in chars if char in _LINE_BREAKS or not char.isspace()]
    rows = start.tokenizer.encode_batch([f"a{char}b" for char in asked], add_special_tokens=False)
    encoded = [row.ids for row in rows]
    texts = start.tokenizer.decode_batch(encoded)
    return {
        char
        for char, ids, text in zip(asked, encoded, texts, strict=True)
        if start.tokens["unk"] in ids or (char not in text and "".join(text.split()) == "ab")
    }


def _name(char: str) -> str:
    if char in _LINE_BREAKS:
        return "line break"
    return repr(char) if char.isprintable() else f"U+{ord(char):04X}"


def _commonest(characters: Counter[str]) -> list[tuple[str, int]]:
    return sorted(characters.items(), key=lambda item: (-item[1], item[0]))[:_NAMED]
