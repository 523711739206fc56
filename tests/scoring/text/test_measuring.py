"""Scoring as a whole: the model beside baselines, the shuffle control, an epoch's evaluation."""

from pathlib import Path

import numpy as np
import pytest

from promptlift.improving.improver import Improver
from promptlift.records import Pair
from promptlift.scoring.text.baselines import reference
from promptlift.scoring.text.bertscore import BertScorer
from promptlift.scoring.text.bits import characters_of, target_bits
from promptlift.scoring.text.measuring import (
    DISTINCT_WORDS,
    TextScorer,
    TextScores,
    evaluate_epoch,
    score_text,
)
from promptlift.scoring.text.meteor import Meteor
from promptlift.scoring.text.metrics import TEXT_METRICS
from promptlift.scoring.text.shuffle_control import cannot_tell, compare_with_shuffled
from tests.scoring.conftest import PAIRS

SYSTEMS = [
    "model", "source itself", "fixed suffix", "nearest training pair", "shuffled targets",
    "targets themselves",
]  # fmt: skip


@pytest.fixture(scope="module")
def scorer(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> TextScorer:
    table = tmp_path_factory.mktemp("baseline") / "tiny.csv"
    table.write_text("LAYER,P,R,F\n2,0.3,0.3,0.25\n")
    return TextScorer(Meteor(), BertScorer(str(bert), layer=2, baseline=table))


def predictions_for(pairs: list[Pair]) -> list[str]:
    return [f"{pair.source}, soft light, night" for pair in pairs]


@pytest.fixture(scope="module")
def found(scorer: TextScorer, exported: Path) -> TextScores:
    training = [Pair(source="a dog", target="4k, canvas", mode="extend")]
    improver = Improver.load(exported, threads=1)
    return score_text(
        PAIRS, predictions_for([*PAIRS]), scorer, training=training, improver=improver
    )


def test_every_system_has_every_metric(found: TextScores) -> None:
    assert list(found.predictions) == SYSTEMS
    names = {score.metric for score in found.scores["model"]}
    assert names == set(TEXT_METRICS)
    for system, scores in found.scores.items():
        for score in scores:
            assert score.low <= score.value <= score.high or "distinct" in score.metric
            assert score.n <= 4
            if score.metric.startswith("bertscore"):
                assert score.settings["encoder"]
        assert system == "model" or "bits_per_character" not in {s.metric for s in scores}


def test_means_are_those_of_the_columns(found: TextScores, pairs: list[Pair]) -> None:
    for score in found.scores["fixed suffix"]:
        if score.metric in found.columns["fixed suffix"]:
            values = found.columns["fixed suffix"][score.metric]
            assert score.value == pytest.approx(np.nanmean(values))
    rows = list(found.rows(pairs))
    assert len(rows) == len(SYSTEMS) * len(pairs)
    assert rows[0]["system"] == "model"
    assert rows[0]["meteor_target"] == found.columns["model"]["meteor_target"][0]
    assert rows[4]["prediction"] == pairs[0].source


def test_the_source_itself_keeps_all_and_matches_itself(found: TextScores) -> None:
    columns = found.columns["source itself"]
    np.testing.assert_allclose(columns["bertscore_f1_source"], 1, atol=1e-5)
    np.testing.assert_allclose(columns["bertscore_f1_source_rescaled"], 1, atol=1e-5)
    assert (columns["added_styles"] == 0).all()
    targets = found.columns["targets themselves"]
    np.testing.assert_allclose(targets["bertscore_f1_target"], 1, atol=1e-5)


def test_bits_are_the_models_own(found: TextScores, pairs: list[Pair], improver: Improver) -> None:
    bits, length = target_bits(improver, pairs), characters_of([pair.target for pair in pairs])
    [score] = [s for s in found.scores["model"] if s.metric == "bits_per_character"]
    assert score.value == pytest.approx(bits.sum() / length.sum())
    alone = improver.log_probability([pairs[2].source], [pairs[2].target], mode="rewrite")
    assert bits[2] == pytest.approx(-alone[0] / np.log(2), rel=1e-5)


def test_the_shuffle_control_names_what_cannot_tell(found: TextScores) -> None:
    rows = {(row["metric"], row["of"]): row for row in found.shuffle_control}
    # A count of words does not look at the target.
    assert rows["words", "predictions"]["difference"] == 0
    assert not rows["words", "predictions"]["tells"]
    assert rows["meteor_source", "predictions"]["real"] > rows["meteor_source", "predictions"][
        "shuffled"
    ]  # fmt: skip
    assert not rows["distinct_1", "all"]["tells"]
    [bits] = [s for s in found.scores["model"] if s.metric == "bits_per_character"]
    assert rows["bits_per_character", "predictions"]["real"] == pytest.approx(bits.value)
    assert "words" in cannot_tell(found.shuffle_control)


def test_pairs_without_targets_have_no_metric_of_them(
    scorer: TextScorer, pairs: list[Pair]
) -> None:
    bare = [Pair(source=pair.source, target="", mode=pair.mode) for pair in pairs]
    found = score_text(bare, predictions_for(pairs), scorer, targets=False)
    names = {score.metric for scores in found.scores.values() for score in scores}
    assert not {name for name in names if TEXT_METRICS[name].compares == "target"}
    assert "meteor_source" in names
    assert list(found.predictions) == ["model", "source itself", "fixed suffix"]


def test_metrics_are_examined_on_pairs_alone(pairs: list[Pair]) -> None:
    found = score_text(pairs, None, TextScorer(None, None))
    assert "model" not in found.predictions
    assert {row["of"] for row in found.shuffle_control} == {"targets", "all"}


@pytest.mark.parametrize(("shift", "tells"), [(0.3, True), (-0.3, False), (0.0, False)])
def test_the_shuffle_control_finds_a_difference_and_no_other(shift: float, tells: bool) -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=80)
    noise = random.normal(size=80) * 0.2
    noise -= noise.mean()
    real, shuffled = {"meteor_target": values + shift + noise}, {"meteor_target": values}
    [row] = compare_with_shuffled("predictions", real, shuffled)
    assert row["tells"] is tells
    # Fewer bits are better: the same difference says the opposite.
    [row] = compare_with_shuffled(
        "predictions",
        {"bits_per_character": real["meteor_target"]},
        {"bits_per_character": shuffled["meteor_target"]},
    )
    assert row["tells"] is (shift < 0)


