"""What happens at the edge: errors become one line and an exit status."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from promptlift.errors import ConfigError, PromptliftError

FAILED, WRONG_USAGE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141
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
        # The reader went away (`| head`). Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(BROKEN_PIPE) from error
    except KeyboardInterrupt as error:
        say(on_interrupt)
        raise typer.Exit(INTERRUPTED) from error
    except (PromptliftError, OSError) as error:
        if debug:
            raise
        found = str(error)
        if isinstance(error, OSError):
            found = f"{error.filename or 'a file'}: {error.strerror or error}"
        say(f"error: {found}")
        raise typer.Exit(WRONG_USAGE if isinstance(error, ConfigError) else FAILED) from error


def go_offline(offline: bool) -> None:
    """Keep libraries from the network, where so asked; they read this when they are imported."""
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"


def say(line: str) -> None:
    """A line for the user, on stderr: results alone go to stdout."""
    # Not `typer.echo`, which would write across a progress bar.
    print(f"promptlift: {line}", file=sys.stderr, flush=True)
