"""Splitting pairs into training and test without leaks."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from promptlift.errors import InputError
from promptlift.pairs.cut import split_clauses
from promptlift.pairs.near import THRESHOLD, groups, similar_pairs
from promptlift.records import Pair

# Below this, the closest pair is not looked for: the search is exact, and slower the lower it is.
SEARCHED_FROM = 0.3


@dataclass(frozen=True, kw_only=True)
class Split:
    """Two sides of a set of pairs, and the evidence that they are apart.

    Attributes:
        train: pairs to learn from, in their order.
        test: pairs to measure on, in their order.
        closest: the highest similarity of a test prompt with a training prompt, found by a search
            of its own after the split; 0 where none reaches `SEARCHED_FROM`.
        closest_prompts: those two prompts, that of the test first.
    """

    train: list[Pair]
    test: list[Pair]
    closest: float
    closest_prompts: tuple[str, str] | None


def whole_prompt(pair: Pair) -> str:
    """The detailed prompt behind a pair; uncleaned cuts of one prompt have the same."""
    return f"{pair.source}, {pair.target}" if pair.mode == "extend" else pair.target


def related(pairs: Sequence[Pair], threshold: float = THRESHOLD) -> list[int]:
    """A label for each pair; near-duplicates, and prompts with the same first clause, share it.

    A first clause counts from four words on. So the cuts of one prompt stay together, too.
    """
    prompts = [whole_prompt(pair) for pair in pairs]
    return groups(prompts, threshold, [_head(prompt) for prompt in prompts])


def split_pairs(
    pairs: Sequence[Pair], *, test_share: float = 0.1, seed: int = 0, threshold: float = THRESHOLD
) -> Split:
    """Split so that related pairs stand on one side, see `related`.

    A group's side follows from the seed and its first prompt in alphabetical order alone, so
    the order of the pairs does not matter, and the share of the test side is met roughly.

    Args:
        pairs: what to split.
        test_share: share of the groups for the test side, in (0, 1).
        seed: another one gives another split.
        threshold: Jaccard similarity of word triples from which prompts are near-duplicates.

    Raises:
        InputError: one side would be empty.
    """
    if not 0 < test_share < 1:
        raise ValueError(f"test_share is {test_share} and must lie in (0, 1)")
    prompts = [whole_prompt(pair) for pair in pairs]
    labels = related(pairs, threshold)
    keys: dict[int, str] = {}
    for label, prompt in zip(labels, prompts, strict=True):
        keys[label] = min(keys.get(label, prompt), prompt)
    held = {label for label, key in keys.items() if _draw(seed, key) < test_share}
    train = [index for index, label in enumerate(labels) if label not in held]
    test = [index for index, label in enumerate(labels) if label in held]
    if not train or not test:
        raise InputError(
            f"{len(pairs)} pairs in {len(keys)} groups of near-duplicates leave one side empty. "
            "Give more pairs, another share or another seed."
        )
    closest, prompts_of_it = _closest([prompts[i] for i in train], [prompts[i] for i in test])
    assert closest < threshold, "a near-duplicate crossed the split"
    return Split(
        train=[pairs[index] for index in train],
        test=[pairs[index] for index in test],
        closest=closest,
        closest_prompts=prompts_of_it,
    )


def _head(prompt: str) -> str | None:
    """The first clause, which cuts of one prompt share even where cleaning changed the rest.

    None where it is shorter than four words: "a cat" begins many prompts.
    """
    head = " ".join(next(iter(split_clauses(prompt)), "").lower().split())
    return head if len(head.split()) >= 4 else None


def _draw(seed: int, key: str) -> float:
    """A number in [0, 1) that only seed and key decide."""
    digest = hashlib.sha256(f"{seed}\0{key}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _closest(train: list[str], test: list[str]) -> tuple[float, tuple[str, str] | None]:
    train, test = sorted(set(train)), sorted(set(test))
    texts, best, found = train + test, 0.0, None
    for one, other, similarity in similar_pairs(texts, SEARCHED_FROM):
        if one >= len(train) > other and similarity > best:
            best, found = similarity, (texts[one], texts[other])
    return best, found
