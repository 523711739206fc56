"""The page of a sweep, from figures that are known."""

import json
from pathlib import Path

import pytest

from promptlift.sweeping.page import _answer, _how_surely, write_page
from tests.sweeping.conftest import swept


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return write_page(swept(tmp_path, monkeypatch))


def test_the_page_says_what_is_best_and_how_surely(page: Path) -> None:
    text = page.read_text()
    # 1 + 0.08 + 0.05 times the mean seed, 2; t of 0.975 with 2 degrees is 4.303, the deviation
    # 0.05, so the interval reaches 4.303 x 0.05 / sqrt(3) = 0.124.
    assert "The best setting is learning_rate 0.001, batch_size 8, group_by_length off" in text
    assert "1.18 (1.06 to 1.30) over 3 seeds" in text
    # The next is 0.01, 0.02 and 0.03 from it: a mean of 0.02 that reaches 4.303 x 0.01 / sqrt(3).
    assert (
        "The next best, learning_rate 0.001, batch_size 8, group_by_length on, is 0.020 higher "
        "(-0.005 to 0.045); that difference is not clear over the seeds. The best was picked from "
        "8 complete settings, and the intervals do not allow for that."
    ) in text
    assert "34 of 36 trials are done, 2 of them ended early; 2 could not be done." in text
    assert "&lt;b&gt;no memory&lt;/b&gt;" in text and "<b>no" not in text
    assert text.count("<svg") == 4
    found = json.loads((page.parents[1] / "results.json").read_text())
    shares = found["importance"]
    assert max(shares, key=lambda name: shares[name]) == "train.learning_rate"
    share = shares["train.learning_rate"]
    assert f"Of the options, learning_rate ({share:.0%}) decides most." in text
    assert f">learning_rate ({share:.0%}), batch_size" in text
    ends = [one["value"] for one in found["settings"] if one["complete"]]
    assert f"8 of 12 settings are complete; the best has {min(ends):.4g}, the worst" in text
    answer, first = text.index("<p class=answer"), text.index("<details")
    assert answer < text.index("The best setting is") < text.index("The next best") < first
    assert text.count("<section") == 6 and text.count("<details") == 5
    states = [one["state"] for one in found["trials"]]
    assert (states.count("pruned"), states.count("open"), len(states)) == (2, 2, 36)
    for name in ("settings", "parallel", "importance", "curves"):
        assert (page.parent / f"{name}.svg").exists() and (page.parent / f"{name}.png").exists()


@pytest.mark.parametrize(
    ("higher", "less", "said"),
    [
        (False, (0.12, 0.052, 0.188), "is 0.120 higher (0.052 to 0.188); that difference is clear"),
        (True, (-0.12, -0.188, -0.052), "is 0.120 lower (0.052 to 0.188); that difference is"),
        (True, (-0.02, -0.045, 0.005), "is 0.020 lower (-0.005 to 0.045); that difference is not"),
        (True, (-0.02, None, None), "is 0.02 lower. There is one seed, so you cannot tell luck"),
        (False, (0.02, None, None), "is 0.02 higher. There is one seed, so you cannot tell luck"),
        (False, (0.25, 0.25, 0.25), "is 0.25 higher; that difference is clear"),
        (False, (0.0, None, None), "is as good. There is one seed, so you cannot tell luck"),
        (False, (0.0, -0.02, 0.02), "is as good (-0.020 to 0.020). The best was picked from 2"),
        (True, (-1e-5, -0.02, 0.02), "is as good (-0.020 to 0.020). The best was picked from 2"),
        (False, (0.0, 0.0, 0.0), "is as good. The best was picked from 2"),
    ],
)  # fmt: skip
def test_the_next_best_is_on_the_worse_side(
    higher: bool, less: tuple[float, float | None, float | None], said: str
) -> None:
    setting = {"setting": {"train.epochs": 2.0}, "complete": True}
    best = {**setting, "less_best": None}
    difference = dict(zip(("difference", "low", "high"), less, strict=True))
    found = {
        "metric": {"higher_is_better": higher},
        "settings": [best, {**setting, "less_best": difference}],
        "best": best,
    }
    assert f"The next best, epochs 2, {said}" in _how_surely(found)


def test_without_a_complete_setting_nothing_is_best() -> None:
    trials = [{"state": "complete", "error": None}, {"state": "open", "error": "no memory"}]
    found = {"best": None, "importance": None, "trials": trials, "planned": 6}
    body = _answer(found).body
    assert "<p class=answer>No setting is complete yet.</p>" in body
    assert "1 of 6 trials are done; 1 could not be done." in body
