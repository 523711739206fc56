"""Servers that draw, on this computer: written from the routes of ComfyUI, A1111 and OpenAI.

Each draws noise that depends on prompt and seed, in steps, and keeps what it was asked. Where the
environment names the real programs, the same tests run with them too; see `conftest.py`.
"""

import base64
import hashlib
import io
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import fastapi
import numpy as np
import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse
from PIL import Image


def noise(*told: Any, width: int = 64, height: int = 64) -> Image.Image:
    """A picture of noise, seeded by the arguments."""
    digest = hashlib.sha256(repr(told).encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


class Fake:
    """What the servers have in common.

    Attributes:
        drawn: prompt and seed of each picture that was drawn to its end.
        asked: what was asked for.
        headers: of each request.
        step_s: seconds of a step.
        forgets: whether seeds are not held.
    """

    def __init__(self) -> None:
        self.drawn: list[tuple[str, int]] = []
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.step_s, self.forgets = 0.0, False
        self.url = ""
        self.app = FastAPI()

        @self.app.middleware("http")
        async def note(request: fastapi.Request, call: Callable[..., Any]) -> Any:
            self.headers.append(dict(request.headers))
            return await call(request)

    def image(self, prompt: str, seed: int, *told: Any, **size: int) -> Image.Image:
        self.drawn.append((prompt, seed))
        return noise(prompt, time.time_ns() if self.forgets else seed, *told, **size)


class FakeComfyUI(Fake):
    """ComfyUI's queue, history and websocket (`server.py` and `execution.py` of 0.3.64)."""

    kinds: ClassVar[dict[str, Any]] = {
        "DrawsLoader": {"ckpt_name": [["tiny.safetensors", "other.safetensors"]]},
        "DrawsText": {"text": ["STRING", {}]},
        "EmptyLatentImage": {},
        "DrawsSampler": {"sampler_name": ["COMBO", {"options": ["euler", "heun"]}]},
        "SaveImage": {},
    }

    def __init__(self) -> None:
        super().__init__()
        self.pending: list[tuple[str, dict[str, Any]]] = []
        self.running: tuple[str, dict[str, Any]] | None = None
        self.history: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}
        self.interrupted, self.ended = threading.Event(), threading.Event()
        self.messages: dict[str, list[dict[str, Any]]] = {}
        self.clients: dict[str, str] = {}  # by job
        self.knows_ids = self.has_sockets = True
        self.lost = 0  # jobs that are forgotten
        threading.Thread(target=self._work, daemon=True).start()
        self._routes()

    def _routes(self) -> None:
        app = self.app

        @app.get("/system_stats")
        def stats() -> Any:
            return {"system": {"comfyui_version": "0.3.64"}}

        @app.get("/object_info/{kind}")
        def info(kind: str) -> Any:
            known = self.kinds.get(kind)
            about = {"input": {"required": known}, "output_node": kind.startswith("SaveImage")}
            return {} if known is None else {kind: about}

        @app.post("/prompt")
        def queue(body: dict[str, Any]) -> Any:
            self.asked.append(body)
            if any("invalid" in str(node) for node in body["prompt"].values()):
                found = {"message": "Value not valid", "details": "text"}
                return JSONResponse(
                    {
                        "error": {"message": "Prompt outputs failed validation"},
                        "node_errors": {"2": {"class_type": "DrawsText", "errors": [found]}},
                    },
                    400,
                )
            id = str(body.get("prompt_id")) if self.knows_ids else str(uuid.uuid4())
            self.clients[id] = body["client_id"]
            if self.lost:
                self.lost -= 1
            else:
                self.pending.append((id, body["prompt"]))
            return {"prompt_id": id, "number": 1, "node_errors": {}}

        @app.get("/queue")
        def queued() -> Any:
            running = [self.running] if self.running else []
            return {
                "queue_running": [[0, id, graph, {}, []] for id, graph in running],
                "queue_pending": [[0, id, graph, {}, []] for id, graph in self.pending],
            }

        @app.post("/queue")
        def change(body: dict[str, Any]) -> Any:
            self.pending = [item for item in self.pending if item[0] not in body["delete"]]
            return {}

        @app.post("/interrupt")
        def interrupt() -> Any:
            self.interrupted.set()
            return {}

        @app.post("/history")
        def forget(body: dict[str, Any]) -> Any:
            for id in body["delete"]:
                self.history.pop(id, None)
            return {}

        @app.get("/history/{id}")
        def record(id: str) -> Any:
            return {id: self.history[id]} if id in self.history else {}

        @app.get("/view")
        def view(filename: str) -> Any:
            if filename not in self.files:
                return JSONResponse({}, 404)
            return fastapi.Response(self.files[filename], media_type="image/png")

        @app.websocket("/ws")
        async def socket(socket: WebSocket) -> None:
            if not self.has_sockets:
                await socket.close()
                return
            import asyncio

            await socket.accept()
            sent, waiting = 0, self.messages.setdefault(socket.query_params["clientId"], [])
            await socket.send_bytes(b"preview")
            try:
                while True:
                    while sent < len(waiting):
                        await socket.send_json(waiting[sent])
                        sent += 1
                    await asyncio.sleep(0.005)
            except (WebSocketDisconnect, RuntimeError):
                pass

    def _work(self) -> None:
        while not self.ended.wait(0.005):
            if not self.pending:
                continue
            self.running = id, graph = self.pending.pop(0)
            self.interrupted.clear()
            self.history[id] = self._drawn(id, graph)
            self.running = None
            end = "success" if self.history[id]["status"]["status_str"] == "success" else "error"
            self._say(id, f"execution_{end}", {"prompt_id": id})

    def _say(self, id: str, kind: str, data: dict[str, Any]) -> None:
        client = self.clients.get(id, "")
        self.messages.setdefault(client, []).append({"type": kind, "data": data})

    def _drawn(self, id: str, graph: dict[str, Any]) -> dict[str, Any]:
        inputs = {node["class_type"]: node["inputs"] for node in graph.values()}
        sampler, size = inputs["DrawsSampler"], inputs["EmptyLatentImage"]
        texts = [graph[sampler[side][0]]["inputs"]["text"] for side in ("positive", "negative")]

        def failed(*messages: Any) -> dict[str, Any]:
            return {"outputs": {}, "status": {"status_str": "error", "messages": messages}}

        if "forbidden" in texts[0]:
            why = {"node_type": "DrawsText", "exception_message": "it cannot be\nencoded"}
            return failed(["execution_error", why])
        for step in range(sampler["steps"]):
            data: dict[str, Any] = {
                "value": step + 1,
                "max": sampler["steps"],
                "prompt_id": id,
                "node": "5",
            }
            self._say(id, "progress", data)
            if self.interrupted.wait(self.step_s):
                return failed(["execution_interrupted", {}])
        settings = sampler["steps"], sampler["cfg"], texts[1]
        name = f"{len(self.files)}.png"
        self.files[name] = png(
            self.image(
                texts[0], sampler["seed"], settings, width=size["width"], height=size["height"]
            )
        )
        image = {"filename": name, "subfolder": "", "type": "output"}
        return {
            "outputs": {"6": {"images": [image]}},
            "status": {"status_str": "success", "messages": []},
        }


