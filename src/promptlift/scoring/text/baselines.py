"""What a model must beat: predictions that anyone can make, and references to compare with."""

import random
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import log

import numpy as np

from promptlift.errors import InputError
from promptlift.records import Pair
from promptlift.scoring.text.words import words_of

SUFFIX = "highly detailed, digital painting, trending on artstation, sharp focus, 8k"
MODEL, TARGETS, SHUFFLED = "model", "targets themselves", "shuffled targets"
SOURCE, FIXED, NEAREST = "source itself", "fixed suffix", "nearest training pair"


def whole(source: str, target: str, mode: str) -> str:
    """The whole improved prompt that a target stands for: in `extend` it follows the source."""
    return f"{source}, {target}" if mode == "extend" else target


def reference(pair: Pair) -> str:
    """What a prediction for a pair is compared with."""
    return whole(pair.source, pair.target, pair.mode)


def shuffle(count: int, seed: int = 0) -> list[int]:
    """For each index another one, each once: a random cycle.

    Raises:
        InputError: there are not two.
    """
    if count < 2:
        raise InputError(f"{count} pairs cannot be shuffled; give at least 2.")
    order = list(range(count))
    random.Random(seed).shuffle(order)
    others = [0] * count
    for place, index in enumerate(order):
        others[index] = order[place - 1]
    return others


def shuffled_targets(pairs: Sequence[Pair], seed: int = 0) -> list[Pair]:
    """The pairs with each other's targets; those of one mode and form among themselves.

    A pair that is alone in its mode and form keeps its target.
    """
    result = list(pairs)
    for kind in {(pair.mode, pair.form) for pair in pairs}:
        places = [i for i, pair in enumerate(pairs) if (pair.mode, pair.form) == kind]
        if len(places) < 2:
            continue
        for place, other in zip(places, shuffle(len(places), seed), strict=True):
            target = pairs[places[other]].target
            result[place] = replace(pairs[place], target=target)
    return result


def baselines(
    pairs: Sequence[Pair], training: Iterable[Pair] | None = None, *, targets: bool, seed: int = 0
) -> dict[str, list[str]]:
    """Predictions of each baseline by its name.

    Args:
        pairs: what is scored.
        training: for the nearest training pair; without it that baseline is left out.
        targets: whether the pairs have targets, so that these can be shuffled.
        seed: of the shuffling.
    """
    found = {
        SOURCE: [pair.source for pair in pairs],
        FIXED: [f"{pair.source}, {SUFFIX}" for pair in pairs],
    }
    if training is not None:
        found[NEAREST] = nearest_predictions(pairs, training)
    if targets:
        found[SHUFFLED] = [reference(pair) for pair in shuffled_targets(pairs, seed)]
        found[TARGETS] = [reference(pair) for pair in pairs]
    return found


def nearest_predictions(pairs: Sequence[Pair], training: Iterable[Pair]) -> list[str]:
    """For each pair the target of the training pair of its mode whose source is most alike.

    Where no word of the source is known, the source itself. A training pair equal to the pair is
    passed over.
    """
    known = list(training)
    by_mode = {
        mode: _Nearest([pair for pair in known if pair.mode == mode])
        for mode in {pair.mode for pair in pairs}
    }
    result = []
    for pair in pairs:
        found = by_mode[pair.mode].find(pair)
        result.append(pair.source if found is None else whole(pair.source, found.target, pair.mode))
    return result


class _Nearest:
    """Nearest source by the cosine of tf-idf weights of words, log(N / n) for a word of n sources.

    Only words' places are kept, four bytes for each word of a source beside the texts.
    """

    def __init__(self, pairs: list[Pair]) -> None:
        self._pairs = pairs
        places: defaultdict[str, array[int]] = defaultdict(lambda: array("i"))
        for place, pair in enumerate(pairs):
            for word in set(words_of(pair.source)):
                places[word].append(place)
        self._places = {word: np.frombuffer(held, np.int32) for word, held in places.items()}
        # One more than the sources, so that a word of every source still says a little.
        self._weights = {w: log((len(pairs) + 1) / len(held)) ** 2 for w, held in places.items()}
        squares = np.zeros(len(pairs))
        for word, held in self._places.items():
            squares[held] += self._weights[word]
        self._norms = np.sqrt(np.maximum(squares, 1e-300))

    def find(self, pair: Pair) -> Pair | None:
        """The nearest training pair; of equally near ones the first."""
        dots = np.zeros(len(self._pairs))
        for word in set(words_of(pair.source)) & self._places.keys():
            dots[self._places[word]] += self._weights[word]
        cosines = dots / self._norms
        while len(cosines):
            best = int(cosines.argmax())
            if cosines[best] <= 0:
                break
            if self._pairs[best] != pair:
                return self._pairs[best]
            cosines[best] = 0
        return None
