"""`promptlift pairs`, on real files and a real server."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from promptlift.pairs.load import load_pairs
from promptlift.records import Pair
from tests.cli.conftest import Run, error_line

PROMPTS = [f"a tall lighthouse {place}, oil on canvas, soft light"
           for place in ("at dawn", "in winter", "under stars", "in summer")]  # fmt: skip


@pytest.fixture
def endpoint() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An endpoint that answers "lighthouse", and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            message = {"choices": [{"message": {"content": "lighthouse"}, "finish_reason": "stop"}]}
            body = json.dumps(message).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_build_asks_an_endpoint_once_and_goes_on(
    run: Run, tmp_path: Path, endpoint: tuple[str, list[dict[str, Any]]]
) -> None:
    url, asked = endpoint
    prompts, output = tmp_path / "prompts.txt", tmp_path / "pairs.jsonl"
    prompts.write_text("\n".join(PROMPTS))
    command = ("pairs", "build", prompts, "-o", output, "--llm-url", url, "--llm-model", "m")
    bounded = run(*command, "--llm-max-requests", 1)
    assert bounded.exit_code == 0, bounded.output
    assert "1 accepted, 3 not asked" in bounded.stderr
    assert run(*command).exit_code == 0
    assert len(asked) == len(PROMPTS)
    expected = Pair(source="lighthouse", target=PROMPTS[0], mode="rewrite")
    assert expected in list(load_pairs(output))


def test_build_needs_both_halves_of_an_endpoint(run: Run, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text(PROMPTS[0])
    result = run("pairs", "build", prompts, "-o", tmp_path / "o.jsonl", "--llm-url", "http://h/v1")
    assert result.exit_code == 2
    assert "--llm-url and --llm-model go together" in result.stderr


def test_build_drops_near_duplicates(run: Run, tmp_path: Path) -> None:
    prompts, output = tmp_path / "prompts.txt", tmp_path / "pairs.jsonl"
    prompts.write_text("\n".join([*PROMPTS, PROMPTS[0] + "."]))
    result = run("pairs", "build", prompts, "-o", output, "--drop-near")
    assert result.exit_code == 0
    assert "4 prompts after dropping near-duplicates" in result.stderr


def test_load_counts_faults_and_writes_all_of_them(run: Run, tmp_path: Path) -> None:
    folder, output, faults = tmp_path / "set", tmp_path / "pairs.csv", tmp_path / "faults.jsonl"
    folder.mkdir()
    rows = [{"x": "a cat", "y": "a cat, soft light"}, *[{"x": "a", "y": "b c d"}] * 25]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run("pairs", "load", folder, "-o", output, "--faults", faults)
    assert result.exit_code == 0, result.output
    assert "source is column 'x', target is column 'y'" in result.stderr
    assert "and 5 more faulty rows" in result.stderr
    assert "1 pairs in" in result.stderr and "25 faulty rows left out" in result.stderr
    assert len(faults.read_text().splitlines()) == 25
    assert [pair.source for pair in load_pairs(output) if isinstance(pair, Pair)] == ["a cat"]


def test_m_unfit_pairs_are_left_out_unless_asked_for(run: Run, tmp_path: Path) -> None:
    pairs, output = tmp_path / "pairs.jsonl", tmp_path / "out.jsonl"
    targets = ["a cat, in oil", "nan", "I'm sorry, but I can't do that.", "a cat --ar 16:9"]
    rows = [{"source": "a cat", "target": target} for target in targets]
    rows += [{"source": one, "target": f"an old {one}, ink"} for one in ("harbour", "violin")]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    halves = ("split", pairs, "-o", tmp_path / "split", "--test-share", "0.5")
    for command in (("load", pairs, "-o", output), halves):
        result = run("pairs", *command)
        assert result.exit_code == 0, result.output
        assert f"{pairs} line 3: `target` is a refusal: " in result.stderr
        assert "3 faulty rows left out, of them no prompts to learn: no text 1, " in result.stderr
        assert "--keep-unfit keeps those" in result.stderr
        kept = run("pairs", *command, "--keep-unfit", "--overwrite")
        assert kept.exit_code == 0 and "0 faulty rows left out" in kept.stderr
    assert len(list(load_pairs(output))) == 6


def test_m_unfit_prompts_make_no_pairs(run: Run, tmp_path: Path) -> None:
    prompts, output = tmp_path / "prompts.txt", tmp_path / "pairs.jsonl"
    prompts.write_text("\n".join([*PROMPTS, f"Sure! Here is a prompt: {PROMPTS[0]}"]) + "\n")
    result = run("pairs", "build", prompts, "-o", output)
    assert result.exit_code == 0, result.output
    assert "from 4 prompts" in result.stderr and "prefaces of a chat 1" in result.stderr
    kept = run("pairs", "build", prompts, "-o", output, "--keep-unfit", "--overwrite")
    assert "from 5 prompts" in kept.stderr and "0 faulty rows left out" in kept.stderr


def test_split_writes_both_sides_and_the_evidence(run: Run, tmp_path: Path) -> None:
    pairs, output = tmp_path / "pairs.jsonl", tmp_path / "split"
    subjects = ("lighthouse", "fox", "castle", "robot", "orchard", "harbour", "violin", "glacier")
    rows = [{"source": one, "target": f"an old {one} {two} soft light, {one} colors, {two}"}
            for one in subjects for two in ("in winter", "at sea", "by night")]  # fmt: skip
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run("pairs", "split", pairs, "-o", output, "--test-share", "0.3")
    assert result.exit_code == 0, result.output
    evidence = json.loads((output / "split.json").read_text())
    sides = [list(load_pairs(output / name)) for name in ("train.jsonl", "test.jsonl")]
    assert [len(side) for side in sides] == [evidence["train"], evidence["test"]]
    assert sum(map(len, sides)) == len(rows)
    assert evidence["closest"] < evidence["threshold"] == 0.6


def test_split_refuses_a_share_above_one(run: Run, tmp_path: Path) -> None:
    result = run("pairs", "split", tmp_path / "p.jsonl", "-o", tmp_path, "--test-share", "2")
    assert result.exit_code == 2
    assert "test_share is 2.0 and must be between 0 and 1" in result.stderr


def test_describe_prints_and_draws(run: Run, tmp_path: Path) -> None:
    pairs, output = tmp_path / "pairs.jsonl", tmp_path / "described"
    rows = [
        {"source": "a fox", "target": "a fox, by greg rutkowski"},
        {"source": "", "target": "x"},
    ]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run("pairs", "describe", pairs, "-o", output)
    assert result.exit_code == 0, result.output
    assert "pairs      1 (1 to rewrite); 1 faulty rows" in result.stdout
    assert "painter 100.0%" in result.stdout
    assert json.loads((output / "description.json").read_text())["pairs"] == 1
    assert (output / "page.html").exists()
    printed = run("pairs", "describe", pairs, "--json")
    assert json.loads(printed.stdout)["share_adding"]["painter"] == 1.0


def test_describe_says_when_there_is_nothing(run: Run, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("")
    result = run("pairs", "describe", pairs)
    assert result.exit_code == 1
    assert "holds no pairs" in result.stderr


def test_no_output_takes_the_place_of_what_is_read(run: Run, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "a cat, soft light, oil on canvas"}\n')
    before = prompts.read_bytes()
    result = run("pairs", "build", prompts, "-o", prompts, "--overwrite")
    assert result.exit_code == 2
    assert "is read by the same command" in result.stderr
    train = tmp_path / "train.jsonl"
    train.write_text('{"source": "a cat", "target": "soft light", "mode": "extend"}\n' * 9)
    assert run("pairs", "split", train, "-o", tmp_path, "--overwrite").exit_code == 2
    result = run(
        "pairs", "load", train, "-o", tmp_path / "x.jsonl", "--faults", tmp_path / "x.jsonl"
    )
    assert result.exit_code == 2
    assert "written by the same command" in result.stderr
    assert prompts.read_bytes() == before


def test_nothing_made_is_an_error_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    prompts, output = tmp_path / "prompts.txt", tmp_path / "pairs.jsonl"
    prompts.write_text("a cat\n")
    output.write_text("as it was\n")
    result = run("pairs", "build", prompts, "-o", output, "--overwrite")
    assert result.exit_code == 1
    assert "1 prompts gave no pairs" in result.stderr
    faulty = tmp_path / "faulty.jsonl"
    faulty.write_text('{"source": "", "target": "soft light"}\n')
    result = run("pairs", "load", faulty, "-o", output, "--overwrite")
    assert result.exit_code == 1
    assert "no sound pair" in result.stderr
    assert output.read_text() == "as it was\n"
    assert run("pairs", "build", prompts, "-o", output, "--cuts", -1).exit_code == 2


def test_pairs_without_a_mode_are_for_the_mode_given(run: Run, tmp_path: Path) -> None:
    pairs, output = tmp_path / "pairs.csv", tmp_path / "out.jsonl"
    pairs.write_text("source,target\na cat,soft light\n")
    assert run("pairs", "load", pairs, "-o", output, "--mode", "extend").exit_code == 0
    assert json.loads(output.read_text())["mode"] == "extend"
    assert run("pairs", "load", pairs, "-o", output, "--overwrite").exit_code == 0
    assert json.loads(output.read_text())["mode"] == "rewrite"
    assert run("pairs", "load", pairs, "-o", output, "--mode", "x").exit_code == 2


def test_what_is_there_is_not_replaced_unasked(run: Run, tmp_path: Path) -> None:
    prompts, pairs = tmp_path / "prompts.txt", tmp_path / "pairs.csv"
    prompts.write_text("a cat in a hat, soft light, oil on canvas\n" * 9)
    things = "owl harbour violin desert teapot glacier robot orchard lantern".split()  # noqa: SIM905
    pairs.write_text(
        "source,target\n" + "".join(f"an {one} {one},{one} in fog\n" for one in things)
    )
    for command in (
        ("pairs", "build", prompts, "-o", tmp_path / "built.jsonl"),
        ("pairs", "load", pairs, "-o", tmp_path / "loaded.jsonl"),
        ("pairs", "split", pairs, "-o", tmp_path / "split"),
        ("pairs", "describe", pairs, "-o", tmp_path / "described"),
        ("world", "pairs", "--count", 3, "-o", tmp_path / "world.jsonl"),
    ):
        assert run(*command).exit_code == 0
        written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        again = run(*command)
        assert again.exit_code == 2 and "exists. Pass --overwrite" in error_line(again)
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == written
        assert run(*command, "--overwrite").exit_code == 0
