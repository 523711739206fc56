"""A score."""

from promptlift.scoring.scores import Score


def test_a_score_is_plain_json() -> None:
    score = Score(metric="words", value=3.0, low=2.0, high=4.0, n=5, settings={"a": 1})
    assert score.to_dict() == {
        "metric": "words", "value": 3.0, "low": 2.0, "high": 4.0, "n": 5, "settings": {"a": 1},
    }  # fmt: skip
