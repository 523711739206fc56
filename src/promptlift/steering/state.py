"""Where learning an embedding stands, in a file, so that it goes on after a stop."""

import json
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from promptlift.errors import ConfigError, InputError
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
            ConfigError: it was made with other settings.
            InputError: it is damaged.
        """
        if self._path is None or not self._path.exists():
            return None
        try:
            found: dict[str, Any] = torch.load(self._path, map_location="cpu", weights_only=True)
            about = found["about"]
        except (RuntimeError, UnpicklingError, EOFError, KeyError, TypeError) as error:
            raise InputError(f"{self._path} is damaged; delete it to begin anew") from error
        if about != self._about:
            raise ConfigError(f"{self._path} was made with other settings; name another folder")
        return found

    def save(self, **values: Any) -> None:
        """Keep tensors, numbers, and lists and dictionaries of them."""
        if self._path is None:
            return
        with atomic_path(self._path) as temporary:
            torch.save({"about": self._about, **values}, temporary)
