"""Improving, drawing, scoring and picking, with tiny real models."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from promptlift.errors import ConfigError, InputError, ModelError, PromptliftError
from promptlift.illustrating.illustrator import Illustrator
from promptlift.improving.batch import PromptSource
from promptlift.improving.improver import Improver
from promptlift.pairs.load import load_pairs
from promptlift.picking.config import PickConfig
from promptlift.picking.pick import CONFIRMATION, STAGE, pick
from promptlift.picking.picks import read_picks, write_pick_pairs
from promptlift.pictures import read_index
from promptlift.records import Pair
from promptlift.runs import Run
from promptlift.scoring.pictures import preference_models as preference
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.scores import Metric
from promptlift.tables import write_rows
from promptlift.training.config import TrainingConfig
from promptlift.training.train import train
from tests.conftest import another_process
from tests.illustrating.models import DIFFUSERS_WARNS, save_sdxl
from tests.scoring.torchmetrics_pairs import by_torchmetrics

pytestmark = DIFFUSERS_WARNS

PROMPTS = PromptSource(prompts=["a cat in armor", "a lighthouse", "an old castle"])
ONE = PromptSource(prompts=["a cat"])
WHOLE: dict[str, Any] = {"n": 2, "always": True, "confirm_seeds": 2}
THINGS = "cat dog lighthouse castle ship tree robot fox horse river bowl knight owl bridge car rose"
DETAILED = (
    "a portrait of a knight, highly detailed, sharp focus, oil on canvas, soft light, 4k, "
    "cinematic lighting, intricate, elegant, concept art, smooth"
)


@pytest.fixture(scope="module")
def illustrator(tmp_path_factory: pytest.TempPathFactory) -> Illustrator:
    folder = save_sdxl(tmp_path_factory.mktemp("pictures") / "sdxl")
    return Illustrator.load(folder, num_inference_steps=1, width=16, height=16, seeds=2)


@pytest.fixture
def picking(illustrator: Illustrator, bundled: Improver, clip_folder: Path) -> "Picking":
    return Picking(illustrator, bundled, clip_folder)


@pytest.fixture(scope="module")
def shared(
    illustrator: Illustrator,
    bundled: Improver,
    clip_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A run of `WHOLE`; not to be written to."""
    run = tmp_path_factory.mktemp("runs") / "shared"
    Picking(illustrator, bundled, clip_folder)(run, **WHOLE)
    return run


@pytest.fixture
def whole(shared: Path, tmp_path: Path) -> Path:
    """A copy of it, times of change included."""
    return Path(shutil.copytree(shared, tmp_path / "whole"))


class Picking:
    """Picks with the tiny models."""

    def __init__(self, illustrator: Illustrator, improver: Improver, clip: Path) -> None:
        self.illustrator, self.improver = illustrator, improver
        self.scoring = PictureScoringConfig(
            clip=str(clip), preference=str(clip), offline=True, device="cpu"
        )

    def __call__(
        self, run: Path, given: PromptSource = PROMPTS, *, report: Any = print, **config: Any
    ) -> dict[str, Any]:
        return pick(
            run,
            given,
            improver=self.improver,
            illustrator=self.illustrator,
            config=PickConfig(**{"n": 2, **config}),
            scoring=self.scoring,
            report=report,
        )


def files(run: Path) -> dict[str, bytes]:
    """What two runs must have in common, to the byte."""
    kept = [*run.rglob("*.png"), run / "improvements.jsonl", run / "picks.jsonl"]
    return {str(path.relative_to(run)): path.read_bytes() for path in kept}


