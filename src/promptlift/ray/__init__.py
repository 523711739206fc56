"""Many prompts, pictures and scores on a Ray cluster; `ImproveBatch` is for your own pipelines."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from promptlift.ray.batches import ImproveBatch

__all__ = ["ImproveBatch"]


def __getattr__(name: str) -> Any:
    """`ImproveBatch`, when it is asked for: a command's help needs the options alone."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from promptlift.ray import batches

    return getattr(batches, name)
