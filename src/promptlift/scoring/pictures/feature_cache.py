"""What models made of texts and pictures, kept on disk so that nothing is encoded twice."""

import sqlite3
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from promptlift.errors import InputError

FloatArray = npt.NDArray[np.float32]

_TABLE = """
CREATE TABLE IF NOT EXISTS features (
    model TEXT, kind TEXT, key TEXT, vector BLOB, PRIMARY KEY (model, kind, key)
) WITHOUT ROWID
"""
_ASKED = 500  # keys a query; SQLite allows 999 in its older versions


class FeatureCache:
    """Vectors by model, kind ("text" or "picture") and SHA-256 of what was encoded.

    A batch is kept whole or not at all, so a run that is killed loses at most one batch.

    Args:
        path: file of the cache; None keeps it in memory.

    Raises:
        InputError: the file is not such a cache, or cannot be written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        with _clearly(path):
            self._database = sqlite3.connect(path or ":memory:", timeout=60)
        # A cache that was not closed closes with its last user.
        self._closed = weakref.finalize(self, self._database.close)
        with _clearly(path):
            self._database.execute(_TABLE)

    def close(self) -> None:
        """Let go of the file."""
        self._closed()

    def fetch(
        self,
        model: str,
        kind: str,
        keys: Sequence[str],
        make: Callable[[list[int]], FloatArray],
    ) -> FloatArray:
        """The vectors of `keys`, float32 [keys, width]; those not kept are made and kept.

        Args:
            model: hash of the model and of how it prepares its input.
            kind: "text" or "picture".
            keys: SHA-256 of each text or picture.
            make: gives the vectors at some places, float32 [places, width].
        """
        kept = self._read(model, kind, keys)
        first = {key: place for place, key in reversed([*enumerate(keys)]) if key not in kept}
        if absent := sorted(first.values()):
            made = np.ascontiguousarray(make(absent), dtype=np.float32)
            new = dict(zip([keys[place] for place in absent], made, strict=True))
            with _clearly(self._path), self._database:
                self._database.executemany(
                    "INSERT OR REPLACE INTO features VALUES (?,?,?,?)",
                    [(model, kind, key, vector.tobytes()) for key, vector in new.items()],
                )
            kept.update(new)
        return np.stack([kept[key] for key in keys])

    def _read(self, model: str, kind: str, keys: Sequence[str]) -> dict[str, FloatArray]:
        asked = list(dict.fromkeys(keys))
        found: dict[str, FloatArray] = {}
        for start in range(0, len(asked), _ASKED):
            part = asked[start : start + _ASKED]
            marks = ",".join("?" * len(part))
            query = (
                f"SELECT key, vector FROM features WHERE model=? AND kind=? AND key IN ({marks})"
            )
            with _clearly(self._path):
                for key, blob in self._database.execute(query, (model, kind, *part)):
                    found[key] = np.frombuffer(blob, dtype=np.float32)
        return found


@contextmanager
def _clearly(path: Path | None) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:  # no room, no right to write, locked by another run
        raise InputError(f"{path} cannot be written: {error}.") from error
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path} is damaged ({error}). Delete it and start again.") from error
