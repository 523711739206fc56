"""`promptlift report`."""

from pathlib import Path

from tests.cli.conftest import Run, error_line
from tests.reporting.conftest import begin_run, write_log


def test_report_prints_the_page(run: Run, tmp_path: Path) -> None:
    folder = begin_run(tmp_path / "run")
    write_log(folder, ["1,0.5,3.5,", "2,1,,3.1"])
    result = run("report", folder)
    assert result.exit_code == 0, result.output
    page = folder / "report" / "index.html"
    assert result.stdout.strip() == str(page)
    assert page.exists() and (folder / "report" / "window-1-loss.png").exists()
    assert run("report", folder).exit_code == 0  # it is drawn again as the run goes on


def test_report_writes_where_it_is_told(run: Run, tmp_path: Path) -> None:
    folder = begin_run(tmp_path / "run", state="running")
    result = run("report", folder, "-o", tmp_path / "elsewhere")
    assert result.exit_code == 0
    assert (tmp_path / "elsewhere" / "index.html").exists()
    assert not (folder / "report").exists()
    again = run("report", folder, "-o", tmp_path / "elsewhere")
    assert again.exit_code == 2 and "index.html exists. Pass --overwrite" in error_line(again)


def test_a_folder_that_is_no_run_gives_one_line(run: Run, tmp_path: Path) -> None:
    result = run("report", tmp_path)
    assert result.exit_code == 1
    assert "is no run folder" in error_line(result)
    result = run("report", tmp_path / "none")
    assert result.exit_code == 1
    assert "does not exist" in error_line(result)


def test_a_file_in_the_place_of_the_folder_gives_one_line(run: Run, tmp_path: Path) -> None:
    folder = begin_run(tmp_path / "run")
    (tmp_path / "taken").write_text("")
    result = run("report", folder, "-o", tmp_path / "taken")
    assert result.exit_code == 1
    assert "taken" in result.stderr and "Traceback" not in result.stderr
