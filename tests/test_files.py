"""Errors of writing name the file."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from promptlift.errors import InputError, PromptliftError
from promptlift.files import atomic_path, locked, writing
from promptlift.judging.collecting.store import VoteStore


def test_errors_of_writing_name_the_path(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    for error in (
        OSError(errno.ENOSPC, "full"),
        OSError(errno.EACCES, "no", f"{path.parent}/.a.json.x"),
    ):
        with pytest.raises(OSError) as caught, atomic_path(path):
            raise error
        assert caught.value.filename == str(path)
    assert not any(path.parent.iterdir())
    with pytest.raises(OSError) as caught, writing(path):
        raise OSError(errno.EACCES, "no", "another")
    assert caught.value.filename == "another"


KILLED = """
import os, signal, sys
from pathlib import Path
from promptlift.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="replaces no open file")
def test_what_killed_writers_leave_does_not_pile_up(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", KILLED, path])
        assert done.returncode == -signal.SIGKILL
        assert [left.read_text() for left in tmp_path.iterdir()] == ["half"]
    with atomic_path(path) as temporary:
        assert temporary.read_text() == ""
        temporary.write_text("whole")
    assert [left.name for left in tmp_path.iterdir()] == ["a.json"]


def test_two_writers_at_once_do_not_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with atomic_path(path) as first, atomic_path(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # the last to end
    assert [left.name for left in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="has other locks")
def test_nor_do_they_where_the_file_system_has_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*args: object) -> None:
        raise OSError(errno.ENOTSUP, "no locks")

    monkeypatch.setattr("fcntl.flock", unsupported)
    test_two_writers_at_once_do_not_share_a_file(tmp_path)
    with pytest.raises(KeyError), atomic_path(tmp_path / "b.json"):
        raise KeyError
    assert [left.name for left in tmp_path.iterdir()] == ["a.json"]
    with locked(tmp_path / ".lock", "drawn"):  # where nothing is held
        assert (tmp_path / ".lock").read_text() == "drawn"


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="follows every link")
def test_a_link_at_the_temporary_name_is_not_followed(tmp_path: Path) -> None:
    other, path = tmp_path / "other", tmp_path / "a.json"
    other.write_text("of somebody else")
    (tmp_path / ".a.json.new.json").symlink_to(other)
    with atomic_path(path) as temporary:
        assert not temporary.is_symlink()
        temporary.write_text("mine")
    assert (path.read_text(), other.read_text()) == ("mine", "of somebody else")
    assert not path.is_symlink()


def test_what_libraries_raise_becomes_a_line(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with (
        pytest.raises(PromptliftError, match=r"model cannot be written \(is the disk full\?\): no"),
        writing(path, RuntimeError),
    ):
        raise RuntimeError("no room\nat 0x1")
    with pytest.raises(InputError, match=r"^as it is$"), writing(path, Exception):
        raise InputError("as it is")
    with pytest.raises(ZeroDivisionError), writing(path):
        print(1 / 0)


def test_a_vote_that_finds_no_room_is_taken_back(tmp_path: Path) -> None:
    store = VoteStore(tmp_path / "votes.sqlite")
    rows = [(f"{n}", "x" * 4000) for n in range(100)]
    store._connection.execute("PRAGMA max_page_count = 40")
    refused = pytest.raises(PromptliftError, match=r"votes.sqlite cannot be written .*full")
    with refused, store._writing() as connection:
        connection.executemany("INSERT INTO settings VALUES (?, ?)", rows)
    with store._writing() as connection:
        connection.execute("INSERT INTO settings VALUES ('a', 'b')")
    assert store._rows("SELECT * FROM settings")[0][:] == ("a", "b")
    store.close()
