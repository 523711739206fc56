"""A prompt as vectors, which may say what no words say, and the files that keep it.

A file is one `.safetensors`. Its tensors have the names of diffusers' arguments, `prompt_embeds`
and so on, float32 [1, 77 chunks, width]; those of a refiner begin with `refiner_`. The metadata
`promptlift` is its receipt as JSON. `probe` is what the encoders make of the empty prompt, by which
a model with other encoders is known, whatever precision or program it is loaded in.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlift.errors import InputError, MissingExtraError, first_line
from promptlift.files import atomic_path
from promptlift.illustrating.encoding import Encoded

if TYPE_CHECKING:
    import torch

KEY, PROBE = "promptlift", "probe"
SCHEMA_VERSION = 1
TOKENS = 77  # of a chunk
_PARTS = ("", "refiner_")
# Error of a probe, of its size: with the pocket world fp16 gives 0.0005 and bf16 0.005.
_ALIKE = 0.02


@dataclass(frozen=True, eq=False, kw_only=True)
class Embedding:
    """A prompt as vectors.

    Attributes:
        prompt: the words that it began with.
        wanted: what each denoiser is led to, base and refiner.
        unwanted: what guidance leads away from, likewise; empty for that of the negative prompt.
        probe: float [width], of the base's encoders.
        about: how it was made: plain JSON types.
    """

    prompt: str
    wanted: tuple[Encoded, ...]
    unwanted: tuple[Encoded, ...] = ()
    probe: "torch.Tensor"
    about: Mapping[str, Any] = field(default_factory=dict)

    def tensors(self) -> "dict[str, torch.Tensor]":
        """The vectors by the names of diffusers' arguments, float32 on the CPU."""
        found = {}
        for sign, parts in (("", self.wanted), ("negative_", self.unwanted)):
            for prefix, part in zip(_PARTS, parts, strict=False):
                rows = part.embeds.reshape(1, -1, part.embeds.shape[-1])
                found[f"{prefix}{sign}prompt_embeds"] = rows
                if part.pooled is not None:
                    found[f"{prefix}{sign}pooled_prompt_embeds"] = part.pooled
        return {name: _plain(value) for name, value in found.items()}

    @property
    def sha256(self) -> str:
        """SHA-256 of all vectors."""
        digest = hashlib.sha256()
        for name, value in sorted(self.tensors().items()):
            digest.update(name.encode() + value.numpy().tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write it to a file.

        Raises:
            OSError: the file cannot be written.
        """
        from safetensors.torch import save_file

        about = {"schema_version": SCHEMA_VERSION, "prompt": self.prompt, **self.about}
        tensors = {**self.tensors(), PROBE: _plain(self.probe).clone()}
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, {KEY: json.dumps(about)})

    def check(self, probe: "torch.Tensor", denoisers: int) -> None:
        """Refuse to be drawn by another model.

        Args:
            probe: of the model that is to draw.
            denoisers: how many it has, base and refiner.

        Raises:
            InputError: its encoders are others, or it has a refiner that this was made without.
        """
        made_by = ", ".join(self.about.get("model", [])) or "another model"
        own, given = _plain(self.probe), _plain(probe)
        if own.shape != given.shape or float((own - given).norm()) > _ALIKE * float(own.norm()):
            raise InputError(
                f"the embedding of “{self.prompt[:60]}” was made for other text encoders, those of "
                f"{made_by}; draw it with that model"
            )
        if len(self.wanted) < denoisers:
            raise InputError(
                f"the embedding of “{self.prompt[:60]}” was made without a refiner; "
                "draw it with --refiner none"
            )


def load_embedding(path: Path) -> Embedding:
    """An embedding from its file, in float32 on the CPU.

    Raises:
        InputError: it is missing, damaged, or none of promptlift's.
        MissingExtraError: packages are missing.
    """
    try:
        import torch  # noqa: F401
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise MissingExtraError("An embedding", "illustrate") from error
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(text) if text else {}
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as an embedding: {first_line(error)}") from error
    if "prompt" not in about or not {PROBE, "prompt_embeds"} <= {*tensors}:
        raise InputError(f"{path} is no embedding that promptlift steer wrote")
    if not _fit(tensors):
        raise InputError(f"{path} holds tensors of shapes that no embedding has")
    found = [
        tuple(
            _encoded(tensors[name], tensors.get(f"{prefix}{sign}pooled_prompt_embeds"))
            for prefix in _PARTS
            if (name := f"{prefix}{sign}prompt_embeds") in tensors
        )
        for sign in ("", "negative_")
    ]
    prompt = about.pop("prompt")
    return Embedding(
        prompt=prompt, wanted=found[0], unwanted=found[1], probe=tensors[PROBE], about=about
    )


def _fit(tensors: "Mapping[str, torch.Tensor]") -> bool:
    """Whether shapes are those of `Embedding.tensors`, and the base's width that of the probe."""
    rows = [value for name, value in tensors.items() if name.endswith("prompt_embeds")
            and "pooled" not in name]  # fmt: skip
    pooled = [value for name, value in tensors.items() if "pooled_prompt_embeds" in name]
    probe, own = tensors[PROBE], tensors["prompt_embeds"]
    return (
        all(one.dim() == 3 and len(one) == 1 and one.shape[1] % TOKENS == 0 for one in rows)
        and all(one.dim() == 2 and len(one) == 1 for one in pooled)
        and probe.dim() == 1
        and own.shape[-1] == len(probe)
    )


def widths(part: Encoded) -> Sequence[int]:
    """Widths of the encoders whose vectors lie side by side; the pooled one is of the last."""
    width = int(part.embeds.shape[-1])
    last = width if part.pooled is None else int(part.pooled.shape[-1])
    return [last] if width == last else [width - last, last]


def _encoded(rows: "torch.Tensor", pooled: "torch.Tensor | None") -> Encoded:
    return Encoded(embeds=rows.reshape(-1, TOKENS, rows.shape[-1]), pooled=pooled)


def _plain(tensor: "torch.Tensor") -> "torch.Tensor":
    return tensor.detach().float().cpu().contiguous()
