"""What an experiment is made of beside the settings of other rooms."""

from dataclasses import dataclass

from promptlift.options import check, option

WORLDS = ("pocket", "control")


@dataclass(frozen=True, kw_only=True)
class PairsChoice:
    """Where pairs come from: a world that makes them, or data."""

    world: str | None = option(None, "World that makes them: pocket or control.", choices=WORLDS)
    count: int = option(8000, "Of the world, scenes to learn from.", least=1)
    test: int = option(300, "Of the world, scenes to measure on.", least=1)
    data: str | None = option(
        None,
        "A file, a folder or a name on the Hub. Where it has a split test, that is measured on; "
        "otherwise pairs are set apart.",
    )

    def __post_init__(self) -> None:
        both = (self.world is None) == (self.data is None)
        check(self, "give world or data, one of both" if both else "")


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Under which conditions an experiment runs."""

    gpu: bool = option(False, "Whether not to begin without a GPU.")
    threads: int | None = option(
        None, "Threads of PyTorch on a CPU; those that are free where none.", least=1
    )
    judged: bool = option(
        False, "Ask people for blind votes too, or not.", shown="as the config says"
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class TuneChoice:
    """Whether the rewriter learns from pictures too, and what it is then compared with."""

    enabled: bool = option(False, "Tune the rewriter by pictures, and compare what draws best.")
    seeds: int = option(2, "Pictures of each prompt while tuning.", least=1)
    num_inference_steps: int | None = option(
        None, "Denoising steps while tuning.", least=1, shown="those of [illustrate]"
    )
    batch_size: int | None = option(
        None, "Pictures drawn together while tuning.", least=1, shown="that of [illustrate]"
    )
    suffix: str | None = option(None, "Fixed words behind every prompt, to compare with.")

    def __post_init__(self) -> None:
        is_blank = self.suffix is not None and not self.suffix.strip(" ,")
        check(self, "suffix is empty; leave it out to compare with none" if is_blank else "")
