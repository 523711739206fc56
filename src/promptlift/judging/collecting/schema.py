"""The tables of a file of votes, and rows of them as records."""

import sqlite3
from typing import Any

from promptlift.judging.records import ATTENTION, SPOILED, WHOLE, JudgedPair, Task

SCHEMA_VERSION = 1
SCHEMA = (
    "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE raters (
  id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, token TEXT UNIQUE NOT NULL, kind TEXT NOT NULL
)""",
    """CREATE TABLE pairs (
  id INTEGER PRIMARY KEY, prompt TEXT NOT NULL, prompt_index INTEGER NOT NULL,
  seed INTEGER NOT NULL, first_system TEXT NOT NULL, first_file TEXT NOT NULL,
  first_sha256 TEXT NOT NULL, second_system TEXT NOT NULL, second_file TEXT NOT NULL,
  second_sha256 TEXT NOT NULL
)""",
    """CREATE TABLE tasks (
  rater INTEGER NOT NULL REFERENCES raters, position INTEGER NOT NULL,
  pair INTEGER NOT NULL REFERENCES pairs, swapped INTEGER NOT NULL, purpose TEXT NOT NULL,
  PRIMARY KEY (rater, position)
) WITHOUT ROWID""",
    """CREATE TABLE votes (
  id INTEGER PRIMARY KEY, rater INTEGER NOT NULL, position INTEGER NOT NULL,
  question TEXT NOT NULL, answer TEXT NOT NULL, seconds REAL NOT NULL, given TEXT NOT NULL,
  page_version TEXT NOT NULL, key TEXT UNIQUE NOT NULL, undoes INTEGER UNIQUE REFERENCES votes,
  FOREIGN KEY (rater, position) REFERENCES tasks
)""",
    "CREATE INDEX votes_of_rater ON votes (rater, position)",
    "CREATE TRIGGER votes_stay BEFORE UPDATE ON votes BEGIN SELECT RAISE(ABORT, 'votes stay'); END",
    "CREATE TRIGGER votes_remain BEFORE DELETE ON votes "
    "BEGIN SELECT RAISE(ABORT, 'votes stay'); END",
)
# Votes that were not taken back.
STANDING = """
  votes.answer <> 'undo' AND NOT EXISTS (SELECT 1 FROM votes AS later WHERE later.undoes = votes.id)
"""
RECORDED = ("position", "question", "answer", "seconds", "given", "page_version", "key")
INSERT = f"INSERT INTO votes (rater, {', '.join(RECORDED)}, undoes) VALUES (?{', ?' * 8})"
# Every vote and undo with its rater, task and pair.
RECORDS = f"""
  SELECT pairs.*, tasks.*, votes.*, {STANDING} AS standing, raters.name, raters.kind,
    undone.key AS undone
  FROM votes JOIN raters ON raters.id = votes.rater
  JOIN tasks USING (rater, position) JOIN pairs ON pairs.id = tasks.pair
  LEFT JOIN votes AS undone ON undone.id = votes.undoes ORDER BY votes.id
"""
_ALIKE = (
    "kind", "prompt_index", "prompt", "seed", "position", "purpose", "question", "answer",
    "seconds", "given", "page_version", "key",
)  # fmt: skip


def pair_of(row: sqlite3.Row) -> JudgedPair:
    """The pair of a row with the columns of `pairs`, its id as `pair`."""
    return JudgedPair(
        id=row["pair"],
        prompt=row["prompt"],
        prompt_index=row["prompt_index"],
        seed=row["seed"],
        systems=(row["first_system"], row["second_system"]),
        files=(row["first_file"], row["second_file"]),
        sha256=(row["first_sha256"], row["second_sha256"]),
    )


def task_of(row: sqlite3.Row) -> Task:
    """The task of a row with the columns of `tasks`."""
    return Task(pair=row["pair"], swapped=bool(row["swapped"]), purpose=row["purpose"])


def record_of(row: sqlite3.Row, study: str) -> dict[str, Any]:
    """A row of `RECORDS` as it is exported, with the names of the systems on either side."""
    task = task_of(row)
    systems = (SPOILED, WHOLE) if task.purpose == ATTENTION else pair_of(row).systems
    left, right = systems[::-1] if task.swapped else systems
    return {
        **{name: row[name] for name in _ALIKE},
        "study": study,
        "rater": row["name"],
        "pair": str(task.pair),
        "left": left,
        "right": right,
        "standing": bool(row["standing"]),
        "undoes": row["undone"],
    }
