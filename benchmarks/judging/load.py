"""How fast a vote is answered: raters who each vote once a second, against the real command.

    python -m benchmarks.judging.load [--raters 50] [--seconds 30] [--output results.json]

Prints the median and the 99th percentile of a vote's time, and of a picture's, in milliseconds,
and compares the votes in the file with those that were answered.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from promptlift.judging.collecting.study import Study
from tests.judging.runs import draw_run


async def rate(link: str, seconds: float, start: float, times: dict[str, list[float]]) -> int:
    """One rater: a vote a second, and the pictures that the page would load ahead."""
    async with httpx.AsyncClient(base_url=link, timeout=30) as client:
        state = (await client.get("state")).json()
        begin = time.monotonic() + start
        number = 0
        while number < seconds and state["question"] is not None:
            await asyncio.sleep(max(0.0, begin + number - time.monotonic()))
            body = {
                "position": state["position"],
                "question": state["question"],
                "answer": ("left", "right", "tie")[number % 3],
                "seconds": 1.0,
                "key": f"{link[-12:]}{number:06d}",
            }
            began = time.perf_counter()
            response = await client.post("votes", json=body)
            times["vote"].append(time.perf_counter() - began)
            assert response.status_code == 200, response.text
            state = response.json()
            for address in state["ahead"][-2:]:
                began = time.perf_counter()
                (await client.get(address)).raise_for_status()
                times["picture"].append(time.perf_counter() - began)
            number += 1
        return number


async def load(links: list[str], seconds: float) -> tuple[dict[str, list[float]], int]:
    times: dict[str, list[float]] = {"vote": [], "picture": []}
    raters = [rate(link, seconds, place / len(links), times) for place, link in enumerate(links)]
    return times, sum(await asyncio.gather(*raters))


def measure(raters: int, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        run = draw_run(Path(folder) / "run", int(seconds) + 10)
        names = ",".join(f"rater{number}" for number in range(raters))
        line = [
            sys.executable, "-m", "promptlift", "judge", str(run), "--raters", names,
            "--per-pair", str(raters), "--questions", "picture", "--no-open",
        ]  # fmt: skip
        with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            links = [server.stdout.readline().split()[1] for _ in range(raters)]
            times, given = asyncio.run(load(links, seconds))
            server.terminate()
        votes = Study.open([run], None).store.votes()
        assert len(votes) == given, f"{given} votes answered, {len(votes)} in the file"
    return {
        "raters": raters,
        "votes": given,
        **{
            f"{kind}_ms": {
                "median": round(1000 * float(np.median(found)), 1),
                "p99": round(1000 * float(np.quantile(found, 0.99)), 1),
                "max": round(1000 * max(found), 1),
            }
            for kind, found in times.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--raters", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    text = json.dumps(measure(given.raters, given.seconds), indent=2)
    print(text)
    if given.output:
        given.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
