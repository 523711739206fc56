"""The models learn, go on where they were stopped, and load as the real ones do."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline
from transformers import CLIPModel, CLIPProcessor

from benchmarks.world import clip, drawing, oracle, recipe, vae
from benchmarks.world.learning import Schedule, learn
from benchmarks.world.render import render
from promptlift.errors import ModelError
from promptlift.world.oracle import Found, Oracle, Reading, judge, load_oracle, score
from promptlift.world.scenes import SIZE, draw_scene
from promptlift.world.wanted import wanted_of
from tests.illustrating.models import DIFFUSERS_WARNS

SCENES = [draw_scene(seed) for seed in range(24)]
PICTURES = np.stack([render(scene) for scene in SCENES])
SHORT = Schedule(steps=4, batch_size=8, learning_rate=1e-3, warmup=2)


def silent(line: str) -> None:
    pass


@pytest.mark.parametrize("muon", [False, True])
def test_a_stopped_run_ends_like_a_whole_one(tmp_path: Path, muon: bool) -> None:
    data = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))

    def trained(folder: str, *stops: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Linear(6, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 1)
        )
        calls = 0

        def loss_of(rng: np.random.Generator) -> torch.Tensor:
            nonlocal calls
            calls += 1
            if stops and calls > stops[0]:
                raise KeyboardInterrupt
            rows = data[rng.integers(0, 64, 8)]
            loss: torch.Tensor = ((model(rows) - rows.sum(-1, keepdim=True)) ** 2).mean()
            return loss

        schedule = Schedule(steps=20, batch_size=8, learning_rate=0.05, warmup=2, muon=muon)
        try:
            learn(model, loss_of, schedule, tmp_path / folder, silent, save_s=0.0)
        except KeyboardInterrupt:
            return trained(folder, *stops[1:])
        return dict(model.state_dict())

    whole, stopped = trained("whole"), trained("stopped", 5, 7)
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)


@pytest.mark.parametrize("name", ["centre", "radius"])
def test_the_loss_of_the_oracle_grows_with_each_mistake(name: str) -> None:
    torch.manual_seed(0)
    reader = Oracle().eval()
    targets = oracle.targets_of(SCENES)
    with torch.no_grad():
        near = oracle.oracle_loss(reader, torch.from_numpy(PICTURES), targets)
        wrong = {**targets, name: targets[name] + 10}
        far = oracle.oracle_loss(reader, torch.from_numpy(PICTURES), wrong)
    assert 0 < near < far


@pytest.mark.slow
def test_the_vae_loads_as_an_autoencoder(tmp_path: Path) -> None:
    trained = vae.train_vae(PICTURES, tmp_path / "checkpoint", silent, SHORT)
    trained.half().save_pretrained(tmp_path / "vae")
    loaded = AutoencoderKL.from_pretrained(tmp_path / "vae").float()
    latents = vae.encode(loaded, PICTURES) * loaded.config.scaling_factor
    assert latents.shape == (24, 8, 8, 8)
    assert float(latents.std()) == pytest.approx(1, abs=0.05)
    assert vae.to_pictures(vae.to_levels(PICTURES)).tolist() == PICTURES.tolist()


@pytest.mark.slow
@DIFFUSERS_WARNS
def test_base_and_refiner_load_and_draw_as_sdxl_does(tmp_path: Path) -> None:
    latents = torch.randn(24, 8, 8, 8)
    base = drawing.train_base(latents, SCENES, tmp_path / "base.checkpoint", silent, SHORT)
    refiner = drawing.train_refiner(
        base, latents, SCENES, tmp_path / "refiner.checkpoint", silent, SHORT
    )
    assert all(
        torch.equal(one, two)
        for one, two in zip(
            base.text_encoder_2.parameters(), refiner.text_encoder_2.parameters(), strict=True
        )
    )
    drawing.save_base(base, vae.new_vae(0), tmp_path / "base")
    drawing.save_refiner(refiner, tmp_path / "refiner")
    first = StableDiffusionXLPipeline.from_pretrained(tmp_path / "base", add_watermarker=False)
    first.to(torch.float32)
    second = StableDiffusionXLImg2ImgPipeline.from_pretrained(
        tmp_path / "refiner",
        text_encoder_2=first.text_encoder_2,
        vae=first.vae,
        add_watermarker=False,
    )
    second.to(torch.float32)
    handed = first(
        "red star", num_inference_steps=5, denoising_end=0.8, output_type="latent",
        width=SIZE, height=SIZE, generator=torch.Generator().manual_seed(0),
    ).images  # fmt: skip
    picture = second(
        "red star", num_inference_steps=5, denoising_start=0.8,
        image=handed[:, :4], latents=handed,
    ).images[0]  # fmt: skip
    assert picture.size == (SIZE, SIZE)
    again = drawing.load_base(tmp_path / "base")
    with torch.no_grad():
        noisy, when = torch.randn(2, 8, 8, 8), torch.tensor([10, 500])
        ids = torch.tensor([[64.0, 64, 0, 0, 64, 64]] * 2)
        ours = again(noisy, when, ["red star", None], ids)
    # The pipeline's own encoding of a prompt and of no prompt is what the model has learned.
    embeds, untold, pooled, untold_pooled = first.encode_prompt("red star", negative_prompt=None)
    with torch.no_grad():
        theirs = first.unet(
            noisy,
            when,
            torch.cat([embeds, untold]),
            added_cond_kwargs={
                "text_embeds": torch.cat([pooled, untold_pooled]), "time_ids": ids,
            },
        ).sample  # fmt: skip
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_the_clip_loads_as_a_clip(tmp_path: Path) -> None:
    trained = clip.train_clip(PICTURES, SCENES, tmp_path / "checkpoint", silent, SHORT)
    clip.save_clip(trained, tmp_path / "clip")
    model = CLIPModel.from_pretrained(tmp_path / "clip", dtype=torch.float32)
    processor = CLIPProcessor.from_pretrained(tmp_path / "clip")
    prepared = processor(
        text=["red star", "two blue rings"], images=list(PICTURES[:3]), return_tensors="pt",
        padding=True,
    )  # fmt: skip
    levels = torch.from_numpy(PICTURES[:3]).permute(0, 3, 1, 2).float() / 255
    torch.testing.assert_close(prepared["pixel_values"], (levels - 0.5) / 0.25)
    assert model(**prepared).logits_per_text.shape == (2, 3)


@pytest.mark.slow
def test_the_oracle_learns_and_is_saved(tmp_path: Path) -> None:
    targets = oracle.targets_of(SCENES)
    before = oracle.oracle_loss(Oracle(), torch.from_numpy(PICTURES), targets)
    trained = oracle.train_oracle(
        PICTURES, SCENES, tmp_path / "checkpoint", silent,
        Schedule(steps=15, batch_size=12, learning_rate=3e-3, warmup=3, average=0.5),
    )  # fmt: skip
    after = oracle.oracle_loss(trained, torch.from_numpy(PICTURES), targets)
    assert float(after.detach()) < 0.8 * float(before.detach())
    oracle.save_oracle(trained, tmp_path / "oracle")
    loaded = load_oracle(tmp_path / "oracle")
    ours, theirs = trained.read(PICTURES), loaded.read(PICTURES)
    assert [one.background for one in ours] == [one.background for one in theirs]
    with pytest.raises(ModelError, match="oracle"):
        load_oracle(tmp_path)


def test_the_oracle_judges_what_was_asked_for() -> None:
    def thing(shape: str, colour: str, x: float, y: float, number: int = 1) -> Found:
        return Found(shape=shape, colour=colour, number=number, x=x, y=y, size="small")

    def reading(*things: Found) -> Reading:
        return Reading(things=things, background="sea", style="neon", fault="clean", clean=1.0)

    star, ring = thing("star", "red", 19, 32), thing("ring", "blue", 45, 30)
    facts = judge(wanted_of("a small red star left of a blue ring, sea"), reading(star, ring))
    assert facts == dict.fromkeys(
        ("shape", "colour", "size", "other_shape", "other_colour", "relation", "background"), True
    )
    facts = judge(wanted_of("red star right of a green ring"), reading(star, ring))
    assert not facts["relation"] and not facts["other_colour"]
    facts = judge(wanted_of("two red stars, centred"), reading(thing("star", "red", 30, 33, 2)))
    assert all(facts.values())
    assert judge(wanted_of("red star at the top"), reading(star))["position"] is False
    assert not any(judge(wanted_of("red heart"), reading(star)).values())
    assert score({"shape": True, "colour": True}, 1.0) == 1.0
    assert score({"shape": True, "colour": True}, 0.0) == 0.5
    assert score({"shape": False, "colour": False}, 1.0) == 0.0


@pytest.mark.slow
@DIFFUSERS_WARNS
def test_the_recipe_trains_each_part_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "SCENES", 24)
    for module, name in (
        (oracle, "SCHEDULE"), (vae, "SCHEDULE"), (clip, "SCHEDULE"), (drawing, "BASE_SCHEDULE"),
        (drawing, "REFINER_SCHEDULE"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, Schedule(steps=1, batch_size=4, learning_rate=1e-3))
    said: list[str] = []
    trained = recipe.Recipe(tmp_path, said.append)
    for part in recipe.PARTS:
        assert trained.train(part) == tmp_path / "models" / part
    said.clear()
    recipe.Recipe(tmp_path, said.append).train("refiner")
    assert said == []
    control = recipe.Recipe(tmp_path, said.append, control=True)
    assert control.train("base") == tmp_path / "models-control" / "base"
    assert control.train("vae") == tmp_path / "models" / "vae"
