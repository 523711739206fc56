"""Pairs, raters, tasks and votes of a run, in one SQLite file.

Each vote is on the disk before the next pair is shown (write-ahead log, full synchronization).
Votes are only ever added: an undo is a record of its own that names the vote it takes back.
"""

import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from promptlift.errors import InputError, PromptliftError
from promptlift.files import writing
from promptlift.judging.collecting.schema import (
    INSERT,
    RECORDED,
    RECORDS,
    SCHEMA,
    SCHEMA_VERSION,
    STANDING,
    pair_of,
    record_of,
    task_of,
)
from promptlift.judging.records import ANSWERS, PERSON, JudgedPair, Place, Rater, Task, Vote

_MOST_SECONDS = 86400.0
_NOBODY = Rater(id=0, name="", token="", kind=PERSON)


class Conflict(PromptliftError):
    """A vote on a question that is not open, for example from a second tab."""


class VoteStore:
    """The file. Threads may share a store, and processes the file.

    Raises:
        InputError: the file is damaged or of another kind or version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = sqlite3.connect(
                path, timeout=30, isolation_level=None, check_same_thread=False
            )
            self._connection.row_factory = sqlite3.Row
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._prepare()
        except sqlite3.Error as error:
            raise InputError(f"{path} cannot be used as a file of votes: {error}") from error

    def close(self) -> None:
        self._connection.close()

    def _prepare(self) -> None:
        with self._writing() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0 and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                for statement in SCHEMA:  # `executescript` would end the transaction
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif version != SCHEMA_VERSION:
                raise InputError(
                    f"{self.path} is no file of votes, or of another version of promptlift "
                    f"({version}, not {SCHEMA_VERSION})"
                )

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees and changes the file alone."""
        with self._lock, writing(self.path, sqlite3.OperationalError):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.rollback()  # a full disk may have done it already
                raise

    def _rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def set_up(
        self,
        settings: dict[str, str],
        pairs: Sequence[JudgedPair],
        raters: Sequence[str],
        tasks: Sequence[Sequence[Task]],
        *,
        kind: str = PERSON,
    ) -> None:
        """Store pairs, raters and tasks, once and whole; `Task.pair` is a place in `pairs`."""
        with self._writing() as connection:
            connection.executemany("INSERT INTO settings VALUES (?, ?)", settings.items())
            for number, pair in enumerate(pairs):
                first, second = zip(pair.systems, pair.files, pair.sha256, strict=True)
                connection.execute(
                    "INSERT INTO pairs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (number + 1, pair.prompt, pair.prompt_index, pair.seed, *first, *second),
                )
            for number, (name, hand) in enumerate(zip(raters, tasks, strict=True), 1):
                connection.execute(
                    "INSERT INTO raters VALUES (?, ?, ?, ?)",
                    (number, name, secrets.token_urlsafe(16), kind),
                )
                connection.executemany(
                    "INSERT INTO tasks VALUES (?, ?, ?, ?, ?)",
                    [
                        (number, position, task.pair + 1, task.swapped, task.purpose)
                        for position, task in enumerate(hand)
                    ],
                )

    def settings(self) -> dict[str, str]:
        """The settings of `set_up`; empty before it."""
        return {row["name"]: row["value"] for row in self._rows("SELECT * FROM settings")}

    def raters(self) -> list[Rater]:
        return [Rater(**row) for row in self._rows("SELECT * FROM raters ORDER BY id")]

    def rater(self, token: str) -> Rater | None:
        """The rater of a link."""
        return next((rater for rater in self.raters() if rater.token == token), None)

    def pairs(self) -> list[JudgedPair]:
        rows = self._rows("SELECT *, id AS pair FROM pairs ORDER BY id")
        return [pair_of(row) for row in rows]

    def task(self, rater: Rater, position: int) -> tuple[Task, JudgedPair] | None:
        """The task at a position, and its pair."""
        rows = self._rows(
            "SELECT * FROM tasks JOIN pairs ON pairs.id = pair WHERE rater = ? AND position = ?",
            rater.id,
            position,
        )
        return (task_of(rows[0]), pair_of(rows[0])) if rows else None

    def place(self, rater: Rater, questions: Sequence[str]) -> Place:
        """How far a rater has come."""
        with self._lock:
            return self._place(rater, questions)

    def _place(self, rater: Rater, questions: Sequence[str]) -> Place:
        connection = self._connection
        (total,) = connection.execute(
            "SELECT count(*) FROM tasks WHERE rater = ?", (rater.id,)
        ).fetchone()
        rows = connection.execute(
            f"SELECT position, question FROM votes WHERE rater = ? AND {STANDING}", (rater.id,)
        )
        # The first that is open: votes of a copy of the run may have been added further on.
        answered = {(row["position"], row["question"]) for row in rows}
        every = ((position, name) for position in range(total) for name in questions)
        position, question = next((one for one in every if one not in answered), (total, None))
        return Place(position=position, question=question, total=total, can_undo=bool(answered))

    def vote(
        self,
        rater: Rater,
        questions: Sequence[str],
        *,
        position: int,
        question: str,
        answer: str,
        seconds: float,
        page_version: str,
        key: str,
    ) -> Place:
        """Add a vote and return the rater's new place. The vote is on the disk before this returns.

        Args:
            key: drawn by the page; a vote that is sent again with its key is not added again.

        Raises:
            Conflict: another question is open.
            InputError: the answer is not one of `ANSWERS`.
        """
        if answer not in ANSWERS:
            raise InputError(f"{answer!r} is not an answer; choose one of {', '.join(ANSWERS)}")
        with self._writing():
            if not self._is_known(key):
                place = self._place(rater, questions)
                if (place.position, place.question) != (position, question):
                    raise Conflict("another question is open; this vote was not counted")
                self._add(rater, position, question, answer, seconds, page_version, key, None)
            return self._place(rater, questions)

    def undo(self, rater: Rater, questions: Sequence[str], *, page_version: str, key: str) -> Place:
        """Take back the last vote that stands, by a record of its own; without one, do nothing."""
        with self._writing():
            last = self._one(
                "SELECT id, position, question FROM votes WHERE rater = ? AND "
                f"{STANDING} ORDER BY id DESC LIMIT 1",
                rater.id,
            )
            if last is not None and not self._is_known(key):
                position, question = last["position"], last["question"]
                self._add(rater, position, question, "undo", 0.0, page_version, key, last["id"])
            return self._place(rater, questions)

    def add_records(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Add records of this study that were made elsewhere, all or none.

        Returns:
            how many are new: records are known by their key.

        Raises:
            InputError: a row belongs to another study or to a task that this one does not have, a
                program gave it where a person votes, or it is a second vote on one question.
        """
        settings, added = self.settings(), 0
        study, questions = settings.get("study"), json.loads(settings["config"])["questions"]
        raters = {rater.name: rater for rater in self.raters()}
        with self._writing():
            for number, row in enumerate(rows, 1):
                rater = raters.get(str(row["rater"]), _NOBODY)
                self._check_task(number, row, study, rater)
                if not self._is_known(str(row["key"])):
                    added += self._add_record(number, row, questions, rater)
            twice = self._one(
                f"SELECT position, question FROM votes WHERE {STANDING} "
                "GROUP BY rater, position, question HAVING count(*) > 1"
            )
            if twice:
                raise InputError(
                    f"pair {twice['position'] + 1} would have two votes of a rater on "
                    f"{twice['question']!r}: it was judged here and there; nothing was added"
                )
        return added

    def _check_task(
        self, number: int, row: Mapping[str, Any], study: str | None, rater: Rater
    ) -> None:
        """Refuse a row of another study, or of a program where a person votes."""
        task = self._one(
            "SELECT pair FROM tasks WHERE rater = ? AND position = ?", rater.id, row["position"]
        )
        if row["study"] != study or not task or str(task["pair"]) != str(row["pair"]):
            raise InputError(
                f"row {number} is of another study than {self.path}; nothing was added"
            )
        if row["kind"] != rater.kind:
            raise InputError(
                f"row {number} is a vote of a {row['kind']}, and {rater.name} is a "
                f"{rater.kind} here; nothing was added"
            )

    def _add_record(
        self, number: int, row: Mapping[str, Any], questions: Sequence[str], rater: Rater
    ) -> bool:
        """Add a vote or an undo; False for an undo that both copies have."""
        undone = self._one("SELECT id FROM votes WHERE key = ?", row["undoes"])
        if (
            row["question"] not in questions
            or row["answer"] not in (*ANSWERS, "undo")
            or (row["answer"] == "undo") != (undone is not None)
        ):
            raise InputError(f"row {number} is no vote and no undo; nothing was added")
        if undone and self._one("SELECT 1 FROM votes WHERE undoes = ?", undone["id"]):
            return False
        values = [row[name] for name in RECORDED]
        self._connection.execute(INSERT, (rater.id, *values, undone["id"] if undone else None))
        return True

    def _is_known(self, key: str) -> bool:
        return self._one("SELECT 1 FROM votes WHERE key = ?", key) is not None

    def _one(self, query: str, *values: Any) -> sqlite3.Row | None:
        """The first row, within a transaction or the lock."""
        row: sqlite3.Row | None = self._connection.execute(query, values).fetchone()
        return row

    def _add(
        self,
        rater: Rater,
        position: int,
        question: str,
        answer: str,
        seconds: float,
        page_version: str,
        key: str,
        undoes: int | None,
    ) -> None:
        seconds = min(max(seconds, 0.0), _MOST_SECONDS)
        values = (position, question, answer, seconds, _now(), page_version, key)
        self._connection.execute(INSERT, (rater.id, *values, undoes))

    def votes(self) -> list[Vote]:
        """The votes that stand, in the order they were given."""
        return [
            Vote(**{name: row[name] for name in Vote.__dataclass_fields__})
            for row in self.records()
            if row["standing"]
        ]

    def records(self) -> list[dict[str, Any]]:
        """All records in their order, one row each: votes, undone votes and undos.

        `undoes` is the key of the vote that an undo takes back.
        """
        rows = self._rows(RECORDS)
        study = self.settings().get("study", "")
        return [record_of(row, study) for row in rows]


def _now() -> str:
    seconds = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{stamp}.{int(seconds % 1 * 1000):03d}Z"