def times_of(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")}


@pytest.mark.slow
def test_the_pick_is_that_of_an_exhaustive_recomputation(
    picking: Picking, clip_folder: Path, tmp_path: Path
) -> None:
    counts = picking(tmp_path / "run", PromptSource(prompts=["a cat", "a ship"]), n=3, always=True)
    assert counts == {"prompts": 2, "improved": 2, "original": 0, "failed": 0}
    rows = list(read_picks(tmp_path / "run"))
    pictures = read_index(tmp_path / "run" / "pictures")
    assert len(pictures) == 2 * 2 * 4
    images = [Image.open(one.path).convert("RGB") for one in pictures]
    scores = by_torchmetrics(clip_folder, [one.source for one in pictures], images)
    for row in rows:
        means: dict[str, float] = {}
        for name in ("original", "0", "1", "2"):
            own = [
                score
                for one, score in zip(pictures, scores, strict=True)
                if one.prompt_index == row["index"]
                and name == ("original" if one.side == "original" else str(one.variant))
            ]
            assert row["scores"][name] == pytest.approx(own, abs=1e-4)
            means[name] = float(np.mean(own))
        gains = {name: mean - means["original"] for name, mean in means.items()}
        del gains["original"]
        best = max(gains, key=lambda name: gains[name])
        assert row["variant"] == row["best_variant"] == int(best)
        assert row["gain"] == pytest.approx(gains[best], abs=1e-4)
        [drawn] = {
            one.prompt
            for one in pictures
            if (one.prompt_index, one.side, one.variant)
            == (row["index"], "improved", row["variant"])
        }
        assert row["prompt"] == drawn != row["source"]


def test_a_row_says_what_it_rests_on(picking: Picking, whole: Path) -> None:
    row = next(read_picks(whole))
    assert row["seeds"] == [0, 1] and row["confirmation"]["seeds"] == [2, 3]
    assert row["best_of"] == 2
    assert "the true gain is smaller" in row["caution"]
    assert row["metric"]["name"] == "clipscore_original_prompt"
    assert row["metric"]["model"].startswith("clip@") and row["metric"]["tie"] == 1e-4
    assert row["models"]["improver"] == picking.improver.model_id
    assert row["models"]["pictures"].startswith("sdxl@")
    stage = Run.open(whole).stage(STAGE)
    assert stage["state"] == "done" and stage["results"]["improved"] == 3
    assert stage["config"]["confirm_seeds"] == 2


def test_the_confirmation_is_a_run_of_its_own(whole: Path) -> None:
    pictures = read_index(whole / CONFIRMATION / "pictures")
    assert {one.seed for one in pictures} == {2, 3}
    for row in read_picks(whole):
        own = [one for one in pictures if one.prompt_index == row["index"]]
        assert {one.prompt for one in own} == {row["source"], row["prompt"]}
        assert {one.variant for one in own if one.side == "improved"} == {row["variant"]}
        found = row["confirmation"]
        fresh = np.subtract(found["scores"][str(row["variant"])], found["scores"]["original"])
        assert found["gain"] == pytest.approx(fresh.mean())
        assert found["confirmed"] == (found["low"] > 1e-4)


def test_without_a_clear_gain_the_original_is_kept(picking: Picking, tmp_path: Path) -> None:
    picking.scoring = replace(picking.scoring, tie=1000.0)  # no gain is larger
    counts = picking(tmp_path / "run", ONE, confirm_seeds=2)
    assert counts == {"prompts": 1, "improved": 0, "original": 1, "failed": 0, "confirmed": 0}
    assert not (tmp_path / "run" / CONFIRMATION).exists()
    for row in read_picks(tmp_path / "run"):
        assert row["prompt"] == row["source"] and row["variant"] is None
        assert row["reason"] == "no clear gain" and row["caution"] is None
        assert row["best_variant"] is not None and row["gain"] is not None
    assert write_pick_pairs(tmp_path / "run", tmp_path / "pairs.jsonl") == 0


def test_a_prompt_that_is_left_alone_is_not_drawn(picking: Picking, tmp_path: Path) -> None:
    given = PromptSource(prompts=[DETAILED, "a lighthouse"])
    picking(tmp_path / "run", given, always=True)
    alone, other = read_picks(tmp_path / "run")
    assert alone["choice"] == "original" and alone["scores"] is None and alone["gain"] is None
    assert alone["reason"].startswith("no variant differs from the original; ")
    assert other["choice"] == "improved"
    assert {one.prompt_index for one in read_index(tmp_path / "run" / "pictures")} == {1}
    picking(tmp_path / "nothing", PromptSource(prompts=[DETAILED]))
    assert not (tmp_path / "nothing" / "pictures").exists()


@pytest.mark.slow
def test_a_stopped_run_ends_with_the_same_files(
    picking: Picking, shared: Path, tmp_path: Path
) -> None:
    expected = files(shared)
    assert len(expected) == 3 * 2 * 3 + 3 * 2 * 2 + 2
    own = picking.illustrator
    draw, run = own.outcomes, tmp_path / "parts"
    for pictures, there in ((0, 0), (1, 1), (7, 8)):

        def draw_some(requests: Any, most: int = pictures) -> Iterator[Any]:
            for count, picture in enumerate(draw(requests)):
                if count == most:
                    raise KeyboardInterrupt
                yield picture

        own.outcomes = draw_some  # type: ignore[method-assign]
        try:
            with pytest.raises(KeyboardInterrupt):
                picking(run, **WHOLE)
        finally:
            del own.outcomes
        assert not (run / "picks.jsonl").exists()
        assert len(list(run.rglob("*.png"))) == there
    # As a kill leaves it: a picture that was never renamed.
    (run / "pictures" / ".000000-s0-original.png.abc.png").write_bytes(b"half")
    picking(run, **WHOLE)
    assert files(run) == expected


@pytest.mark.slow
def test_a_finished_run_is_left_as_it_is_and_one_killed_late_goes_on(
    picking: Picking, whole: Path
) -> None:
    expected, times = files(whole), times_of(whole)
    picking(whole, **WHOLE)
    assert files(whole) == expected and times_of(whole) == times
    shutil.rmtree(whole / CONFIRMATION)  # killed before what was chosen was drawn again
    (whole / "picks.jsonl").unlink()
    (whole / "scores" / "cache" / "features.sqlite").unlink()
    picking(whole, **WHOLE)
    assert files(whole) == expected


def test_another_metric_picks_anew_from_the_same_pictures(picking: Picking, whole: Path) -> None:
    times = times_of(whole / "pictures")
    picking(whole, **WHOLE, metric="pickscore")
    assert times_of(whole / "pictures") == times
    for row in read_picks(whole):
        assert row["metric"]["name"] == "pickscore"
        assert set(row["confirmation"]["scores"]) == {"original", str(row["variant"])}


class Darkest:
    """A metric whose lower end is better."""

    model = "none"

    def __init__(self, better: bool | None = False) -> None:
        self.metric = Metric(
            name="darkest", title="Darkest", range=(0, 255), higher_is_better=better, source="test"
        )

    def score(self, *, prompts: Any, pictures: Any) -> Any:
        return [float(np.asarray(Image.open(one.path).convert("L")).mean()) for one in pictures]


def test_a_metric_of_ones_own_whose_lower_end_is_better(
    picking: Picking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preference, "_SCORERS", dict(preference._SCORERS))
    preference.register_scorer("darkest", lambda context: Darkest())
    picking(tmp_path / "run", ONE, metric="darkest", always=True)
    shades = {
        (one.prompt_index, one.side, one.variant, one.seed): float(
            np.asarray(Image.open(one.path).convert("L")).mean()
        )
        for one in read_index(tmp_path / "run" / "pictures")
    }
    for row in read_picks(tmp_path / "run"):
        means = [
            np.mean([shades[row["index"], "improved", variant, seed] for seed in (0, 1)])
            for variant in (0, 1)
        ]
        assert row["variant"] == int(np.argmin(means))
    preference.register_scorer("neither", lambda context: Darkest(better=None))
    with pytest.raises(ConfigError, match="'neither' has no better end"):
        picking(tmp_path / "other", metric="neither")


@pytest.mark.slow
def test_choices_are_pairs_that_a_t5_learns_from(
    picking: Picking, whole: Path, t5v11_folder: Path, tmp_path: Path
) -> None:
    own = picking.illustrator
    picking.illustrator = own.with_seeds(own.config.seed, 1)
    rewritten = tmp_path / "rewritten"
    given = PromptSource(prompts=[f"a {thing}" for thing in [*THINGS.split(), "house", "dragon"]])
    picking(rewritten, given, n=1, mode="rewrite", always=True)
    learned: list[Pair] = []
    for run, mode in ((whole, "extend"), (rewritten, "rewrite")):
        path = tmp_path / f"{mode}.jsonl"
        rows = list(read_picks(run))
        assert write_pick_pairs(run, path) == len(rows)
        pairs = [pair for pair in load_pairs(path) if isinstance(pair, Pair)]
        for pair, row in zip(pairs, rows, strict=True):
            assert (pair.source, pair.mode) == (row["source"], mode)
            target = f"{pair.source}, {pair.target}" if mode == "extend" else pair.target
            assert target == row["prompt"]
        learned += pairs
    config = TrainingConfig(model=str(t5v11_folder), epochs=1.0, batch_size=8, precision="fp32")
    assert train(learned, tmp_path / "trained", config) == tmp_path / "trained" / "model"


def test_pairs_hold_what_was_clear_and_borne_out(whole: Path, tmp_path: Path) -> None:
    first, second, third = read_picks(whole)
    for row, borne_out in ((first, True), (second, False)):
        row["metric"]["always"] = False
        row["confirmation"]["confirmed"] = borne_out
    write_rows(whole / "picks.jsonl", [first, second, third], ())
    write_pick_pairs(whole, tmp_path / "pairs.jsonl")
    pairs = [pair for pair in load_pairs(tmp_path / "pairs.jsonl") if isinstance(pair, Pair)]
    assert [pair.source for pair in pairs] == [first["source"], third["source"]]


def test_what_cannot_be_done_is_said(picking: Picking, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(InputError, match="there is no prompt"):
        picking(run, PromptSource())
    with pytest.raises(ConfigError, match="metric 'clap' is not known; there is: clip, entropy, "):
        picking(run, metric="clap")
    with pytest.raises(ConfigError, match="mode is 'anew' and must be"):
        picking(run, mode="anew")
    assert not run.exists()
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(InputError, match=r"empty\.txt holds no prompt"):
        picking(tmp_path / "empty", PromptSource(files=[tmp_path / "empty.txt"]))
    picking.scoring = replace(picking.scoring, aesthetic=str(tmp_path / "no.pth"))
    with pytest.raises(ModelError, match=r"no\.pth does not exist"):
        picking(run, ONE, metric="aesthetic")
    assert not (run / "pictures").exists()
    picking(run, ONE)
    with pytest.raises(ConfigError, match="n was 2, now 3"):
        picking(run, ONE, n=3)
    with pytest.raises(ConfigError, match="prompts was"):
        picking(run, PromptSource(prompts=["a dog"]))
    path = next((run / "pictures").glob("*improved*.png"))
    os.truncate(path, path.stat().st_size - 20)
    said: list[str] = []
    picking(run, ONE, report=said.append)
    assert any("drawing it again" in line for line in said)


def test_a_second_process_is_told_who_picks(picking: Picking, whole: Path, tmp_path: Path) -> None:
    expected = files(whole)
    with (
        another_process(whole, "picked") as other,
        pytest.raises(PromptliftError, match=rf"picked by another process \(pid {other.pid}\)"),
    ):
        picking(whole, **WHOLE)
    assert files(whole) == expected


def test_picks_that_are_damaged_are_refused(tmp_path: Path) -> None:
    (tmp_path / "picks.jsonl").write_text(json.dumps({"index": 0})[:-2] + "\n")
    with pytest.raises(InputError, match=r"picks\.jsonl line 1 is damaged"):
        list(read_picks(tmp_path))
