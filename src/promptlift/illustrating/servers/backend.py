"""A server as a `PictureBackend`: patient, several pictures at once, and cancelled with the job."""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from multiprocessing.pool import AsyncResult, ThreadPool
from pathlib import Path
from typing import Any

from promptlift.endpoint import NoAnswer, is_local
from promptlift.errors import ConfigError, ModelError
from promptlift.illustrating.backend import OnProgress, Report
from promptlift.illustrating.config import IllustrationConfig
from promptlift.illustrating.records import DrawnPicture, Refusal, Request
from promptlift.illustrating.servers.a1111 import A1111
from promptlift.illustrating.servers.comfyui import ComfyUI
from promptlift.illustrating.servers.openai_images import OpenAIImages
from promptlift.illustrating.servers.server import Drawn, PictureServer, Refused, Watch

_KINDS: dict[str, Callable[[IllustrationConfig, Report], PictureServer]] = {
    "comfyui": ComfyUI,
    "a1111": A1111,
    "openai": OpenAIImages,
}
_MAX_FAILURES = 10  # prompts in succession, after which the server is taken to be broken
_DOWN_S = 60.0  # for each attempt: a server that is restarted loads its models
_LONGEST_BACKOFF_S, _LONGEST_WAIT_S = 60.0, 600.0
_WAIT_S = 0.1
_LOOK_S = 1.0  # between two looks whether a server is back
_GOODBYE_S = 10.0  # for cancelling what the server draws


class _Stopped(Exception):
    """Nobody waits for the pictures any more."""


def open_server(config: IllustrationConfig, report: Report) -> "ServerBackend":
    """The server of a config, once it was asked whether it has what it is to draw with.

    Raises:
        ConfigError: a setting is wrong or missing.
        ModelError: the server does not answer, or lacks a model, sampler or node.
        MissingExtraError: packages are missing.
    """
    if config.offline and not is_local(config.server_url):
        raise ConfigError(f"--offline uses no network, and {config.server_url} is elsewhere")
    return ServerBackend(_KINDS[config.backend](config, report), config, report)


class ServerBackend:
    """A server that draws, asked for `batch_size` pictures at once.

    A request that fails is repeated with growing pauses, and a server that is not there is waited
    for. A picture that is refused, or fails each time, is a `Refusal`; many in succession are an
    error.

    Args:
        server: the server.
        config: the settings.
        report: called with a line for each request that is repeated.
        uniform: draws from [0, 1) the jitter of the pauses.
    """

    def __init__(
        self,
        server: PictureServer,
        config: IllustrationConfig,
        report: Report = lambda line: None,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._server, self._config, self._report, self._uniform = server, config, report, uniform
        self.name, self.device = server.model, config.backend
        self.batch_size = config.batch_size or 1
        self.on_progress: OnProgress | None = None
        self._lock, self._failed = threading.Lock(), set[str]()  # prompts since the last picture

    @property
    def holds_seeds(self) -> bool | None:
        """See `PictureBackend`."""
        return self._server.holds_seeds

    @holds_seeds.setter
    def holds_seeds(self, value: bool | None) -> None:
        self._server.holds_seeds = value

    def draw_all(self, requests: Iterable[Request]) -> Iterator[DrawnPicture | Refusal]:
        """Draw pictures in their order; those that are under way are cancelled at the end.

        Raises:
            ModelError: the server fails.
        """
        yield from self._draw_all(requests, anew=False)

    def draw_anew(self, request: Request) -> DrawnPicture | Refusal:
        """A picture that the server may have drawn before, drawn again."""
        [found] = self._draw_all([request], anew=True)
        return found

    def settings(self) -> dict[str, Any]:
        """See `PictureBackend`."""
        return {
            "backend": self._config.backend,
            **self._server.settings(),
            "negative": self._config.negative,
        }

    def describe_model(self, cache: Path | None, report: Report) -> list[dict[str, str]]:
        """As the server tells it."""
        return self._server.parts()

    def _draw_all(
        self, requests: Iterable[Request], *, anew: bool
    ) -> Iterator[DrawnPicture | Refusal]:
        iterator, stop = iter(requests), threading.Event()
        under_way: deque[AsyncResult[DrawnPicture | Refusal]] = deque()
        shares: deque[float] = deque([0.0], maxlen=1)
        # Daemons, unlike the threads of an executor: none holds up an exit.
        with ThreadPool(self.batch_size) as pool:

            def watch(share: float) -> None:
                shares.append(share)
                if stop.is_set():
                    raise _Stopped

            try:
                while True:
                    for request in islice(iterator, self.batch_size - len(under_way)):
                        job = pool.apply_async(self._patiently, (request, watch, stop, anew))
                        under_way.append(job)
                    if not under_way:
                        return
                    while not under_way[0].ready():
                        under_way[0].wait(_WAIT_S)
                        if self.on_progress is not None:
                            self.on_progress(shares[-1])
                    yield under_way.popleft().get()
                    shares.append(0.0)
            finally:
                stop.set()
                end = time.monotonic() + _GOODBYE_S
                for job in under_way:
                    job.wait(max(0.0, end - time.monotonic()))

    def _patiently(
        self, request: Request, watch: Watch, stop: threading.Event, anew: bool
    ) -> DrawnPicture | Refusal:
        """A picture, asked for until it comes."""
        trouble, attempt, down_since = "", 0, 0.0
        while attempt < self._config.attempts:
            began = time.perf_counter()
            try:
                watch(0.0)
                drawn = self._server.draw(request, watch, anew=anew)
            except Refused as error:
                trouble = str(error)
                break
            except NoAnswer as error:
                trouble, wait_s = str(error), error.wait_s
                if error.is_down and not down_since:
                    down_since = began
                    self._report(f"{self._config.server_url} is gone; waiting until it is back")
                waited_s = began - down_since
                if error.is_down and waited_s < _DOWN_S * self._config.attempts:
                    stop.wait(_LOOK_S)
                    continue
                if error.is_down:
                    raise ModelError(f"{self._config.server_url}: {trouble}") from error
            else:
                with self._lock:
                    self._failed.clear()
                return _picture(request, drawn, time.perf_counter() - began)
            down_since = 0.0
            attempt += 1
            if wait_s > _LONGEST_WAIT_S or attempt == self._config.attempts:
                break
            pause = min(2.0 ** (attempt - 1), _LONGEST_BACKOFF_S) * (0.5 + self._uniform() / 2)
            pause = max(wait_s, pause)
            self._report(f"{self._config.server_url}: {trouble}; asking again in {pause:.1f} s")
            stop.wait(pause)
        with self._lock:
            self._failed.add(request.prompt)
            broken = len(self._failed) >= _MAX_FAILURES
        if broken:
            raise ModelError(f"{self._config.server_url} draws nothing any more: {trouble}")
        return Refusal(request, trouble)


def _picture(request: Request, drawn: Drawn, seconds: float) -> DrawnPicture:
    return DrawnPicture(
        image=drawn.image,
        request=request,
        seconds=seconds,
        cut_tokens=None,  # how a server reads a prompt is not known
        notes=drawn.notes,
        told=drawn.told,
    )
