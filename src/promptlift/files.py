"""Writing files whole or not at all, and telling what is in them."""

import errno
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from promptlift.errors import ConfigError, PromptliftError, first_line

_TAKEN = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to write to; it takes the place of `path` on success.

    Whoever reads `path` sees the old content or the new one, never half of it. When the
    block raises, the temporary file is removed and `path` is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path), _beside(path) as temporary:
        try:
            yield temporary
            # mkstemp makes files private; results are as readable as any other file of the user.
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """An empty file beside `path`, for this block alone.

    Its name is always the same, so that the next writer takes over what a killed process left. A
    second writer at the same time gets another name; so does everyone where the file system has no
    locks or a link has the name, and on Windows, which replaces no open file.
    """
    same = path.with_name(f".{path.name}.new{path.suffix}")
    file = None
    with suppress(LockedError):
        file = None if sys.platform == "win32" else _take(same, alone=True)
    if file is None:
        handle, name = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent
        )
        os.close(handle)
        yield Path(name)
        return
    try:
        os.ftruncate(file, 0)
        yield same
    finally:
        os.close(file)


@contextmanager
def writing(path: Path, *foreign: type[Exception]) -> Iterator[None]:
    """Errors of writing name the path; the system's name a temporary file, or none.

    Args:
        path: what is written.
        foreign: what a library raises when it cannot write, where that is no OSError.
    """
    try:
        yield
    except OSError as error:
        if not error.filename or Path(error.filename).name.startswith(f".{path.name}."):
            error.filename = str(path)
        raise
    except PromptliftError:
        raise
    except foreign as error:
        raise PromptliftError(
            f"{path} cannot be written (is the disk full?): {first_line(error)}"
        ) from error


def check_overwrites(outputs: Iterable[Path | None], inputs: Iterable[Path] = ()) -> None:
    """Refuse an output that is an input, or two outputs that are one file.

    Raises:
        ConfigError: so it is.
    """
    taken = {path.resolve(): "read" for path in inputs}
    for path in outputs:
        if path is None:
            continue
        if use := taken.get(path.resolve()):
            raise ConfigError(f"{path} is {use} by the same command; give another name to write to")
        taken[path.resolve()] = "written"


def check_new(outputs: Iterable[Path | None], *, overwrite: bool) -> None:
    """Refuse to replace what is there, unless it was asked for.

    Raises:
        ConfigError: an output exists.
    """
    for path in outputs:
        if path is not None and path.exists() and not overwrite:
            raise ConfigError(f"{path} exists. Pass --overwrite to replace it, or name another.")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, indented, with a final newline."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


class LockedError(Exception):
    """Another process holds a lock; the message is its note, empty where it cannot be read."""


@contextmanager
def locked(path: Path, note: str) -> Iterator[None]:
    """Hold a lock that vanishes with the process, however it ends, and then the file with it.

    The file's content decides nothing: one that a killed process left is taken over. Where nothing
    can be written, or the file system has no locks, nothing is held.

    Args:
        path: of the lock's file, in a folder that exists.
        note: for whoever comes second.

    Raises:
        LockedError: the lock is held already.
    """
    file = _take(path)
    if file is None:
        yield
        return
    try:
        os.ftruncate(file, 0)
        os.write(file, note.encode())
        yield
    finally:
        # Windows removes no open file, so there another process may be faster; it has the file.
        if sys.platform != "win32":
            path.unlink(missing_ok=True)
        os.close(file)
        if sys.platform == "win32":
            with suppress(OSError):
                path.unlink()


def _take(path: Path, *, alone: bool = False) -> int | None:
    """Open and lock a file that is still the one at its path: its last holder may remove it.

    Args:
        path: of the file.
        alone: follow no link, and take nothing without a lock.

    Returns:
        None where it cannot be taken.
    """
    flags, refused = os.O_RDWR | os.O_CREAT, [errno.EACCES, errno.EPERM, errno.EROFS]
    if alone:
        flags |= getattr(os, "O_NOFOLLOW", 0)  # which Windows lacks
        refused += [errno.ELOOP, errno.EMLINK]
    while True:
        try:
            file = os.open(path, flags, 0o666)
        except OSError as error:
            if error.errno in refused:
                return None
            raise
        try:
            if not _lock(file) and alone:
                os.close(file)
                path.unlink(missing_ok=True)
                return None
            if os.path.samestat(os.fstat(file), os.stat(path)):
                return file
        except FileNotFoundError:
            pass
        except OSError as error:
            note = os.read(file, 1000).decode(errors="replace")
            os.close(file)
            if error.errno in _TAKEN:
                raise LockedError(note) from error
            raise
        os.close(file)


def _lock(file: int) -> bool:
    """Lock an open file or raise OSError; False where the file system has no locks."""
    if sys.platform == "win32":
        import msvcrt

        # A locked byte cannot be read, so one far after the note.
        os.lseek(file, 1 << 20, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(file, 0, os.SEEK_SET)
    else:
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _TAKEN:
                raise
            return False
    return True


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_of_weights(model: Any) -> str:
    """SHA-256 over names and values of a PyTorch model's tensors, whatever file they came in."""
    import torch

    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        # As bytes: NumPy knows no bfloat16.
        digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
