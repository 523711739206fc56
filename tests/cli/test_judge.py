"""`promptlift judge` and `promptlift votes` as commands."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from promptlift.cli import app
from promptlift.judging.collecting.study import Study
from promptlift.judging.config import JudgingConfig
from promptlift.tables import read_rows
from tests.judging.runs import draw_run, vote_all


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = draw_run(tmp_path / "run", 20)
    vote_all(Study.open([folder], JudgingConfig(raters=("ada", "ben"), per_pair=2)), 0.8)
    return folder


def call(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    assert done.exit_code == code, done.output
    return done.output


def test_votes_show_says_what_people_prefer(run: Path) -> None:
    text = call("votes", "show", run)
    assert "picture: improved won" in text
    assert "ties go to the original: " in text
    assert "over raters and prompts [" in text
    assert "ada 22/22, ben 22/22" in text
    assert (run / "judging" / "results.json").is_file()
    found = json.loads(
        next(line for line in call("votes", "show", run, "--json").splitlines() if line[0] == "{")
    )
    assert found["questions"]["match"]["systems"]["improved"]["rates"]["together"]["votes"] == 40


def test_votes_travel_as_a_file(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "votes.csv"
    assert "88 records" in call("votes", "export", run, "--output", file)
    assert len(list(read_rows(file))) == 88
    assert "0 new records" in call("votes", "import", run, file)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("votes", "show", "RUN/nowhere"), "nowhere does not exist; name a run folder"),
        (("votes", "show", "RUN/pictures"), "has no votes yet"),
        (("preferences", "RUN/nowhere"), "nowhere does not exist; name a run folder"),
        (("judge", "RUN", "--raters", "ada,ada"), "a name twice"),
        (("judge", "RUN", "--per-pair", "5"), "there are 1 raters"),
        (("judge", "RUN", "--questions", "taste"), "must be some of match, picture"),
        (("judge", "RUN/nowhere", "--no-open"), "nowhere does not exist; name a run folder"),
        (("judge", "RUN", "RUN/nowhere", "--no-open"), "nowhere does not exist"),
        (("judge", "RUN/pictures", "--no-open"), "Draw them first"),
        (("judge", "RUN", "--raters", "cleo", "--no-open"), "began with other settings"),
        (("votes", "import", "RUN", "RUN/pictures/index.parquet"), "no exported vote"),
    ],
)
def test_mistakes_get_one_line(run: Path, arguments: tuple[str, ...], words: str) -> None:
    given = [word.replace("RUN", str(run)) for word in arguments]
    done = CliRunner().invoke(app, given)
    assert done.exit_code in (1, 2)
    assert words in done.output
    assert len(done.output.strip().splitlines()) == 1
