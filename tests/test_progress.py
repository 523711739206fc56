"""Progress: lines by the clock, and a bar where a terminal shows it."""

import os
import subprocess
import sys

import pytest

from promptlift.progress import Pulse, progress


def test_lines_have_pace_and_time_left() -> None:
    times, lines = iter([0.0, 5.0, 10.0, 15.0, 25.0]), list[str]()
    with progress("pictures", report=lines.append, clock=times.__next__) as show:
        show(41, 60)  # 40 were there before
        show(42, 60)
        show(43, 60)
        show(46, 60)
    # From the first picture on: 1 in 5 s, then 5 in 20 s.
    assert lines == [
        "42 of 60 pictures, 5.00 s each, 1.5 min left",
        "46 of 60 pictures, 4.00 s each, 0.9 min left",
    ]


def test_without_a_total_nothing_is_said_of_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 10.0, 20.0])
    with progress("rows", clock=times.__next__) as show:
        show(5)
        show(125)
    assert capsys.readouterr().err.splitlines() == ["5 rows", "125 rows, 12.0 a second"]


@pytest.mark.skipif(os.name == "nt", reason="opens a terminal of Unix")
def test_a_bar_on_a_terminal_leaves_results_and_messages_whole() -> None:
    code = (
        "from promptlift.cli.door import say\n"
        "from promptlift.progress import Pulse, progress\n"
        "with progress('rows') as show:\n"
        "    for done in range(1, 4):\n"
        "        print('result', done)\n"
        "        say(f'note {done}')\n"
        "        show(done, 3)\n"
    )
    mine, theirs = os.openpty()
    process = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        check=True,
    )
    os.close(theirs)
    shown = os.read(mine, 100_000).decode()
    os.close(mine)
    assert process.stdout.decode().splitlines() == ["result 1", "result 2", "result 3"]
    assert "3/3 rows" in shown
    for line in ("promptlift: note 1", "promptlift: note 3"):
        assert f"\x1b[2K{line}\r\n" in shown  # on a line of its own, in place of the bar


def test_a_silence_is_broken_by_the_clock() -> None:
    times, lines = iter([0.0, 29.0, 30.0, 31.0, 40.0, 60.0, 69.0, 70.0, 71.0]), list[str]()
    pulse = Pulse(lines.append, clock=times.__next__)
    for line in ("29 s", "30 s"):  # after a line the clock is read once more: 31 s
        pulse.still(line)
    pulse.said("40 s")
    for line in ("60 s", "69 s", "70 s"):
        pulse.still(line)
    assert lines == ["30 s", "40 s", "70 s"]
