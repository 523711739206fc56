"""A head that votes teach, with a tiny real CLIP."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from promptlift.cli import app
from promptlift.errors import InputError, ModelError
from promptlift.judging.collecting.study import Study
from promptlift.judging.config import JudgingConfig
from promptlift.judging.learning import Comparisons, comparisons_of, learn_head, save_head
from promptlift.picture_files import PictureReader
from promptlift.pictures import read_index
from promptlift.scoring.pictures.clip import ClipEncoder
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.pictures.feature_cache import FeatureCache
from promptlift.scoring.pictures.preference_models import ScorerContext, make_scorer
from tests.judging.runs import draw_run, vote_all
from tests.scoring.clip_models import make_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("models") / "clip")


def context_of(tmp_path: Path, aesthetic: str | None = None) -> ScorerContext:
    return ScorerContext(
        config=PictureScoringConfig(device="cpu", offline=True, aesthetic=aesthetic),
        cache=FeatureCache(tmp_path / "features.sqlite"),
        reader=PictureReader(8),
    )


@pytest.fixture
def encoder(clip: Path, tmp_path: Path) -> ClipEncoder:
    return context_of(tmp_path).encoder(str(clip))


def judged(folder: Path, *, prompts: int = 40, prefers: float = 1.0, kind: str = "person") -> Study:
    config = JudgingConfig(raters=("ada", "ben"), per_pair=2)
    study = Study.open([draw_run(folder, prompts)], config, kind=kind)
    vote_all(study, prefers)
    return study


def test_what_raters_prefer_is_learned_and_read_back(
    clip: Path, encoder: ClipEncoder, tmp_path: Path
) -> None:
    study = judged(tmp_path / "run")
    given = comparisons_of([study], encoder, PictureReader(8))
    assert given.differences.shape == (80, encoder.width + 4)
    head = learn_head(given)
    assert head.accuracy[0] > 0.95 and (head.votes, head.prompts, head.kind) == (80, 40, "person")
    assert np.array_equal(head.weights, learn_head(given).weights)
    path = tmp_path / "head.safetensors"
    save_head(head, path, str(clip), encoder.model_id)
    scorer = make_scorer("aesthetic", context_of(tmp_path, aesthetic=str(path)))
    assert scorer.metric.title == "preference learned from votes"
    assert "80 votes on 40 prompts" in scorer.metric.source
    pictures = read_index(tmp_path / "run" / "pictures")
    scores = scorer.score(prompts=[""] * len(pictures), pictures=pictures)
    sides = np.array([picture.side == "improved" for picture in pictures])
    assert scores[sides].mean() > scores[~sides].mean()


def test_raters_who_toss_a_coin_teach_nothing(encoder: ClipEncoder, tmp_path: Path) -> None:
    given = comparisons_of([judged(tmp_path / "run", prefers=0.5)], encoder, PictureReader(8))
    _, low, high = learn_head(given).accuracy
    # The order of votes is drawn each time, so one interval in twenty misses 0.5. Four standard
    # deviations of 80 tosses reach from 0.28 to 0.72; a head that had seen them would have 0.95.
    assert low < 0.65 and high > 0.35


def test_the_weights_are_where_the_slope_is_zero() -> None:
    rng = np.random.default_rng(0)
    differences = rng.normal(size=(300, 6)) + np.array([1, 0.5, 0, 0, 0, 0])
    given = Comparisons(
        differences=differences, prompts=list(range(300)), kind="person", question="match", ties=0
    )
    head = learn_head(given)
    wrong = 1 / (1 + np.exp(differences @ head.weights))
    slope = -(differences.T @ wrong) / 300 + head.penalty * head.weights
    assert np.abs(slope).max() < 1e-3
    # Whoever prefers the other picture each time gets the other sign.
    turned = Comparisons(
        differences=-differences, prompts=given.prompts, kind="person", question="match", ties=0
    )
    assert np.allclose(learn_head(turned).weights, -head.weights, atol=1e-3)


def test_votes_of_programs_are_apart_and_marked(
    clip: Path, encoder: ClipEncoder, tmp_path: Path
) -> None:
    study = judged(tmp_path / "run", kind="simulated")
    with pytest.raises(InputError, match="no decided votes of a person"):
        comparisons_of([study], encoder, PictureReader(8))
    head = learn_head(comparisons_of([study], encoder, PictureReader(8), kind="simulated"))
    path = tmp_path / "head.safetensors"
    save_head(head, path, str(clip), encoder.model_id)
    scorer = make_scorer("aesthetic", context_of(tmp_path, aesthetic=str(path)))
    assert scorer.metric.title == "preference learned from simulated votes"
    assert scorer.metric.source.startswith("80 simulated votes on 40 prompts")


def test_too_few_prompts_and_another_clip_are_refused(
    clip: Path, encoder: ClipEncoder, tmp_path: Path
) -> None:
    few = comparisons_of([judged(tmp_path / "few", prompts=4)], encoder, PictureReader(8))
    with pytest.raises(InputError, match="votes on 4 prompts are too few to learn from"):
        learn_head(few)
    head = learn_head(comparisons_of([judged(tmp_path / "run")], encoder, PictureReader(8)))
    path = tmp_path / "head.safetensors"
    save_head(head, path, str(clip), "clip@0123456789ab")
    with pytest.raises(ModelError, match="was learned on features of clip@0123456789ab"):
        make_scorer("aesthetic", context_of(tmp_path, aesthetic=str(path)))


def test_the_command_learns_from_several_runs(clip: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        judged(tmp_path / name, prompts=20).store.close()
    path = tmp_path / "head.safetensors"
    arguments = [
        "votes", "learn", str(tmp_path / "one"), str(tmp_path / "two"), "-o", str(path), "--clip",
        str(clip), "--offline", "--question", "picture",
    ]  # fmt: skip
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    said = "80 votes on 20 prompts, 0 ties left out; of votes on other prompts"
    assert said in result.stderr  # the same prompts in both
    assert set(load_file(path)) == {"0.weight"}
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 2 and "--overwrite" in again.stderr
    wrong = CliRunner().invoke(app, [*arguments[:4], "-o", str(tmp_path / "head.pth")])
    assert wrong.exit_code == 2 and "must end in .safetensors" in wrong.stderr
