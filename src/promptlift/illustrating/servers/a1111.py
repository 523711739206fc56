"""A1111, Forge and SD.Next: `/sdapi/v1/txt2img`, with progress and interrupt."""

import base64
import binascii
import json
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import PureWindowsPath
from typing import Any

from promptlift.endpoint import NoAnswer
from promptlift.errors import ModelError
from promptlift.illustrating.backend import Report
from promptlift.illustrating.config import IllustrationConfig
from promptlift.illustrating.records import Request
from promptlift.illustrating.servers.server import (
    Drawn,
    Watch,
    asked,
    awaited,
    checked,
    endpoint_of,
    given_settings,
    image_of,
    missing,
    parsed,
    size_notes,
)

_API = "/sdapi/v1"
_KIND = "A1111, Forge or SD.Next with its API on (--api)"
_ANSWER_S = 10.0
_ASK_S = 1.0  # SD.Next refuses clients that ask too often
_PNG = b"\x89"
_LOSSY = (
    "the server sends compressed pictures; in its settings choose PNG as the format of images "
    "(samples_format), so that nothing is lost before they are scored"
)
# What the answer's `info` calls how it drew.
_TOLD = {
    "num_inference_steps": "steps", "guidance_scale": "cfg_scale", "scheduler": "sampler_name",
    "width": "width", "height": "height", "model_hash": "sd_model_hash",
}  # fmt: skip


