"""Measures of a picture, by hand and against SciPy."""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy
from PIL import Image
from scipy.ndimage import convolve

from benchmarks.world.render import render
from promptlift.scoring.pictures.measures import (
    MEASURES,
    contrast,
    entropy,
    is_near_blank,
    measure,
    sharpness,
)
from promptlift.world.scenes import HELD_OUT, Thing, draw_scene
from tests.scoring.clip_models import SHAPES, shape_picture

Grey = npt.NDArray[np.uint8]
GREYS = hypothesis_numpy.arrays(
    np.uint8, hypothesis_numpy.array_shapes(min_dims=2, max_dims=2, min_side=3, max_side=12)
)


def bands(levels: list[int], *, size: int = 64, noise: float = 0.0) -> Grey:
    """Upright bands of equal width, each of one level, with Gaussian noise."""
    columns = np.repeat(np.array(levels, np.float64), size // len(levels))
    picture = np.tile(columns, (size, 1))
    picture += np.random.default_rng(0).normal(0, noise, picture.shape)
    found: Grey = picture.round().clip(0, 255).astype(np.uint8)
    return found


def test_black_and_white_halves_by_hand() -> None:
    halves = bands([0, 255])
    assert entropy(halves) == 1.0  # two levels, each half of the pixels
    assert contrast(halves) == 0.5
    # The Laplacian is 255 and -255 beside the edge, 0 elsewhere: of 62 inner columns two.
    assert sharpness(halves) == pytest.approx(2 * 255**2 / 62)


def test_one_colour_has_nothing() -> None:
    solid = bands([90])
    assert (entropy(solid), sharpness(solid), contrast(solid)) == (0.0, 0.0, 0.0)


def test_an_even_gradient_has_every_level_and_no_edge() -> None:
    gradient = np.tile(np.arange(256, dtype=np.uint8), (8, 1))
    assert entropy(gradient) == pytest.approx(8.0)
    assert sharpness(gradient) == 0.0
    assert contrast(gradient) == pytest.approx(math.sqrt((256**2 - 1) / 12) / 255)


@given(GREYS)
def test_sharpness_is_the_variance_of_scipys_laplacian(grey: Grey) -> None:
    kernel = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    expected = convolve(grey.astype(np.float64), kernel)[1:-1, 1:-1].var()
    assert sharpness(grey) == pytest.approx(expected, rel=1e-4, abs=1e-4)


@given(GREYS, st.randoms(use_true_random=False))
def test_entropy_and_contrast_do_not_see_where_pixels_are(grey: Grey, random: object) -> None:
    moved = np.random.default_rng(0).permutation(grey.ravel()).reshape(grey.shape)
    assert entropy(moved) == pytest.approx(entropy(grey))
    assert contrast(moved) == pytest.approx(contrast(grey))
    assert 0.0 <= entropy(grey) <= 8.0
    assert 0.0 <= contrast(grey) <= 0.5


@pytest.mark.parametrize("noise", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("levels", [[0], [128], [255], [20, 200], [10, 90, 170, 250]])
def test_a_few_solid_colours_are_near_blank(levels: list[int], noise: float) -> None:
    assert is_near_blank(Image.fromarray(bands(levels, size=256, noise=noise)))


@pytest.mark.parametrize("noise", [10.0, 60.0])
def test_noise_is_not_near_blank(noise: float) -> None:
    assert not is_near_blank(Image.fromarray(bands([128], size=256, noise=noise)))


def test_gradients_are_not_near_blank() -> None:
    across = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    assert not is_near_blank(Image.fromarray(across))
    assert not is_near_blank(Image.fromarray(across.T))
    steep = (across // 2 + across.T // 2).astype(np.uint8)
    assert not is_near_blank(Image.fromarray(steep))


@pytest.mark.parametrize("shape", SHAPES)
def test_drawn_shapes_are_not_near_blank(shape: str) -> None:
    found = dict(zip((metric.name for metric in MEASURES),
                     measure(shape_picture(shape, "gold")), strict=True))  # fmt: skip
    assert found["near_blank"] == 0.0
    assert found["entropy"] > 3.0
    assert found["sharpness"] > 100.0
    assert 0.0 < found["contrast"] < 0.5


def rendered(*things: Thing, background: str = "plain") -> Image.Image:
    scene = replace(
        draw_scene(HELD_OUT), things=things, background=background, style="flat", fault="clean"
    )
    return Image.fromarray(render(scene))


@pytest.mark.parametrize("background", ["plain", "night sky"])
def test_an_empty_background_is_near_blank(background: str) -> None:
    assert is_near_blank(rendered(background=background))


def test_shapes_of_one_lightness_are_not_near_blank() -> None:
    picture = rendered(
        Thing(shape="circle", colour="blue", x=18, y=32, radius=12, turn=0),
        Thing(shape="diamond", colour="red", x=46, y=32, radius=12, turn=0),
    )
    assert not is_near_blank(picture)
    # The same in grey, where blue, red and the background have one lightness.
    shown = np.asarray(picture).astype(np.float64)
    lightness = shown @ [0.299, 0.587, 0.114]
    even = np.clip(shown + (90 - lightness)[..., None], 0, 255).astype(np.uint8)
    assert not is_near_blank(Image.fromarray(even))
    assert is_near_blank(Image.fromarray(even).convert("L"))


def test_hardly_any_render_of_the_pocket_world_is_near_blank() -> None:
    seeds = range(HELD_OUT, HELD_OUT + 300)
    found = [is_near_blank(Image.fromarray(render(draw_scene(seed)))) for seed in seeds]
    # A large plain shape on a plain background is, as a flag is; measured in grey it were 32.
    assert sum(found) < 6


def test_tiny_pictures_do_not_break_it() -> None:
    assert measure(Image.new("RGB", (1, 1), "red")).tolist() == [0.0, 0.0, 0.0, 1.0]
