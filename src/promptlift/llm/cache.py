"""Answers of language models on disk: what was asked once is not asked again."""

import hashlib
import json
import logging
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from promptlift.llm.endpoint import Completion

_MOST = 100_000  # answers; the oldest go first
_TRIES, _PAUSE_S = 100, 0.05
_log = logging.getLogger(__name__)
_TABLE = (
    "create table if not exists "
    "answers (key text primary key, answer text not null, ended integer not null)"
)


def key_of(asked: Any) -> str:
    """A key for all that decides an answer, as plain JSON types."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def cache_path() -> Path:
    """Where answers are kept: below XDG_CACHE_HOME, or what the system has in its place."""
    local = os.environ.get("LOCALAPPDATA") if os.name == "nt" else None
    base = os.environ.get("XDG_CACHE_HOME") or local
    return (Path(base) if base else Path.home() / ".cache") / "promptlift" / "answers.sqlite"


class Nothing:
    """Keeps no answers."""

    def get(self, key: str) -> None:
        return None

    def put(self, key: str, answer: Completion) -> None: ...

    def close(self) -> None: ...


class Cache:
    """A SQLite file, which several processes may share.

    One that cannot be read or written is logged once: answers are then asked for, and not kept.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._writes = path, 0
        self._base: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(path, timeout=30, check_same_thread=False)
            self._prepare(self._base)
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)

    def _prepare(self, base: sqlite3.Connection) -> None:
        """Make the file's table. Processes that make the file at once wait for each other.

        SQLite does not wait where two switch to a write-ahead log, or read one that was left, but
        says at once that the file is locked.
        """
        for left in range(_TRIES, -1, -1):
            try:
                base.execute("pragma journal_mode=wal")
                base.execute("pragma synchronous=normal")
                base.execute(_TABLE)
                base.commit()
                return
            except sqlite3.OperationalError as error:
                if not left or "locked" not in str(error):
                    raise
            time.sleep(_PAUSE_S)

    def get(self, key: str) -> Completion | None:
        """The answer of a key."""
        if self._base is None:
            return None
        query = "select answer, ended from answers where key = ?"
        try:
            row = self._base.execute(query, (key,)).fetchone()
        except sqlite3.Error as error:
            self._give_up(error)
            return None
        return Completion(str(row[0]), bool(row[1])) if row else None

    def put(self, key: str, answer: Completion) -> None:
        """Keep an answer; on a full disk it is not kept, which costs a request another time."""
        if self._base is None:
            return
        with suppress(sqlite3.Error, UnicodeEncodeError), self._base:
            row = (key, answer.text, answer.ended)
            self._base.execute("insert or replace into answers values (?, ?, ?)", row)
            self._writes += 1
            if self._writes % 1000 == 1:
                newest = "select rowid from answers order by rowid desc limit ?"
                self._base.execute(f"delete from answers where rowid not in ({newest})", (_MOST,))

    def close(self) -> None:
        if self._base is not None:
            self._base.close()
            self._base = None

    def _give_up(self, error: Exception) -> None:
        _log.warning(
            "%s keeps no answers: %s. Delete it, or pass --no-llm-cache.", self.path, error
        )
        self.close()
