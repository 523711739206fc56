"""Tiny real pipelines to steer: SDXL, SDXL with a refiner, and Stable Diffusion 1.5."""

from pathlib import Path

import pytest

from promptlift.illustrating.illustrator import Illustrator
from promptlift.picture_files import PictureReader
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.pictures.feature_cache import FeatureCache
from promptlift.scoring.pictures.preference_models import ScorerContext
from tests.illustrating.models import save_refiner, save_sd15, save_sdxl

STEPS = 4


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("steered")
    return {
        "sdxl": save_sdxl(folder / "sdxl"),
        "turbo": save_sdxl(folder / "turbo", turbo=True, seed=3),
        "refiner": save_refiner(folder / "refiner"),
        "sd15": save_sd15(folder / "sd15"),
    }


def loaded(folders: dict[str, Path], name: str) -> Illustrator:
    base, _, refiner = name.partition("+")
    return Illustrator.load(
        folders[base],
        refiner=str(folders[refiner]) if refiner else "none",
        num_inference_steps=STEPS,
        denoising_end=0.6,
        batch_size=2,
    )


@pytest.fixture(scope="session", params=["sdxl", "turbo", "sdxl+refiner", "sd15"])
def illustrator(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Illustrator:
    return loaded(folders, request.param)


@pytest.fixture(scope="session")
def sdxl(folders: dict[str, Path]) -> Illustrator:
    return loaded(folders, "sdxl")


@pytest.fixture(scope="session")
def sd15(folders: dict[str, Path]) -> Illustrator:
    return loaded(folders, "sd15")


@pytest.fixture(scope="session")
def pocket() -> Illustrator:
    return Illustrator.load("pocket", num_inference_steps=STEPS)


@pytest.fixture
def context() -> ScorerContext:
    config = PictureScoringConfig().resolved("pocket-world")
    return ScorerContext(config=config, cache=FeatureCache(), reader=PictureReader(8))
