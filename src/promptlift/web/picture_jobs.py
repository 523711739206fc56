"""Picture jobs: drawn one by one in a thread, told how far they are, cancelled between steps.

Jobs and their pictures are in memory: they end with the server, and the oldest make room.
"""

import logging
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlift.errors import InputError, MissingExtraError, PromptliftError
from promptlift.records import Improvement
from promptlift.web.batcher import Full
from promptlift.web.logs import describe
from promptlift.world.bundle import drawing_notice

if TYPE_CHECKING:
    from promptlift.illustrating.illustrator import Illustrator
    from promptlift.illustrating.pictures import Picture

_log = logging.getLogger("promptlift.web")
KEPT = 16  # jobs whose pictures can still be fetched
_NEEDED = ("torch", "transformers", "diffusers", "PIL")
_LONGEST_RETRY_S = 600
_STOP_S = 10.0  # loading a model cannot be cancelled, and ends with the process


@dataclass(frozen=True)
class Drawn:
    """A picture of a job, as PNG with its receipt."""

    prompt: str
    seed: int
    png: bytes
    width: int
    height: int
    seconds: float
    cut: str
    notes: tuple[str, ...]


@dataclass(eq=False)
class Job:
    """Prompts to draw, each from the noise of each seed.

    Attributes:
        id: cannot be guessed.
        receipts: of each prompt, where it was improved.
        status: queued, running, done, failed or cancelled.
        step: denoising steps of the picture in hand.
        error: why it failed.
    """

    prompts: list[str]
    seeds: list[int]
    negative: str | None
    receipts: list[Improvement | None]
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    status: str = "queued"
    step: int = 0
    error: str | None = None
    pictures: list[Drawn] = field(default_factory=list)

    @property
    def total(self) -> int:
        return len(self.prompts) * len(self.seeds)


