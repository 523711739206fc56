"""The benchmarks of language models behind an address."""

import json
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.improving.trust import RAW, merged, tables, whose
from benchmarks.llm.served import Door, report, sampled
from promptlift import Improver

ROOT = Path(__file__).parents[1]
SERVER = """
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def say(self, value):
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        self.say({"data": [{"id": "tiny"}]})
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"content": json.dumps({"additions": ["on a wooden table"]})}
        self.say({"choices": [{"message": message, "finish_reason": "stop"}]})
    def log_message(self, *_): ...
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_short_lines_are_drawn_once_and_always_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a cat\na dog\n\na cat\n" + "word " * 30, encoding="utf-8")
    assert sorted(sampled([tmp_path / "a.txt"], 2)) == ["a cat", "a dog"]


def test_what_a_batch_lost_doubled_or_asked_twice_is_told() -> None:
    door = Door("http://127.0.0.1:1/v1")
    door.asked, door.answered = Counter({b"a": 2, b"b": 1}), Counter({b"a": 2})
    rows = [
        {"source": "a cat", "prompt": "a cat, asleep", "notes": []},
        {"source": "a cat", "prompt": "a cat", "notes": ["left as it is: the answer is empty"]},
    ]
    found = report(["a cat", "a dog"], rows, door)
    assert (found["lost"], found["doubled"], found["in order"]) == (1, 1, False)
    assert (found["requests"], found["answers"], found["answered twice"]) == (3, 2, 1)
    assert found["with words of the model"] == 1
    assert found["left as they are"] == {"the answer is empty": 1}
    door.server_close()


@pytest.mark.slow
def test_a_server_that_is_killed_costs_no_row(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "server.py").write_text(SERVER, encoding="utf-8")
    lines = [f"a {thing} number {number}" for number in range(20) for thing in ("cat", "boat")]
    (tmp_path / "lines.txt").write_text("\n".join(lines), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.llm.served", "--count", "40"]
    command += ["--url", f"http://127.0.0.1:{port}/v1", "--prompts", str(tmp_path / "lines.txt")]
    command += ["--output", str(tmp_path / "out"), "--"]
    server = [sys.executable, str(tmp_path / "server.py"), str(port)]
    subprocess.run([*command, *server], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    found = json.loads((tmp_path / "out" / "served.json").read_text("utf-8"))
    assert found["rows"] == found["with words of the model"] == 40
    assert found["requests"] >= found["answers"] >= 40


def test_whose_words_a_result_has() -> None:
    improver = Improver.load()
    [written] = improver.improve("a lighthouse", seed=0)
    [raw] = improver.improve("a lighthouse", seed=0, mode="rewrite", **RAW)
    [left] = improver.improve("een kat op de mat in de keuken van het huis", seed=0)
    assert [whose(item) for item in (written, raw, left)] == [
        "the model's own", "the model's own", "not asked",
    ]  # fmt: skip


def test_rows_of_other_systems_stay_in_their_set() -> None:
    old = [{"set": "a", "system": "x", "n": 1}, {"set": "b", "system": "x", "n": 1}]
    new = [{"set": "a", "system": "y", "n": 2}, {"set": "b", "system": "x", "n": 2}]
    found = [(row["set"], row["system"], row["n"]) for row in merged(old, new)]
    assert found == [("a", "x", 1), ("a", "y", 2), ("b", "x", 2)]


def test_the_table_says_whose_words_only_where_it_is_known() -> None:
    rows = json.loads((ROOT / "docs" / "trust.json").read_text("utf-8"))["rows"]
    plain = [{key: row[key] for key in row if key != "whose"} for row in rows]
    assert "whose words" not in tables(plain)
