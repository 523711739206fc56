"""promptlift turns a short text-to-image prompt into one that draws a better picture.

>>> import promptlift
>>> improver = promptlift.Improver.load()
>>> [result] = improver.improve("a lighthouse", seed=7)
>>> result.source
'a lighthouse'
"""

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
    from promptlift.illustrating.illustrator import Illustrator
    from promptlift.improving.improver import Improver

__version__ = "0.1.0"
__all__ = [
    "ConfigError",
    "Illustrator",
    "Improvement",
    "Improver",
    "InputError",
    "MissingExtraError",
    "ModelError",
    "Pair",
    "PromptliftError",
]


def __getattr__(name: str) -> Any:
    """`Improver` and `Illustrator` load NumPy and more, so they are imported on first use."""
    if name == "Improver":
        from promptlift.improving.improver import Improver

        return Improver
    if name == "Illustrator":
        from promptlift.illustrating.illustrator import Illustrator

        return Illustrator
    raise AttributeError(f"module 'promptlift' has no attribute {name!r}")
