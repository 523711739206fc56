"""ComfyUI: a workflow queued, watched over its websocket, and its picture fetched.

A picture's id in the queue is made of its graph, so that a job that was killed finds what it asked
for in the queue or in the history, and nothing is drawn twice.
"""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from promptlift.endpoint import NoAnswer
from promptlift.errors import ConfigError, MissingExtraError, ModelError
from promptlift.illustrating.backend import Report
from promptlift.illustrating.config import IllustrationConfig
from promptlift.illustrating.records import Request
from promptlift.illustrating.servers.server import (
    Drawn,
    Refused,
    Watch,
    asked,
    checked,
    endpoint_of,
    image_of,
    missing,
    parsed,
    size_notes,
)
from promptlift.illustrating.servers.workflow import Graph, read_workflow

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

_IDS = uuid.UUID("6b0f3c6e-7d0c-4c5e-9a51-2f1b1c6a3d0e")
_POLL_S = 0.25
_ANSWER_S = 30.0  # to anything but drawing; a busy ComfyUI may take a while
_LOOK_S = 2.0  # without a message, after which the history is asked
_SUFFIXES = (".safetensors", ".ckpt", ".gguf", ".sft", ".pt")


class ComfyUI:
    """A ComfyUI as a `PictureServer`.

    Raises:
        ConfigError: the workflow lacks a place, or none is named.
        InputError: the workflow cannot be read.
        ModelError: ComfyUI does not answer, or lacks a node, model or sampler of the workflow.
        MissingExtraError: the extra `draw` is not installed.
    """

    holds_seeds: bool | None
    _output: str | None
    _left: set[str] | None  # ids in the queue at the beginning

    def __init__(self, config: IllustrationConfig, report: Report) -> None:
        try:
            import websockets.sync.client  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("Drawing with ComfyUI", "draw") from error
        self._config, self._endpoint = config, endpoint_of(config)
        self._workflow = read_workflow(config)
        self.holds_seeds, self._left = None, None
        self._check(asked(self._endpoint, "/system_stats", "ComfyUI"))
        name = str(self._workflow.value("model") or "workflow")
        self.model = name.replace("\\", "/").rpartition("/")[2]
        for suffix in _SUFFIXES:
            self.model = self.model.removesuffix(suffix)

    def settings(self) -> dict[str, Any]:
        """See `PictureServer`; the workflow's hash is the model's."""
        value = self._workflow.value
        return {
            "scheduler": value("sampler"),
            "num_inference_steps": value("steps"),
            "guidance_scale": value("guidance"),
            "width": value("width"),
            "height": value("height"),
        }

    def parts(self) -> list[dict[str, str]]:
        """The model's name, and the workflow's hash, since ComfyUI tells none of its models."""
        return [{"name": self.model, "sha256": self._workflow.sha256}]

    def draw(self, request: Request, watch: Watch, *, anew: bool = False) -> Drawn:
        """See `PictureServer`."""
        graph = self._workflow.filled(request.prompt, request.seed, request.negative)
        id = self._id(graph)
        if anew:
            id = str(uuid.uuid4())
        elif (record := self._record(id)) is not None:
            if _state(record) == "success" and (found := self._kept(id)) is not None:
                return found
            # Otherwise it would be taken for the end of the new job of this id.
            self._post("/history", {"delete": [id]})
        deadline = time.monotonic() + self._config.timeout_s
        with self._listening(id) as socket:
            id = self._queue(id, graph)
            try:
                self._wait(id, socket, deadline, watch)
                return self._fetched(id)
            except BaseException:
                self._cancel(id)
                raise

    def _check(self, stats: Any) -> None:
        """Ask ComfyUI whether it has the workflow's nodes, and what they name."""
        if not (isinstance(stats, dict) and "system" in stats):
            raise ModelError(f"{self._endpoint.base} is no ComfyUI")
        known = {
            kind: asked(self._endpoint, f"/object_info/{quote(kind, safe='')}", "ComfyUI").get(kind)
            for kind in sorted(self._workflow.kinds)
        }
        for id, node in self._workflow.graph.items():
            kind = node["class_type"]
            if known[kind] is None:
                raise ModelError(
                    f"{self._endpoint.base} has no node {kind!r}, which the workflow's node {id} is"
                )
            for name, choices in _choices(known[kind]):
                value = node["inputs"].get(name)
                if isinstance(value, str) and choices and value not in choices:
                    raise missing(
                        f"{name} (node {id}, {kind})", value, choices, self._endpoint.base
                    )
        self._output = self._workflow.output or self._only_output(known)

    def _only_output(self, known: Mapping[str, Any]) -> str | None:
        """The node that gives the picture; None where none says that it gives one."""
        outputs = {
            id: node["class_type"]
            for id, node in self._workflow.graph.items()
            if known[node["class_type"]].get("output_node")
            and "image" in node["class_type"].lower()
        }
        saved = [id for id, kind in outputs.items() if "save" in kind.lower()] or list(outputs)
        if len(saved) > 1:
            named = " or ".join(f"{id} ({outputs[id]})" for id in saved)
            raise ConfigError(
                f"the picture may be that of node {named}; name it, as --place output={saved[0]}"
            )
        return saved[0] if saved else None

    def _id(self, graph: Graph) -> str:
        return str(uuid.uuid5(_IDS, json.dumps(graph, sort_keys=True)))

    def _post(self, path: str, body: Any) -> Any:
        return self._endpoint.within(_ANSWER_S).send("POST", path, body)

    def _get(self, path: str) -> Any:
        response = self._endpoint.within(_ANSWER_S).send("GET", path)
        return parsed(self._endpoint, checked(self._endpoint, response))

    def _kept(self, id: str) -> Drawn | None:
        """A picture that was drawn for this before, and that ComfyUI still has."""
        try:
            return self._fetched(id)
        except (NoAnswer, Refused):  # its file was removed
            return None

    def _record(self, id: str) -> Mapping[str, Any] | None:
        found = self._get(f"/history/{id}")
        record = found.get(id) if isinstance(found, dict) else None
        return record if isinstance(record, dict) else None

    def _queue(self, id: str, graph: Graph) -> str:
        """Queue a graph that is not queued yet; its id there."""
        if self._left is None:  # by a job that was killed
            self._left = set(self._queued())
        if id in self._left:
            self._left.discard(id)
            return id
        body = {"prompt": graph, "prompt_id": id, "client_id": id}
        response = self._post("/prompt", body)
        if response.status == 400:
            raise Refused(_complaint(response.data) or self._endpoint.said(response.data))
        answer = parsed(self._endpoint, checked(self._endpoint, response))
        if not (isinstance(answer, dict) and "prompt_id" in answer):
            raise NoAnswer("it queues nothing")
        return str(answer["prompt_id"])  # versions before 0.3.50 choose it themselves

    def _queued(self) -> dict[str, bool]:
        """What waits or is drawn, and whether it is drawn."""
        found = self._get("/queue")
        try:
            return {
                str(item[1]): name == "queue_running"
                for name in ("queue_pending", "queue_running")
                for item in found[name]
            }
        except (LookupError, TypeError) as error:
            raise NoAnswer("it does not say what is in its queue") from error

    @contextmanager
    def _listening(self, id: str) -> "Iterator[ClientConnection | None]":
        """The websocket on which ComfyUI tells how far it is; None where there is none."""
        from websockets.exceptions import InvalidHandshake, InvalidURI
        from websockets.sync.client import connect

        address = f"ws{self._endpoint.base.removeprefix('http')}/ws?clientId={id}"
        try:
            socket = connect(
                address,
                additional_headers=self._endpoint.credentials,
                open_timeout=10,
                close_timeout=0.2,
                max_size=None,  # previews
                proxy=None,
            )
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI):
            yield None  # a proxy between may know no websockets: the history tells the end
            return
        with socket:
            yield socket

    def _wait(
        self, id: str, socket: "ClientConnection | None", deadline: float, watch: Watch
    ) -> None:
        """Wait until a picture is there.

        Raises:
            NoAnswer: it does not come.
        """
        share, looked = 0.0, time.monotonic()
        while True:
            watch(share)
            if time.monotonic() > deadline:
                raise NoAnswer(f"no picture within {self._config.timeout_s:g} s")
            message = _next(socket)
            if message is None:
                if socket is None or time.monotonic() - looked > _LOOK_S:
                    looked = time.monotonic()
                    if self._has_ended(id):
                        return
                continue
            kind, data = message
            if data.get("prompt_id", id) != id:
                continue
            if kind == "progress" and data.get("max"):
                share = min(1.0, data.get("value", 0) / data["max"])
            elif kind in ("execution_success", "execution_error", "execution_interrupted") or (
                kind == "executing" and data.get("node") is None and "prompt_id" in data
            ):
                return

    def _has_ended(self, id: str) -> bool:
        if self._record(id) is not None:
            return True
        if id not in self._queued() and self._record(id) is None:
            raise NoAnswer("ComfyUI knows nothing of the picture any more: it was restarted, or "
                           "its queue was cleared")  # fmt: skip
        return False

    def _fetched(self, id: str) -> Drawn:
        """The picture of a job that has ended."""
        record = None
        for _ in range(20):  # the message comes a moment before the record
            if (record := self._record(id)) is not None:
                break
            time.sleep(0.05)
        if record is None:
            raise NoAnswer("ComfyUI has no record of the picture")
        if (state := _state(record)) != "success":
            raise _failure(record, state)
        file = self._file(record)
        if file is None:
            raise Refused("the workflow gave no picture; name the node that does: --place output=9")
        response = checked(self._endpoint, self._endpoint.send("GET", f"/view?{urlencode(file)}"))
        image = image_of(self._endpoint, response.data)
        return Drawn(image, size_notes(image, self._config))

    def _file(self, record: Mapping[str, Any]) -> dict[str, str] | None:
        """Where the picture is: that of the named output, else the first that was saved."""
        outputs = record.get("outputs") or {}
        named = self._output
        files = [
            image
            for node, output in outputs.items()
            if named in (None, node) and isinstance(output, dict)
            for image in output.get("images") or ()
            if isinstance(image, dict) and "filename" in image
        ]
        files.sort(key=lambda image: image.get("type") != "output")
        if not files:
            return None
        return {name: str(files[0].get(name, "")) for name in ("filename", "subfolder", "type")}

    def _cancel(self, id: str) -> None:
        """Take a job out of the queue, or end it."""
        with suppress(NoAnswer):
            self._post("/queue", {"delete": [id]})
            # Only where it is drawn: older versions would interrupt whatever is.
            if self._queued().get(id):
                self._post("/interrupt", {"prompt_id": id})


