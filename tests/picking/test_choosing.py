"""The best of several: hand-worked, by properties, and how far it deceives."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from promptlift.picking.choosing import NOTHING, choose, confirmed

Values = npt.NDArray[np.float64]


def quarters(variants: int, seeds: int) -> st.SearchStrategy[Values]:
    """Scores that floats hold exactly, ties among them."""
    numbers = st.integers(-20, 20).map(lambda number: number / 4)
    return arrays.arrays(np.float64, (variants, seeds), elements=numbers)


def scores_of(
    random: np.random.Generator, true: Values, seeds: int, noise: float = 1.0
) -> tuple[Values, Values]:
    """Scores of an original and of variants with true gains; one seed moves all of them alike."""
    luck = random.normal(0, 2, size=seeds)
    drawn = luck + random.normal(0, noise, size=(1 + len(true), seeds))
    return drawn[0], drawn[1:] + true[:, None]


def test_a_clear_gain_by_hand() -> None:
    original = np.array([20.0, 30.0, 25.0])
    variants = original + np.array([[1.0, -1.0, 0.0], [5.0, 6.0, 7.0], [4.0, 5.0, 3.0]])
    found = choose(original, variants, metric="clip")
    assert (found.variant, found.best, found.clear) == (1, 1, True)
    assert found.reason == "clear gain in clip"
    assert found.evidence is not None
    # Each variant's gains have squares of 2 about their mean; 3 variants of 3 seeds, so 6 degrees.
    noise = np.sqrt(6 / 6)
    assert found.evidence.noise == pytest.approx(noise)
    assert found.evidence.gain == 6.0
    # The level is divided among the three that compete.
    bound = 6 - stats.t.ppf(1 - 0.05 / 3, 6) * noise / np.sqrt(3)
    assert found.evidence.low == pytest.approx(bound, rel=1e-4)
    assert (found.evidence.wins, found.evidence.losses) == (3, 0)


def test_the_original_is_kept_unless_always() -> None:
    original = np.array([20.0, 30.0])
    variants = original + np.array([[4.0, -3.0], [-3.0, 4.5]])
    found = choose(original, variants)
    assert (found.variant, found.best, found.clear) == (None, 1, False)
    assert found.reason == "no clear gain"
    taken = choose(original, variants, always=True)
    assert (taken.variant, taken.best, taken.clear) == (1, 1, False)
    worse = choose(original, original - np.array([[9.0, 9.1], [5.0, 5.1]]), always=True)
    assert (worse.variant, worse.reason) == (1, "clear loss in score")


@pytest.mark.parametrize("difference", [0.0, 5e-5])
def test_ties_keep_the_original_and_the_first_variant_goes_first(difference: float) -> None:
    original = np.array([20.0, 30.0, 25.0])
    variants = np.stack([original + difference] * 3)
    assert choose(original, variants).variant is None
    assert choose(original, variants, always=True).variant == 0


def test_nothing_to_choose_from() -> None:
    assert choose(np.array([1.0, 2.0]), np.empty((0, 2))) == NOTHING
    assert choose(np.array([1.0, 2.0]), np.empty((0, 2)), always=True).variant is None


def test_one_seed_proves_nothing_however_alike_the_variants_are() -> None:
    found = choose(np.array([20.0]), np.array([[30.0], [30.1], [30.2]]))
    assert found.variant is None and found.best == 2
    assert "draw more seeds" in found.reason


def test_a_variant_with_near_blank_pictures_gives_way_to_the_next() -> None:
    original = np.zeros(3)
    variants = np.array([[5.0, 5.1, 5.2], [9.0, 9.1, 9.2]])
    blanks = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert choose(original, variants, blanks=blanks).variant == 0
    only = choose(original, variants[1:], blanks=blanks[1:])
    assert (only.variant, only.reason) == (None, "more near-blank pictures")
    assert choose(original, variants, blanks=blanks, always=True).variant == 1


@settings(max_examples=40)
@given(quarters(1, 3), quarters(5, 3))
def test_another_variant_never_lowers_the_best_score(one: Values, many: Values) -> None:
    best = -np.inf
    for count in range(1, 6):
        found = choose(one[0], many[:count], always=True)
        assert found.variant is not None
        score = many[found.variant].mean()
        assert score >= best
        assert score == many[:count].mean(axis=1).max()
        best = score


@settings(max_examples=40)
@given(quarters(1, 3), quarters(4, 3), st.permutations(range(4)))
def test_the_order_of_variants_does_not_matter(one: Values, many: Values, order: list[int]) -> None:
    first, second = choose(one[0], many), choose(one[0], many[order])
    assert first.clear == second.clear and first.reason == second.reason
    assert first.evidence is not None and second.evidence is not None
    assert first.evidence.gain == second.evidence.gain


@settings(max_examples=40)
@given(quarters(1, 3), quarters(4, 3))
def test_what_is_chosen_is_the_best_of_those_with_a_clear_gain(one: Values, many: Values) -> None:
    found = choose(one[0], many)
    gains = (many - one[0]).mean(axis=1)
    assert found.evidence is not None and found.best is not None
    assert found.evidence.gain == gains[found.best] == gains.max()
    assert found.clear == (found.variant is not None) == (found.evidence.low > 1e-4)


@pytest.mark.parametrize(("variants", "seeds"), [(4, 2), (8, 3)])
def test_by_chance_one_prompt_in_twenty_looks_better(variants: int, seeds: int) -> None:
    random = np.random.default_rng(variants * 10 + seeds)
    nothing = np.zeros(variants)
    chosen = [choose(*scores_of(random, nothing, seeds)).clear for _ in range(700)]
    # Undivided, the level would give 15% for the four variants and 24% for the eight.
    assert 0.025 < np.mean(chosen) < 0.085


def test_the_gain_of_the_best_is_optimistic_and_the_confirmed_gain_is_not() -> None:
    random = np.random.default_rng(5)
    for always in (True, False):
        claimed, again, true = [], [], []
        for _ in range(700):
            gains = random.normal(0.7, 0.5, size=4)
            found = choose(*scores_of(random, gains, 4), always=always)
            if found.variant is None:
                continue
            assert found.evidence is not None
            claimed.append(found.evidence.gain)
            true.append(gains[found.variant])
            original, fresh = scores_of(random, gains, 4)
            again.append(confirmed(original, fresh[found.variant]).gain)
        errors = np.array(claimed) - true
        honest = np.array(again) - true
        assert len(true) > 100
        assert errors.mean() > 6 * errors.std() / np.sqrt(len(true))
        assert abs(honest.mean()) < 3 * honest.std() / np.sqrt(len(honest))


def test_the_bounds_of_a_confirmation_hold_as_often_as_they_say() -> None:
    random = np.random.default_rng(6)
    held = []
    for _ in range(2000):
        original, fresh = scores_of(random, np.array([0.7]), 4)
        held.append(confirmed(original, fresh[0]).low <= 0.7)
    assert 0.935 < np.mean(held) < 0.965


def test_one_fresh_seed_has_a_gain_without_bounds() -> None:
    found = confirmed(np.array([20.0]), np.array([22.0]))
    assert found.gain == 2.0 and found.low == -np.inf
