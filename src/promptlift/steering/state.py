"""Where learning an embedding stands, in a file, so that it goes on after a stop."""

import json
from pathlib import Path
from typing import Any

import torch

from promptlift.errors import ConfigError
from promptlift.files import atomic_path


class State:
    """A file with what was learned so far.

    Args:
        path: of the file; nothing is kept where None.
        about: all that decides what is learned, as plain JSON types.
    """

    def __init__(self, path: Path | None, about: Any) -> None:
        self._path, self._about = path, json.dumps(about)

    def load(self) -> dict[str, Any] | None:
        """What was kept, on the CPU; None where nothing was.

        Raises:
            ConfigError: it is of other settings.
        """
        if self._path is None or not self._path.exists():
            return None
        found: dict[str, Any] = torch.load(self._path, map_location="cpu", weights_only=True)
        if found["about"] != self._about:
            raise ConfigError(f"{self._path} is of other settings; name another folder")
        return found

    def save(self, **values: Any) -> None:
        """Keep tensors, numbers, and lists and dictionaries of them."""
        if self._path is None:
            return
        with atomic_path(self._path) as temporary:
            torch.save({"about": self._about, **values}, temporary)
