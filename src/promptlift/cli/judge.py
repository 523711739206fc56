"""`promptlift judge`."""

import webbrowser
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import guarded, say
from promptlift.cli.parameters import NoOpen, Port, arg
from promptlift.errors import MissingExtraError
from promptlift.judging.config import JudgingConfig
from promptlift.judging.records import PERSON, SIMULATED
from promptlift.options import takes
from promptlift.web.config import LOOPBACK


@takes(JudgingConfig, "asked")
def judge(
    runs: Annotated[list[Path], arg("Run folder with pictures; more to judge several systems.")],
    asked: Any = None,
    simulated: Annotated[
        bool,
        typer.Option(
            "--simulated", help="The raters are programs: their votes never count as people's."
        ),
    ] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for raters on other machines.")
    ] = "127.0.0.1",
    port: Port = 0,
    no_open: NoOpen = False,
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
        # One option may hold several names, between commas.
        lists = {name: _names(asked[name]) for name in ("raters", "questions") if name in asked}
        config = JudgingConfig(**{**asked, **lists})
        try:
            from promptlift.judging.collecting.study import Study
            from promptlift.web.judging import judging_app
            from promptlift.web.serving import serve
        except ImportError as error:
            raise MissingExtraError("Judging", "web") from error
        study = Study.open(runs, config, say, kind=SIMULATED if simulated else PERSON)

        def ready(address: str) -> None:
            if host not in LOOPBACK:
                say(f"{host} can be reached by others; whoever has a link can vote with it")
            links = [(rater.name, f"{address}/r/{rater.token}/") for rater in study.store.raters()]
            for name, link in links:
                print(f"{name}\t{link}", flush=True)
            if not no_open and len(links) == 1 and host in LOOPBACK:
                webbrowser.open(links[0][1])

        serve(judging_app(study, say), host, port, ready)
        say("stopped; every vote is saved")


def _names(given: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.strip() for text in given for name in text.split(",") if name.strip())
