"""Prompts as a picture model's CLIP encoders read them: attention weights, and chunks of 75.

Without weights and within 75 tokens the result is what diffusers makes of the prompt, to the bit.

Weights are applied as ComfyUI does it: a token's vector v becomes e + w (v - e), where e is the
empty prompt's vector at the same place. Weight 1 then leaves it untouched, and the large common
part of CLIP's vectors is not scaled along, which it is where A1111 multiplies v and restores the
mean. The pooled vector, which SDXL takes from its second encoder, is that of the first chunk, and
has no weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from promptlift.files import sha256_of_weights
from promptlift.illustrating.attention import Reading, read_weights

if TYPE_CHECKING:
    import torch

_MOST_KEPT = 128  # encoded prompts that are kept: those of a batch, and originals among variants


@dataclass(frozen=True)
class Encoded:
    """A prompt as the denoiser takes it.

    Attributes:
        embeds: float [chunks, 77, width], the encoders side by side.
        pooled: float [1, width of the second encoder], None where the model has no such input.
        cut: the text that was not read, decoded from its tokens; empty where all was.
        cut_tokens: how many tokens that is, the most of any encoder.
        not_applied: as in `Reading`.
    """

    embeds: "torch.Tensor"
    pooled: "torch.Tensor | None"
    cut: str = ""
    cut_tokens: int = 0
    not_applied: tuple[str, ...] = ()


class PromptEncoder:
    """Encodes prompts with the text encoders of a pipeline, one prompt at a time.

    One at a time, because a prompt's vectors then never depend on its neighbours in a batch.

    Args:
        pipeline: a diffusers pipeline of the Stable Diffusion family.
        chunked: continue parts of more than 75 tokens in further chunks instead of cutting them.
    """

    def __init__(self, pipeline: Any, *, chunked: bool) -> None:
        # Asking takes milliseconds, as diffusers looks through all modules for it.
        self._device, self._chunked = pipeline._execution_device, chunked
        found: list[tuple[Any, Any]] = [
            (
                getattr(pipeline, f"tokenizer{end}", None),
                getattr(pipeline, f"text_encoder{end}", None),
            )
            for end in ("", "_2")
        ]
        self._encoders = [pair for pair in found if pair[1] is not None]
        self._has_pooled = getattr(pipeline, "text_encoder_2", None) is not None
        self._encoded = lru_cache(_MOST_KEPT)(self._encode)

    @cached_property
    def hashes(self) -> tuple[str, ...]:
        """SHA-256 of each encoder's weights as they are loaded, its first 12 digits."""
        return tuple(sha256_of_weights(encoder)[:12] for _, encoder in self._encoders)

    def encode(self, prompt: str, prompt_2: str | None = None) -> Encoded:
        """Encode a prompt; `prompt_2` is what a second encoder reads instead.

        A refiner has one encoder only, and reads `prompt`, as in diffusers.
        """
        return self._encoded(prompt, prompt_2 or prompt)

    def padded(self, encoded: Encoded, chunks: int) -> "torch.Tensor":
        """The vectors, filled up with chunks of the empty prompt, float [1, 77 chunks, width]."""
        import torch

        filling = [self.encode("").embeds] * (chunks - len(encoded.embeds))
        return torch.cat([encoded.embeds, *filling]).reshape(1, -1, encoded.embeds.shape[-1])

    def _encode(self, *prompts: str) -> Encoded:
        import torch

        readings = [read_weights(text) for text in prompts[: len(self._encoders)]]
        tokenized = [
            _chunks(reading, tokenizer, chunked=self._chunked)
            for reading, (tokenizer, _) in zip(readings, self._encoders, strict=True)
        ]
        count = max(len(chunks) for chunks, _ in tokenized)
        embeds: list[torch.Tensor] = []
        pooled = None
        with torch.no_grad():
            for (chunks, _), (tokenizer, encoder) in zip(tokenized, self._encoders, strict=True):
                chunks += [([], [])] * (count - len(chunks))
                vectors, pooled = self._run(tokenizer, encoder, [ids for ids, _ in chunks])
                embeds.append(self._weighted(tokenizer, encoder, vectors, chunks))
        cut = [ids for _, ids in tokenized]
        longest = max(cut, key=len)
        return Encoded(
            embeds=torch.cat(embeds, dim=-1),
            pooled=pooled[:1] if self._has_pooled and pooled is not None else None,
            cut=self._encoders[cut.index(longest)][0].decode(longest).strip() if longest else "",
            cut_tokens=len(longest),
            not_applied=tuple(dict.fromkeys(item for r in readings for item in r.not_applied)),
        )

    def _run(self, tokenizer: Any, encoder: Any, chunks: Sequence[list[int]]) -> tuple[Any, Any]:
        """Vectors, float [chunks, 77, width], and pooled vectors, float [chunks, width]."""
        import torch

        rows = [
            [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]
            + [tokenizer.pad_token_id] * (_room(tokenizer) - len(ids))
            for ids in chunks
        ]
        input_ids = torch.tensor(rows, device=self._device)
        if self._has_pooled:
            output = encoder(input_ids, output_hidden_states=True)
            return output.hidden_states[-2], output[0]
        mask = None
        if getattr(encoder.config, "use_attention_mask", False):
            mask = torch.tensor(
                [[1] * (len(ids) + 2) + [0] * (_room(tokenizer) - len(ids)) for ids in chunks],
                device=input_ids.device,
            )
        return encoder(input_ids, attention_mask=mask)[0], None

    def _weighted(
        self,
        tokenizer: Any,
        encoder: Any,
        vectors: Any,
        chunks: list[tuple[list[int], list[float]]],
    ) -> Any:
        if all(weight == 1 for _, weights in chunks for weight in weights):
            return vectors
        import torch

        empty, _ = self._run(tokenizer, encoder, [[]])
        room = _room(tokenizer)
        scale = torch.tensor(
            [[1.0, *weights] + [1.0] * (room + 1 - len(weights)) for _, weights in chunks],
            device=vectors.device,
            dtype=vectors.dtype,
        ).unsqueeze(-1)
        # lerp(v, v, 1) is v only up to rounding, and tokens of weight 1 are to stay as they are.
        return torch.where(scale == 1, vectors, empty + scale * (vectors - empty))


