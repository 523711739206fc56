"""Who judges which pairs, in which order, with which picture on which side."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from promptlift.judging.records import ATTENTION, REPEAT, Task

_APART = 5  # pairs between a pair and its repetition, where there are so many


def assign(
    pairs: Sequence[int],
    raters: int,
    *,
    per_pair: int,
    repeats: float,
    attention: int,
    rng: np.random.Generator,
) -> list[list[Task]]:
    """The tasks of each rater.

    Each pair goes to `per_pair` raters, and all raters get equally many pairs, give or take one.
    For each rater the first picture of a pair stands on the left in half of the tasks, give or
    take one.

    Args:
        pairs: ids.
        raters: how many there are, at least `per_pair`.
        per_pair: raters who see each pair.
        repeats: share of a rater's pairs that come again, later and swapped; rounded up.
        attention: pairs whose answer is known, for each rater.
        rng: draws the order of the pairs, their raters and their sides.
    """
    hands: list[list[int]] = [[] for _ in range(raters)]
    for pair in rng.permutation(np.asarray(pairs, dtype=int)):
        load = np.array([len(hand) for hand in hands]) + rng.random(raters) * 0.5
        for rater in np.argsort(load)[:per_pair]:
            hands[int(rater)].append(int(pair))
    return [_hand(hand, repeats, attention, rng) for hand in hands]


def _hand(pairs: list[int], repeats: float, attention: int, rng: np.random.Generator) -> list[Task]:
    tasks = [
        Task(pair=pair, swapped=swapped)
        for pair, swapped in zip(pairs, _balanced(len(pairs), rng), strict=True)
    ]
    again = rng.choice(len(tasks), int(np.ceil(repeats * len(tasks))), replace=False)
    for task in [tasks[i] for i in sorted(again)]:
        earliest = min(tasks.index(task) + 1 + _APART, len(tasks))
        later = replace(task, swapped=not task.swapped, purpose=REPEAT)
        tasks.insert(int(rng.integers(earliest, len(tasks) + 1)), later)
    if tasks:
        checks = rng.choice(pairs, attention, replace=attention > len(pairs))
        for pair, swapped in zip(checks, _balanced(attention, rng), strict=True):
            task = Task(pair=int(pair), swapped=swapped, purpose=ATTENTION)
            tasks.insert(int(rng.integers(0, len(tasks) + 1)), task)
    return tasks


def _balanced(count: int, rng: np.random.Generator) -> list[bool]:
    """Equally many True and False in random order; of an odd number, one at random has one more."""
    first = int(rng.integers(2))
    return [bool(side) for side in rng.permutation((np.arange(count) + first) % 2)]
