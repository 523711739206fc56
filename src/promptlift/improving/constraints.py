"""Constraints on additions, compiled into a decoding rule for one model's tokens."""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlift.errors import ConfigError
from promptlift.improving.config import ControlConfig
from promptlift.improving.decoding.phrase_rule import (
    PhraseRule,
    PhraseTree,
    beginnings,
    first_word,
)
from promptlift.prompts.clauses import split_clauses
from promptlift.prompts.lexicon.offers import may_be_offered
from promptlift.prompts.lexicon.terms import KINDS, find_terms, names_of, phrases
from promptlift.prompts.lexicon.words import target_words, unsafe_words, words_before_by
from promptlift.prompts.reading import named_terms

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Added to the logit where a preferred phrase begins. Measured on ten phrases and 100 heads: 3
# brings 21% of them, 6 brings 72% and 8 brings 84%; phrases that do not fit still stay away.
GAIN = 6.0
_MOST_LIKE = 6  # phrases of a reference prompt that are preferred
# What a piece begins with that begins a word. Byte-level pieces (SmolLM2, Llama 3) have the blank
# itself, so that the first word of a text is made of other pieces than the same word within it.
_BLANK = "Ġ"
_MARKS = ("▁", _BLANK)
_ENDS = (",", ";", "|", ".")  # of a phrase


class Constraints:
    """Trees of phrases for a model and options. Making them takes 0.1 s.

    `asked` are the painters, styles and mediums that the options ask for, in lower case.

    Args:
        tokenizer: the model's.
        vocab_size: number of logits.
        control: the options.

    Raises:
        ConfigError: `reference` names no style or manner.
    """

    def __init__(self, tokenizer: "Tokenizer", vocab_size: int, control: ControlConfig) -> None:
        self.tokenizer, self.vocab_size, self.control = tokenizer, vocab_size, control
        style, liked = wishes_of(control)
        self.asked = asked_terms(control)
        prose = control.form == "paragraph"
        opening = f", {style}." if prose else f"{style},"
        pieces = tokenizer.get_vocab()
        self._mark = next((mark for mark in _MARKS if any(p.startswith(mark) for p in pieces)), "")
        self.forced = self._encode_opening([opening])[0] if style else None
        self._wanted = [self._tree() for _ in liked]
        for tree, phrase in zip(self._wanted, liked, strict=True):
            tree.raise_([phrase], GAIN)
        marks = "".join(_MARKS)
        commas = {id: bare for piece, id in pieces.items() if (bare := piece.strip(marks)) in _ENDS}
        self._commas = frozenset(commas)
        # A wanted phrase makes no sentence, and none goes on from the prompt's own words.
        stops = {id for id, piece in commas.items() if piece == "."} if prose else set()
        self._before_wanted, self._opens = self._commas - stops, not prose
        self._continues = self._tokens_within_words(pieces)
        within = self._continues
        self._is_within = None if within is None else np.isin(np.arange(vocab_size), list(within))
        [found] = self._encode(["by"])
        self._by = found[0] if len(found) == 1 and control.artist_strength > 0 else None
        single = self._encode(sorted(words_before_by()))
        self._after_by = frozenset(tokens[0] for tokens in single if len(tokens) == 1)
        self._unwanted = self._make_tree()
        self._named_tree = lru_cache(256)(self._make_named_tree)

    def rule(self, rows: Sequence[tuple[frozenset[str], tuple[str, ...]]]) -> PhraseRule | None:
        """The rule for a batch.

        Args:
            rows: for each row, the terms that its prompt names and the phrases of earlier variants.
        """
        trees = []
        for _, used in rows:
            row = [*([self._unwanted] if self._unwanted else []), *self._wanted]
            if used:
                before = self._tree(continues=self._continues, ends_only=True)
                before.lower(used, self.control.diversity)
                row.append(before)
            trees.append(row)
        if self._by is None and not any(trees):
            return None
        strength = self.control.artist_strength
        return PhraseRule(
            trees,
            self.vocab_size,
            by=self._by,
            by_weight=-math.inf if strength >= 1 else math.log(1 - strength),
            after=self._after_by,
            commas=self._before_wanted,
            opens=self._opens,
            continues=self._is_within,
            named=[self._named_tree(named) if named else None for named, _ in rows],
        )

    def _make_tree(self) -> PhraseTree | None:
        control = self.control
        unwanted = [
            (names_of("painter"), control.artist_strength),
            (names_of("style") | names_of("medium"), control.style_strength),
            (frozenset(control.avoid), 1.0),
            (unsafe_words() if control.safe else frozenset(), 1.0),
        ]
        if not any(strength > 0 and names for names, strength in unwanted):
            return None
        usual = [*_ordinary(control.style_strength > 0)]
        # Tags of the T5s use such words for little else, and their receipts must come again.
        if self._mark == _BLANK or control.form == "paragraph":
            banned = {name for names, strength in unwanted[:2] if strength >= 1 for name in names}
            usual += _common_beginnings(banned)
        never = all(strength in (0, 1) for _, strength in unwanted)
        if never and self._continues is not None:  # only first words are banned
            usual = [*dict.fromkeys(map(first_word, usual))]
        ordinary = beginnings(self._encode, usual) | beginnings(self._encode_opening, usual)
        tree = self._tree(ordinary, continues=self._continues)
        for names, strength in unwanted:
            tree.lower(names, strength)
        return tree

    def _make_named_tree(self, named: frozenset[str]) -> PhraseTree:
        tree = self._tree()
        tree.lower(named, 1.0)
        return tree

    def _tree(self, ordinary: frozenset[tuple[int, ...]] = frozenset(), **how: Any) -> PhraseTree:
        opening = self._encode_opening if self._mark == _BLANK else None
        return PhraseTree(self._encode, ordinary, opening=opening, **how)

    def _tokens_within_words(self, pieces: dict[str, int]) -> frozenset[int] | None:
        """Tokens that continue a word; None for a vocabulary that does not mark word beginnings."""
        if not self._mark:
            return None
        others = self._commas.union(self.tokenizer.get_added_tokens_decoder())
        return frozenset(i for p, i in pieces.items() if not p.startswith(self._mark)) - others

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of texts as they stand within another text."""
        return self._encode_opening([f" {t}" if self._mark == _BLANK else t for t in texts])

    def _encode_opening(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of texts as they stand at the beginning."""
        encoded = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [item.ids for item in encoded]


