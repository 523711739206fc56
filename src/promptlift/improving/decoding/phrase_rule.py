"""A decoding rule over phrases: makes painters, styles and the user's phrases less or more likely.

As the repetition penalty lowers the logits of used tokens, this rule lowers (or raises) those of
tokens that begin, continue or end a phrase. Strength s multiplies the odds of such a token by
1 - s; at 1 the token is banned. Section 5 of the paper proposes it.

After a ban the model takes its next choice. At the beginning of a phrase that is another word;
within a phrase it may be a misspelling ("flahit style") or make a phrase without meaning. So at
strength 1 only whole words that begin a phrase are banned. A phrase that comes about in another way
is written to its end, and `selection` drops it.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from promptlift.improving.decoding.rules import BoolArray
from promptlift.improving.engines.engine import FloatArray, IntArray

# Tokens of texts, without special ones.
Encode = Callable[[Sequence[str]], list[list[int]]]


class Node:
    """A place in a tree of token sequences.

    Attributes:
        children: what may follow, by token.
        weight: added to the logit of the token that leads here.
    """

    __slots__ = ("_weights", "children", "weight")

    def __init__(self) -> None:
        self.children: dict[int, Node] = {}
        self.weight = 0.0
        self._weights: FloatArray | None = None

    def weights(self, vocab_size: int) -> FloatArray:
        """The values to add to the logits here, float32 [vocabulary]."""
        if self._weights is None:
            self._weights = np.zeros(vocab_size, dtype=np.float32)
            for token, child in self.children.items():
                if token < vocab_size:
                    self._weights[token] = child.weight
        return self._weights


class PhraseTree:
    """Phrases with their weights, as tokens.

    Args:
        encode: tokens of texts, without special ones.
        opening: the same for phrases that begin the whole text, where that makes a difference.
        ordinary: beginnings of phrases that must stay as likely, as `beginnings` gives them: only
            the token at which an unwanted phrase differs from them is lowered.
        continues: tokens that continue a word; where they are not known, all of a phrase is
            banned at strength 1.
        ends_only: only the last token of a phrase is lowered.
    """

    def __init__(
        self,
        encode: Encode,
        ordinary: frozenset[tuple[int, ...]] = frozenset(),
        *,
        opening: Encode | None = None,
        continues: frozenset[int] | None = None,
        ends_only: bool = False,
    ) -> None:
        self.root = Node()
        self.opening = self.root if opening is None else Node()
        self._ways = [(self.root, encode)]
        if opening is not None:
            self._ways.append((self.opening, opening))
        self.boosts = False
        self.ends_only = ends_only
        self._ordinary, self._continues = ordinary, continues

    def lower(self, phrases: Iterable[str], strength: float) -> None:
        """Make phrases less likely; `strength` from 0, no change, to 1, never."""
        if strength > 0:
            weight = -math.inf if strength >= 1 else math.log(1 - strength)
            texts = _as_written(phrases)
            for root, encode in self._ways:
                if strength >= 1 and self._continues is not None and not self.ends_only:
                    self._ban_words(root, encode, texts, self._continues)
                    continue
                for tokens in encode(texts):
                    self._add(root, tokens, weight)

    def raise_(self, phrases: Iterable[str], gain: float) -> None:
        """Make phrases more likely: `gain` is added where one begins, twice as much inside."""
        self.boosts = True
        texts = list(phrases)
        for root, encode in self._ways:
            for tokens in encode(texts):
                node = root
                for place, token in enumerate(tokens):
                    node = node.children.setdefault(token, Node())
                    node.weight = max(node.weight, gain * (1 + (place > 0)))

    def _ban_words(
        self, root: Node, encode: Encode, texts: Iterable[str], continues: frozenset[int]
    ) -> None:
        """Ban the first token of each text that is a whole word; of many texts it is the same."""
        alone: dict[str, bool] = {}  # whether the word is a text by itself
        for text in texts:
            word = first_word(text)
            alone[word] = alone.get(word, False) or word == text
        for tokens, is_phrase in zip(encode(list(alone)), alone.values(), strict=True):
            if not tokens or not continues.isdisjoint(tokens[1:2]):
                continue
            if (is_phrase and len(tokens) == 1) or tuple(tokens[:1]) not in self._ordinary:
                root.children.setdefault(tokens[0], Node()).weight = -math.inf

    def _add(self, node: Node, tokens: Sequence[int], weight: float) -> None:
        for size, token in enumerate(tokens, 1):
            node = node.children.setdefault(token, Node())
            within = not self.ends_only and tuple(tokens[:size]) not in self._ordinary
            lowered = within or size == len(tokens)
            if lowered and (weight > -math.inf or self._may_be_banned(tokens)):
                node.weight = min(node.weight, weight)

    def _may_be_banned(self, tokens: Sequence[int]) -> bool:
        """Whether banning a phrase's last token leaves words whole."""
        return self._continues is None or tokens[-1] not in self._continues


