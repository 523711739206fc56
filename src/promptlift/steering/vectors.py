"""Prompts as embeddings, and the way between two of them.

A row is a token's vector of one text encoder. Where a model has two encoders, each one's rows are
taken by themselves, and the pooled vector is one row more: their lengths differ by a factor, so a
cosine over both side by side would be that of the longer one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from promptlift.errors import ConfigError
from promptlift.illustrating.embedding import Embedding, widths
from promptlift.illustrating.encoding import Encoded
from promptlift.illustrating.illustrator import Illustrator
from promptlift.illustrating.records import Request
from promptlift.illustrating.sampling import ClipSampler

_STRAIGHT = 1e-4  # sine of the angle below which rows point the same way, or opposite ways


def sampler_of(illustrator: Illustrator) -> ClipSampler:
    """What encodes prompts for a picture model.

    Raises:
        ConfigError: it takes no embeddings: a server, or neither SDXL nor Stable Diffusion.
    """
    sampler = illustrator.diffusers.sampler
    if not isinstance(sampler, ClipSampler):
        name = type(illustrator.diffusers.pipelines.base).__name__
        raise ConfigError(f"steering is for SDXL and Stable Diffusion; this is a {name}")
    return sampler


def embedding_of(illustrator: Illustrator, prompt: str) -> Embedding:
    """A prompt as its picture model reads it, with the config's `prompt_2`."""
    sampler = sampler_of(illustrator)
    request = Request(prompt=prompt, prompt_2=illustrator.config.prompt_2)
    return Embedding(
        prompt=prompt,
        wanted=tuple(sampler.wanted(place, request) for place in range(len(sampler.encoders))),
        probe=sampler.probe(),
        about=_origin(illustrator),
    )


def slerp(one: torch.Tensor, other: torch.Tensor, share: float | torch.Tensor) -> torch.Tensor:
    """Rows on the way from `one`, share 0, to `other`, 1, along the arc between them.

    (sin((1 - t) w) a + sin(t w) b) / sin w, w the angle between the rows, as Shoemake, "Animating
    rotation with quaternion curves", SIGGRAPH 1985. Rows that are equal, or opposite, have no one
    arc, and are mixed linearly: the first row of two prompts stays what it is.

    Args:
        one, other: float [..., width].
        share: of the way, from 0 to 1; a tensor of one number where it is to be learned.

    Returns:
        float [..., width]; at either end that tensor itself.
    """
    if not isinstance(share, torch.Tensor) and share in (0, 1):
        return other if share else one
    a, b = one.float(), other.float()
    # Not by arccos of the cosine, which loses half of its digits near 0.
    x, y = torch.nn.functional.normalize(a, dim=-1), torch.nn.functional.normalize(b, dim=-1)
    angle = 2 * torch.atan2((x - y).norm(dim=-1), (x + y).norm(dim=-1)).unsqueeze(-1)
    sine = angle.sin()
    bent = sine > _STRAIGHT
    safe = sine.where(bent, torch.ones_like(sine))
    even = torch.ones_like(sine)
    first = ((1 - share) * angle).sin().div(safe).where(bent, (1 - share) * even)
    second = (share * angle).sin().div(safe).where(bent, share * even)
    return (first * a + second * b).to(one.dtype)


def blend(illustrator: Illustrator, one: Embedding, other: Embedding, share: float) -> Embedding:
    """An embedding on the way from `one`, share 0, to `other`, 1.

    What guidance leads away from stays that of `one`.

    Args:
        illustrator: whose encoders made both.
        one, other: of any two prompts; the shorter one is filled up with the empty prompt.
        share: of the way, from 0 to 1.

    Raises:
        ConfigError: the share is outside of 0 to 1.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"share is {share:g} and must be from 0 to 1")
    if share in (0, 1):
        return other if share else one
    sampler = sampler_of(illustrator)
    requests = [Request(prompt=end.prompt, embedding=end) for end in (one, other)]
    wanted = []
    for place, encoder in enumerate(sampler.encoders):
        pair = [sampler.wanted(place, request) for request in requests]
        chunks = max(len(part.embeds) for part in pair)
        padded = [
            replace(part, embeds=encoder.padded(part, chunks).reshape(chunks, -1, _width(part)))
            for part in pair
        ]
        wanted.append(_each(lambda a, b: slerp(a, b, share), *padded))
    about = {**_origin(illustrator), "towards": other.prompt, "share": share}
    return replace(one, wanted=tuple(wanted), about=about)


def rows_of(part: Encoded) -> Iterator[torch.Tensor]:
    """The rows of each encoder, float [chunks, 77, width], and the pooled one, float [1, width]."""
    yield from halves(part.embeds, widths(part))
    if part.pooled is not None:
        yield part.pooled


def halves(rows: torch.Tensor, widths: Sequence[int]) -> Sequence[torch.Tensor]:
    """The rows of each encoder, float [..., its width], of those that lie side by side."""
    found: Sequence[torch.Tensor] = rows.split(list(widths), dim=-1)  # type: ignore[no-untyped-call]
    return found


def distance(one: Embedding, other: Embedding) -> float:
    """How far apart two embeddings are for the base: 1 less the cosine, the mean over rows.

    Of each encoder the rows after the first, which never changes, and the pooled one; each
    encoder counts alike. From 0 to 2. The longer one is compared as far as both go.
    """
    found = []
    for a, b in zip(rows_of(one.wanted[0]), rows_of(other.wanted[0]), strict=True):
        count = min(len(a), len(b))
        cosines = torch.nn.functional.cosine_similarity(
            a[:count].float().cpu(), b[:count].float().cpu(), dim=-1
        )
        cosines = cosines[..., 1:] if a.dim() == 3 else cosines
        found.append(1 - float(cosines.mean()))
    return sum(found) / len(found)


def with_refiner(start: Embedding, learned: Encoded) -> tuple[Encoded, ...]:
    """What each denoiser is led to, of what was learned for the base alone.

    A refiner reads the same words with an encoder that is the base's second. Where that is so, it
    gets the learned rows of its own encoder; otherwise it is led to where it was to begin with.

    Args:
        start: what was begun with.
        learned: of the base.
    """
    found = [learned]
    for own in start.wanted[1:]:
        half = _last_half(start.wanted[0])
        same = own.embeds.shape == half.embeds.shape and own.embeds.equal(half.embeds)
        found.append(_last_half(learned) if same else own)
    return tuple(found)


def _last_half(part: Encoded) -> Encoded:
    return replace(part, embeds=part.embeds[..., -widths(part)[-1] :])


def _each(change: Callable[..., torch.Tensor], *parts: Encoded) -> Encoded:
    """Rows of each encoder, and pooled ones, put together again after a change."""
    found = [change(*rows) for rows in zip(*map(rows_of, parts), strict=True)]
    pooled = found.pop() if parts[0].pooled is not None else None
    return Encoded(embeds=torch.cat(found, dim=-1), pooled=pooled)


def _width(part: Encoded) -> int:
    return int(part.embeds.shape[-1])


def _origin(illustrator: Illustrator) -> dict[str, Any]:
    """Names of the models, and hashes of the base's text encoders."""
    pipelines = illustrator.diffusers.pipelines
    return {
        "model": [origin.name for origin in pipelines.origins],
        "encoders": list(sampler_of(illustrator).encoders[0].hashes),
        "dtype": pipelines.dtype,
    }
