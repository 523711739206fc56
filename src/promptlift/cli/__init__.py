"""The command line. Each subcommand lives in its own module and imports heavy parts late."""

import sys

import typer

from promptlift import __version__
from promptlift.cli import (
    compare,
    doctor,
    door,
    experiment,
    export,
    illustrate,
    improve,
    join,
    judge,
    pairs,
    pick,
    preferences,
    receipts,
    report,
    reproduce,
    score,
    serve,
    steer,
    studio,
    sweep,
    train,
    tune,
    votes,
    world,
)

app = typer.Typer(
    name="promptlift",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"promptlift {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Add to a short text-to-image prompt what belongs to its subject.

    Examples:

      promptlift improve "a cat in armor"

      promptlift improve --input prompts.txt -n 3 --seed 7 --output improved.jsonl

      promptlift doctor
    """
    door.debug = debug


# In the order of help.
for command in (
    improve.improve, join.join, receipts.replay, receipts.show, receipts.stamp, train.train,
    export.export, illustrate.illustrate, pick.pick, tune.tune, score.score, judge.judge,
    preferences.preferences, experiment.experiment, sweep.sweep, studio.studio, serve.serve,
    report.report, compare.compare, doctor.doctor,
):  # fmt: skip
    app.command()(command)
for name, group in (
    ("pairs", pairs.app),
    ("votes", votes.app),
    ("world", world.app),
    ("steer", steer.app),
    ("reproduce", reproduce.app),
):
    app.add_typer(group, name=name)


def main() -> None:
    """Entry point of the `promptlift` command."""
    door.open_streams()
    try:
        with door.guarded():
            try:
                app()
            finally:
                sys.stdout.flush()  # what fails here would be a traceback later
    except typer.Exit as end:
        sys.exit(end.exit_code)
