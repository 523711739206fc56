"""Denoising on the way: the pictures of `illustrate`, gradients, stops, and masks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from PIL import Image

from promptlift.errors import ConfigError, InputError
from promptlift.illustrating.illustrator import Illustrator
from promptlift.illustrating.records import Request
from promptlift.steering.denoising import Denoiser
from promptlift.steering.redraw import redraw
from promptlift.steering.vectors import embedding_of, sampler_of
from tests.illustrating.models import DIFFUSERS_WARNS
from tests.steering.conftest import STEPS

pytestmark = DIFFUSERS_WARNS
CAT = "a cat in a field"
BASES = ["sdxl", "turbo", "sd15"]


@pytest.fixture(params=BASES)
def base(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Illustrator:
    from tests.steering.conftest import loaded

    return loaded(folders, request.param)


def arguments(illustrator: Illustrator) -> dict[str, torch.Tensor]:
    return sampler_of(illustrator).arguments(0, [Request(prompt=CAT)])


def levels(pictures: torch.Tensor) -> np.ndarray:
    return (pictures[0].permute(1, 2, 0).detach() * 255).round().byte().numpy()


def test_pictures_are_those_of_illustrate(base: Illustrator) -> None:
    denoiser = Denoiser(base)
    latents = denoiser.latents(arguments(base), denoiser.noise([7]), [7])
    drawn = np.asarray(base.draw(CAT, seed=7).image)
    np.testing.assert_array_equal(levels(denoiser.pictures(latents)), drawn)


def test_gradients_leave_pictures_as_they_are(base: Illustrator) -> None:
    denoiser = Denoiser(base)
    drawn = np.asarray(base.draw(CAT, seed=7).image)
    for through in (1, 2, denoiser.steps):
        given = {name: value.requires_grad_() for name, value in arguments(base).items()}
        latents = denoiser.latents(given, denoiser.noise([7]), [7], through=through)
        np.testing.assert_array_equal(levels(denoiser.pictures(latents)), drawn)
        assert latents.requires_grad
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("through", [1, STEPS])
def test_gradients_are_those_of_finite_differences(folders: dict[str, Path], through: int) -> None:
    """In a random direction, in double precision; steps that no gradient passes are held."""
    from tests.steering.conftest import loaded

    sd15 = loaded(folders, "sd15")
    pipeline = sd15.diffusers.pipelines.base
    # One that remembers no earlier step, as PNDM does.
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    denoiser = Denoiser(sd15)
    assert denoiser.steps == STEPS
    parts = (pipeline.unet, pipeline.text_encoder)  # the pipeline takes the latter's precision
    for part in parts:
        part.double()
    try:
        given = {name: value.double() for name, value in arguments(sd15).items()}
        noise, rows = denoiser.noise([1]).double(), given["prompt_embeds"]
        moved = rows.clone().requires_grad_()
        found = denoiser.latents({**given, "prompt_embeds": moved}, noise, [1], through=through)
        torch.autograd.backward(found.pow(2).sum())
        assert moved.grad is not None
        direction = torch.randn(rows.shape, generator=torch.Generator().manual_seed(0)).double()
        with torch.no_grad():
            up, down = (
                float(_last_steps(denoiser, given, rows + size * direction, noise, through)
                      .pow(2).sum())
                for size in (1e-4, -1e-4)
            )  # fmt: skip
        along = float((moved.grad * direction).sum())
        assert along != 0
        assert along == pytest.approx((up - down) / 2e-4, rel=1e-3)
    finally:
        for part in parts:
            part.float()


def _last_steps(
    denoiser: Denoiser,
    given: dict[str, torch.Tensor],
    moved: torch.Tensor,
    noise: torch.Tensor,
    through: int,
) -> torch.Tensor:
    """Latents whose last steps alone read moved rows: the loop once more, by hand."""
    start = denoiser.steps - through
    kept: dict[int, torch.Tensor] = {}

    def note(done: int, latents: torch.Tensor) -> torch.Tensor:
        kept[done] = latents
        return latents

    denoiser.latents(given, noise, [1], on_latents=note)

    def put(done: int, latents: torch.Tensor) -> torch.Tensor:
        return kept[done] if done <= start else latents

    return denoiser.latents({**given, "prompt_embeds": moved}, noise, [1], on_latents=put)


def test_it_stops_where_it_is_told_to(base: Illustrator) -> None:
    denoiser, kept = Denoiser(base), {}

    def note(done: int, latents: torch.Tensor) -> torch.Tensor:
        kept[done] = latents.clone()
        return latents

    noise = denoiser.noise([3])
    denoiser.latents(arguments(base), noise, [3], on_latents=note)
    assert list(kept) == list(range(1, denoiser.steps + 1))
    for until in (1, 2):
        found = denoiser.latents(arguments(base), noise, [3], until=until)
        torch.testing.assert_close(found, kept[until], atol=0, rtol=0)


def test_a_refiner_is_left_out(folders: dict[str, Path]) -> None:
    from tests.steering.conftest import loaded

    both, alone = loaded(folders, "sdxl+refiner"), loaded(folders, "sdxl")
    denoiser = Denoiser(both)
    latents = denoiser.latents(arguments(both), denoiser.noise([7]), [7])
    drawn = np.asarray(alone.draw(CAT, seed=7).image)
    np.testing.assert_array_equal(levels(denoiser.pictures(latents)), drawn)


def test_a_vae_that_overflows_stays_in_half_precision(folders: dict[str, Path]) -> None:
    from tests.steering.conftest import loaded

    half = loaded(folders, "sdxl")
    vae = half.diffusers.pipelines.base.vae.half()
    assert vae.config.force_upcast
    denoiser = Denoiser(half)
    latents = torch.zeros(1, 4, 8, 8, requires_grad=True)
    torch.autograd.backward(denoiser.pictures(latents).sum())
    assert latents.grad is not None and torch.isfinite(latents.grad).all()
    assert vae.dtype == torch.float16  # `illustrate` goes on with it


def test_what_is_outside_of_a_mask_stays(base: Illustrator) -> None:
    picture = base.draw(CAT, seed=1).image.convert("RGB")
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 16:48] = 255
    found = redraw(
        base, embedding_of(base, "a dog"), picture, Image.fromarray(mask), seed=9, strength=0.6
    )
    before, after = np.asarray(picture), np.asarray(found)
    np.testing.assert_array_equal(after[mask == 0], before[mask == 0])
    assert (after[mask > 0] != before[mask > 0]).mean() > 0.5


def test_a_whole_mask_at_full_strength_draws_the_picture_of_its_seed(base: Illustrator) -> None:
    picture = Image.new("RGB", (64, 64), "red")
    found = redraw(
        base, embedding_of(base, CAT), picture, Image.new("L", (64, 64), 255), seed=4, strength=1
    )
    np.testing.assert_array_equal(np.asarray(found), np.asarray(base.draw(CAT, seed=4).image))


def test_masks_that_cannot_be_used_are_refused(sd15: Illustrator) -> None:
    embedding, picture = embedding_of(sd15, CAT), Image.new("RGB", (64, 64))
    black, small = Image.new("L", (64, 64)), Image.new("L", (32, 32), 255)
    with pytest.raises(InputError, match="the mask is black"):
        redraw(sd15, embedding, picture, black, seed=0)
    with pytest.raises(InputError, match="the mask 32x32; both must be 64x64"):
        redraw(sd15, embedding, picture, small, seed=0)
    with pytest.raises(ConfigError, match="strength is 0"):
        redraw(sd15, embedding, picture, Image.new("L", (64, 64), 255), seed=0, strength=0)
