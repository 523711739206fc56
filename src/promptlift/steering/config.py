"""Settings of steering."""

from dataclasses import dataclass

from promptlift.options import check, option


@dataclass(frozen=True, kw_only=True)
class OptimiseConfig:
    """How an embedding is optimised.

    Raises:
        ConfigError: a setting is outside its range.
    """

    metric: str = option(
        "aesthetic",
        "What the picture is to have more of: clip, pickscore, aesthetic, sharpness, contrast, or "
        "MODULE:FUNCTION, your own, which takes prompts and a tensor of pictures.",
    )
    less: bool = option(False, "Have less of it instead.", off="--more")
    # More of them were measured to lose what the prompt asks for.
    iterations: int = option(10, "Steps of the optimiser, at most.", least=0)
    patience: int = option(10, "Stop after so many without a better score.", least=1)
    through: int = option(
        1, "Steps of denoising that the gradient passes, from the last one back.", least=1
    )
    noises: int = option(1, "Seeds that are optimised together.", least=1)
    optimizer: str = option("adamw", "Which optimiser.", choices=("adamw", "adam-on-lion"))
    rate: float = option(0.01, "Learning rate.", above=0.0)
    keep_size: bool = option(
        True, "Keep mean and deviation of the rows as the prompt's are.", off="--free-size"
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class SameConfig:
    """How an embedding is made independent of the seed.

    Raises:
        ConfigError: a setting is outside its range.
    """

    iterations: int = option(40, "Steps of the optimiser for each step of denoising.", least=0)
    depth: int = option(3, "Steps of denoising whose latents are led to the picture's.", least=1)
    draws: int = option(3, "Random seeds in each step of the optimiser.", least=1)
    rate: float = option(0.01, "Learning rate; ten times as high on the guided way.", above=0.0)
    most: float = option(
        0.2, "Share of the way to random noise at the end; about 1 on the guided way.",
        above=0.0, most=1.0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check(self)
