"""What models made of texts and pictures, kept on disk so that nothing is encoded twice."""

import sqlite3
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from promptlift.errors import InputError
from promptlift.shards import Shard

FloatArray = npt.NDArray[np.float32]
Make = Callable[[list[int]], FloatArray]
Batch = TypeVar("Batch")

CACHE = Path("cache") / "features.sqlite"  # of a run, in its `scores`
_TABLE = """
CREATE TABLE IF NOT EXISTS features (
    model TEXT, kind TEXT, key TEXT, vector BLOB, PRIMARY KEY (model, kind, key)
) WITHOUT ROWID
"""
_ASKED = 500  # keys a query; SQLite allows 999 in its older versions


class FeatureCache:
    """Vectors by model, kind ("text" or "picture") and SHA-256 of what was encoded.

    A batch is kept whole or not at all, so a run that is killed loses at most one batch. What
    the parts of a job made (`FeaturePart`) is found in their files, beside this one's.

    Args:
        path: file of the cache; None keeps it in memory.

    Attributes:
        parts: files of parts.
        made: how many vectors were made, as they were in no file.

    Raises:
        InputError: the file is not such a cache, or cannot be written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.parts = [] if path is None else sorted(path.parent.glob(_part(path, "*", "*")))
        self.made = 0
        self._own, *self._others = (_File(one) for one in (path, *self.parts))

    def close(self) -> None:
        """Let go of the files."""
        for file in (self._own, *self._others):
            file.close()

    def turns(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Batches that are done one after the other; all that each needs belongs to one part."""
        yield from batches

    def fetch(
        self,
        model: str,
        kind: str,
        keys: Sequence[str],
        make: Make,
        *,
        width: int,
        at_a_time: int | None = None,
    ) -> FloatArray:
        """The vectors of `keys`, float32 [keys, width]; those not kept are made and kept.

        Args:
            model: hash of the model and of how it prepares its input.
            kind: "text" or "picture".
            keys: SHA-256 of each text or picture.
            make: gives the vectors at some places, float32 [places, width].
            width: of a vector.
            at_a_time: how many are made together; all where None.
        """
        if not keys:
            return np.zeros((0, width), np.float32)
        kept: dict[str, FloatArray] = {}
        for file in (self._own, *self._others):
            kept |= file.read(model, kind, [key for key in keys if key not in kept])
        for places in _batches(keys, kept, at_a_time):
            kept |= self._own.keep(model, kind, [keys[place] for place in places], make(places))
            self.made += len(places)
        return np.stack([kept[key] for key in keys])


class FeaturePart(FeatureCache):
    """One part of the vectors of a job, in a file of its own beside that of the cache.

    A job that is done with each of its parts makes all vectors once, in the batches in which one
    machine would make them, so that they are the same to the last bit on like processors. A part
    has no use for vectors: whoever asks for them gets ones.

    Args:
        path: file of the cache.
        shard: which batches are made.

    Attributes:
        path: file of the part.
    """

    def __init__(self, path: Path, shard: Shard) -> None:
        self.parts, self.made = [], 0
        self.path = path.with_name(_part(path, shard.number, shard.count))
        self._own = _File(self.path)
        # What was there before the job is no part of it.
        self._others = [_File(path)] if path.exists() else []
        self._shard = shard
        self._turn: bool | None = None
        self._seen: set[tuple[str, str, str]] = set()

    def turns(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        for number, batch in enumerate(batches):
            self._turn = self._shard.holds(number)
            yield batch
        self._turn = None

    def fetch(
        self,
        model: str,
        kind: str,
        keys: Sequence[str],
        make: Make,
        *,
        width: int,
        at_a_time: int | None = None,
    ) -> FloatArray:
        done = {key for key in keys if (model, kind, key) in self._seen}
        for file in self._others:
            done |= {*file.read(model, kind, keys)}
        for number, places in enumerate(_batches(keys, done, at_a_time)):
            batch = [keys[place] for place in places]
            is_own = self._shard.holds(number) if self._turn is None else self._turn
            if is_own and len(self._own.read(model, kind, batch)) < len(batch):
                self._own.keep(model, kind, batch, make(places))
                self.made += len(batch)
            self._seen.update((model, kind, key) for key in batch)
        return np.ones((len(keys), width), np.float32)


class _File:
    """A table of vectors in SQLite."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        with _clearly(path):
            self._database = sqlite3.connect(path or ":memory:", timeout=60)
        # A file that was not closed closes with its last user.
        self.close = weakref.finalize(self, self._database.close)
        with _clearly(path):
            self._database.execute(_TABLE)

    def read(self, model: str, kind: str, keys: Sequence[str]) -> dict[str, FloatArray]:
        """Those vectors that are here, by key."""
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

    def keep(
        self, model: str, kind: str, keys: Sequence[str], made: FloatArray
    ) -> dict[str, FloatArray]:
        """Write vectors [keys, width], all or none; they are given back by key."""
        vectors = np.ascontiguousarray(made, dtype=np.float32)
        new = dict(zip(keys, vectors, strict=True))
        with _clearly(self._path), self._database:
            self._database.executemany(
                "INSERT OR REPLACE INTO features VALUES (?,?,?,?)",
                [(model, kind, key, vector.tobytes()) for key, vector in new.items()],
            )
        return new


def parts_begun(path: Path) -> list[tuple[int, int]]:
    """Number and count of the parts that have files beside that of a cache."""
    names = (
        one.stem.removeprefix(f"{path.stem}-") for one in path.parent.glob(_part(path, "*", "*"))
    )
    found = (name.partition("-of-") for name in names)
    return [(int(a), int(b)) for a, _, b in found if a.isdecimal() and b.isdecimal()]


def _part(path: Path, number: int | str, count: int | str) -> str:
    return f"{path.stem}-{number}-of-{count}{path.suffix}"


def _batches(
    keys: Sequence[str], kept: Iterable[str], at_a_time: int | None
) -> Iterator[list[int]]:
    """The places of keys that are not kept, each key once, some at a time."""
    first = {key: place for place, key in reversed([*enumerate(keys)])}
    for key in kept:
        first.pop(key, None)
    absent = sorted(first.values())
    size = at_a_time or len(absent) or 1
    for start in range(0, len(absent), size):
        yield absent[start : start + size]


@contextmanager
def _clearly(path: Path | None) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:  # no room, no right to write, locked by another run
        raise InputError(f"{path} cannot be written: {error}.") from error
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path} is damaged ({error}). Delete it and start again.") from error
