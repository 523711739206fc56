"""Drawing with tiny real pipelines: parity with diffusers, shared noise, batches, memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
)

from promptlift import ConfigError, Illustrator, Improvement, InputError, ModelError
from promptlift.illustrating.config import IllustrationConfig
from promptlift.illustrating.diffusion import DiffusersBackend
from promptlift.illustrating.pipeline import _prepare
from promptlift.illustrating.records import DrawnPicture, Request
from promptlift.illustrating.sampling import noise_of
from tests.illustrating.models import DIFFUSERS_WARNS, save_lcm

pytestmark = DIFFUSERS_WARNS
Array = npt.NDArray[np.int16]
LONG = ", ".join(f"detail number {number} of a photograph" for number in range(40))


@pytest.fixture(scope="module")
def both(sdxl: Path, refiner: Path) -> Illustrator:
    return Illustrator.load(sdxl, refiner=str(refiner), num_inference_steps=5)


@pytest.fixture(scope="module")
def base(sdxl: Path) -> Illustrator:
    return Illustrator.load(sdxl, num_inference_steps=3)


@pytest.fixture(scope="module")
def ancestral(turbo: Path) -> Illustrator:
    return Illustrator.load(turbo, num_inference_steps=3, guidance_scale=0.0)


@pytest.fixture(scope="module")
def bf16(sdxl: Path) -> Illustrator:
    return Illustrator.load(sdxl, num_inference_steps=1, dtype="bf16", width=32, height=32)


def pixels(picture: Any) -> Array:
    image = picture.image if isinstance(picture, DrawnPicture) else picture
    return np.asarray(image, dtype=np.int16)


def again(illustrator: Illustrator, **options: Any) -> Illustrator:
    """The same pipelines with other options."""
    config = replace(illustrator.config, **options)
    return Illustrator(DiffusersBackend(illustrator.diffusers.pipelines, config), config)


@contextmanager
def watched(unet: torch.nn.Module) -> Iterator[tuple[list[int], list[torch.Tensor]]]:
    """Timesteps and inputs of every call of a UNet."""
    steps: list[int] = []
    inputs: list[torch.Tensor] = []

    def note(_: Any, given: tuple[Any, ...]) -> None:
        inputs.append(given[0].clone())
        steps.append(int(given[1]))

    handle = unet.register_forward_pre_hook(note)
    try:
        yield steps, inputs
    finally:
        handle.remove()


@pytest.mark.parametrize(("steps", "share"), [(40, 0.8), (10, 0.8), (7, 0.5), (2, 0.8)])
def test_base_and_refiner_make_the_whole_schedule(
    both: Illustrator, steps: int, share: float
) -> None:
    illustrator = again(both, num_inference_steps=steps, denoising_end=share, width=16, height=16)
    with (
        watched(both.diffusers.pipelines.base.unet) as (by_base, _),
        watched(both.diffusers.pipelines.refiner.unet) as (by_refiner, _),
    ):
        illustrator.draw("a cat")
    scheduler = both.diffusers.pipelines.base.scheduler
    scheduler.set_timesteps(steps)
    assert by_base + by_refiner == [int(step) for step in scheduler.timesteps]
    assert by_base and by_refiner
    assert min(by_base) >= round(1000 * (1 - share)) > max(by_refiner)
    if (steps, share) == (40, 0.8):
        assert (len(by_base), len(by_refiner)) == (32, 8)


def test_the_refiner_shares_what_it_can(both: Illustrator) -> None:
    base, refiner = both.diffusers.pipelines.base, both.diffusers.pipelines.refiner
    assert refiner.vae is base.vae and refiner.text_encoder_2 is base.text_encoder_2
    assert refiner.unet is not base.unet and refiner.config.requires_aesthetics_score


@pytest.mark.parametrize("scheduler", [None, DPMSolverMultistepScheduler])
def test_the_hand_over_is_exact(both: Illustrator, scheduler: Any) -> None:
    first = StableDiffusionXLPipeline(
        **both.diffusers.pipelines.base.components, add_watermarker=False
    )
    second = StableDiffusionXLImg2ImgPipeline(
        **both.diffusers.pipelines.refiner.components,
        requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )
    ours = both
    if scheduler:
        for pipeline in (first, second):
            pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
        ours = Illustrator(
            DiffusersBackend(
                replace(both.diffusers.pipelines, base=first, refiner=second), both.config
            ),
            both.config,
        )
    words = {"prompt": "a cat", "prompt_2": "in armor", "negative_prompt": "blurry"}
    generator = torch.Generator().manual_seed(7)
    shared = {**words, "generator": generator, "num_inference_steps": 5}
    halfway = first(**shared, denoising_end=0.8, output_type="latent").images
    expected = second(**shared, denoising_start=0.8, image=halfway).images[0]
    found = ours.draw("a cat", seed=7, negative="blurry", prompt_2="in armor")
    assert np.array_equal(pixels(found), pixels(expected))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "options"),
    [
        ("sdxl", {"num_inference_steps": 2}),
        ("sd15", {"num_inference_steps": 3, "guidance_scale": 6.0}),
        ("turbo", {"num_inference_steps": 3, "guidance_scale": 0.0}),
    ],
)
def test_every_kind_draws_what_diffusers_draws(
    folder: str, options: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    illustrator = Illustrator.load(request.getfixturevalue(folder), **options)
    for negative in (None, "", "blurry"):
        expected = illustrator.diffusers.pipelines.base(
            "a cat",
            negative_prompt=negative,
            generator=torch.Generator().manual_seed(3),
            **options,
        ).images[0]
        found = illustrator.draw("a cat", seed=3, negative=negative)
        assert np.array_equal(pixels(found), pixels(expected)), negative


def test_a_picture_does_not_depend_on_its_neighbours(ancestral: Illustrator) -> None:
    # Ancestral schedulers draw noise at every step, too.
    requests = [Request(prompt=f"a cat {seed}", seed=seed) for seed in range(5)]
    forwards = list(ancestral.draw_all(requests))
    backwards = list(ancestral.draw_all(requests[::-1]))[::-1]
    for one, other in zip(forwards, backwards, strict=True):
        assert one.request == other.request
        assert np.array_equal(pixels(one), pixels(other))
    assert len({pixels(item).tobytes() for item in forwards}) == 5


@pytest.mark.parametrize("kind", ["ancestral", "both"])
def test_a_batch_changes_only_rounding(kind: str, request: pytest.FixtureRequest) -> None:
    alone: Illustrator = request.getfixturevalue(kind)
    requests = [Request(prompt=f"a cat {seed}", seed=seed) for seed in range(5)]
    together = again(alone, batch_size=3)
    for one, other in zip(alone.draw_all(requests), together.draw_all(requests), strict=True):
        difference = np.abs(pixels(one) - pixels(other))
        assert difference.max() <= 1 and (difference > 0).mean() < 0.01


def test_prompts_of_several_lengths_in_one_batch(base: Illustrator) -> None:
    chunked = again(base, long_prompts="chunk", batch_size=4)
    requests = [
        Request(prompt=prompt, seed=seed) for seed, prompt in enumerate(("a cat", LONG, "a dog"))
    ]
    for one, other in zip(
        chunked.draw_all(requests), again(chunked, batch_size=1).draw_all(requests), strict=True
    ):
        assert np.abs(pixels(one) - pixels(other)).max() <= 1
    assert chunked.draw(LONG).cut_tokens == 0
    assert (base.draw(LONG).cut_tokens or 0) > 0


def test_the_end_of_a_long_prompt_counts_only_in_chunks(base: Illustrator) -> None:
    chunked = again(base, long_prompts="chunk")
    ends = [LONG + end for end in (", red", ", blue")]
    cut = [pixels(base.draw(prompt)) for prompt in ends]
    read = [pixels(chunked.draw(prompt)) for prompt in ends]
    assert np.array_equal(cut[0], cut[1])
    assert not np.array_equal(read[0], read[1])


def improvement(source: str, prompt: str, variant: int = 0) -> Improvement:
    return Improvement(
        source=source, prompt=prompt, additions=(), clip_tokens=0, seed=0, variant=variant,
        mode="given", model="m@0",
    )  # fmt: skip


def test_original_and_improved_share_their_noise(ancestral: Illustrator) -> None:
    given = [
        improvement("a cat", "a cat, soft light"),
        improvement("a cat", "a cat, oil on canvas", 1),
        improvement("a lighthouse", "a lighthouse, 4k"),
    ]
    with watched(ancestral.diffusers.pipelines.base.unet) as (steps, inputs):
        pairs = list(ancestral.pairs(given, seeds=[4, 5]))
    first = inputs[:: len(steps) // 10]  # of the ten pictures that six pairs need
    assert (len(pairs), len(first)) == (6, 10)
    by_seed = [*[4] * 3, *[5] * 3, *[4] * 2, *[5] * 2]
    for latents, seed in zip(first, by_seed, strict=True):
        assert torch.equal(latents, first[by_seed.index(seed)])
    assert not torch.equal(first[0], first[3])
    assert [pair.original.request.seed for pair in pairs] == [4, 4, 5, 5, 4, 5]
    assert pairs[0].original is pairs[1].original
    assert [pair.improved.request.prompt for pair in pairs[:2]] == [g.prompt for g in given[:2]]


def test_noise_is_the_same_in_every_precision(base: Illustrator, sdxl: Path) -> None:
    half = Illustrator.load(sdxl, num_inference_steps=1, dtype="bf16")
    with watched(half.diffusers.pipelines.base.unet) as (_, inputs):
        half.draw("a cat", seed=9)
    noise, _ = noise_of(
        base.diffusers.pipelines.base,
        9,
        {"width": base.diffusers.width, "height": base.diffusers.height},
    )
    scheduler = half.diffusers.pipelines.base.scheduler
    scheduler.set_timesteps(1)
    step = scheduler.timesteps[0]
    expected = scheduler.scale_model_input(noise.bfloat16() * scheduler.init_noise_sigma, step)
    assert torch.equal(inputs[0][:1], expected)


def test_seeds_sizes_and_negatives_make_a_difference(base: Illustrator) -> None:
    first = pixels(base.draw("a cat"))
    for other in (
        base.draw("a cat", seed=1),
        base.draw("a cat", negative="blurry"),
        base.draw("a cat", negative=""),
        base.draw("a cat", prompt_2="a dog"),
        base.draw("a (cat:1.5)"),
        again(base, guidance_scale=2.0).draw("a cat"),
    ):
        assert not np.array_equal(first, pixels(other))
    assert again(base, width=128, height=64).draw("a cat").image.size == (128, 64)


class LimitedMemory(StableDiffusionXLPipeline):  # type: ignore[misc]
    """A pipeline on a device whose memory holds only so many pictures."""

    most: int
    batches: list[int]

    def __call__(self, **given: Any) -> Any:
        count = len(given["prompt_embeds"])
        if count > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.batches.append(count)
        return super().__call__(**given)


def limited(illustrator: Illustrator, most: int, said: list[str]) -> Illustrator:
    pipeline = LimitedMemory(
        **illustrator.diffusers.pipelines.base.components, add_watermarker=False
    )
    pipeline.most, pipeline.batches = most, []
    pipeline.set_progress_bar_config(disable=True)
    config = replace(illustrator.config, batch_size=8)
    pipelines = replace(illustrator.diffusers.pipelines, base=pipeline)
    return Illustrator(DiffusersBackend(pipelines, config, said.append), config)


def test_a_batch_is_halved_when_memory_runs_out(ancestral: Illustrator) -> None:
    said: list[str] = []
    ancestral = again(ancestral, num_inference_steps=1)
    small = limited(ancestral, 3, said)
    requests = [Request(prompt=f"a cat {seed}", seed=seed) for seed in range(7)]
    found = list(small.draw_all(requests))
    assert [picture.request.seed for picture in found] == list(range(7))
    assert small.diffusers.pipelines.base.batches == [2, 2, 2, 1]
    assert said == [f"out of memory; going on with {n} pictures at a time" for n in (4, 2)]
    for one, other in zip(found, ancestral.draw_all(requests), strict=True):
        assert np.abs(pixels(one) - pixels(other)).max() <= 1


def test_memory_that_does_not_do_for_one_picture(ancestral: Illustrator) -> None:
    with pytest.raises(ModelError, match=r"is too small for one picture of 64x64.*--vae-tiling"):
        list(limited(ancestral, 0, []).draw_all([Request(prompt="a cat")] * 2))


@pytest.mark.slow
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB)"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_memory_that_runs_out_in_an_upcast_decode(
    error: RuntimeError, bf16: Illustrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = again(bf16, batch_size=2)
    vae = half.diffusers.pipelines.base.vae
    asked = [Request(prompt="a cat"), Request(prompt="a dog")]
    expected = [pixels(picture) for picture in again(half, batch_size=1).draw_all(asked)]
    decode = vae.decode

    def limited_decode(latents: torch.Tensor, **options: Any) -> Any:
        if len(latents) > 1:
            vae.to(torch.float32)  # as the pipeline does where fp16 overflows
            raise error
        return decode(latents, **options)

    monkeypatch.setattr(vae, "decode", limited_decode)
    found = [pixels(picture) for picture in half.draw_all(asked)]
    assert half.backend.batch_size == 1 and vae.dtype == torch.bfloat16
    assert np.array_equal(found, expected)


def test_tiling(base: Illustrator, sdxl: Path) -> None:
    options: dict[str, Any] = {"vae_tiling": True, "batch_size": 2}
    saving = Illustrator.load(sdxl, num_inference_steps=3, **options)
    vae = saving.diffusers.pipelines.base.vae
    assert vae.use_tiling and saving.settings()["vae_tiling"]
    found = list(saving.draw_all([Request(prompt="a cat"), Request(prompt="a dog")]))
    # 64x64 is one tile.
    assert np.abs(pixels(found[0]) - pixels(base.draw("a cat"))).max() <= 1
    tiled = again(saving, width=128, num_inference_steps=1).draw("a cat").image
    assert tiled.size == (128, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 65}, "width is 65 and must be a multiple of 8"),
        ({"num_inference_steps": 0}, "num_inference_steps is 0"),
        ({"denoising_end": 1.0}, "denoising_end is 1.0 and must be between 0 and 1"),
        ({"long_prompts": "all"}, "cut or chunk"),
        ({"dtype": "fp64"}, "auto, fp16, bf16 or fp32"),
        ({"step": 3}, "no option 'step'"),
        ({"num_inference_step": 3}, "did you mean num_inference_steps?"),
        ({"seeds": 0, "batch_size": 0}, "seeds is 0 .*; batch_size is 0"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(").replace("?", r"\?")):
        IllustrationConfig.resolve("sdxl", **options)


def test_presets_are_the_papers_and_the_models_own() -> None:
    paper, sdxl = IllustrationConfig.resolve("paper"), IllustrationConfig.resolve("sdxl")
    assert (paper.num_inference_steps, paper.denoising_end, paper.width) == (40, 0.8, 512)
    assert (sdxl.num_inference_steps, sdxl.denoising_end, sdxl.width) == (40, 0.8, 1024)
    assert IllustrationConfig.resolve("sdxl-turbo").guidance_scale == 0.0
    assert IllustrationConfig.resolve("sdxl", width=512).width == 512


def test_a_schedule_that_leaves_one_without_steps_is_refused(both: Illustrator) -> None:
    with pytest.raises(
        ConfigError, match=r"with 1 steps and a hand-over at 0\.8, the base gets none"
    ):
        again(both, num_inference_steps=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"device": "cuda:x"}, "device is 'cuda:x' and must be auto"),
        ({"device": "cpu:x"}, "device is 'cpu:x' and must be auto"),
        ({"device": "cpu:1"}, "device is 'cpu:1' and must be auto"),
        ({"device": "cuda:7"}, "finds none; --device cpu"),
        ({"dtype": "fp16", "device": "cpu"}, "use bf16 or fp32"),
        ({"offload": "model", "device": "cpu"}, "on a CPU it does nothing"),
    ],
)
def test_what_a_device_cannot_do(options: dict[str, Any], message: str, sdxl: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        Illustrator.load(sdxl, **options)


class Recorder:
    """In a pipeline's place, where no GPU is: what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def set_progress_bar_config(self, *, disable: bool) -> None: ...

    def to(self, device: str) -> None:
        self.asked.append(("to", device))

    def enable_model_cpu_offload(self, *, device: str) -> None:
        self.asked.append(("model", device))

    def enable_sequential_cpu_offload(self, *, device: str) -> None:
        self.asked.append(("sequential", device))