class PictureJobs:
    """A bounded queue of jobs and the one thread that draws.

    Args:
        model: preset, folder, file or Hub name; None where the server does not draw.
        load: loads it, when the first job comes.
        max_jobs: jobs that may wait.
    """

    def __init__(
        self, model: str | None, load: "Callable[[], Illustrator]", *, max_jobs: int
    ) -> None:
        self.model, self._load, self._max_jobs = model, load, max_jobs
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._queue: deque[Job] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._illustrator: Illustrator | None = None
        self._origin: list[dict[str, str]] = []
        self._seconds = 10.0  # that a picture takes; a guess until the first is drawn

    @property
    def name(self) -> str | None:
        """The model's name, without the folder that it is in."""
        if self.model is None:
            return None
        return Path(self.model).name if Path(self.model).exists() else self.model

    @property
    def notice(self) -> str | None:
        """What is always said of the model's pictures."""
        return drawing_notice("--image-model") if self.model == "pocket" else None

    @property
    def steps(self) -> int | None:
        """Denoising steps of a picture, once the model is loaded."""
        return self._illustrator.config.num_inference_steps if self._illustrator else None

    def why_not(self) -> str | None:
        """Why nothing can be drawn, if so."""
        if self.model is None:
            return "this server draws no pictures: it was started without an image model"
        if any(find_spec(name) is None for name in _NEEDED):
            return str(MissingExtraError("Drawing pictures", "illustrate"))
        return None

    def put(self, job: Job) -> None:
        """Queue a job.

        Raises:
            Full: as many wait as may.
        """
        with self._changed:
            if len(self._queue) >= self._max_jobs:
                seconds = sum(waiting.total for waiting in self._queue) * self._seconds
                raise Full(min(max(1, int(seconds)), _LONGEST_RETRY_S))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="draw", daemon=True)
                self._thread.start()
            self._jobs[job.id] = job
            self._queue.append(job)
            self._forget_old()
            self._changed.notify_all()

    def get(self, number: str) -> Job | None:
        """The job of an id."""
        return self._jobs.get(number)

    def wait(self, enough: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until jobs are as far as they should be; False where the time was too short.

        Args:
            enough: is asked after each step, and when a job has ended.
        """
        with self._changed:
            return self._changed.wait_for(enough, timeout_s)

    def drop(self, number: str) -> bool:
        """Cancel a job, and forget it and its pictures. False where there is none."""
        with self._changed:
            job = self._jobs.pop(number, None)
            if job is None:
                return False
            if job in self._queue:
                self._queue.remove(job)
            job.status = "cancelled"
            return True

    def stop(self) -> None:
        """Cancel all jobs, and wait a little until the thread has left the step it is at."""
        with self._changed:
            self._stopping = True
            for job in self._jobs.values():
                if job.status in ("queued", "running"):
                    job.status = "cancelled"
            self._queue.clear()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(_STOP_S)

    def _forget_old(self) -> None:
        over = [job for job in self._jobs.values() if job.status in ("done", "failed")]
        for job in over[: max(0, len(over) - KEPT)]:
            del self._jobs[job.id]

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._stopping)
                if self._stopping:
                    return
                job = self._queue.popleft()
                job.status = "running"
            began = time.monotonic()
            try:
                self._draw(job)
            except _Cancelled:
                pass
            except Exception as error:
                # A message may name files of this machine: the log has it, the caller a line.
                known = isinstance(error, PromptliftError)
                _log.error("picture job", extra={"fields": describe(error, told=known)})
                job.error = (
                    str(error)
                    if isinstance(error, InputError | MissingExtraError)
                    else "the pictures cannot be drawn; the server's log says why"
                )
                self._end(job, "failed")
            else:
                self._end(job, "done")
            _log.info(
                "picture job",
                extra={
                    "fields": {
                        "status": job.status,
                        "pictures": len(job.pictures),
                        "ms": round(1000 * (time.monotonic() - began)),
                    }
                },
            )

    def _end(self, job: Job, status: str) -> None:
        with self._changed:
            if job.status == "running":
                job.status = status
            self._forget_old()
            self._changed.notify_all()

    def _draw(self, job: Job) -> None:
        illustrator = self._loaded()

        def step() -> None:
            with self._changed:
                job.step += 1
                self._changed.notify_all()
            if job.status != "running":
                raise _Cancelled

        illustrator.on_step = step
        # By seed, then by prompt: what is to be compared is there together.
        for seed in job.seeds:
            for prompt, receipt in zip(job.prompts, job.receipts, strict=True):
                if job.status != "running":
                    raise _Cancelled
                picture = illustrator.draw(prompt, seed=seed, negative=job.negative)
                self._seconds += 0.3 * (picture.seconds - self._seconds)
                job.pictures.append(self._drawn(len(job.pictures), picture, receipt, illustrator))
                job.step = 0

    def _loaded(self) -> "Illustrator":
        if self._illustrator is None:
            illustrator = self._load()
            self._origin = illustrator.describe_model()
            self._illustrator = illustrator
        return self._illustrator

    def _drawn(
        self,
        index: int,
        picture: "Picture",
        receipt: Improvement | None,
        illustrator: "Illustrator",
    ) -> Drawn:
        from promptlift.illustrating.receipts import Drawing, png_bytes, unimproved

        request, (width, height) = picture.request, picture.image.size
        drawing = Drawing(
            prompt_index=index,
            seed=request.seed,
            side="original" if receipt is None else "improved",
            variant=None if receipt is None else receipt.variant,
            improvement=receipt or unimproved(request.prompt),
            negative=request.negative,
            settings=illustrator.settings(),
            model=self._origin,
        )
        return Drawn(
            prompt=request.prompt,
            seed=request.seed,
            png=png_bytes(drawing, picture),
            width=width,
            height=height,
            seconds=round(picture.seconds, 3),
            cut=picture.cut,
            notes=picture.notes,
        )


class _Cancelled(Exception):
    pass


def job_as_json(job: Job, model: str | None, steps: int | None) -> dict[str, Any]:
    """A job as plain JSON types; its pictures by address."""
    inside = min(job.step / steps, 1.0) if steps and job.status == "running" else 0.0
    return {
        "id": job.id,
        "status": job.status,
        "progress": round(min(1.0, (len(job.pictures) + inside) / job.total), 3),
        "total": job.total,
        "model": model,
        "negative": job.negative,
        "error": job.error,
        "pictures": [
            {
                "url": f"/v1/illustrate/{job.id}/pictures/{index}",
                "prompt": drawn.prompt,
                "seed": drawn.seed,
                "width": drawn.width,
                "height": drawn.height,
                "seconds": drawn.seconds,
                "cut": drawn.cut,
                "notes": list(drawn.notes),
            }
            for index, drawn in enumerate(list(job.pictures))
        ],
    }
