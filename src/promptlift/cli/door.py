"""What happens at the edge: errors become one line and an exit status."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from promptlift.errors import ConfigError, PromptliftError
from promptlift.files import writing

FAILED, WRONG_USAGE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141
OUTPUT = Path("standard output")
debug = False


@contextmanager
def guarded(on_interrupt: str = "interrupted") -> Iterator[None]:
    """Turn errors that promptlift expects into a line on stderr and an exit status.

    Args:
        on_interrupt: what to say on Ctrl-C, for instance how to go on.
    """
    try:
        yield
    except BrokenPipeError as error:
        _drop_output()  # the reader went away (`| head`)
        raise typer.Exit(BROKEN_PIPE) from error
    except KeyboardInterrupt as error:
        say(on_interrupt)
        raise typer.Exit(INTERRUPTED) from error
    except (PromptliftError, OSError) as error:
        if debug:
            raise
        found = str(error)
        if isinstance(error, OSError):
            found = f"{error.filename2 or error.filename or 'a file'}: {error.strerror or error}"
            if error.filename == str(OUTPUT):
                _drop_output()
        say(f"error: {found}")
        raise typer.Exit(WRONG_USAGE if isinstance(error, ConfigError) else FAILED) from error


class _Output(io.FileIO):
    """Standard output, whose errors say so."""

    def write(self, data: Any) -> Any:
        with writing(OUTPUT):
            return super().write(data)


def open_streams() -> None:
    """Make standard streams whole: files would be opened as those that are closed.

    What is written to a standard output that is closed is an error: results would be lost.
    """
    if sys.stdin is None:  # whoever reads it says so
        os.open(os.devnull, os.O_RDONLY)
    if sys.stdout is None:
        null = os.open(os.devnull, os.O_RDONLY)
        sys.stdout = open(null, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    earlier = sys.stdout
    if isinstance(earlier, io.TextIOWrapper):
        # A prompt may hold what a pipe's encoding lacks: better a `?` than no result.
        earlier.reconfigure(errors="replace")
        raw = getattr(earlier.buffer, "raw", earlier.buffer)
        if isinstance(raw, io.FileIO):  # a Windows console is none
            plain = _Output(1, "w", closefd=False)
            sys.stdout = io.TextIOWrapper(
                plain if raw is earlier.buffer else io.BufferedWriter(plain),
                earlier.encoding,
                earlier.errors,
                line_buffering=earlier.line_buffering,
                write_through=earlier.write_through,
            )


def _drop_output() -> None:
    """Let what is left for standard output go: Python would complain when it flushes that."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def go_offline(offline: bool) -> None:
    """Keep libraries from the network, where so asked; they read this when they are imported."""
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"


def say(line: str) -> None:
    """A line for the user, on stderr: results alone go to stdout."""
    # Not `typer.echo`, which would write across a progress bar.
    print(f"promptlift: {line}", file=sys.stderr, flush=True)
