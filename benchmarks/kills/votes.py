"""The judging page, killed while raters vote over HTTP."""

import http.client
import json
import random
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from benchmarks.kills.processes import SIGNALS, Process, Tally, kill

WEIGHT = 14  # share of the kills, as in `jobs.Case`
_RATERS = ("ada", "ben", "cleo")
_MOST = 4  # kills of a study
_LINE = (
    "judge", "run", "--simulated", "--raters", ",".join(_RATERS), "--per-pair", "3", "--no-open",
)  # fmt: skip


@dataclass
class Voter:
    """A rater at the judging page, who sends a vote again that was not answered.

    Attributes:
        token: of the rater's link.
        sent: the vote that is on its way.
        counted: answers by key, of the votes that were answered with 200.
    """

    token: str
    rng: random.Random
    sent: dict[str, Any] | None = None
    counted: dict[str, str] = field(default_factory=dict)
    done: bool = False
    wrong: list[str] = field(default_factory=list)

    def vote(self, port: int) -> None:
        """Vote until all is answered or the server is gone."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with suppress(OSError, http.client.HTTPException):
            while not self.done:
                if self.sent is None:
                    status, state = self._ask(connection, "GET", "state")
                    self.done = state["question"] is None
                    if not self.done:
                        self.sent = self._answer(state)
                    continue
                status, _ = self._ask(connection, "POST", "votes", self.sent)
                if status != 200:
                    self.wrong.append(f"a vote was answered with {status}")
                self.counted[self.sent["key"]] = self.sent["answer"]
                self.sent = None
        connection.close()

    def _answer(self, state: dict[str, Any]) -> dict[str, Any]:
        return {
            "position": state["position"],
            "question": state["question"],
            "answer": self.rng.choice(("left", "right", "tie")),
            "seconds": 1.0,
            "key": f"{self.rng.getrandbits(64):016x}",
        }

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: Any = None
    ) -> tuple[int, Any]:
        sent = None if body is None else json.dumps(body)
        head = {"content-type": "application/json"}
        connection.request(method, f"/r/{self.token}/{path}", sent, head)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def measure_votes(home: Path, kills: int, rng: random.Random) -> Tally:
    """Kill the judging page while three raters vote, so many times."""
    from tests.judging.runs import draw_run

    judged = draw_run(home / "inputs" / "judged", 40)
    tally, studies = Tally("judge"), 0
    while not studies or sum(tally.kills.values()) < kills:
        folder = home / f"judge-{studies:03d}"
        shutil.copytree(judged, folder / "run")
        left = kills - sum(tally.kills.values()) if studies else 0  # the first is undisturbed
        studies += 1
        with tally.told(folder):
            _count_votes(folder, _study(folder, min(left, _MOST), rng, tally), tally)
    return tally


def _study(folder: Path, kills: int, rng: random.Random, tally: Tally) -> list[Voter]:
    """A study from its first vote to the last, in which the server is killed so many times."""
    voters: list[Voter] = []
    for turn in count(1):
        server = Process(_LINE, folder)
        moment = rng.uniform(0, tally.whole_s) if turn <= kills else float("inf")
        links = _links(server, moment)
        if server.poll() is not None:
            tally.faults.append(f"{folder.name} start {turn}: {server.new_errors()[-600:]}")
            return voters
        if links:
            tokens = [link.path.split("/")[2] for link in links]
            voters = voters or [Voter(token, random.Random(rng.random())) for token in tokens]
            if tokens != [voter.token for voter in voters]:
                tally.faults.append(f"{folder.name} start {turn}: the links changed")
        with _voting(voters if links else [], server, moment):
            tally.whole_s = tally.whole_s or server.seconds()
            number = rng.choice(SIGNALS) if turn <= kills else signal.SIGTERM
            label = f"{folder.name} start {turn} at {server.seconds():.2f} s"
            kill(server, number, tally, label, counts=turn <= kills)
        if voters and all(voter.done for voter in voters):
            return voters
    raise AssertionError


def _links(server: Process, moment: float) -> list[SplitResult]:
    """The links of the raters, once all are printed; none where it is killed before."""

    def printed() -> list[str]:
        return [line for line in server.output.read_text().splitlines(True) if line.endswith("\n")]

    server.wait(lambda: len(printed()) == len(_RATERS) or server.seconds() >= moment)
    lines = printed()
    whole = len(lines) == len(_RATERS)
    return [urlsplit(line.split("\t")[1].strip()) for line in lines] if whole else []


@contextmanager
def _voting(voters: list[Voter], server: Process, moment: float) -> Iterator[None]:
    """Votes that come in until the block is left; it begins at a moment, or when all is judged."""
    port = _port(server)
    busy = [threading.Thread(target=voter.vote, args=(port,)) for voter in voters]
    for one in busy:
        one.start()
    server.wait(lambda: server.seconds() >= moment or not any(one.is_alive() for one in busy))
    yield
    for one in busy:
        one.join()


def _port(server: Process) -> int:
    words = server.output.read_text().split()
    return urlsplit(words[1]).port or 0 if len(words) > 1 else 0


def _count_votes(folder: Path, voters: list[Voter], tally: Tally) -> None:
    """Compare the votes in the file with those that were answered."""
    from promptlift.judging.collecting.study import Study

    records = Study.open([folder / "run"], None).store.records()
    tally.jobs += 1
    tally.rows += len(records)
    found = Counter(row["key"] for row in records)
    answers = {row["key"]: row["answer"] for row in records}
    answered = {key: answer for voter in voters for key, answer in voter.counted.items()}
    places = Counter((row["rater"], row["position"], row["question"]) for row in records)
    faults = {
        "lost": len(answered.keys() - found.keys()),
        "of nobody": len(found.keys() - answered.keys()),
        "doubled": sum(times > 1 for times in (*found.values(), *places.values())),
        "with another answer": sum(answers.get(key, one) != one for key, one in answered.items()),
    }
    tally.faults += [f"{folder.name}: {n} votes {what}" for what, n in faults.items() if n]
    tally.faults += [f"{folder.name}: {line}" for voter in voters for line in voter.wrong]
