"""Training in several processes, started by `torchrun` or `accelerate launch`."""

import os
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Processes:
    """This process among those that train together. Alone, all of this does nothing.

    Attributes:
        index: of this process, from 0.
        count: how many there are.
    """

    index: int = 0
    count: int = 1

    @property
    def main(self) -> bool:
        """Whether this process writes files and reports."""
        return self.index == 0

    def wait(self) -> None:
        """Until all processes came here."""
        if self.count > 1:
            import torch.distributed

            torch.distributed.barrier()

    def any(self, flag: bool) -> bool:
        """Whether it holds in any process."""
        return any(self.gather(flag))

    def gather(self, value: Any) -> list[Any]:
        """The value of each process, in their order, in all of them."""
        if self.count == 1:
            return [value]
        import torch.distributed

        values = [None] * self.count
        torch.distributed.all_gather_object(values, value)
        return values

    def from_main(self, value: Any) -> Any:
        """The main process's value, in all of them."""
        return self.gather(value if self.main else None)[0]


def launched() -> Processes:
    """As the launcher says in the environment, before torch is loaded."""
    return Processes(
        index=int(os.environ.get("RANK", "0")), count=int(os.environ.get("WORLD_SIZE", "1"))
    )
