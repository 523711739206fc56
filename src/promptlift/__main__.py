"""The `promptlift` command, and `python -m promptlift`."""

import sys


def main() -> None:
    """Entry point. The commands are loaded within, so that Ctrl-C meanwhile is one line, too."""
    try:
        from promptlift.cli import main as command

        command()
    except KeyboardInterrupt:
        print("promptlift: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
