"""Assignment is fair whatever is assigned."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from promptlift.judging.collecting.assignment import assign
from promptlift.judging.records import ATTENTION, JUDGE, REPEAT


@given(
    pairs=st.integers(1, 40),
    raters=st.integers(1, 6),
    per_pair=st.integers(1, 6),
    repeats=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    attention=st.integers(0, 3),
    seed=st.integers(0, 2**32),
)
def test_every_assignment_is_fair(
    pairs: int, raters: int, per_pair: int, repeats: float, attention: int, seed: int
) -> None:
    per_pair = min(per_pair, raters)
    hands = assign(
        range(pairs),
        raters,
        per_pair=per_pair,
        repeats=repeats,
        attention=attention,
        rng=np.random.default_rng(seed),
    )
    assert len(hands) == raters
    first = [[task for task in hand if task.purpose == JUDGE] for hand in hands]
    seen = Counter(task.pair for hand in first for task in hand)
    assert seen == dict.fromkeys(range(pairs), per_pair)
    loads = [len(hand) for hand in first]
    assert max(loads) - min(loads) <= 1
    for hand, judged in zip(hands, first, strict=True):
        assert len({task.pair for task in judged}) == len(judged)
        assert abs(sum(1 if task.swapped else -1 for task in judged)) <= 1
        again = [task for task in hand if task.purpose == REPEAT]
        assert len(again) == int(np.ceil(repeats * len(judged)))
        sides = {task.pair: task.swapped for task in judged}
        for task in again:
            assert task.swapped != sides[task.pair]
            earlier = next(place for place, one in enumerate(hand) if one.pair == task.pair
                           and one.purpose == JUDGE)  # fmt: skip
            assert earlier < hand.index(task)
        assert sum(task.purpose == ATTENTION for task in hand) == (attention if judged else 0)


def test_repetitions_stand_apart() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        [hand] = assign(range(40), 1, per_pair=1, repeats=0.1, attention=0, rng=rng)
        again = [place for place, task in enumerate(hand) if task.purpose == REPEAT]
        assert len(again) == 4
        for place in again:
            earlier = [one.pair for one in hand].index(hand[place].pair)
            assert place - earlier > 5 or place > len(hand) - 6