class FakeA1111(Fake):
    """A1111's API (`modules/api/api.py` and its models, as Forge has them)."""

    def __init__(self) -> None:
        super().__init__()
        self.step = self.steps = 0
        self.lock, self.interrupted = threading.Lock(), threading.Event()
        self.task: str | None = None
        self.knows_tasks, self.format = True, "PNG"
        app = self.app

        @app.get("/sdapi/v1/sd-models")
        def models() -> Any:
            names = ("tiny", "other")
            return [
                {"title": f"{name}.safetensors [{n}23456789a]", "model_name": name,
                 "hash": f"{n}23456789a", "sha256": f"{n}23456789a" + "0" * 54,
                 "filename": f"/models/Stable-diffusion/{name}.safetensors", "config": None}
                for n, name in enumerate(names)
            ]  # fmt: skip

        @app.get("/sdapi/v1/options")
        def options() -> Any:
            return {"sd_model_checkpoint": "other.safetensors [123456789a]"}

        @app.get("/sdapi/v1/samplers")
        def samplers() -> Any:
            return [
                {"name": "Euler a", "aliases": ["k_euler_a"], "options": {}},
                {"name": "DPM++ 2M", "aliases": ["k_dpmpp_2m"], "options": {}},
            ]

        @app.get("/sdapi/v1/schedulers")
        def schedulers() -> Any:
            return [{"name": "karras", "label": "Karras"}, {"name": "simple", "label": "Simple"}]

        @app.get("/sdapi/v1/progress")
        def progress() -> Any:
            share = self.step / self.steps if self.steps else 0
            return {"progress": share, "eta_relative": 0, "state": {}, "current_image": None}

        @app.post("/internal/progress")
        def of_task(body: dict[str, Any]) -> Any:
            if not self.knows_tasks:
                return JSONResponse({"detail": "Not Found"}, 404)
            active = body["id_task"] == self.task
            queued = not active and self.asked[-1]["force_task_id"] == body["id_task"]
            return {"active": active, "queued": queued, "completed": False}

        @app.post("/sdapi/v1/interrupt")
        def interrupt() -> Any:
            self.interrupted.set()
            return {}

        @app.post("/sdapi/v1/txt2img")
        def draw(body: dict[str, Any]) -> Any:
            self.asked.append(body)
            with self.lock:
                self.task, self.step, self.steps = body["force_task_id"], 0, body.get("steps", 20)
                self.interrupted.clear()
                while self.step < self.steps and not self.interrupted.wait(self.step_s):
                    self.step += 1
                size: dict[str, int] = {
                    "width": body.get("width", 64),
                    "height": body.get("height", 64),
                }
                told = body["negative_prompt"], body["override_settings"], self.steps
                if self.step < self.steps:
                    image = noise("half", **size)
                else:
                    image = self.image(body["prompt"], body["seed"], told, **size)
                self.task, self.steps = None, 0
            info = (
                '{"steps": 20, "cfg_scale": 7.0, "sampler_name": "Euler", "width": 64, '
                '"height": 64, "sd_model_hash": "123456789a"}'
            )
            data = io.BytesIO()
            image.save(data, self.format)
            return {"images": [base64.b64encode(data.getvalue()).decode()], "parameters": {},
                    "info": info}  # fmt: skip


