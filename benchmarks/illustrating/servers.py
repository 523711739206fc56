"""What drawing with a server costs beside asking it by hand, in milliseconds a picture.

    python -m benchmarks.illustrating.servers --backend comfyui --url URL --workflow FILE
    python -m benchmarks.illustrating.servers --backend a1111 --url URL

By hand is what one would write against the server's routes: queue, wait on the websocket, fetch;
or one POST. Each round draws the same number of new pictures in each way, in turns; the picture
model is the server's, and the smaller it is, the smaller is the noise. `job` writes PNG, receipts
and index too.
"""

import argparse
import base64
import io
import json
import statistics
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from PIL import Image

from promptlift import Illustrator
from promptlift.illustrating.config import IllustrationConfig
from promptlift.illustrating.job import IllustrationJob
from promptlift.illustrating.records import Request
from promptlift.illustrating.servers.workflow import Workflow, read_workflow
from promptlift.runs import Run

Prompts = list[tuple[str, int]]


def call(url: str, body: Any = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return bytes(answer.read())


def comfyui_by_hand(url: str, workflow: Workflow, prompts: Prompts) -> None:
    from websockets.sync.client import connect

    client = uuid.uuid4().hex
    with connect(f"ws{url.removeprefix('http')}/ws?clientId={client}", max_size=None) as socket:
        for prompt, seed in prompts:
            graph = workflow.filled(prompt, seed, None)
            id = json.loads(call(f"{url}/prompt", {"prompt": graph, "client_id": client}))[
                "prompt_id"
            ]
            while True:
                message = socket.recv()
                if isinstance(message, str):
                    found = json.loads(message)
                    if found["type"] == "execution_success" and found["data"]["prompt_id"] == id:
                        break
            while not (record := json.loads(call(f"{url}/history/{id}"))):
                pass
            image = next(out["images"][0] for out in record[id]["outputs"].values())
            Image.open(io.BytesIO(call(f"{url}/view?{urlencode(image)}"))).load()


def a1111_by_hand(url: str, size: int, prompts: Prompts) -> None:
    for prompt, seed in prompts:
        body = {"prompt": prompt, "seed": seed, "steps": 1, "width": size, "height": size}
        answer = json.loads(call(f"{url}/sdapi/v1/txt2img", body))
        Image.open(io.BytesIO(base64.b64decode(answer["images"][0]))).load()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", choices=["comfyui", "a1111"], required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--workflow")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    options = {"backend": asked.backend, "url": asked.url, "num_inference_steps": 1,
               "width": asked.size, "height": asked.size}  # fmt: skip
    if asked.workflow:
        options["workflow"] = asked.workflow
    illustrator = Illustrator.load(**options)

    def by_hand(prompts: Prompts) -> None:
        if asked.backend == "comfyui":
            workflow = read_workflow(IllustrationConfig.resolve(**options))
            comfyui_by_hand(asked.url, workflow, prompts)
        else:
            a1111_by_hand(asked.url, asked.size, prompts)

    def by_illustrator(prompts: Prompts) -> None:
        requests = (Request(prompt=prompt, seed=seed) for prompt, seed in prompts)
        for _ in illustrator.draw_all(requests):
            pass

    def by_job(prompts: Prompts) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "improvements.jsonl"
            seed = prompts[0][1]
            rows = [{"source": f"{prompt} {seed}", "prompt": f"{prompt} {seed}, lit"}
                    for prompt, _ in prompts[::2]]  # fmt: skip
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
            run = Run.open(Path(folder) / "run")
            illustrator.backend.holds_seeds = True
            for _ in IllustrationJob(run, path, illustrator.with_seeds(seed, 1)):
                pass

    ways: dict[str, Callable[[Prompts], None]] = {
        "by hand": by_hand, "Illustrator": by_illustrator, "job": by_job,
    }  # fmt: skip
    times: dict[str, list[float]] = {way: [] for way in ways}
    number = int(time.time()) * 1000
    for turn in range(asked.rounds + 1):
        for way in list(ways) if turn % 2 else list(ways)[::-1]:
            number += asked.pictures
            prompts = [(f"a cat, number {n}", number) for n in range(asked.pictures)]
            began = time.perf_counter()
            ways[way](prompts)
            if turn:  # the first warms up
                times[way].append((time.perf_counter() - began) / asked.pictures * 1000)
    for way, found in times.items():
        more = [one - other for one, other in zip(found, times["by hand"], strict=True)]
        print(
            f"{asked.backend} {asked.size}x{asked.size} {way}: {statistics.median(found):.1f} ms a "
            f"picture, {statistics.median(more):+.1f} ms ({min(more):+.1f} to {max(more):+.1f})"
        )


if __name__ == "__main__":
    main()
