"""Runs against each other: the tests are those of scoring, and nothing unlike is tested."""

import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from promptlift.errors import ConfigError, InputError
from promptlift.records import Pair
from promptlift.reporting.compare import compare_runs
from promptlift.reporting.compare_page import write_comparison
from promptlift.reporting.run_data import CANNOT_TELL
from promptlift.reporting.wording import difference, p_text
from promptlift.statistics import holm, paired_test
from tests.reporting.conftest import (
    METRICS,
    PAIRS,
    Tags,
    begin_run,
    rows_of,
    write_evaluation,
    write_log,
    write_scores,
)

TWO = METRICS[:2]


def make(folder: Path, *, seed: int, text: str = "soft light", **settings: Any) -> Path:
    """A run with a log and an evaluation of 20 pairs."""
    begin_run(folder, **settings)
    write_log(folder, [f"1,0.5,{3 + seed},", f"2,1,,{2.5 + seed}"])
    write_evaluation(folder, 6, [f"{text} {n}" for n in range(20)], seed=seed, metrics=TWO)
    return folder


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    first = make(tmp_path / "one", seed=1, batch_size=8)
    return [first, make(tmp_path / "two", seed=2, batch_size=16, text="sharp focus")]


def test_paired_tests_are_those_of_scoring(two: list[Path]) -> None:
    found = compare_runs(two)
    rows = [
        [
            json.loads(line)
            for line in (run / "evaluations/step-000006.jsonl").read_text().splitlines()
        ]
        for run in two
    ]
    assert [test["metric"] for test in found["tests"]] == [*TWO]
    for test in found["tests"]:
        values = [[row[test["metric"]] for row in side] for side in rows]
        expected = paired_test(values[0], values[1])
        assert {name: test[name] for name in expected} == expected
        assert (test["run"], test["n"]) == ("two", 20)


def test_a_difference_worked_by_hand(tmp_path: Path) -> None:
    values: dict[str, list[float | None]] = {"one": [0.1, 0.2, 0.3, None],
                                             "two": [0.2, 0.4, 0.6, 0.9]}  # fmt: skip
    for name, column in values.items():
        folder = begin_run(tmp_path / name)
        write_evaluation(folder, 6, ["a"] * 4, metrics=["meteor_target"])
        path = folder / "evaluations" / "step-000006.jsonl"
        rows = rows_of(path)
        lines = (json.dumps({**row, "meteor_target": value}) + "\n"
                 for row, value in zip(rows, column, strict=True))  # fmt: skip
        path.write_text("".join(lines))
    [test] = compare_runs([tmp_path / "one", tmp_path / "two"])["tests"]
    # Of the fourth pair one side has no value: (0.1 + 0.2 + 0.3) / 3.
    assert test["difference"] == pytest.approx(0.2)
    assert test["n"] == 3
    # Of the 8 ways to set signs, two reach as far: +++ and ---.
    assert test["p"] == pytest.approx(0.25, abs=0.02)


def test_the_order_of_rows_does_not_matter(two: list[Path]) -> None:
    before = compare_runs(two)
    path = two[1] / "evaluations" / "step-000006.jsonl"
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    assert compare_runs(two)["tests"] == before["tests"]


def test_swapped_runs_swap_signs(two: list[Path]) -> None:
    forth, back = compare_runs(two)["tests"], compare_runs(two[::-1])["tests"]
    for one, other in zip(forth, back, strict=True):
        assert one["difference"] == pytest.approx(-other["difference"])
        assert one["p"] == other["p"]


def test_only_settings_that_differ_are_named(two: list[Path]) -> None:
    found = compare_runs(two)["settings"]
    assert found == [{"name": "training, batch_size", "values": [8, 16]}]


def test_other_pairs_are_said_and_not_tested(two: list[Path]) -> None:
    other = [Pair(source="a cat", target="soft light"), *PAIRS[1:20]]
    write_evaluation(two[1], 6, ["x"] * 20, pairs=other, metrics=TWO)
    found = compare_runs(two)
    assert found["tests"] == [] and not found["pairs"]["same"]
    assert "20 and 20, 19 of them the same" in found["pairs"]["why_no_test"]
    assert len(found["figures"]) == len(TWO)


def test_another_encoder_is_said_and_not_tested(two: list[Path]) -> None:
    for run, layer, cut in ((two[0], 5, 1), (two[1], 6, 2)):
        write_evaluation(run, 6, ["x"] * 20, metrics=["meteor_target"],
                         settings={"layer": layer, "truncated": cut})  # fmt: skip
    found = compare_runs(two)
    assert found["tests"] == []
    assert [row["same_settings"] for row in found["figures"]] == [False]
    # What was counted is no setting.
    write_evaluation(two[1], 6, ["x"] * 20, metrics=["meteor_target"],
                     settings={"layer": 5, "truncated": 2})  # fmt: skip
    assert len(compare_runs(two)["tests"]) == 1


