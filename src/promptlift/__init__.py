"""promptlift adds to a short text-to-image prompt what belongs to its subject.

>>> import promptlift
>>> improver = promptlift.Improver.load()
>>> [result] = improver.improve("a lighthouse", seed=7)
>>> result.source
'a lighthouse'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from promptlift.errors import (
    ConfigError,
    InputError,
    MissingExtraError,
    ModelError,
    PromptliftError,
)
from promptlift.records import Improvement, Pair

if TYPE_CHECKING:
    from promptlift.illustrating.config import IllustrationConfig
    from promptlift.illustrating.illustrator import Illustrator
    from promptlift.improving.config import ControlConfig, DecodingConfig
    from promptlift.improving.improver import Improver
    from promptlift.picking.config import PickConfig
    from promptlift.scoring.pictures.config import PictureScoringConfig
    from promptlift.scoring.text.config import TextConfig
    from promptlift.training.config import TrainingConfig

__version__ = "0.2.0"
__all__ = [
    "ConfigError",
    "ControlConfig",
    "DecodingConfig",
    "IllustrationConfig",
    "Illustrator",
    "Improvement",
    "Improver",
    "InputError",
    "MissingExtraError",
    "ModelError",
    "Pair",
    "PickConfig",
    "PictureScoringConfig",
    "PromptliftError",
    "TextConfig",
    "TrainingConfig",
]

# These load NumPy and more, so they are imported on first use.
_HOMES = {
    "ControlConfig": "promptlift.improving.config",
    "DecodingConfig": "promptlift.improving.config",
    "IllustrationConfig": "promptlift.illustrating.config",
    "Illustrator": "promptlift.illustrating.illustrator",
    "Improver": "promptlift.improving.improver",
    "PickConfig": "promptlift.picking.config",
    "PictureScoringConfig": "promptlift.scoring.pictures.config",
    "TextConfig": "promptlift.scoring.text.config",
    "TrainingConfig": "promptlift.training.config",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'promptlift' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
