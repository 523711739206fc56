"""The models that the package carries: what is drawn and scored when nothing else is named."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.world.render import render
from promptlift.errors import ConfigError, ModelError
from promptlift.files import sha256_of_file
from promptlift.illustrating.illustrator import Illustrator
from promptlift.illustrating.presets import PRESETS
from promptlift.picture_files import PictureReader
from promptlift.pictures import Picture
from promptlift.scoring.pictures.clip_loading import load_clip
from promptlift.scoring.pictures.config import PAPER_CLIP, PictureScoringConfig
from promptlift.scoring.pictures.feature_cache import FeatureCache
from promptlift.scoring.pictures.learned_preference import about_learned
from promptlift.scoring.pictures.preference_models import ScorerContext, make_scorer
from promptlift.scoring.pictures.similarity import cosines
from promptlift.world import bundle
from promptlift.world.oracle import judge, load_oracle
from promptlift.world.scenes import draw_scene
from promptlift.world.wanted import wanted_of
from tests.illustrating.models import DIFFUSERS_WARNS

pytestmark = DIFFUSERS_WARNS
# Of no range that models were trained on, see docs/world.md.
HELD_OUT = 10_000_000


def test_the_models_fit_into_30_megabytes() -> None:
    size = sum(path.stat().st_size for path in bundle.MODELS.rglob("*") if path.is_file())
    assert size < 30e6


def test_no_file_says_where_it_was_made() -> None:
    files = list(bundle.MODELS.rglob("*.json"))
    assert {"config.json", "model_index.json"} <= {path.name for path in files}
    for path in files:
        assert not json.loads(path.read_text("utf-8")).get("_name_or_path"), path


def test_the_preference_says_what_it_is_and_not_where_it_was_made() -> None:
    about = about_learned(bundle.PREFERENCE)
    assert about is not None
    assert (about["kind"], about["votes"], about["clip"]) == ("simulated", 1993, "pocket")
    assert not any("/" in str(value) for value in about.values())


def test_aesthetic_is_the_worlds_own_for_its_pictures_alone(tmp_path: Path) -> None:
    config = PictureScoringConfig(device="cpu", offline=True)
    assert config.resolved("sdxl").aesthetic is None
    assert replace(config, aesthetic="mine.pth").resolved(bundle.NAME).aesthetic == "mine.pth"
    resolved = config.resolved(f"{bundle.NAME}@0123")
    cache = FeatureCache(tmp_path / "features.sqlite")
    scorer = make_scorer("aesthetic", ScorerContext(config=resolved, cache=cache,
                                                    reader=PictureReader(8)))  # fmt: skip
    assert scorer.metric.title == "preference learned from simulated votes"
    scenes = [draw_scene(HELD_OUT + seed) for seed in range(200)]
    pictures = []
    for number, scene in enumerate(scenes):
        path = tmp_path / f"{number}.png"
        Image.fromarray(render(scene)).save(path)
        pictures.append(
            Picture(prompt_index=number, seed=0, side="original", variant=0, path=path,
                    sha256=sha256_of_file(path), prompt="", source="")
        )  # fmt: skip
    named = [f"{scene.things[0].colour} {scene.things[0].shape}" for scene in scenes]
    values = scorer.score(prompts=named, pictures=pictures)
    cache.close()
    clean = np.array([scene.fault == "clean" for scene in scenes])
    blurred = np.array([scene.fault == "blurred" for scene in scenes])
    assert values[clean].mean() > values[blurred].mean() + 1.0


def test_the_oracle_reads_renders_it_never_saw() -> None:
    scenes = [
        scene for seed in range(300) if (scene := draw_scene(HELD_OUT + seed)).fault == "clean"
    ]
    read = load_oracle(bundle.ORACLE).read(np.stack([render(scene) for scene in scenes]))
    named = [f"{scene.things[0].colour} {scene.things[0].shape}" for scene in scenes]
    right = [
        judge(wanted_of(name), found)["shape"] for name, found in zip(named, read, strict=True)
    ]
    assert len(scenes) > 100 and np.mean(right) > 0.9


def test_clip_finds_the_caption_of_a_render() -> None:
    scenes = [
        scene for seed in range(200) if (scene := draw_scene(HELD_OUT + seed)).fault == "clean"
    ]
    texts = [f"{scene.things[0].colour} {scene.things[0].shape}" for scene in scenes]
    others = [*texts[1:], texts[0]]
    clip = load_clip("pocket")
    pictures = clip.encode_images([Image.fromarray(render(scene)) for scene in scenes])
    own, other = cosines(clip.texts(texts), pictures), cosines(clip.texts(others), pictures)
    differ = np.array([a != b for a, b in zip(texts, others, strict=True)])
    assert np.mean((own > other)[differ]) > 0.9


@pytest.mark.slow
def test_the_default_model_draws_what_is_asked() -> None:
    illustrator = Illustrator.load()
    prompts = ["red circle", "yellow triangle", "white ring", "blue square", "green heart"]
    drawn = [illustrator.draw(prompt, seed=seed).image for prompt in prompts for seed in range(2)]
    assert {image.size for image in drawn} == {(64, 64)}
    read = load_oracle(bundle.ORACLE).read(np.stack([np.asarray(image) for image in drawn]))
    facts = [
        judge(wanted_of(prompt), found)
        for prompt, found in zip(np.repeat(prompts, 2), read, strict=True)
    ]
    assert np.mean([fact["colour"] for fact in facts]) >= 0.8
    assert np.mean([fact["shape"] for fact in facts]) >= 0.7


def test_a_refiner_that_is_gone_is_told() -> None:
    with pytest.raises(ConfigError, match="has no refiner any more"):
        Illustrator.load(refiner="pocket")


def test_it_says_what_it_cannot_draw(capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    Illustrator.load(report=said.append, refiner="none")
    assert bundle.DRAWING_NOTICE in said and "promptlift illustrate --model sdxl" in said[0]


@pytest.mark.parametrize(
    ("clip", "drawn_by", "wanted"),
    [
        ("auto", "pocket-world", "pocket"),
        ("auto", "stabilityai/stable-diffusion-xl-base-1.0", PAPER_CLIP),
        ("auto", "", PAPER_CLIP),
        ("some/clip", "pocket-world", "some/clip"),
        ("pocket", "sdxl", "pocket"),
    ],
)
def test_the_clip_of_the_world_scores_its_pictures_alone(
    clip: str, drawn_by: str, wanted: str
) -> None:
    assert PictureScoringConfig(clip=clip).clip_for(drawn_by) == wanted


def test_a_damaged_package_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preset = PRESETS["pocket"]
    lost = replace(preset, base=replace(preset.base, name=str(tmp_path / "base")))
    monkeypatch.setitem(PRESETS, "pocket", lost)
    with pytest.raises(ModelError, match=r"holds no bundled model\. Reinstall promptlift\.$"):
        Illustrator.load()