def test_scores_are_taken_where_all_have_them(two: list[Path]) -> None:
    written = {"model": [f"{pair.source}, soft light" for pair in PAIRS[:10]],
               "source itself": [pair.source for pair in PAIRS[:10]]}  # fmt: skip
    write_scores(two[0], written)
    assert compare_runs(two)["figures_from"] == "the final evaluation"
    write_scores(two[1], written)
    found = compare_runs(two)
    assert found["figures_from"] == "scores/text"
    assert found["pairs"]["n"] == 10
    assert found["examples"][0]["predictions"] == [written["model"][0]] * 2


def test_a_run_without_predictions_gives_no_test(two: list[Path], tmp_path: Path) -> None:
    found = compare_runs([two[0], begin_run(tmp_path / "bare", state="running")])
    assert found["pairs"]["why_no_test"] == "bare has no predictions with scores"
    assert found["examples"] == []
    write_comparison(found, tmp_path / "page")


def test_runs_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    runs = [make(tmp_path / name / "run", seed=1) for name in ("a", "b")]
    assert [run["name"] for run in compare_runs(runs)["runs"]] == [str(run) for run in runs]


def test_one_run_or_the_same_twice_is_refused(two: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two or more"):
        compare_runs(two[:1])
    with pytest.raises(ConfigError, match="twice"):
        compare_runs([two[0], two[0]])
    with pytest.raises(InputError, match="does not exist"):
        compare_runs([two[0], tmp_path / "none"])


def test_three_runs_on_a_page(two: list[Path], tmp_path: Path) -> None:
    odd = "</dd><script>a()</script> $x$"
    third = make(tmp_path / "three", seed=3, text=odd)
    found = compare_runs([*two, third])
    assert len(found["tests"]) == 2 * len(TWO)
    assert [test["p_holm"] for test in found["tests"]] == holm(
        [test["p"] for test in found["tests"]]
    )
    page = write_comparison(found, tmp_path / "page")
    tags = Tags(page.read_text(encoding="utf-8"))
    assert tags.seen.count("script") == 1 and odd in tags.text
    assert f"how many tests were made ({2 * len(TWO)})" in tags.text
    assert json.loads((tmp_path / "page" / "comparison.json").read_text()) == found
    for name in ("curve-loss-training", "final-meteor-target"):
        assert (tmp_path / "page" / f"{name}.svg").exists()
        assert (tmp_path / "page" / f"{name}.png").exists()


def test_the_finding_on_curves_is_the_last_known_loss_of_evaluation(
    two: list[Path], tmp_path: Path
) -> None:
    write_log(two[1], ["1,0.5,7,", "2,1,,4.5", "3,1.5,6,", "4,2,,nan"])
    page = write_comparison(compare_runs(two), tmp_path / "page")
    assert "Loss, evaluation, at the end: one 3.5 and two 4.5." in page.read_text("utf-8")
    for run in two:
        write_log(run, ["1,0.5,7,", "2,1,nan,"])
    page = write_comparison(compare_runs(two), tmp_path / "page")
    assert "Loss, training, at the end: one 7 and two 7." in page.read_text("utf-8")


def answer_of(page: Path) -> str:
    """The answer on a page, as plain text."""
    [found] = re.findall("<p class=answer>(.*?)</p>", page.read_text(encoding="utf-8"))
    return html.unescape(found)


def set_values(folder: Path, metric: str, values: Sequence[float]) -> None:
    """Give the rows of a run's evaluation these values."""
    path = folder / "evaluations" / "step-000006.jsonl"
    rows = [{**row, metric: value} for row, value in zip(rows_of(path), values, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_the_answer_says_which_run_is_better_and_by_what(two: list[Path], tmp_path: Path) -> None:
    third = make(tmp_path / "three", seed=1)
    for metric, gains in {
        "meteor_target": (0.1, 0.0),
        "bits_per_character": (0.2, 0.0),  # fewer are better
        "words": (3.0, 0.0),  # neither
    }.items():
        before = [0.3 + 0.01 * place for place in range(20)]
        set_values(two[0], metric, before)
        for folder, gain in zip((two[1], third), gains, strict=True):
            after = [one + gain * (1 + place % 3) for place, one in enumerate(before)]
            set_values(folder, metric, after)
    found = compare_runs([*two, third])
    by = {test["metric"]: test for test in found["tests"] if test["run"] == "two"}
    clear = {name for name, test in by.items() if test["p_holm"] < 0.05}
    assert clear == {"meteor_target", "bits_per_character", "words"}
    page = write_comparison(found, tmp_path / "page")
    said = answer_of(page)
    meteor, bits, words = (
        difference(by[name]).partition(" ")
        for name in ("meteor_target", "bits_per_character", "words")
    )
    assert said == (
        f"“two” is better than “one”: METEOR (target) {meteor[0]} higher {meteor[2]}; "
        f"it is worse than “one”: bits per character {bits[0]} higher {bits[2]}; "
        f"it differs from “one” in what makes neither better: words {words[0]} higher {words[2]}. "
        "Nothing differs clearly between “one” and “three”."
    )
    text = page.read_text(encoding="utf-8")
    assert f"Corrected p below 0.05: 3 of {len(found['tests'])} tests." in text
    assert text.count("<section") == 7 and text.count("<details") == 6


def test_a_better_run_has_the_lower_figure_where_less_is_better(
    two: list[Path], tmp_path: Path
) -> None:
    for folder, gain in zip(two, (0.0, 0.1), strict=True):
        values = [0.9 - gain * (1 + place % 3) for place in range(20)]
        set_values(folder, "bits_per_character", values)
    said = answer_of(write_comparison(compare_runs(two), tmp_path / "page"))
    assert re.match(
        r"“two” is better than “one”: bits per character [\d.]+ lower \([\d.]+ to", said
    )


@pytest.mark.parametrize("blind", [True, False])
def test_a_metric_that_cannot_tell_makes_no_run_better(
    two: list[Path], tmp_path: Path, blind: bool
) -> None:
    for folder, gain in zip(two, (0.0, 0.1), strict=True):
        set_values(folder, "meteor_target", [0.1 + gain * (1 + place % 3) for place in range(20)])
    found = compare_runs(two)
    for test in found["tests"]:
        test["title"] += f" ({CANNOT_TELL})" * blind
    said = answer_of(write_comparison(found, tmp_path / "page"))
    assert ("better than" in said) != blind
    assert (f"differs from “one” in what makes neither better: METEOR (target) ({CANNOT_TELL})"
            in said) == blind  # fmt: skip


def test_what_was_not_tested_has_no_winner(two: list[Path], tmp_path: Path) -> None:
    found = compare_runs(two)
    assert all(test["p_holm"] >= 0.05 for test in found["tests"])
    said = answer_of(write_comparison(found, tmp_path / "alike"))
    assert said == "Nothing differs clearly between “one” and “two”."
    for run in two:
        write_evaluation(run, 6, ["x"] * 20, metrics=TWO[:1])
    write_comparison(compare_runs(two), tmp_path / "single")
    text = (tmp_path / "single" / "index.html").read_text("utf-8")
    assert "corrected for 1 test (Holm)" in text
    assert "tests were made (1)" in text and "Corrected p below 0.05: 0 of 1 test." in text
    write_evaluation(two[1], 6, ["x"] * 20, metrics=TWO[1:])
    page = write_comparison(compare_runs(two), tmp_path / "none")
    assert answer_of(page) == "Nothing was tested: no figure is in all runs, measured alike."
    text = page.read_text("utf-8")
    assert "No test: no figure is in all runs, measured alike." in text
    assert "tests were made" not in text
    write_evaluation(two[1], 6, ["x"] * 10, metrics=TWO)
    found = compare_runs(two)
    said = answer_of(write_comparison(found, tmp_path / "others"))
    assert said == f"Nothing was tested: {found['pairs']['why_no_test']}."


def test_a_p_value_is_never_shown_as_0() -> None:
    assert [p_text(p) for p in (1e-4, 0.0314, 1.0)] == ["< 0.001", "0.031", "1.000"]


def test_bits_weigh_by_the_characters_of_targets(tmp_path: Path) -> None:
    for seed, name in enumerate(("one", "two")):
        folder = begin_run(tmp_path / name)
        write_evaluation(folder, 6, ["a"] * 20, seed=seed, metrics=["bits_per_character"])
    sides = [rows_of(tmp_path / name / "evaluations" / "step-000006.jsonl")
             for name in ("one", "two")]  # fmt: skip
    ratios = []
    for rows in sides:
        lengths = [len(row["target"]) + 1 for row in rows]
        bits = [row["bits_per_character"] * n for row, n in zip(rows, lengths, strict=True)]
        ratios.append(sum(bits) / sum(lengths))
    [test] = compare_runs([tmp_path / "one", tmp_path / "two"])["tests"]
    assert test["difference"] == pytest.approx(ratios[1] - ratios[0])
