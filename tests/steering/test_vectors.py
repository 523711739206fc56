"""The way between two embeddings, and the files that keep one."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from promptlift.errors import ConfigError, InputError
from promptlift.illustrating.embedding import KEY, load_embedding, widths
from promptlift.illustrating.illustrator import Illustrator
from promptlift.illustrating.records import Request
from promptlift.steering.vectors import blend, distance, embedding_of, sampler_of, slerp
from tests.illustrating.models import DIFFUSERS_WARNS

pytestmark = DIFFUSERS_WARNS
CAT, DOG = "a cat in a field", "a dog, sharp focus"
seeds = st.integers(0, 2**32 - 1)
shares = st.floats(0.01, 0.99)


def rows(seed: int, width: int = 8) -> torch.Tensor:
    return torch.randn(5, width, generator=torch.Generator().manual_seed(seed))


def drawn(illustrator: Illustrator, prompt: str, seed: int, **given: object) -> np.ndarray:
    return np.asarray(illustrator.draw(prompt, seed=seed, **given).image)


@given(seeds, seeds, shares)
@settings(deadline=None)
def test_slerp_is_the_arc_of_unit_rows(one: int, other: int, share: float) -> None:
    a, b = (torch.nn.functional.normalize(rows(seed).double(), dim=-1) for seed in (one, other))
    angle = (a * b).sum(-1, keepdim=True).clamp(-1, 1).arccos()
    if float(angle.min()) < 0.01:
        return
    textbook = ((1 - share) * angle).sin() * a + (share * angle).sin() * b
    found = slerp(a, b, share)
    torch.testing.assert_close(found, textbook / angle.sin(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(5).double(), atol=1e-4, rtol=1e-4)


@given(seeds, seeds, shares)
@settings(deadline=None)
def test_slerp_is_the_same_from_the_other_end(one: int, other: int, share: float) -> None:
    a, b = rows(one), rows(other)
    torch.testing.assert_close(slerp(a, b, share), slerp(b, a, 1 - share), atol=1e-5, rtol=1e-4)


def test_slerp_ends_where_it_is_told_to() -> None:
    a, b = rows(0), rows(1)
    assert slerp(a, b, 0) is a
    assert slerp(a, b, 1) is b


@given(seeds, shares)
def test_rows_that_are_equal_or_opposite_are_mixed_linearly(seed: int, share: float) -> None:
    a = rows(seed)
    torch.testing.assert_close(slerp(a, a, share), a)
    torch.testing.assert_close(slerp(a, -a, share), (1 - 2 * share) * a, atol=1e-4, rtol=1e-3)


def test_slerp_has_a_gradient_in_its_share() -> None:
    share = torch.tensor(0.3, requires_grad=True)
    torch.autograd.backward(slerp(rows(0), torch.cat([rows(0)[:1], rows(1)[1:]]), share).sum())
    assert share.grad is not None
    assert torch.isfinite(share.grad)
    assert float(share.grad) != 0


def test_an_embedding_of_words_draws_what_the_words_draw(illustrator: Illustrator) -> None:
    for prompt in (CAT, DOG, "a cat " * 3):
        words = drawn(illustrator, prompt, 3)
        embedding = embedding_of(illustrator, prompt)
        np.testing.assert_array_equal(drawn(illustrator, prompt, 3, embedding=embedding), words)


def test_both_ends_of_a_blend_are_the_prompts_to_the_bit(illustrator: Illustrator) -> None:
    one, other = embedding_of(illustrator, CAT), embedding_of(illustrator, DOG)
    pictures = [
        drawn(illustrator, CAT, 5, embedding=blend(illustrator, one, other, share))
        for share in (0, 0.5, 1)
    ]
    np.testing.assert_array_equal(pictures[0], drawn(illustrator, CAT, 5))
    np.testing.assert_array_equal(pictures[2], drawn(illustrator, DOG, 5))
    assert (pictures[1] != pictures[0]).any()
    assert (pictures[1] != pictures[2]).any()


def test_a_blend_takes_each_encoder_by_itself(sdxl: Illustrator) -> None:
    one, other = embedding_of(sdxl, CAT), embedding_of(sdxl, DOG)
    [half] = blend(sdxl, one, other, 0.5).wanted
    [width, last] = widths(one.wanted[0])
    a, b = one.wanted[0], other.wanted[0]
    for part in (slice(None, width), slice(width, None)):
        torch.testing.assert_close(
            half.embeds[..., part], slerp(a.embeds[..., part], b.embeds[..., part], 0.5)
        )
    assert half.pooled is not None
    assert a.pooled is not None
    assert b.pooled is not None
    assert half.pooled.shape == (1, last)
    torch.testing.assert_close(half.pooled, slerp(a.pooled, b.pooled, 0.5))


def test_a_refiner_gets_the_rows_of_its_own_encoder(folders: dict[str, Path]) -> None:
    from tests.steering.conftest import loaded

    both = loaded(folders, "sdxl+refiner")
    one, other = embedding_of(both, CAT), embedding_of(both, DOG)
    found = blend(both, one, other, 0.4).wanted[1]
    torch.testing.assert_close(
        found.embeds, slerp(one.wanted[1].embeds, other.wanted[1].embeds, 0.4)
    )


def test_prompts_of_unequal_chunks_are_blended(folders: dict[str, Path]) -> None:
    long = Illustrator.load(folders["sdxl"], num_inference_steps=2, long_prompts="chunk")
    one, other = embedding_of(long, CAT), embedding_of(long, "a cat and a dog " * 30)
    assert len(other.wanted[0].embeds) > 1
    found = blend(long, one, other, 0.5)
    assert found.wanted[0].embeds.shape == other.wanted[0].embeds.shape
    assert drawn(long, CAT, 0, embedding=found).shape == (64, 64, 3)


def test_words_and_embeddings_share_a_batch(sdxl: Illustrator) -> None:
    embedding = blend(sdxl, embedding_of(sdxl, CAT), embedding_of(sdxl, DOG), 0.5)
    alone = drawn(sdxl, CAT, 1, embedding=embedding)
    together = list(
        sdxl.draw_all(
            [Request(prompt=DOG, seed=1), Request(prompt=CAT, seed=1, embedding=embedding)]
        )
    )
    # Products of a batch are rounded otherwise than those of one picture.
    for picture, expected in ((together[1], alone), (together[0], drawn(sdxl, DOG, 1))):
        np.testing.assert_allclose(np.asarray(picture.image), expected.astype(int), atol=1)


def test_a_file_gives_back_what_was_saved(illustrator: Illustrator, tmp_path: Path) -> None:
    path = tmp_path / "cat.safetensors"
    one, other = (embedding_of(illustrator, text) for text in (CAT, DOG))
    made = blend(illustrator, one, other, 0.3)
    made.save(path)
    found = load_embedding(path)
    assert found.sha256 == made.sha256
    assert found.prompt == CAT
    assert found.about["share"] == 0.3
    assert len(found.about["encoders"]) == len(widths(made.wanted[0]))
    np.testing.assert_array_equal(
        drawn(illustrator, CAT, 2, embedding=found), drawn(illustrator, CAT, 2, embedding=made)
    )


def test_a_file_has_the_names_of_diffusers(sdxl: Illustrator, tmp_path: Path) -> None:
    path = tmp_path / "cat.safetensors"
    embedding_of(sdxl, CAT).save(path)
    tensors = load_file(path)
    pipeline = sdxl.diffusers.pipelines.base
    wanted, _, pooled, _ = pipeline.encode_prompt(CAT, device="cpu")
    assert tensors["prompt_embeds"].equal(wanted)
    assert tensors["pooled_prompt_embeds"].equal(pooled)
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()[KEY])["prompt"] == CAT


def test_an_embedding_of_other_encoders_is_refused(
    sdxl: Illustrator, sd15: Illustrator, pocket: Illustrator
) -> None:
    found = embedding_of(sdxl, CAT)
    for other in (sd15, pocket):
        with pytest.raises(InputError, match="was made for other text encoders, those of sdxl"):
            other.draw(CAT, embedding=found)


def test_half_precision_is_the_same_encoder(sdxl: Illustrator) -> None:
    found = embedding_of(sdxl, CAT)
    replace(found, probe=found.probe.half()).check(sampler_of(sdxl).probe(), 1)


def test_an_embedding_without_a_refiner_is_refused_by_one(folders: dict[str, Path]) -> None:
    from tests.steering.conftest import loaded

    alone, both = (loaded(folders, name) for name in ("sdxl", "sdxl+refiner"))
    with pytest.raises(InputError, match="made without a refiner"):
        both.draw(CAT, embedding=embedding_of(alone, CAT))


def test_what_is_no_embedding_is_refused(tmp_path: Path) -> None:
    for name, message in (("none", "does not exist"), ("damaged", "cannot be read"),
                          ("other", "no embedding that promptlift steer wrote")):  # fmt: skip
        path = tmp_path / f"{name}.safetensors"
        if name == "damaged":
            path.write_bytes(b"nothing")
        if name == "other":
            save_file({"weight": torch.zeros(2)}, path)
        with pytest.raises(InputError, match=message):
            load_embedding(path)


def test_tensors_of_other_shapes_are_refused(sdxl: Illustrator, tmp_path: Path) -> None:
    path = tmp_path / "cat.safetensors"
    embedding_of(sdxl, CAT).save(path)
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        about = file.metadata()
    rows = tensors["prompt_embeds"]
    for wrong in ({"prompt_embeds": rows[:, 1:]}, {"prompt_embeds": rows[..., 1:]},
                  {"prompt_embeds": rows[0]}, {"probe": rows[0]}):  # fmt: skip
        found = {name: value.contiguous() for name, value in {**tensors, **wrong}.items()}
        save_file({name: value.clone() for name, value in found.items()}, path, about)
        with pytest.raises(InputError, match="shapes that no embedding has"):
            load_embedding(path)


def test_the_empty_prompt_can_be_saved(sdxl: Illustrator, tmp_path: Path) -> None:
    path = tmp_path / "empty.safetensors"
    embedding_of(sdxl, "").save(path)
    assert load_embedding(path).prompt == ""


def test_a_share_outside_is_refused(sdxl: Illustrator) -> None:
    one = embedding_of(sdxl, CAT)
    with pytest.raises(ConfigError, match="from 0 to 1"):
        blend(sdxl, one, one, 1.5)


def test_distance_is_nothing_to_itself_and_grows_along_the_way(sdxl: Illustrator) -> None:
    one, other = embedding_of(sdxl, CAT), embedding_of(sdxl, DOG)
    way = [distance(one, blend(sdxl, one, other, share)) for share in (0, 0.3, 0.6, 1)]
    assert way[0] == pytest.approx(0, abs=1e-6)
    assert way == sorted(way)
    assert way[-1] == pytest.approx(distance(other, one))