class PhraseRule:
    """The trees of each row of a batch, and how far its text is within them.

    Args:
        trees: for each row the trees that apply to it; rows may share them.
        vocab_size: number of logits.
        by: the token of "by", which introduces painters in no list, where it is to be lowered.
        by_weight: the value to add to its logit.
        after: tokens after which "by" is no credit ("lit by") and is not lowered.
        commas: tokens that end a phrase; raised phrases begin after them.
        opens: whether raised phrases begin at the start too.
        continues: bool [vocabulary], tokens that continue a word. They are banned too where the
            likeliest token is: it would have ended the word, which must not grow instead.
        named: for each row a tree of phrases that its prompt names: they are not lowered.
    """

    def __init__(
        self,
        trees: Sequence[Sequence[PhraseTree]],
        vocab_size: int,
        *,
        by: int | None = None,
        by_weight: float = 0.0,
        after: frozenset[int] = frozenset(),
        commas: frozenset[int] = frozenset(),
        opens: bool = True,
        continues: BoolArray | None = None,
        named: Sequence[PhraseTree | None] | None = None,
    ) -> None:
        self.trees = [list(row) for row in trees]
        self.vocab_size = vocab_size
        self.boosts = any(tree.boosts for row in trees for tree in row)
        self.by, self.by_weight, self.after = by, by_weight, after
        self.commas, self.opens = commas, opens
        self._continues = continues
        self._within: list[list[tuple[PhraseTree, Node]]] = [[] for _ in trees]
        self._last: list[int | None] = [None] * len(trees)
        self._named = list(named or [None] * len(trees))
        self._within_named: list[list[Node]] = [[] for _ in trees]

    def adjust(self, scores: FloatArray, ids: IntArray, rows: IntArray) -> BoolArray:
        """Change logits in place and say which candidates were changed, bool as `scores`."""
        change = np.zeros_like(scores)
        # Apart: what a prompt names is not lowered, but may be raised.
        raised = np.zeros_like(scores) if self.boosts else change
        beginning: dict[int, tuple[PhraseTree, Node, list[int]]] = {}
        order = rows.tolist()
        for place, row in enumerate(order):
            for tree in self._begin(row):
                root = self._root(tree, row)
                beginning.setdefault(id(root), (tree, root, []))[2].append(place)
            for tree, node in self._within[row]:
                part = raised if tree.boosts else change
                part[place] += node.weights(self.vocab_size).take(ids[place])
        if self.by is not None:
            unlit = np.array([self._last[row] not in self.after for row in order])
            change[unlit[:, None] & (ids == self.by)] += np.float32(self.by_weight)
        for tree, root, places in beginning.values():
            part = raised if tree.boosts else change
            rows_of = slice(None) if len(places) == len(order) else places
            part[rows_of] += root.weights(self.vocab_size).take(ids[rows_of])
        for place, row in enumerate(order):
            if (named := self._named[row]) is not None:
                for node in (self._root(named, row), *self._within_named[row]):
                    free = node.weights(self.vocab_size).take(ids[place]) < 0
                    change[place, free & (change[place] < 0)] = 0.0
        if self._continues is not None:
            best = scores.argmax(axis=1)[:, None]
            ends = np.isneginf(np.take_along_axis(change, best, axis=1))
            if ends.any():
                ends &= np.array([[not self._opens_apart(row)] for row in order])
                change[ends & self._continues[ids]] = -np.inf
        if self.boosts:
            change += raised
        scores += change
        touched: BoolArray = change != 0
        return touched

    def advance(self, row: int, token: int) -> None:
        """Take note of the token that a row was given."""
        named = self._named[row]
        named_root = None if named is None else self._root(named, row)
        places = self._within[row] + [(tree, self._root(tree, row)) for tree in self._begin(row)]
        self._last[row], self._within[row] = token, []
        for tree, node in places:
            child = node.children.get(token)
            if child is not None and child.children:
                self._within[row].append((tree, child))
            elif child is not None and tree.boosts:
                self.trees[row].remove(tree)  # said once is enough
        if named_root is not None:
            nodes = [node.children.get(token) for node in (named_root, *self._within_named[row])]
            self._within_named[row] = [node for node in nodes if node is not None]

    def _root(self, tree: PhraseTree, row: int) -> Node:
        return tree.opening if self._last[row] is None else tree.root

    def _opens_apart(self, row: int) -> bool:
        """Whether the next token begins the text, where its pieces are not those of other words."""
        begins = self._last[row] is None
        return begins and any(tree.opening is not tree.root for tree in self.trees[row])

    def _begin(self, row: int) -> list[PhraseTree]:
        """The trees whose phrases may begin here."""
        last = self._last[row]
        begins = self.opens if last is None else last in self.commas
        if begins or not self.boosts:
            return self.trees[row]
        return [tree for tree in self.trees[row] if not tree.boosts]


def beginnings(encode: Encode, phrases: Iterable[str]) -> frozenset[tuple[int, ...]]:
    """The tokens with which phrases begin, of every length."""
    return frozenset(
        tuple(tokens[:size])
        for tokens in encode(list(phrases))
        for size in range(1, len(tokens) + 1)
    )


def first_word(text: str) -> str:
    """A text up to its first blank, which has the tokens with which the whole text begins."""
    return text.partition(" ")[0] or text


def _as_written(phrases: Iterable[str]) -> list[str]:
    """Phrases in the cases in which they are written."""
    return sorted({text for p in phrases for text in (p.lower(), p, p.title())})