def _chunks(
    reading: Reading, tokenizer: Any, *, chunked: bool
) -> tuple[list[tuple[list[int], list[float]]], list[int]]:
    """Token ids and weights by chunk, at least one; and the ids of what was cut."""
    chunks: list[tuple[list[int], list[float]]] = []
    cut: list[int] = []
    room = _room(tokenizer)
    for part in reading.parts:
        ids: list[int] = []
        weights: list[float] = []
        for text, weight in part:
            found = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
            ids += found
            weights += [weight] * len(found)
        end = min(room, len(ids))
        if not chunked:
            cut += ids[end:]
            ids = ids[:end]
        while len(ids) > room:
            end = _word_end(tokenizer.convert_ids_to_tokens(ids[:room])) or room
            chunks.append((ids[:end], weights[:end]))
            ids, weights = ids[end:], weights[end:]
        if ids or not chunks:
            chunks.append((ids, weights[: len(ids)]))
    # `BREAK` at the very start would leave an empty chunk before it.
    if len(chunks) > 1 and not chunks[0][0]:
        del chunks[0]
    return chunks, cut


def _word_end(tokens: list[str]) -> int:
    """Tokens up to the last end of a word; 0 where there is none."""
    return next((n for n in range(len(tokens), 0, -1) if tokens[n - 1].endswith("</w>")), 0)


def _room(tokenizer: Any) -> int:
    return int(tokenizer.model_max_length) - 2  # without start and end
