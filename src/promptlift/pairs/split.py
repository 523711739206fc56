"""Splitting pairs into training and test without leaks."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from promptlift.errors import InputError
from promptlift.pairs.near import THRESHOLD, groups, similar_pairs
from promptlift.prompts.clauses import split_clauses
from promptlift.records import Pair

# Below this, the closest pair is not looked for: the search is exact, and slower the lower it is.
SEARCHED_FROM = 0.3
# Words from which a target to extend with is compared itself: shorter ones are stock phrases, which
# unrelated prompts share.
LONG_TARGET = 8


@dataclass(frozen=True, kw_only=True)
class Split:
    """Two sides of a set of pairs, and the evidence that they are apart.

    Attributes:
        train: pairs to learn from, in their order.
        test: pairs to measure on, in their order.
        left_out: pairs of the test side whose target, of `LONG_TARGET` words or more, is almost a
            target of the training side though their prompts are unlike.
        closest: the highest similarity of a test prompt with a training prompt, found by a search
            of its own after the split; 0 where none reaches `SEARCHED_FROM`.
        closest_prompts: those two prompts, that of the test first.
        closest_target: the same for long targets.
        closest_targets: those two targets.
    """

    train: list[Pair]
    test: list[Pair]
    left_out: list[Pair]
    closest: float
    closest_prompts: tuple[str, str] | None
    closest_target: float
    closest_targets: tuple[str, str] | None


def whole_prompt(pair: Pair) -> str:
    """The detailed prompt that a pair was made of; uncleaned cuts of one prompt share it."""
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

    Unlike prompts may end alike: pairs of the test side whose long target is almost a training
    target are left out.

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
    train = [pair for pair, label in zip(pairs, labels, strict=True) if label not in held]
    apart = [pair for pair, label in zip(pairs, labels, strict=True) if label in held]
    almost_known = _almost_in(_long_targets(train), _long_targets(apart), threshold)
    test = [pair for pair in apart if pair.target not in almost_known]
    if not train or not test:
        raise InputError(
            f"{len(pairs)} pairs in {len(keys)} groups of near-duplicates leave one side empty. "
            "Give more pairs, another share or another seed."
        )
    closest, closest_prompts = _closest([*map(whole_prompt, train)], [*map(whole_prompt, test)])
    closest_target, closest_targets = _closest(_long_targets(train), _long_targets(test))
    if max(closest, closest_target) >= threshold:
        raise AssertionError("a near-duplicate crossed the split")
    return Split(
        train=train,
        test=test,
        left_out=[pair for pair in apart if pair.target in almost_known],
        closest=closest,
        closest_prompts=closest_prompts,
        closest_target=closest_target,
        closest_targets=closest_targets,
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


def _long_targets(pairs: list[Pair]) -> list[str]:
    return [pair.target for pair in pairs if len(pair.target.split()) >= LONG_TARGET]


def _almost_in(train: list[str], test: list[str], threshold: float) -> set[str]:
    """The test texts that are near-duplicates of a training text."""
    return {text for text, _, _ in _across(train, test, threshold)}


def _closest(train: list[str], test: list[str]) -> tuple[float, tuple[str, str] | None]:
    found = _across(train, test, SEARCHED_FROM)
    text, other, best = max(found, key=itemgetter(2), default=("", "", 0.0))
    return best, (text, other) if best else None


def _across(
    train: list[str], test: list[str], threshold: float
) -> Iterator[tuple[str, str, float]]:
    """Test text, training text and their similarity, from the threshold on."""
    train, test = sorted(set(train)), sorted(set(test))
    texts = train + test
    for one, other, similarity in similar_pairs(texts, threshold):
        if one >= len(train) > other:
            yield texts[one], texts[other], similarity