def wishes_of(control: ControlConfig) -> tuple[str | None, list[str]]:
    """The style that additions begin with, and the phrases that are wanted.

    Raises:
        ConfigError: `reference` names no style or manner.
    """
    style, liked = control.style, list(control.include)
    if control.reference is not None:
        first, rest = _manner(control.reference)
        if not first and not rest:
            raise ConfigError(
                f"reference is {control.reference!r}, which names no style, medium, light or "
                "other manner"
            )
        style = style or first
        liked += rest
    return style, liked


def asked_terms(control: ControlConfig) -> frozenset[str]:
    """Painters, styles and mediums that options ask for: they are not unasked, wherever they come.

    Raises:
        ConfigError: `reference` names no style or manner.
    """
    style, liked = wishes_of(control)
    wishes = [style, *liked] if style else liked
    return named_terms(term for text in wishes for term in find_terms(text))


def _manner(prompt: str) -> tuple[str | None, list[str]]:
    """The style or medium of a prompt, and its other phrases that suit any prompt."""
    style = next(
        (term.text for term in find_terms(prompt) if term.kind in ("style", "medium")), None
    )
    offers = [
        clause
        for clause in split_clauses(prompt)
        if may_be_offered(clause) and (style is None or style not in clause)
    ]
    return style, offers[:_MOST_LIKE]


@lru_cache(2)
def _ordinary(without_styles: bool) -> tuple[str, ...]:
    unwanted = {"painter", "style", "medium"} if without_styles else {"painter"}
    assert unwanted <= set(KINDS)
    return tuple(name for name, phrase in phrases().items() if phrase.kind not in unwanted)


def _common_beginnings(names: Iterable[str]) -> set[str]:
    """Common words that names of several words begin with: "and greg rutkowski", "street art".

    They can still be said; a name that goes on from one is written out and dropped.
    """
    firsts = {name.partition(" ")[0] for name in names if " " in name}
    return {text for word in firsts & target_words() for text in (word, word.capitalize())}
