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
from promptlift.judging.collecting.assignment import ATTENTION, SPOILED, WHOLE, Task
from promptlift.judging.records import ANSWERS, PERSON, Pair, Place, Rater, Vote

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE raters (
  id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, token TEXT UNIQUE NOT NULL, kind TEXT NOT NULL
);
CREATE TABLE pairs (
  id INTEGER PRIMARY KEY, prompt TEXT NOT NULL, prompt_index INTEGER NOT NULL,
  seed INTEGER NOT NULL, first_system TEXT NOT NULL, first_file TEXT NOT NULL,
  first_sha256 TEXT NOT NULL, second_system TEXT NOT NULL, second_file TEXT NOT NULL,
  second_sha256 TEXT NOT NULL
);
CREATE TABLE tasks (
  rater INTEGER NOT NULL REFERENCES raters, position INTEGER NOT NULL,
  pair INTEGER NOT NULL REFERENCES pairs, swapped INTEGER NOT NULL, purpose TEXT NOT NULL,
  PRIMARY KEY (rater, position)
) WITHOUT ROWID;
CREATE TABLE votes (
  id INTEGER PRIMARY KEY, rater INTEGER NOT NULL, position INTEGER NOT NULL,
  question TEXT NOT NULL, answer TEXT NOT NULL, seconds REAL NOT NULL, given TEXT NOT NULL,
  page_version TEXT NOT NULL, key TEXT UNIQUE NOT NULL, undoes INTEGER UNIQUE REFERENCES votes,
  FOREIGN KEY (rater, position) REFERENCES tasks
);
CREATE INDEX votes_of_rater ON votes (rater, position);
CREATE TRIGGER votes_stay BEFORE UPDATE ON votes BEGIN SELECT RAISE(ABORT, 'votes stay'); END;
CREATE TRIGGER votes_remain BEFORE DELETE ON votes BEGIN SELECT RAISE(ABORT, 'votes stay'); END;
"""
# Votes that were not taken back.
_STANDING = """
  votes.answer <> 'undo' AND NOT EXISTS (SELECT 1 FROM votes AS later WHERE later.undoes = votes.id)
