"""What the page says of arms: who won, or that it cannot be told."""

from typing import Any

import pytest

from promptlift.reporting.arms_section import _winner, winner


def metric(**leads: tuple[float, float, float]) -> dict[str, Any]:
    """A judge by whom the fixed suffix has the highest mean."""
    less = {
        name: {"difference": value, "low": low, "high": high}
        for name, (value, low, high) in leads.items()
    }
    others: dict[str, Any] = {name: {"value": 0.5 - lead[0]} for name, lead in leads.items()}
    return {"title": "oracle's score", "arms": {"suffix": {"value": 0.5, "less": less}, **others}}


@pytest.mark.parametrize(
    ("leads", "words"),
    [
        (
            {"original": (0.1, 0.05, 0.15), "tuned": (0.02, 0.01, 0.03)},
            "the fixed suffix draws best: it is ahead of the prompt alone by 0.100 (0.050 to "
            "0.150) and the tuned rewriter by 0.020 (0.010 to 0.030).",
        ),
        (
            {"original": (0.1, 0.05, 0.15), "tuned": (0.01, -0.03, 0.05)},
            "the fixed suffix has the highest mean, but these prompts do not tell whether it draws "
            "better than the tuned rewriter: its lead is 0.010 (-0.030 to 0.050). It is clearly "
            "ahead of the prompt alone by 0.100 (0.050 to 0.150).",
        ),
        ({"original": (0.0, 0.0, 0.0), "tuned": (0.0, 0.0, 0.0)}, "all draw alike."),
    ],
)
def test_a_lead_is_said_and_whether_it_may_be_chance(
    leads: dict[str, tuple[float, float, float]], words: str
) -> None:
    assert _winner(metric(**leads)) == f"By the oracle's score, {words}"


@pytest.mark.parametrize(
    ("name", "words"),
    [("oracle", "no rewriter learned from it"), ("clip", "learned from this very reward")],
)
def test_who_judges_is_said(name: str, words: str) -> None:
    judge = {**metric(original=(0.1, 0.05, 0.15)), "name": name}
    said = winner({"metrics": [judge], "prompts": 100})
    assert "n = 100 test prompts." in said and words in said
