"""What can go wrong, as a small tree.

PromptliftError
├── InputError       a prompt, a row or a file that the user gave is at fault
├── ModelError       a model folder is missing, incomplete, damaged or of the wrong kind
├── MissingExtraError  a part of promptlift needs packages that are not installed
└── ConfigError      an option has a value that cannot be used

Every message says what happened, where, and what to do. The command line prints it as one line.
"""

import os
import shlex
import subprocess
import sys
from importlib.machinery import PathFinder


class PromptliftError(Exception):
    """Base of all errors that promptlift raises on purpose."""


class InputError(PromptliftError):
    """A prompt, a row or a file that the user gave is at fault."""


class ModelError(PromptliftError):
    """A model folder is missing, incomplete, damaged or of the wrong kind."""


class ConfigError(PromptliftError):
    """An option has a value that cannot be used."""


class MissingExtraError(PromptliftError):
    """A part of promptlift needs packages that are not installed.

    Args:
        what: what was asked for, as it begins a sentence ("Training a model").
        extra: the extra that brings the packages ("train").
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs more packages: {install_command(extra)}")


def install_command(*extras: str) -> str:
    """The command that adds extras to the environment in which promptlift runs.

    promptlift is in no package index. pip and uv take the one that is installed there, whether it
    came from a folder or from a wheel, and fetch only what it lacks.

    Args:
        extras: none for the packages of the base install.
    """
    what = f"promptlift[{','.join(extras)}]" if extras else "promptlift"
    # importlib.util.find_spec would ask setuptools' finder too, which on that name takes its own
    # distutils away for the rest of the process: torch.compile then fails.
    if PathFinder.find_spec("pip"):
        line = [sys.executable, "-m", "pip", "install", what]
    else:  # as in the environments of `uv tool`, and in some of pipx's
        line = ["uv", "pip", "install", "--python", sys.executable, what]
    # Single quotes mean nothing to Windows' shell, and it needs none around brackets.
    return subprocess.list2cmdline(line) if os.name == "nt" else shlex.join(line)


def first_line(error: BaseException) -> str:
    """What an error of a library says, cut to a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300].rstrip(".")