"""
_RECORDED = ("position", "question", "answer", "seconds", "given", "page_version", "key")
_INSERT = f"INSERT INTO votes (rater, {', '.join(_RECORDED)}, undoes) VALUES (?{', ?' * 8})"
_MOST_SECONDS = 86400.0


_NOBODY = Rater(id=0, name="", token="", kind=PERSON)


class Conflict(PromptliftError):
    """A vote on another question than the one that is open, as from a second tab."""


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
                for statement in _statements(_SCHEMA):
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
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def set_up(
        self,
        settings: dict[str, str],
        pairs: Sequence[Pair],
        raters: Sequence[str],
        tasks: Sequence[Sequence[Task]],
        *,
        kind: str = PERSON,
    ) -> None:
        """Store everything that is dealt, once and whole; `Task.pair` is a place in `pairs`."""
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
        """As they were set up; empty when nothing was."""
        return {row["name"]: row["value"] for row in self._rows("SELECT * FROM settings")}

    def raters(self) -> list[Rater]:
        return [Rater(**row) for row in self._rows("SELECT * FROM raters ORDER BY id")]

    def rater(self, token: str) -> Rater | None:
        """The rater of a link."""
        rows = self._rows("SELECT * FROM raters WHERE token = ?", token)
        return Rater(**rows[0]) if rows else None

    def pairs(self) -> list[Pair]:
        rows = self._rows("SELECT *, id AS pair FROM pairs ORDER BY id")
        return [_pair(row) for row in rows]

    def task(self, rater: Rater, position: int) -> tuple[Task, Pair] | None:
        """The task at a position, and its pair."""
        rows = self._rows(
            "SELECT * FROM tasks JOIN pairs ON pairs.id = pair WHERE rater = ? AND position = ?",
            rater.id,
            position,
        )
        return (_task(rows[0]), _pair(rows[0])) if rows else None

    def place(self, rater: Rater, questions: Sequence[str]) -> Place:
        """Where a rater stands."""
        with self._lock:
            return self._place(rater, questions)

    def _place(self, rater: Rater, questions: Sequence[str]) -> Place:
        connection = self._connection
        (total,) = connection.execute(
            "SELECT count(*) FROM tasks WHERE rater = ?", (rater.id,)
        ).fetchone()
        rows = connection.execute(
            f"SELECT position, question FROM votes WHERE rater = ? AND {_STANDING}", (rater.id,)
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
        """Add a vote, and return where the rater stands then; the vote is on the disk by then.

        Args:
            key: made up by whoever votes; a vote that comes again with its key is not added again.

        Raises:
            Conflict: another question is open.
            InputError: there is no such answer.
        """
        if answer not in ANSWERS:
            raise InputError(f"{answer!r} is no answer; these are: {', '.join(ANSWERS)}")
        with self._writing():
            if not self._is_known(key):
                place = self._place(rater, questions)
                if (place.position, place.question) != (position, question):
                    raise Conflict("another question is open; this vote was not counted")
                self._add(rater, position, question, answer, seconds, page_version, key, None)
            return self._place(rater, questions)

    def undo(self, rater: Rater, questions: Sequence[str], *, page_version: str, key: str) -> Place:
        """Take the last vote that stands back, by a record of its own; does nothing without one."""
        with self._writing() as connection:
            last = connection.execute(
                "SELECT id, position, question FROM votes WHERE rater = ? AND "
                f"{_STANDING} ORDER BY id DESC LIMIT 1",
                (rater.id,),
            ).fetchone()
            if last is not None and not self._is_known(key):
                position, question = last["position"], last["question"]
                self._add(rater, position, question, "undo", 0.0, page_version, key, last["id"])
            return self._place(rater, questions)

    def add_records(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Add records of this study that were made elsewhere, all or none.

        Returns:
            how many are new: records are known by their key.

        Raises:
            InputError: a row is of another study, of a task that is not in this one, of a program
                where a person votes, or a second vote on one question.
        """
        settings, added = self.settings(), 0
        study, questions = settings.get("study"), json.loads(settings["config"])["questions"]
        raters = {rater.name: rater for rater in self.raters()}
        with self._writing() as connection:
            for number, row in enumerate(rows, 1):
                rater = raters.get(str(row["rater"]), _NOBODY)
                task = connection.execute(
                    "SELECT * FROM tasks WHERE rater = ? AND position = ?",
                    (rater.id, row["position"]),
                ).fetchone()
                if row["study"] != study or not task or str(task["pair"]) != str(row["pair"]):
                    raise InputError(
                        f"row {number} is of another study than {self.path}; nothing was added"
                    )
                if row["kind"] != rater.kind:
                    raise InputError(
                        f"row {number} is a vote of a {row['kind']}, and {rater.name} is a "
                        f"{rater.kind} here; nothing was added"
                    )
                if self._is_known(str(row["key"])):
                    continue
                undone = connection.execute(
                    "SELECT id FROM votes WHERE key = ?", (row["undoes"],)
                ).fetchone()
                if (
                    row["question"] not in questions
                    or row["answer"] not in (*ANSWERS, "undo")
                    or (row["answer"] == "undo") != (undone is not None)
                ):
                    raise InputError(f"row {number} is no vote and no undo; nothing was added")
                if undone is not None and self._is_undone(undone["id"]):
                    continue  # on both copies
                connection.execute(
                    _INSERT,
                    (
                        rater.id,
                        *(row[name] for name in _RECORDED),
                        undone["id"] if undone else None,
                    ),
                )
                added += 1
            twice = connection.execute(
                f"SELECT position, question FROM votes WHERE {_STANDING} "
                "GROUP BY rater, position, question HAVING count(*) > 1"
            ).fetchone()
            if twice:
                raise InputError(
                    f"pair {twice['position'] + 1} would have two votes of a rater on "
                    f"{twice['question']!r}: it was judged here and there; nothing was added"
                )
        return added

    def _is_undone(self, vote: int) -> bool:
        found = self._connection.execute("SELECT 1 FROM votes WHERE undoes = ?", (vote,)).fetchone()
        return found is not None

    def _is_known(self, key: str) -> bool:
        found = self._connection.execute("SELECT 1 FROM votes WHERE key = ?", (key,)).fetchone()
        return found is not None

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
        self._connection.execute(_INSERT, (rater.id, *values, undoes))

    def votes(self) -> list[Vote]:
        """The votes that stand, in the order they were given."""
        return [
            Vote(**{name: row[name] for name in Vote.__dataclass_fields__})
            for row in self.records()
            if row["standing"]
        ]

    def records(self) -> list[dict[str, Any]]:
        """All that was recorded, undone votes and undos too, a row each, in their order.

        `undoes` is the key of the vote that an undo takes back.
        """
        rows = self._rows(
            f"SELECT pairs.*, tasks.*, votes.*, {_STANDING} AS standing, raters.name, raters.kind, "
            "undone.key AS undone FROM votes JOIN raters ON raters.id = votes.rater "
            "JOIN tasks USING (rater, position) JOIN pairs ON pairs.id = tasks.pair "
            "LEFT JOIN votes AS undone ON undone.id = votes.undoes ORDER BY votes.id"
        )
        study = self.settings().get("study", "")
        found = []
        for row in rows:
            pair, task = _pair(row), _task(row)
            systems = (SPOILED, WHOLE) if task.purpose == ATTENTION else pair.systems
            left, right = systems[::-1] if task.swapped else systems
            found.append(
                {
                    "study": study,
                    "rater": row["name"],
                    "kind": row["kind"],
                    "pair": str(pair.id),
                    "prompt_index": pair.prompt_index,
                    "prompt": pair.prompt,
                    "seed": pair.seed,
                    "position": row["position"],
                    "purpose": task.purpose,
                    "question": row["question"],
                    "left": left,
                    "right": right,
                    "answer": row["answer"],
                    "seconds": row["seconds"],
                    "given": row["given"],
                    "page_version": row["page_version"],
                    "standing": bool(row["standing"]),
                    "key": row["key"],
                    "undoes": row["undone"],
                }
            )
        return found


def _pair(row: sqlite3.Row) -> Pair:
    return Pair(
        id=row["pair"],
        prompt=row["prompt"],
        prompt_index=row["prompt_index"],
        seed=row["seed"],
        systems=(row["first_system"], row["second_system"]),
        files=(row["first_file"], row["second_file"]),
        sha256=(row["first_sha256"], row["second_sha256"]),
    )


def _task(row: sqlite3.Row) -> Task:
    return Task(pair=row["pair"], swapped=bool(row["swapped"]), purpose=row["purpose"])


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; `executescript` would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _now() -> str:
    seconds = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{stamp}.{int(seconds % 1 * 1000):03d}Z"