@pytest.mark.parametrize(
    ("offload", "asked"), [("none", "to"), ("model", "model"), ("sequential", "sequential")]
)
def test_memory_is_saved_as_asked(offload: str, asked: str) -> None:
    pipeline = Recorder()
    _prepare(pipeline, IllustrationConfig(offload=offload), "cuda:1")
    assert pipeline.asked == [(asked, "cuda:1")]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.compile's own parts
def test_compiled_it_draws_the_same(
    base: Illustrator, sdxl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The graph is traced and run; making C++ of it takes minutes.
    traced = partialmethod(torch.nn.Module.compile, backend="eager")
    monkeypatch.setattr(torch.nn.Module, "compile", traced)
    compiled = Illustrator.load(sdxl, num_inference_steps=3, compile=True)
    before = torch._dynamo.utils.counters["frames"]["ok"]
    difference = pixels(compiled.draw("a cat")) - pixels(base.draw("a cat"))
    assert np.abs(difference).max() <= 1
    assert torch._dynamo.utils.counters["frames"]["ok"] > before


def test_any_other_pipeline_draws_in_its_own_way(sd15: Path, tmp_path: Path) -> None:
    illustrator = Illustrator.load(save_lcm(tmp_path, sd15), num_inference_steps=2)
    assert illustrator.diffusers.guidance_scale == 8.5  # its own default
    expected = illustrator.diffusers.pipelines.base(
        "a (cat:1.2)", num_inference_steps=2, generator=torch.Generator().manual_seed(3)
    ).images[0]
    assert np.array_equal(pixels(illustrator.draw("a (cat:1.2)", seed=3)), pixels(expected))
    with pytest.raises(ConfigError, match="takes no negative_prompt"):
        illustrator.draw("a cat", negative="blurry")
    with pytest.raises(ConfigError, match="reads prompts in its own way"):
        again(illustrator, long_prompts="chunk")


def test_prompts_that_are_none(base: Illustrator) -> None:
    with pytest.raises(InputError, match="empty"):
        base.draw(" ")
    with pytest.raises(InputError, match="seed is -1"):
        base.draw("a cat", seed=-1)


def test_prompt_2_needs_a_second_encoder(sd15: Path) -> None:
    with pytest.raises(ConfigError, match="no second text encoder"):
        Illustrator.load(sd15, prompt_2="a cat")
