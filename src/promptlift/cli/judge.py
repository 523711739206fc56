"""`promptlift judge`."""

import webbrowser
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlift.cli.door import guarded, say
from promptlift.errors import MissingExtraError
from promptlift.judging.config import JudgingConfig
from promptlift.judging.records import PERSON, SIMULATED

if TYPE_CHECKING:
    from promptlift.judging.collecting.study import Study

_HELP = {item.name: item.metadata["help"] for item in fields(JudgingConfig)}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _opt(name: str, shown: str, *names: str) -> Any:
    return typer.Option(*names, help=f"{_HELP[name]} [{shown}]", show_default=False)


def judge(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run folder with pictures; more to judge several systems."),
    ],
    raters: Annotated[str, _opt("raters", "me")] = "me",
    per_pair: Annotated[int, _opt("per_pair", "1")] = 1,
    questions: Annotated[str, _opt("questions", "match,picture")] = "match,picture",
    sample: Annotated[int | None, _opt("sample", "all")] = None,
    repeats: Annotated[float, _opt("repeats", "0.1")] = 0.1,
    attention: Annotated[int, _opt("attention", "0")] = 0,
    simulated: Annotated[
        bool,
        typer.Option(
            "--simulated", help="The raters are programs: their votes never count as people's."
        ),
    ] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for raters on other machines.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
) -> None:
    """Ask people, blind, which picture they prefer; the same command again goes on.

    Each rater has a link of their own. Votes are in RUN/judging/votes.sqlite; see what they say
    with `promptlift votes show RUN`.

    Examples:

      promptlift judge runs/mine

      promptlift judge runs/mine --raters ada,ben,cleo --per-pair 2 --host 0.0.0.0 --port 8000

      promptlift judge runs/flan runs/pocket --questions picture
    """
    with guarded("stopped; every vote is saved, and the same command goes on"):
        config = JudgingConfig(
            raters=_names(raters),
            per_pair=per_pair,
            questions=_names(questions),
            sample=sample,
            repeats=repeats,
            attention=attention,
        )
        try:
            from promptlift.judging.collecting.study import Study
            from promptlift.web.judging import judging_app
            from promptlift.web.serving import serve
        except ImportError as error:
            raise MissingExtraError("Judging", "web") from error
        study = Study.open(runs, config, say, kind=SIMULATED if simulated else PERSON)
        serve(
            judging_app(study),
            host,
            port,
            lambda address: _ready(study, address, host, open_it=not no_open),
        )
        say("stopped; every vote is saved")


def _ready(study: "Study", address: str, host: str, *, open_it: bool) -> None:
    if host not in _LOOPBACK:
        say(f"{host} can be reached by others; whoever has a link can vote with it")
    links = [(rater.name, f"{address}/r/{rater.token}/") for rater in study.store.raters()]
    for name, link in links:
        print(f"{name}\t{link}", flush=True)
    if open_it and len(links) == 1 and host in _LOOPBACK:
        webbrowser.open(links[0][1])


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