def _choices(info: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """The inputs of a node that have choices, from its `object_info`."""
    for inputs in (info.get("input") or {}).values():
        for name, known in inputs.items() if isinstance(inputs, dict) else ():
            kind = known[0] if isinstance(known, list) and known else None
            about = known[1] if kind and len(known) > 1 and isinstance(known[1], dict) else {}
            if any(name.endswith("_upload") for name in about):
                continue  # files in subfolders are taken too, and not listed
            if kind == "COMBO":
                kind = about.get("options")
            if isinstance(kind, list):
                yield name, [str(choice) for choice in kind]


def _next(socket: "ClientConnection | None") -> tuple[str, dict[str, Any]] | None:
    """The next message, waited for a moment; None where there is none."""
    from websockets.exceptions import ConnectionClosed

    if socket is None:
        time.sleep(_POLL_S)
        return None
    try:
        text = socket.recv(timeout=_POLL_S)
    except TimeoutError:
        return None
    except ConnectionClosed as error:
        raise NoAnswer("ComfyUI hung up") from error
    if isinstance(text, bytes):  # a preview
        return None
    try:
        message = json.loads(text)
        return str(message["type"]), dict(message.get("data") or {})
    except (ValueError, LookupError, TypeError):
        return None


def _state(record: Mapping[str, Any]) -> str:
    """How a job ended: "success", "error" or "interrupted"."""
    status = record.get("status") or {}
    if status.get("status_str", "success") == "success":
        return "success"
    kinds = [message[0] for message in status.get("messages") or () if message]
    return "interrupted" if "execution_interrupted" in kinds else "error"


def _failure(record: Mapping[str, Any], state: str) -> Exception:
    if state == "interrupted":
        return Refused("it was interrupted in ComfyUI")
    said = [
        f"{data.get('node_type')}: {data.get('exception_message')}"
        for kind, data in record["status"].get("messages") or ()
        if kind == "execution_error"
    ]
    line = " ".join("; ".join(said or ["ComfyUI does not say why"]).split())[:200]
    # A node that fails does so again, unless it lacked memory.
    return NoAnswer(line) if "memory" in line.lower() else Refused(line)


def _complaint(data: bytes) -> str:
    """What ComfyUI has against a graph, in a line."""
    try:
        answer = json.loads(data)
        lines = [
            f"{error['message']}: {error['details']} (node {id}, {node['class_type']})"
            for id, node in answer["node_errors"].items()
            for error in node["errors"]
        ]
        return "; ".join(lines)[:300] or str(answer["error"]["message"])
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
