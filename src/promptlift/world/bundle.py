"""The models of the pocket world that the package carries, and the notices that go with them."""

from pathlib import Path

NAME = "pocket-world"
MODELS = Path(__file__).parents[1] / "models" / NAME
BASE, CLIP, ORACLE, READER = (MODELS / part for part in ("base", "clip", "oracle", "reader"))
PREFERENCE = MODELS / "preference" / "preference.safetensors"
LICENCE = "Apache-2.0"


def drawing_notice(option: str) -> str:
    """The notice that goes with its pictures; `option` names the option for another model."""
    return (
        "the pocket world draws coloured shapes, 64 pixels wide, and nothing else; pictures of "
        f"anything else need real weights, for example: {option} sdxl (11.4 GB)"
    )


DRAWING_NOTICE = drawing_notice("promptlift illustrate --model")
SCORING_NOTICE = (
    "the pocket world's CLIP knows coloured shapes and nothing else; pictures of other models "
    "need real weights, for example: promptlift score --clip openai/clip-vit-base-patch16 (0.6 GB)"
)


def is_pocket(model: str) -> bool:
    """Whether a model, by its name or `name@hash`, is one of the pocket world's."""
    return model.split("@")[0].split("+")[0].startswith(NAME)
