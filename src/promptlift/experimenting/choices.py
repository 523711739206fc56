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
