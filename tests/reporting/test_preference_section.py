"""What people prefer, on the page of a run."""

import re
import sqlite3
from pathlib import Path

import pytest

from promptlift.judging.collecting.study import Study
from promptlift.judging.config import JudgingConfig
from promptlift.judging.results import agreement_with_metrics
from promptlift.reporting.picture_data import read_pictures
from promptlift.reporting.plot_files import drawing_into
from promptlift.reporting.preference_section import _gains, preference
from promptlift.reporting.run_report import write_report
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.pictures.run import score_pictures
from tests.judging.runs import draw_run, vote_all
from tests.reporting.conftest import begin
from tests.scoring.clip_models import make_clip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return draw_run(tmp_path / "run", 20)


def section(run: Path) -> str:
    found = preference(run, read_pictures(run), drawing_into(run / "report"))
    return "" if found is None else found.body


def test_a_run_that_nobody_judges_has_no_section(run: Path) -> None:
    assert section(run) == ""


def test_a_study_without_votes_gives_no_figures(run: Path) -> None:
    Study.open([run], JudgingConfig(raters=("ada",)))
    assert "no votes of a person yet" in section(run) and "79 of 100" not in section(run)


def test_votes_stand_beside_the_paper(run: Path) -> None:
    config = JudgingConfig(raters=("ada", "ben"), per_pair=2, repeats=0.2, attention=2)
    vote_all(Study.open([run], config), 1.0)
    found = section(run)
    # 40 of 40 and 79 of 100 by Wilson's formula; statsmodels gives the same.
    assert "100.0% (91.2% to 100.0%)" in found
    assert "79.0% (70.0% to 85.8%)" in found
    assert "won 40, lost 0, tied 0" in found and "2 of 2" in found
    assert "<th scope=row dir=auto>ben</th><td dir=auto>20</td>" in found
    assert "Krippendorff&#x27;s alpha is not defined" in found  # one category alone
    # n wins in a row multiply the bet by 2 (3 + k) / (6 + k) for k from 0: 14.1 at 9, 22.5 at 10.
    assert "it reached 20 after 10," in found
    for question in ("match", "picture"):
        assert (run / "report" / f"preference-{question}-improved.svg").is_file()


def test_simulated_votes_never_count_as_people(run: Path) -> None:
    study = Study.open([run], JudgingConfig(raters=("ada",)))
    vote_all(study, 1.0)
    with sqlite3.connect(study.store.path) as connection:
        connection.execute("UPDATE raters SET kind = 'simulated'")
    connection.close()
    assert "votes of programs do not count" in section(run)
    assert "100.0%" not in section(run)


def test_several_systems_have_plots_of_their_own(tmp_path: Path) -> None:
    """Names of systems have spaces and brackets, which addresses within SVG cannot have."""
    runs = [draw_run(tmp_path / name, 8, seed=seed) for seed, name in enumerate(("flan", "mine"))]
    vote_all(Study.open(runs, JudgingConfig(questions=("picture",))), 0.5)
    found = section(runs[0])
    assert "Bradley-Terry" in found
    for name in ("flan", "mine"):
        assert (runs[0] / "report" / f"preference-picture-improved-{name}.svg").is_file()
    addresses = re.findall(r'(?:href="#|url\(#)([^")]+)', found)
    assert addresses and not [one for one in addresses if re.search(r"[\s()]", one)]


def test_metrics_stand_beside_people(tmp_path: Path) -> None:
    run = begin(tmp_path / "run", prompts=6, seeds=(1,))
    clip = make_clip(tmp_path / "clip")
    score_pictures(
        run, PictureScoringConfig(clip=str(clip), metrics=("clip", "measures"), offline=True)
    )
    study = Study.open([run], JudgingConfig(questions=("picture",)))
    vote_all(study, 0.7)
    found = section(run)
    agreed = agreement_with_metrics(study, _gains(study, read_pictures(run))["improved"],
                                    question="picture")  # fmt: skip
    clipscore = agreed["clipscore_original_prompt"]
    assert clipscore.pairs == 6 and f"{clipscore.accuracy.value:.1%} (" in found
    # What a metric says of the pair as such is no preference.
    assert not any("directional" in name or "similarity" in name for name in agreed)
    assert (run / "report" / "metrics-and-people-picture-improved.svg").is_file()
    assert "What people prefer" in write_report(run).read_text("utf-8")
