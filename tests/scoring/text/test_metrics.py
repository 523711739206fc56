"""The registry, and the metrics that need no model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift.scoring.text.metrics import CORPUS_METRICS, TEXT_METRICS, plain_values, repeats

PHRASES = st.lists(
    st.sampled_from(["a cat", "two dogs", "soft light", "by greg rutkowski", "oil painting"]),
    min_size=1,
    max_size=5,
)


def test_every_metric_says_what_it_is() -> None:
    assert len(TEXT_METRICS) == 24
    for name, metric in TEXT_METRICS.items():
        assert metric.name == name
        assert metric.title
        assert metric.source
        assert metric.compares in ("target", "source", "others", "nothing")
    assert set(CORPUS_METRICS) <= set(TEXT_METRICS)
    for measure in ("precision", "recall", "f1"):
        assert TEXT_METRICS[f"bertscore_{measure}_target"].range == (-1.0, 1.0)
        assert TEXT_METRICS[f"bertscore_{measure}_source_rescaled"].range == (None, 1.0)


def test_values_by_hand() -> None:
    found = plain_values("two dogs", "two dogs, oil painting, by greg rutkowski")
    assert found == {
        "source_kept": 1.0,
        "added_painters": 1.0,
        "added_styles": 1.0,
        "words": 7.0,
        "repetition": 0.0,
        "clip_tokens": pytest.approx(11, abs=3),
    }
    kept = plain_values("two dogs", "a cat")["source_kept"]
    assert kept == 0.0
    assert plain_values("by greg rutkowski", "a cat by greg rutkowski")["added_painters"] == 0.0


def test_a_source_that_asks_for_nothing_is_left_out() -> None:
    assert plain_values("the", "the cat")["source_kept"] is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a cat, soft light", False),
        ("a cat, soft light, Soft light", True),
        ("red red red red red", True),
        ("very very cat", False),
        ("", False),
    ],
)
def test_repetition(text: str, expected: bool) -> None:
    assert repeats(text) is expected


@given(PHRASES, PHRASES)
def test_values_lie_in_their_range(source: list[str], prediction: list[str]) -> None:
    found = plain_values(", ".join(source), ", ".join(prediction))
    for name, value in found.items():
        low, high = TEXT_METRICS[name].range
        if value is not None:
            assert low is None or value >= low
            assert high is None or value <= high


@given(PHRASES)
def test_the_source_itself_loses_and_adds_nothing(source: list[str]) -> None:
    found = plain_values(", ".join(source), ", ".join(source))
    assert found["source_kept"] in (1.0, None)
    assert found["added_painters"] == found["added_styles"] == 0.0