class A1111:
    """A server with A1111's API as a `PictureServer`.

    The model that draws is sent with each picture, so that choosing another one in the browser
    changes nothing in the middle of a run.

    Raises:
        ModelError: it does not answer, or lacks the model or sampler.
        MissingExtraError: the extra `draw` is not installed.
    """

    holds_seeds: bool | None

    def __init__(self, config: IllustrationConfig, report: Report) -> None:
        self._config, self._endpoint, self.holds_seeds = config, endpoint_of(config), None
        self._report, self._said_lossy = report, False
        self._model = self._find_model(config.model)
        self.model = self._name.replace("\\", "/").rpartition("/")[2]
        if config.sampler is not None:
            self._check_sampler(config.sampler)

    def settings(self) -> dict[str, Any]:
        """See `PictureServer`."""
        return {"scheduler": self._config.sampler, **given_settings(self._config)}

    def parts(self) -> list[dict[str, str]]:
        """The checkpoint's name; its hash is known only once it has been loaded, and told then."""
        return [{"name": self.model, "sha256": ""}]

    def draw(self, request: Request, watch: Watch, *, anew: bool = False) -> Drawn:
        """See `PictureServer`."""
        task = f"task(promptlift-{uuid.uuid4().hex[:12]})"
        body = self._body(request, task)

        def ask() -> Any:
            return self._endpoint.send("POST", f"{_API}/txt2img", body)

        response = awaited(ask, self._watched(watch, task))
        answer = parsed(self._endpoint, checked(self._endpoint, response))
        try:
            data = base64.b64decode(answer["images"][0].rpartition(",")[2])
        except (LookupError, TypeError, AttributeError, binascii.Error) as error:
            said = self._endpoint.said(json.dumps(answer).encode()[:200])[:80]
            raise NoAnswer(f"no picture but: {said}") from error
        if data[:1] != _PNG and not self._said_lossy:
            self._said_lossy = True
            self._report(_LOSSY)
        image = image_of(self._endpoint, data)
        return Drawn(image, size_notes(image, self._config), self._told(answer))

    @property
    def _name(self) -> str:
        """The checkpoint as the server takes it; its title changes once it has been loaded."""
        return str(self._model.get("model_name") or self._model.get("title") or "model")

    def _body(self, request: Request, task: str) -> dict[str, Any]:
        config = self._config
        given = {
            "steps": config.num_inference_steps, "cfg_scale": config.guidance_scale,
            "width": config.width, "height": config.height, "sampler_name": config.sampler,
        }  # fmt: skip
        return {
            "prompt": request.prompt,
            "negative_prompt": request.negative or "",
            "seed": request.seed,
            "batch_size": 1,
            "n_iter": 1,
            "save_images": False,
            "send_images": True,
            "force_task_id": task,
            "override_settings": {"sd_model_checkpoint": self._name} if self._model else {},
            # Restoring would load the other model after each picture.
            "override_settings_restore_afterwards": False,
            **{name: value for name, value in given.items() if value is not None},
        }

    def _watched(self, watch: Watch, task: str) -> Callable[[], None]:
        """Tells the share that is drawn, and interrupts the server where `watch` raises."""
        share, asked_at = 0.0, 0.0

        def look() -> None:
            nonlocal share, asked_at
            if time.monotonic() - asked_at > _ASK_S:
                asked_at = time.monotonic()
                with suppress(NoAnswer):
                    share = self._share()
            try:
                watch(share)
            except BaseException:
                self._interrupt(task)
                raise

        return look

    def _share(self) -> float:
        path = f"{_API}/progress?skip_current_image=true"
        answer = parsed(self._endpoint, self._endpoint.within(_ANSWER_S).send("GET", path))
        with suppress(LookupError, TypeError, ValueError):
            return min(1.0, max(0.0, float(answer["progress"])))
        return 0.0

    def _interrupt(self, task: str) -> None:
        """End our picture; one that another waits for goes on where the server tells them apart."""
        with suppress(NoAnswer):
            body = {"id_task": task, "live_preview": False}
            quick = self._endpoint.within(_ANSWER_S)
            response = quick.send("POST", "/internal/progress", body)
            with suppress(NoAnswer, AttributeError):
                # SD.Next knows no tasks of its API, so that neither is true there.
                state = parsed(self._endpoint, response)
                if state.get("queued") and not state.get("active"):
                    return
            quick.send("POST", f"{_API}/interrupt")

    def _find_model(self, name: str) -> dict[str, Any]:
        """The checkpoint of a name; without one, that which is loaded."""
        models = asked(self._endpoint, f"{_API}/sd-models", _KIND)
        if not (isinstance(models, list) and all(isinstance(item, dict) for item in models)):
            raise ModelError(f"{self._endpoint.base} is no {_KIND}")
        wanted: Any = name
        if not wanted:
            options = asked(self._endpoint, f"{_API}/options", _KIND)
            wanted = options.get("sd_model_checkpoint") if isinstance(options, dict) else None
        for model in models:
            file = PureWindowsPath(str(model.get("filename", "")))  # which splits at both slashes
            if wanted in (model.get("title"), model.get("model_name"), file.name, file.stem):
                return dict(model)
        if name:
            names = [str(model.get("model_name")) for model in models]
            raise missing("model", name, names, self._endpoint.base)
        return {}

    def _check_sampler(self, name: str) -> None:
        samplers = asked(self._endpoint, f"{_API}/samplers", _KIND)
        names = [str(one["name"]) for one in samplers]
        aliases = [str(alias) for one in samplers for alias in one.get("aliases") or ()]
        wanted, known = name.casefold(), {one.casefold() for one in (*names, *aliases)}
        # "DPM++ 2M Karras" names sampler and scheduler.
        both = {f"{one} {scheduler}" for one in known for scheduler in self._schedulers()}
        if wanted not in known | both:
            raise missing("sampler", name, names, self._endpoint.base)

    def _schedulers(self) -> set[str]:
        with suppress(NoAnswer, TypeError, AttributeError):
            response = self._endpoint.within(_ANSWER_S).send("GET", f"{_API}/schedulers")
            if response.status != 200:  # older servers, and SD.Next, have none
                return set()
            listed = parsed(self._endpoint, response)
            return {str(one.get(name)).casefold() for one in listed for name in ("name", "label")}
        return set()

    def _told(self, answer: dict[str, Any]) -> dict[str, Any]:
        """What the server chose itself."""
        try:
            info = json.loads(answer["info"])
            mine = self.settings()
            return {
                name: info[theirs]
                for name, theirs in _TOLD.items()
                if mine.get(name) is None and isinstance(info.get(theirs), int | float | str)
            }
        except (ValueError, LookupError, TypeError, AttributeError):
            return {}
