"""Settings of scoring pictures."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from promptlift.options import check, option
from promptlift.world.bundle import is_pocket

PAPER_CLIP = "openai/clip-vit-base-patch16"
POCKET_CLIP, AUTO_CLIP = "pocket", "auto"
POCKET_WANTS, CLIP_WANTS, AUTO_WANTS = "pocket", "clip", "auto"
PICKSCORE = "yuvalkirstain/PickScore_v1"
AESTHETIC_HEAD = "trl-lib/ddpo-aesthetic-predictor"
POCKET_AESTHETIC = "pocket"
# The head was trained on this model's features; any other of the same width gives noise.
AESTHETIC_CLIP = "openai/clip-vit-large-patch14"


@dataclass(frozen=True, kw_only=True)
class PictureScoringConfig:
    """Settings of scoring pictures: the home of each default, its help and its check."""

    clip: str = option(
        AUTO_CLIP,
        f"CLIP or SigLIP: a folder, a Hub name or pocket, the pocket world's; auto is pocket for "
        f"pictures of the pocket world and {PAPER_CLIP} for all others.",
    )
    metrics: tuple[str, ...] | None = option(
        None,
        "clip, measures, wants, pickscore, aesthetic; none given: clip, measures and wants, and "
        "the others where their weights are.",
    )
    wants: str = option(
        AUTO_WANTS,
        "What finds the prompt's wants in the picture: pocket, the pocket world's reader; clip, "
        "the model of --clip; or a BLIP that answers questions, a folder or a Hub name. auto is "
        "pocket for pictures of the pocket world and clip for all others.",
    )
    preference: str | None = option(
        None, "PickScore's weights, a folder or a Hub name.", shown=PICKSCORE
    )
    aesthetic: str | None = option(
        None,
        "LAION's aesthetic head, a file or a Hub name, one that `votes learn` wrote, or pocket, "
        "what simulated raters of the pocket world prefer.",
        shown=f"pocket for pictures of the pocket world, {AESTHETIC_HEAD} for all others",
    )
    aesthetic_clip: str = option(AESTHETIC_CLIP, "CLIP whose features the head was trained on.")
    batch_size: int = option(32, "Pictures or texts encoded at a time.", least=1)
    device: str = option("auto", "auto, cpu, cuda or mps.")
    offline: bool = option(False, "Load Hub models from the cache only.")
    seed: int = option(0, "Seed of the shuffled captions and of the intervals.")
    tie: float = option(1e-4, "Scores that differ by no more than this are a tie.", least=0)

    def __post_init__(self) -> None:
        named = self.device.split(":")[0] in ("auto", "cpu", "cuda", "mps")
        check(
            self,
            "" if named else f"device is {self.device!r} and must be auto, cpu, cuda or mps",
            "metrics is empty; name one, or leave it out for all" if self.metrics == () else "",
        )

    def to_dict(self) -> dict[str, Any]:
        """The settings that decide the scores, as plain JSON types.

        Batch size, device and offline are how, not what.
        """
        values = asdict(self)
        for name in ("batch_size", "device", "offline"):
            del values[name]
        return {**values, "metrics": None if self.metrics is None else list(self.metrics)}

    def resolved(self, drawn_by: str) -> "PictureScoringConfig":
        """The settings without auto, for pictures drawn by a model of this name."""
        wants, aesthetic = self.wants, self.aesthetic
        if wants == AUTO_WANTS:
            wants = POCKET_WANTS if is_pocket(drawn_by) else CLIP_WANTS
        if aesthetic is None and self.aesthetic_clip == AESTHETIC_CLIP and is_pocket(drawn_by):
            aesthetic = POCKET_AESTHETIC
        return replace(self, clip=self.clip_for(drawn_by), wants=wants, aesthetic=aesthetic)

    def clip_for(self, drawn_by: str) -> str:
        """The CLIP that is meant, for pictures drawn by a model of this name."""
        if self.clip != AUTO_CLIP:
            return self.clip
        return POCKET_CLIP if is_pocket(drawn_by) else PAPER_CLIP
