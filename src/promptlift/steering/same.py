"""Embeddings that draw one picture from any noise.

After Deckers, Peters and Potthast, IJCAI 2024, section "seed-invariant": latents after a few steps
from noise on the way to random noise are led to those that the wanted seed gives.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from promptlift.errors import ConfigError
from promptlift.illustrating.embedding import TOKENS, Embedding, widths
from promptlift.illustrating.encoding import Encoded
from promptlift.illustrating.illustrator import Illustrator
from promptlift.illustrating.records import Request
from promptlift.steering.config import SameConfig
from promptlift.steering.denoising import Denoiser
from promptlift.steering.optimisers import AdamOnLion
from promptlift.steering.state import State
from promptlift.steering.vectors import (
    blend,
    embedding_of,
    halves,
    sampler_of,
    slerp,
    with_refiner,
)

_SCALE = 1e4  # of the cosine: Adam's epsilon of 1e-3 is then small beside gradients
_FIRST_SHARE = 0.01
_FIRST_NUMBER = -5.0  # of the guided way: its sigmoid is 0.007


@dataclass(frozen=True)
class SameStep:
    """Where it stands.

    Attributes:
        number: steps of the optimiser that are done.
        depth: steps of denoising after which latents are compared.
        likeness: mean cosine of latents with those of the wanted seed, before this step.
    """

    number: int
    depth: int
    likeness: float


def unguided(
    illustrator: Illustrator,
    prompt: str,
    seed: int,
    config: SameConfig,
    on_step: Callable[[SameStep], None] = lambda step: None,
    state: Path | None = None,
) -> Embedding:
    """One vector in the place of every row but the first, learned until latents are alike.

    Args:
        illustrator: SDXL or Stable Diffusion with diffusers.
        prompt: what is drawn.
        seed: whose picture is to come from any noise.
        config: how.
        on_step: called after each step.
        state: a file that keeps where it stands; nothing is kept where None.

    Raises:
        ConfigError: the state was made with other settings.
    """
    denoiser, start = Denoiser(illustrator), embedding_of(illustrator, prompt)
    given = sampler_of(illustrator).arguments(0, [_request(illustrator, prompt, seed)])
    rows = given["prompt_embeds"].reshape(-1, TOKENS, given["prompt_embeds"].shape[-1])
    vector = rows[:, -1:].detach().float().clone().requires_grad_()
    learned = [vector]
    if (pooled := given.get("pooled_prompt_embeds")) is not None:
        learned.append(pooled.detach().float().clone().requires_grad_())
    optimizer = AdamOnLion(learned, config.rate)

    def arguments() -> dict[str, torch.Tensor]:
        repeated = vector.expand(-1, TOKENS - 1, -1).to(rows.dtype)
        found = {**given, "prompt_embeds": torch.cat([rows[:, :1], repeated], dim=1).flatten(0, 1)}
        found["prompt_embeds"] = found["prompt_embeds"].unsqueeze(0)
        if len(learned) > 1:
            found["pooled_prompt_embeds"] = learned[1].to(rows.dtype)
        return found

    kept = State(state, [start.sha256, seed, asdict(config), illustrator.settings()])
    number, task = _resumed(kept, learned, optimizer), None
    while number < config.iterations * config.depth:
        done, place = divmod(number, config.iterations)
        if task is None or place == 0:
            task = _Task(denoiser, given, seed, done + 1)
        seeds = _seeds(seed, number, config.draws)
        likeness = task.gradient(arguments(), seeds, _share(place, config))
        on_step(SameStep(number, done + 1, likeness))
        number += 1
        _step(kept, learned, optimizer, number)
    found = {name: value.detach() for name, value in arguments().items()}
    part = Encoded(
        embeds=found["prompt_embeds"].reshape(rows.shape), pooled=found.get("pooled_prompt_embeds")
    )
    about = {**start.about, "how": "same, unguided", "seed": seed, "steps": number}
    return replace(start, wanted=with_refiner(start, part), about=about)


def guided(
    illustrator: Illustrator,
    prompt: str,
    other: Embedding,
    seed: int,
    config: SameConfig,
    on_step: Callable[[SameStep], None] = lambda step: None,
    state: Path | None = None,
) -> tuple[Embedding, float]:
    """How far to go from a prompt towards another embedding, so that latents are most alike.

    One number is learned, and what it says stays a mixture of two that mean something.

    Args:
        illustrator, prompt, seed, config, on_step, state: as of `unguided`.
        other: the other end of the way, such as an improved prompt or what `unguided` found.

    Returns:
        The embedding, and the share of the way.

    Raises:
        ConfigError: the two have different numbers of chunks, or the state was made with other
            settings.
    """
    denoiser, start = Denoiser(illustrator), embedding_of(illustrator, prompt)
    sampler = sampler_of(illustrator)
    wanted = _request(illustrator, prompt, seed)
    given = sampler.arguments(0, [wanted])
    target = sampler.arguments(0, [replace(wanted, embedding=other)])
    if given["prompt_embeds"].shape != target["prompt_embeds"].shape:
        raise ConfigError("both prompts must fill the same number of chunks of 75 tokens")
    learned = torch.tensor(_FIRST_NUMBER, requires_grad=True)
    optimizer = AdamOnLion([learned], 10 * config.rate)
    parts = widths(start.wanted[0])
    task = _Task(denoiser, given, seed, 1)
    ends = [start.sha256, other.sha256]
    kept = State(state, [*ends, seed, asdict(config), illustrator.settings()])
    steps = config.iterations * config.depth
    for number in range(_resumed(kept, [learned], optimizer), steps):
        way = learned.sigmoid()
        rows = torch.cat(
            [
                slerp(one, end, way)
                for one, end in zip(
                    halves(given["prompt_embeds"], parts),
                    halves(target["prompt_embeds"], parts),
                    strict=True,
                )
            ],
            dim=-1,
        )
        arguments = {**given, "prompt_embeds": rows}
        if "pooled_prompt_embeds" in given:
            arguments["pooled_prompt_embeds"] = slerp(
                given["pooled_prompt_embeds"], target["pooled_prompt_embeds"], way
            )
        share = _FIRST_SHARE + (1 - _FIRST_SHARE) * number / max(1, steps - 1)
        likeness = task.gradient(arguments, _seeds(seed, number, config.draws), share)
        on_step(SameStep(number, 1, likeness))
        _step(kept, [learned], optimizer, number + 1)
    found = float(learned.detach().sigmoid())
    return blend(illustrator, start, other, found), found


class _Task:
    """Latents after some steps, to be like those of one seed."""

    def __init__(
        self, denoiser: Denoiser, given: dict[str, torch.Tensor], seed: int, depth: int
    ) -> None:
        self._denoiser, self._seed, self._depth = denoiser, seed, depth
        self._noise = denoiser.noise([seed])
        with torch.no_grad():
            self._target = denoiser.latents(given, self._noise, [seed], until=depth).detach()

    def gradient(
        self, arguments: dict[str, torch.Tensor], seeds: Iterator[int], share: float
    ) -> float:
        """Add the gradient of the cosine, from noise a share of the way to that of seeds."""
        listed = list(seeds)
        noise = torch.cat([_mixed(self._noise, self._denoiser.noise([one]), share)
                           for one in listed])  # fmt: skip
        latents = self._denoiser.latents(arguments, noise, listed, until=self._depth, through=1)
        cosines = torch.nn.functional.cosine_similarity(
            latents.float().flatten(1), self._target.float().flatten(1).expand(len(listed), -1)
        )
        (-_SCALE * cosines.sum()).backward()  # type: ignore[no-untyped-call]
        return float(cosines.detach().mean())


def _request(illustrator: Illustrator, prompt: str, seed: int) -> Request:
    return Request(prompt=prompt, seed=seed, negative=illustrator.config.negative)


def _resumed(state: State, learned: list[torch.Tensor], optimizer: AdamOnLion) -> int:
    """How many steps are done; what was learned in them is put in its place."""
    if (kept := state.load()) is None:
        return 0
    with torch.no_grad():
        for own, found in zip(learned, kept["learned"], strict=True):
            own.copy_(found)
    optimizer.load_state_dict(kept["optimizer"])
    return int(kept["number"])


def _step(state: State, learned: list[torch.Tensor], optimizer: AdamOnLion, number: int) -> None:
    """Step number `number`, of the gradients that were added up, and keep what came of it."""
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    state.save(
        number=number, learned=[one.detach().cpu() for one in learned],
        optimizer=optimizer.state_dict(),
    )  # fmt: skip


def _mixed(one: torch.Tensor, other: torch.Tensor, share: float) -> torch.Tensor:
    """Noise on the way from one to another, column by column of each channel."""
    return slerp(one.transpose(-1, -2), other.transpose(-1, -2), share).transpose(-1, -2)


def _share(place: int, config: SameConfig) -> float:
    step = (config.most - _FIRST_SHARE) / max(1, config.iterations - 1)
    return min(1.0, _FIRST_SHARE + step * place)


def _seeds(seed: int, number: int, count: int) -> Iterator[int]:
    """Random seeds of a step, others than the wanted one."""
    rng = np.random.default_rng([seed, number])
    return iter(rng.integers(2**32, 2**62, count).tolist())
