"""What is calculated of a picture, held against published sizes."""

import pytest

from benchmarks.expected_drawing import BASE, REFINER, unet, vae


@pytest.mark.slow
def test_the_models_have_their_published_sizes() -> None:
    # Podell et al., "SDXL", 2023, table 1 gives 2.6 billion for the base; the counts are those of
    # the published files.
    assert unet(BASE, 64).parameters == 2_567_463_684
    assert unet(REFINER, 64).parameters == 2_259_526_660
    assert vae(64).parameters == 83_653_863


@pytest.mark.slow
def test_operations_grow_a_little_faster_than_pixels() -> None:
    # Four times the pixels: convolutions take four times as much, attention sixteen times.
    small, large = unet(BASE, 256).operations, unet(BASE, 512).operations
    assert 3.5 < large / small < 6
