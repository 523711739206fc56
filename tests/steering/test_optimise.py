"""Embeddings that were optimised, made independent of seeds, picked among, and put into words."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from promptlift.errors import ConfigError, InputError
from promptlift.illustrating.embedding import widths
from promptlift.illustrating.illustrator import Illustrator
from promptlift.pictures import Picture
from promptlift.records import Improvement
from promptlift.scoring.pictures.preference_models import ScorerContext
from promptlift.steering.config import OptimiseConfig, SameConfig
from promptlift.steering.optimise import Optimisation, graded_scorer, optimise
from promptlift.steering.optimisers import AdamOnLion
from promptlift.steering.same import SameStep, guided, unguided
from promptlift.steering.vectors import distance, embedding_of, halves, rows_of
from promptlift.steering.words import nearest
from tests.illustrating.models import DIFFUSERS_WARNS

pytestmark = DIFFUSERS_WARNS
OnStep = Callable[[SameStep], None]
STAR = "red star"


def config(**given: Any) -> OptimiseConfig:
    return OptimiseConfig(**{"metric": "sharpness", "iterations": 3, "through": 2, **given})


@pytest.mark.parametrize("name", ["sharpness", "contrast", "clip", "aesthetic"])
def test_a_graded_metric_is_the_metric(
    name: str, context: ScorerContext, pocket: Illustrator, tmp_path: Path
) -> None:
    scorer = graded_scorer(name, context)
    image = pocket.draw(STAR, seed=2).image
    image.save(tmp_path / "star.png")
    levels = torch.from_numpy(np.asarray(image, np.float32) / 255).permute(2, 0, 1)[None]
    other = Image.effect_noise((64, 64), 60).convert("RGB")
    other.save(tmp_path / "noise.png")
    noise = torch.from_numpy(np.asarray(other, np.float32) / 255).permute(2, 0, 1)[None]
    graded = [float(scorer.graded([STAR], one)[0]) for one in (levels, noise)]
    pictures = [_picture(tmp_path / f"{name}.png") for name in ("star", "noise")]
    own = scorer.score(prompts=[STAR, STAR], pictures=pictures)
    if name == "aesthetic":  # it lacks entropy, the weight of which is known
        assert np.sign(graded[0] - graded[1]) == np.sign(own[0] - own[1])
    else:
        # Levels are rounded in a file, which adds 20 twelfths to the variance of the Laplacian.
        apart = {"sharpness": 2, "contrast": 0.002, "clip": 0.5}[name]
        found = np.maximum(graded, 0) if name == "clip" else graded
        np.testing.assert_allclose(found, own, rtol=0.01, atol=apart)


def _picture(path: Path) -> Picture:
    import hashlib

    return Picture(
        prompt_index=0, seed=0, side="original", variant=0, path=path, prompt=STAR, source=STAR,
        negative=None, settings={}, model=[], sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        width=64, height=64, seconds=None, cut_tokens=0,
    )  # fmt: skip


def test_what_counts_levels_has_no_gradient(context: ScorerContext, pocket: Illustrator) -> None:
    scorer = graded_scorer("entropy", context)
    with pytest.raises(ConfigError, match="entropy counts grey levels"):
        optimise(pocket, STAR, scorer, config(metric="entropy"))
    with pytest.raises(ConfigError, match="wants has no gradient"):
        graded_scorer("wants", context)


@pytest.mark.parametrize("optimizer", ["adamw", "adam-on-lion"])
def test_a_score_rises(illustrator: Illustrator, context: ScorerContext, optimizer: str) -> None:
    scorer = graded_scorer("contrast", context)
    # Of random weights, whose pictures hardly follow the prompt: many steps of denoising.
    run = Optimisation(illustrator, STAR, scorer, config(optimizer=optimizer, through=4, rate=0.1))
    scores = [step.score for step in run]
    assert len(scores) == 4
    assert scores[-1] > scores[0]
    assert run.best is not None
    assert run.best.score == max(scores)
    assert len(run.best.embedding.wanted) == len(illustrator.diffusers.pipelines.loaded)


def test_less_of_a_metric(sd15: Illustrator, context: ScorerContext) -> None:
    scorer = graded_scorer("contrast", context)
    best = optimise(sd15, STAR, scorer, config(less=True, through=4, rate=0.1))
    start = optimise(sd15, STAR, scorer, config(less=True, iterations=0, through=4))
    assert start.score < best.score < 0


def test_no_steps_leave_the_prompt_to_the_bit(
    illustrator: Illustrator, context: ScorerContext
) -> None:
    best = optimise(illustrator, STAR, graded_scorer("contrast", context), config(iterations=0))
    found = illustrator.draw(STAR, seed=3, embedding=best.embedding).image
    np.testing.assert_array_equal(
        np.asarray(found), np.asarray(illustrator.draw(STAR, seed=3).image)
    )


def test_the_first_row_stays_and_sizes_are_kept(sdxl: Illustrator, context: ScorerContext) -> None:
    start = embedding_of(sdxl, STAR).wanted[0]
    best = optimise(sdxl, STAR, graded_scorer("contrast", context), config(through=4, rate=0.1))
    found = best.embedding.wanted[0]
    assert best.number > 0
    assert found.embeds[:, 0].equal(start.embeds[:, 0])
    for a, b in zip(*(halves(one.embeds[:, 1:], widths(one)) for one in (start, found)),
                    strict=True):  # fmt: skip
        assert float(b.mean()) == pytest.approx(float(a.mean()), abs=1e-4)
        assert float(b.std()) == pytest.approx(float(a.std()), rel=1e-3)
        assert (a != b).any()


def test_what_was_stopped_goes_on(
    sd15: Illustrator, context: ScorerContext, tmp_path: Path
) -> None:
    scorer = graded_scorer("contrast", context)
    given = config(iterations=4, through=3, rate=0.1, patience=9)
    whole = Optimisation(sd15, STAR, scorer, given)
    scores = [step.score for step in whole]
    state = tmp_path / "state.pt"
    first = iter(Optimisation(sd15, STAR, scorer, given, state=state))
    begun = [next(first).score for _ in range(3)]  # the state is that before the third is judged
    del first
    again = Optimisation(sd15, STAR, scorer, given, state=state)
    rest = [step.score for step in again]
    assert begun == scores[:3]
    assert rest == scores[2:]
    assert whole.best is not None
    assert again.best is not None
    assert again.best.embedding.sha256 == whole.best.embedding.sha256
    with pytest.raises(ConfigError, match="was made with other settings"):
        list(Optimisation(sd15, "another prompt", scorer, given, state=state))


def test_a_damaged_state_is_one_line(
    sd15: Illustrator, context: ScorerContext, tmp_path: Path
) -> None:
    state, scorer = tmp_path / "state.pt", graded_scorer("contrast", context)
    for content in (b"", b"nothing", b"PK\3\4 torn"):
        state.write_bytes(content)
        with pytest.raises(InputError, match="is damaged; delete it to begin anew"):
            list(Optimisation(sd15, STAR, scorer, config(), state=state))


def test_it_stops_early(sd15: Illustrator, context: ScorerContext) -> None:
    scorer = graded_scorer("contrast", context)
    given = config(iterations=50, rate=1e-12, patience=2)
    assert len(list(Optimisation(sd15, STAR, scorer, given))) <= 6


def test_more_steps_than_there_are_is_refused(sd15: Illustrator, context: ScorerContext) -> None:
    with pytest.raises(ConfigError, match="through is 99, and there are"):
        Optimisation(sd15, STAR, graded_scorer("contrast", context), config(through=99))


def test_adam_on_lion_steps_in_the_sign_of_the_gradient() -> None:
    moved = torch.zeros(4, requires_grad=True)
    optimizer = AdamOnLion([moved], lr=0.1)
    moved.grad = torch.tensor([1.0, -2.0, 0.5, 0.0])
    optimizer.step()
    # Adam's first step is g / (|g| + 1e-3), and its length is shared among three signs.
    adam = torch.tensor([1 / 1.001, -2 / 2.001, 0.5 / 0.501, 0.0])
    size = 0.1 * float(adam.norm()) / 3**0.5
    expected = torch.tensor([-size, size, -size, 0.0])
    torch.testing.assert_close(moved.detach(), expected)
    assert optimizer.state[moved]["lion"].tolist() == pytest.approx([0.01, -0.02, 0.005, 0.0])


def test_latents_grow_alike(pocket: Illustrator) -> None:
    found: list[float] = []
    made = unguided(
        pocket, STAR, 3, SameConfig(iterations=6, depth=1, most=0.02, rate=0.02),
        lambda step: found.append(step.likeness),
    )  # fmt: skip
    assert len(found) == 6
    assert found[-1] > found[0]
    rows = made.wanted[0].embeds[0]
    assert rows[1:].eq(rows[1]).all()
    assert not rows[0].equal(rows[1])


@pytest.mark.parametrize("stopped", [1, 4])
def test_what_is_alike_goes_on_where_it_was_stopped(
    pocket: Illustrator, tmp_path: Path, stopped: int
) -> None:
    given = SameConfig(iterations=3, depth=2, draws=1)
    end, state = embedding_of(pocket, "red star, masterpiece"), tmp_path / "state.pt"

    def learn(towards: bool, told: OnStep = lambda step: None, path: Path | None = None) -> str:
        if towards:
            return guided(pocket, STAR, end, 3, given, told, path)[0].sha256
        return unguided(pocket, STAR, 3, given, told, path).sha256

    def stop(step: SameStep) -> None:
        if step.number == stopped:
            raise KeyboardInterrupt

    for towards in (False, True):
        with pytest.raises(KeyboardInterrupt):
            learn(towards, stop, state)
        steps: list[SameStep] = []
        assert learn(towards, steps.append, state) == learn(towards)
        assert [step.number for step in steps] == [*range(stopped, 6)]
        with pytest.raises(ConfigError, match="was made with other settings"):
            unguided(pocket, "blue ring", 3, given, state=state)
        state.unlink()


def test_how_far_to_go_is_learned(pocket: Illustrator) -> None:
    end = embedding_of(pocket, "red star, masterpiece")
    found, way = guided(pocket, STAR, end, 3, SameConfig(iterations=3, depth=1))
    assert 0 < way < 1
    assert (
        0 < distance(found, embedding_of(pocket, STAR)) < distance(end, embedding_of(pocket, STAR))
    )


def test_words_find_the_prompt_that_an_embedding_was_made_of(pocket: Illustrator) -> None:
    planted = replace(
        embedding_of(pocket, f"{STAR}, masterpiece, night sky"), prompt=STAR, about={}
    )
    variants = [
        _variant("masterpiece", "sea"), _variant("8k", "night sky"), _variant("meadow")
    ]  # fmt: skip
    found = nearest(pocket, planted, variants)
    assert found[0].prompt == f"{STAR}, masterpiece, night sky"
    assert found[0].distance == pytest.approx(0, abs=1e-6)
    assert [one.distance for one in found] == sorted(one.distance for one in found)
    assert STAR in [one.prompt for one in found]


def _variant(*additions: str) -> Improvement:
    return Improvement(
        source=STAR, prompt=", ".join([STAR, *additions]), additions=additions, clip_tokens=4,
        seed=0, variant=0, mode="extend", model="none",
    )  # fmt: skip


def test_rows_of_have_each_encoder_once(sdxl: Illustrator) -> None:
    part = embedding_of(sdxl, STAR).wanted[0]
    shapes = [tuple(rows.shape) for rows in rows_of(part)]
    assert shapes == [(1, 77, 32), (1, 77, 32), (1, 32)]
