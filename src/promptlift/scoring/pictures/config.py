"""Settings of scoring pictures."""

from dataclasses import asdict, dataclass, field
from typing import Any

from promptlift.errors import ConfigError
from promptlift.world.bundle import is_pocket

PAPER_CLIP = "openai/clip-vit-base-patch16"
POCKET_CLIP, AUTO_CLIP = "pocket", "auto"
PICKSCORE = "yuvalkirstain/PickScore_v1"
AESTHETIC_HEAD = "trl-lib/ddpo-aesthetic-predictor"
# The head was trained on this model's features; any other of the same width gives noise.
AESTHETIC_CLIP = "openai/clip-vit-large-patch14"


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class PictureScoringConfig:
    """Settings of scoring pictures: the home of each default, its help and its check."""

    clip: str = _setting(
        AUTO_CLIP,
        f"CLIP or SigLIP: a folder, a Hub name or pocket, the pocket world's; auto is pocket for "
        f"pictures of the pocket world and {PAPER_CLIP} for all others.",
    )
    metrics: tuple[str, ...] | None = _setting(
        None,
        "clip, measures, pickscore, aesthetic; none given: clip and measures, and the others "
        "where their weights are.",
    )
    preference: str | None = _setting(
        None, f"PickScore's weights, a folder or a Hub name [{PICKSCORE}]."
    )
    aesthetic: str | None = _setting(
        None, f"LAION's aesthetic head, a file or a Hub name [{AESTHETIC_HEAD}]."
    )
    aesthetic_clip: str = _setting(AESTHETIC_CLIP, "CLIP whose features the head was trained on.")
    batch_size: int = _setting(32, "Pictures or texts encoded at a time.")
    device: str = _setting("auto", "auto, cpu, cuda or mps.")
    offline: bool = _setting(False, "Do not reach for the Hub.")
    seed: int = _setting(0, "Seed of the shuffled captions and of the intervals.")
    tie: float = _setting(1e-4, "Scores that differ by no more than this are a tie.")

    def __post_init__(self) -> None:
        problems = []
        if self.batch_size < 1:
            problems.append(f"batch_size is {self.batch_size} and must be above 0")
        if not 0 <= self.tie < float("inf"):
            problems.append(f"tie is {self.tie} and must be 0 or more")
        if self.device != "auto" and self.device.split(":")[0] not in ("cpu", "cuda", "mps"):
            problems.append(f"device is {self.device!r} and must be auto, cpu, cuda or mps")
        if self.metrics is not None and not self.metrics:
            problems.append("metrics is empty; name one, or leave it out for all")
        if problems:
            raise ConfigError("; ".join(problems))

    def to_dict(self) -> dict[str, Any]:
        """The settings that decide the scores, as plain JSON types.

        Batch size, device and offline are how, not what.
        """
        values = asdict(self)
        for name in ("batch_size", "device", "offline"):
            del values[name]
        return {**values, "metrics": None if self.metrics is None else list(self.metrics)}

    def clip_for(self, drawn_by: str) -> str:
        """The CLIP that is meant, for pictures drawn by a model of this name."""
        if self.clip != AUTO_CLIP:
            return self.clip
        return POCKET_CLIP if is_pocket(drawn_by) else PAPER_CLIP