class FakeImages(Fake):
    """An endpoint with `/v1/images/generations`.

    Attributes:
        respond: what answers in place of a picture; None for a picture.
        refuses: fields that it does not know.
    """

    def __init__(self) -> None:
        super().__init__()
        self.respond: Callable[[dict[str, Any]], Any] = lambda body: None
        self.refuses: tuple[str, ...] = ()
        self.models: Any = {"data": [{"id": "tiny"}]}
        app = self.app

        @app.get("/v1/models")
        def models() -> Any:
            return self.models

        @app.get("/pictures/{name}")
        def picture(name: str) -> Any:
            return fastapi.Response(png(noise(name)), media_type="image/png")

        @app.post("/v1/images/generations")
        def draw(body: dict[str, Any]) -> Any:
            self.asked.append(body)
            for name in self.refuses:
                if name in body:
                    return JSONResponse({"error": {"message": f"Unknown parameter: '{name}'"}}, 400)
            if (answer := self.respond(body)) is not None:
                return answer
            width, height = map(int, body.get("size", "64x64").split("x"))
            seed = body.get("seed", 0)
            image = self.image(body["prompt"], seed, width=width, height=height)
            return {"data": [{"b64_json": base64.b64encode(png(image)).decode()}]}


@contextmanager
def serving(fake: Fake, port: int = 0) -> Iterator[Fake]:
    """A server that answers until the end."""
    server = uvicorn.Server(
        uvicorn.Config(fake.app, port=port, log_level="critical", ws="websockets-sansio")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < end
        time.sleep(0.01)
    fake.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield fake
    finally:
        server.force_exit = server.should_exit = True
        thread.join(10)
