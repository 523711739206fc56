"""What can go wrong, as a small tree.

PromptliftError
├── InputError       a prompt, a row or a file that the user gave is at fault
├── ModelError       a model folder is missing, incomplete, damaged or of the wrong kind
├── MissingExtraError  a part of promptlift needs packages that are not installed
└── ConfigError      an option has a value that cannot be used

Every message says what happened, where, and what to do. The command line prints it as one line.
"""


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
        super().__init__(f"{what} needs more packages: pip install 'promptlift[{extra}]'")


def first_line(error: BaseException) -> str:
    """What an error of a library says, cut to a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300].rstrip(".")
