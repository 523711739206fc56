"""Choose the original unless the gain is clear."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from promptlift.scoring.pictures.verdicts import Verdict, judge, left_alone


def verdicts_of(*gains_by_prompt: list[float], **others: object) -> list[Verdict]:
    """Verdicts by one metric, of prompts 0, 1, … with a gain for each seed."""
    prompts = [index for index, gains in enumerate(gains_by_prompt) for _ in gains]
    values = np.array([gain for gains in gains_by_prompt for gain in gains], np.float64)
    return judge({"clip": values}, prompts, [0] * len(prompts), **others)  # type: ignore[arg-type]


def test_a_clear_gain_a_clear_loss_and_neither_by_hand() -> None:
    found = verdicts_of([5.0, 6.0, 7.0], [-5.0, -6.0, -7.0], [-1.0, 0.5, 1.0])
    assert [verdict.choice for verdict in found] == ["improved", "original", "original"]
    assert [verdict.reason for verdict in found] == [
        "clear gain in clip",
        "clear loss in clip",
        "no clear gain",
    ]
    # Spread within prompts: squares 2, 2 and (7/6)² + (1/3)² + (5/6)² over 9 - 3 degrees.
    squares = 2 + 2 + (7 / 6) ** 2 + (1 / 3) ** 2 + (5 / 6) ** 2
    noise = math.sqrt(squares / 6)
    evidence = found[0].evidence["clip"]
    assert evidence.noise == pytest.approx(noise)
    assert evidence.noise_from == "seeds"
    assert evidence.low == pytest.approx(6 - stats.t.ppf(0.95, 6) * noise / math.sqrt(3), rel=1e-3)
    assert evidence.high == pytest.approx(6 + stats.t.ppf(0.95, 6) * noise / math.sqrt(3), rel=1e-3)
    assert (evidence.gain, evidence.seeds, evidence.wins, evidence.losses) == (6.0, 3, 3, 0)


def test_a_gain_no_larger_than_the_seeds_differ_is_not_clear() -> None:
    [first, second] = verdicts_of([4.0, -3.0], [-3.0, 4.5])
    assert {first.choice, second.choice} == {"original"}


def test_one_seed_takes_its_noise_from_the_prompts() -> None:
    found = verdicts_of(*([gain] for gain in (0.1, -0.2, 0.0, 0.3, -0.1, 0.2, 9.0)))
    assert [verdict.choice for verdict in found] == ["original"] * 6 + ["improved"]
    assert found[0].evidence["clip"].noise_from == "prompts"


def test_a_single_pair_proves_nothing() -> None:
    [verdict] = verdicts_of([50.0])
    assert verdict.choice == "original"
    assert "draw more seeds" in verdict.reason
    assert json.loads(json.dumps(verdict.to_dict()))["evidence"]["clip"]["low"] is None


def test_equal_pictures_leave_the_original() -> None:
    found = verdicts_of([0.0, 0.0], [0.0, 0.0], [0.0, 0.0])
    assert {verdict.choice for verdict in found} == {"original"}
    assert {verdict.reason for verdict in found} == {"no clear gain"}


def test_a_loss_in_one_metric_outweighs_a_gain_in_another() -> None:
    up, down = np.array([5.0, 5.1, 5.0, 5.1]), np.array([-5.0, -5.1, -5.0, -5.1])
    unclear = np.array([0.0, 0.1, -0.1, 0.0])
    prompts, variants = [0, 0, 1, 1], [0] * 4
    both = judge({"clip": down, "pick": up}, prompts, variants)
    assert {verdict.reason for verdict in both} == {"clear loss in clip"}
    one = judge({"clip": unclear, "pick": up}, prompts, variants)
    assert {verdict.reason for verdict in one} == {"clear gain in pick"}


def test_near_blank_pictures_outweigh_a_gain() -> None:
    found = verdicts_of([5.0, 5.1], [5.0, 5.1], blanks=np.array([0.0, 1.0, 0.0, -1.0]))
    assert [verdict.choice for verdict in found] == ["original", "improved"]
    assert found[0].reason == "more near-blank pictures"


def test_more_metrics_ask_for_a_clearer_gain() -> None:
    gains = np.array([1.0, 2.0, 1.5, 0.2, -0.4, 0.1])
    prompts, variants = [0, 0, 0, 1, 1, 1], [0] * 6
    alone = judge({"a": gains}, prompts, variants)[0].evidence["a"]
    among = judge({"a": gains, "b": gains, "c": gains}, prompts, variants)[0].evidence["a"]
    assert among.low < alone.low
    assert among.high == alone.high


def test_a_prompt_is_left_alone_if_no_variant_is_better() -> None:
    gains = np.array([5.0, 5.1, -5.0, -5.1, -5.0, -5.1, -5.0, -5.1])
    found = judge({"clip": gains}, [0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 1, 1])
    assert left_alone(found) == {0: False, 1: True}


def test_by_chance_few_gains_are_clear() -> None:
    random = np.random.default_rng(0)
    found = verdicts_of(*random.normal(0, 1, size=(2000, 3)).tolist())
    assert 0.03 < np.mean([verdict.choice == "improved" for verdict in found]) < 0.07


GAINS = st.lists(st.lists(st.integers(-40, 40), min_size=1, max_size=3), min_size=1, max_size=6)


@given(GAINS)
def test_swapping_the_sides_makes_clear_gains_clear_losses(rows: list[list[int]]) -> None:
    quarters = [[gain / 4 for gain in row] for row in rows]
    forward = verdicts_of(*quarters)
    back = verdicts_of(*([-gain for gain in row] for row in quarters))
    for one, other in zip(forward, back, strict=True):
        a, b = one.evidence["clip"], other.evidence["clip"]
        assert (a.gain, a.wins, a.losses) == (-b.gain, b.losses, b.wins)
        assert a.low == pytest.approx(-b.high) or not math.isfinite(a.low)
        if one.choice == "improved":
            assert other.reason == "clear loss in clip"
