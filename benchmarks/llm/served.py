"""Many prompts through a server that is killed in between: is anything lost, doubled, asked twice?

    python -m benchmarks.llm.served --url http://127.0.0.1:8033/v1 --output served \
        --prompts data/eval/*.txt --count 500 -- \
        llama/bin/python benchmarks/llm/llama_server.py MODEL.gguf --port 8033

What follows `--` starts the server and is started again after each kill; it may be any server with
an OpenAI-compatible address. The command line improves random lines of fewer than 30 words, seed 0,
from one file to another; at random moments the server's processes are killed (SIGKILL), and the
server comes back after some seconds. Where the command line gives up, it goes on with `--resume`.
A door of the benchmark stands between the two, which counts requests and cuts them off as a dead
server does. Prints and writes `served.json`; the exit code is 1 where something is lost or doubled.
"""

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from promptlift.files import write_json
from promptlift.scoring.text.diversity import added_words

MOST_WORDS = 30


def sampled(files: list[Path], count: int) -> list[str]:
    """Random distinct lines of fewer than 30 words, seed 0."""
    lines = [line.strip() for path in files for line in path.read_text("utf-8").split("\n")]
    short = dict.fromkeys(line for line in lines if 0 < len(line.split()) < MOST_WORDS)
    return random.Random(0).sample(list(short), count)


class Server:
    """A server that can be killed, with all processes that it started, and started again."""

    def __init__(self, command: list[str], url: str, log: Path) -> None:
        self.command, self.url, self.log = command, url, log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, start_new_session=True
            )
        for _ in range(600):
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.url}/models", timeout=5):
                    return
            except (OSError, urllib.error.URLError):
                time.sleep(0.2)
        self.kill()
        raise SystemExit(f"the server does not answer at {self.url}/models; see {self.log}")

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Door(ThreadingHTTPServer):
    """Passes requests on to a server, and counts."""

    daemon_threads = True

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.target, self.lock = urlsplit(url), threading.Lock()
        self.asked: Counter[bytes] = Counter()  # by content
        self.answered: Counter[bytes] = Counter()
        self.url = f"http://127.0.0.1:{self.server_port}{self.target.path}"


class _Passing(BaseHTTPRequestHandler):
    server: Door

    def do_GET(self) -> None:
        self._pass(None)

    def do_POST(self) -> None:
        self._pass(self.rfile.read(int(self.headers["Content-Length"])))

    def _pass(self, content: bytes | None) -> None:
        door = self.server
        if content is not None:
            with door.lock:
                door.asked[content] += 1
        connection = http.client.HTTPConnection(door.target.netloc, timeout=600)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(self.command, self.path, content, headers)
            response = connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException):
            return  # without a word, as from a server that is gone
        finally:
            connection.close()
        self.send_response(response.status)
        self.send_header("Content-Type", response.headers["Content-Type"] or "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        if content is not None and response.status == 200:
            with door.lock:
                door.answered[content] += 1

    def log_message(self, *_: object) -> None: ...


def kills(server: Server, door: Door, moments: list[int], done: threading.Event) -> list[int]:
    """Kill the server once so many answers are there, and bring it back; the answers at each."""
    found: list[int] = []
    drawn = random.Random(1)
    for moment in sorted(moments):
        while door.answered.total() < moment:
            if done.wait(0.05):
                return found
        done.wait(drawn.random())  # in the middle of another answer
        found.append(door.answered.total())
        server.kill()
        done.wait(drawn.uniform(1, 6))
        server.start()
    return found


def report(prompts: list[str], rows: list[dict[str, Any]], door: Door) -> dict[str, Any]:
    """Counts of what came, and of what must not have happened."""
    sources = Counter(row.get("source") for row in rows)
    left = Counter(
        note.partition(": ")[2].partition(":")[0]
        for row in rows
        for note in row.get("notes", [])
        if note.startswith("left as it is")
    )
    return {
        "prompts": len(prompts),
        "rows": len(rows),
        "lost": sum(prompt not in sources for prompt in prompts),
        "doubled": sum(count > 1 for count in sources.values()),
        "in order": [row.get("source") for row in rows] == prompts,
        "errors": sum("error" in row for row in rows),
        "with words of the model": sum(
            bool(added_words(row["source"], row["prompt"])) for row in rows if "prompt" in row
        ),
        "left as they are": dict(left.most_common()),
        "requests": door.asked.total(),
        "answers": door.answered.total(),
        "answered twice": sum(count > 1 for count in door.answered.values()),
        "requests a prompt": round(door.asked.total() / len(prompts), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--url", required=True, help="where the server listens, with /v1")
    parser.add_argument("--prompts", type=Path, nargs="+", required=True)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--mode", default="extend")
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--output", type=Path, required=True, help="a new folder")
    parser.add_argument("server", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    prompts, output = sampled(sorted(args.prompts), args.count), args.output.resolve()
    output.mkdir(parents=True)
    (output / "prompts.txt").write_text("\n".join(prompts) + "\n", encoding="utf-8")
    server = Server(args.server[1:], args.url, output / "server.log")
    server.start()
    door, done = Door(args.url), threading.Event()
    threading.Thread(target=door.serve_forever, daemon=True).start()
    tenth = args.count // 10
    moments = random.Random(0).sample(range(tenth, args.count - tenth), args.kills)
    found: list[int] = []
    killer = threading.Thread(target=lambda: found.extend(kills(server, door, moments, done)))
    killer.start()
    command = [sys.executable, "-m", "promptlift", "improve", "--llm-url", door.url]
    command += ["--input", str(output / "prompts.txt"), "--output", str(output / "improved.jsonl")]
    command += ["--seed", "0", "--mode", args.mode, "--llm-concurrency", "2"]
    command += ["--llm-tokens", str(args.tokens)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(output / "cache")}
    started, runs = time.monotonic(), 0
    try:
        while runs < 10:
            with (output / "improve.log").open("ab") as log:
                resumed = [*command, "--resume"] if runs else command
                ended = subprocess.run(resumed, env=environment, stderr=log)
            runs += 1
            if ended.returncode == 0:
                break
    finally:
        done.set()
        killer.join()
        server.kill()
    lines = (output / "improved.jsonl").read_text("utf-8").splitlines()
    result = {
        **report(prompts, [json.loads(line) for line in lines], door),
        "killed after answers": found, "runs of the command line": runs,
        "seconds": round(time.monotonic() - started), "mode": args.mode,
    }  # fmt: skip
    write_json(output / "served.json", result)
    print(json.dumps(result, indent=2))
    whole = result["in order"] and not result["errors"] and len(found) == args.kills
    raise SystemExit(0 if whole and not result["answered twice"] else 1)


if __name__ == "__main__":
    main()