def test_targets_against_themselves_acquit_no_metric() -> None:
    rows = [
        {"metric": "meteor_target", "of": "predictions", "tells": False},
        {"metric": "meteor_target", "of": "targets", "tells": True},
        {"metric": "words", "of": "targets", "tells": True},
    ]
    assert cannot_tell(rows) == {"meteor_target"}


def test_an_epoch_is_evaluated(scorer: TextScorer, pairs: list[Pair]) -> None:
    scores, rows = evaluate_epoch(pairs, predictions_for(pairs), scorer)
    assert len(rows) == len(pairs)
    names = {score["metric"] for score in scores}
    assert names == set(rows[0])
    for name in ("meteor_target", "bertscore_precision_target", "bertscore_f1_source_rescaled"):
        assert name in names
    _, own = evaluate_epoch(pairs, [reference(pair) for pair in pairs], scorer)
    assert all(row["bertscore_f1_target"] == pytest.approx(1, abs=1e-5) for row in own)


def test_distinct_n_is_of_as_many_words_in_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "promptlift.scoring.text.measuring.BLEU_TEXTS", 10
    )  # self-BLEU would take seconds
    pairs = [Pair(source="an owl", target=f"{n} b{n} c{n}", mode="extend") for n in range(300)]
    long = [f"an owl, {' '.join(f'w{n * 10 + k}' for k in range(10))}" for n in range(300)]
    found = score_text(pairs, long, TextScorer(None, None))
    scores = {
        name: score
        for name, kept in found.scores.items()
        for score in kept
        if score.metric == "distinct_1"
    }
    assert scores["model"].settings == {"words": DISTINCT_WORDS}
    assert scores["model"].n == DISTINCT_WORDS // 10
    # Its 900 words change nothing of the model's value, and it says that it is not of 2,000.
    few = scores["targets themselves"].settings
    assert few["words"] == 900 and "not to be compared" in few["note"]
