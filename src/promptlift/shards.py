"""Parts of a job: which rows of the input each machine does."""

import re
from dataclasses import dataclass

from promptlift.errors import ConfigError

_NAMED = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")


@dataclass(frozen=True)
class Shard:
    """Every so many rows, from one on: parts are alike however the input is sorted.

    Attributes:
        number: which part, from 1.
        count: how many parts there are.
    """

    number: int
    count: int

    @classmethod
    def of(cls, text: str) -> "Shard":
        """A part by its name, as "2/8".

        Raises:
            ConfigError: it is none.
        """
        found = _NAMED.fullmatch(text.strip())
        number, count = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= number <= count:
            raise ConfigError(f"shard is {text!r} and must be as 2/8: which part, of how many")
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def holds(self, index: int) -> bool:
        """Whether a row of the input, from 0, is of this part."""
        return index % self.count == self.number - 1
