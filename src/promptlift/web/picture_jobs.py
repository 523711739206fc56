"""Picture jobs: one thread draws them one by one; they report progress and can be cancelled.

Jobs and their pictures are in memory: they end with the server, and the oldest make room.
"""

import logging
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from promptlift.errors import InputError, MissingExtraError, PromptliftError
from promptlift.illustrating.config import IllustrationConfig
from promptlift.illustrating.servers.workflow import check_server
from promptlift.records import Improvement
from promptlift.web.batcher import Full
from promptlift.web.blending import NO_EMBEDDINGS, wanted
from promptlift.web.logs import describe
from promptlift.world.bundle import drawing_notice

if TYPE_CHECKING:
    from promptlift.illustrating.illustrator import Illustrator
    from promptlift.illustrating.records import DrawnPicture

_log = logging.getLogger("promptlift.web")
KEPT = 16  # finished jobs whose pictures can still be fetched
_HERE, _BY_SERVER = ("torch", "transformers", "diffusers", "PIL"), ("httpx", "websockets", "PIL")
_STOP_S = 10.0  # loading a model cannot be cancelled, and ends with the process
_Status = Literal["queued", "running", "done", "failed", "cancelled"]


class PictureOfJob(BaseModel):
    """A picture that is done."""

    url: str = Field(description="Where the PNG is.")
    prompt: str = Field(description="What was drawn, or what the way leads to.")
    share: float | None = Field(description="Of the way, where the request named shares.")
    seed: int
    width: int
    height: int
    seconds: float
    cut: str = Field(description="The end of the prompt that the image model did not read.")
    notes: list[str]


class JobState(BaseModel):
    """The progress of a job."""

    id: str
    status: _Status
    progress: float = Field(description="From 0 to 1.")
    total: int = Field(description="Number of pictures that the request asked for.")
    model: str | None
    embeddings: bool | None = Field(
        description="Whether the image model takes embeddings, so that `shares` can be asked for; "
        "null until it is loaded."
    )
    negative: str | None
    error: str | None
    pictures: list[PictureOfJob] = Field(description="The pictures that are done.")


class _Cancelled(Exception):
    pass


@dataclass(eq=False)
class Job:
    """Prompts to draw, each from the noise of each seed.

    Routes create jobs and cancel them; all else is written by the thread that draws.

    Attributes:
        receipts: the receipt of each prompt, None where it was not improved.
        shares: of the way from the first of two prompts to the second, which are drawn in place of
            the prompts; None for the prompts.
        id: cannot be guessed.
        cancelled: whether the thread is to leave the job.
        share: of the picture in hand that is drawn, from 0 to 1.
        error: why it failed.
        pngs: the files of `pictures`.
    """

    prompts: list[str]
    seeds: list[int]
    negative: str | None
    receipts: list[Improvement | None]
    shares: list[float] | None = None
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    status: _Status = "queued"
    cancelled: bool = False
    share: float = 0.0
    error: str | None = None
    pictures: list[PictureOfJob] = field(default_factory=list)
    pngs: list[bytes] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Pictures of the whole job."""
        return len(self.prompts if self.shares is None else self.shares) * len(self.seeds)

    @property
    def address(self) -> str:
        """The path of the job in the API."""
        return f"/v1/illustrate/{self.id}"

    def go_on(self) -> None:
        """Leave the job if it was cancelled."""
        if self.cancelled:
            raise _Cancelled


class PictureJobs:
    """The jobs that wait, run or are done, and the one thread that draws.

    Args:
        model: preset, folder, file or Hub name, or of a server that draws one of its models, ""
            for its own; None where nothing is drawn.
        drawing: fields of `IllustrationConfig`.
        max_jobs: jobs that may wait.

    Attributes:
        takes_embeddings: whether a job may have shares; None until the model is loaded.

    Raises:
        ConfigError: an option of drawing cannot be used.
        InputError: a workflow cannot be read.
    """

    def __init__(self, model: str | None, drawing: Mapping[str, Any], *, max_jobs: int) -> None:
        self.model, self._drawing, self._max_jobs = model, drawing, max_jobs
        self._config = IllustrationConfig.resolve(model, **drawing)
        self.takes_embeddings: bool | None = False if self._config.is_server else None
        if self._config.is_server:  # refuse wrong settings now; the server itself may start later
            check_server(self._config)
        # In the order in which they came. Two threads change it, each with one operation at a
        # time, and read it as a list, which is copied in one operation.
        self._jobs: dict[str, Job] = {}
        self._queue: SimpleQueue[Job | None] = SimpleQueue()  # None ends the thread
        self._thread = threading.Thread(target=self._work, name="draw", daemon=True)

    @property
    def name(self) -> str | None:
        """The model's name, without the folder that it is in."""
        if self.model is None:
            return None
        if self._config.is_server:
            return self.model or self._config.backend
        return Path(self.model).name if Path(self.model).exists() else self.model

    @property
    def notice(self) -> str | None:
        """What the API always says about the model's pictures."""
        return drawing_notice("--image-model") if self.model == "pocket" else None

    def why_not(self) -> str | None:
        """Why nothing can be drawn, if so."""
        if self.model is None:
            return "this server draws no pictures: it was started without an image model"
        needed, extra = (_BY_SERVER, "draw") if self._config.is_server else (_HERE, "illustrate")
        if any(find_spec(name) is None for name in needed):
            return str(MissingExtraError("Drawing pictures", extra))
        return None

    @property
    def waiting(self) -> int:
        """Jobs that have not begun."""
        return sum(job.status == "queued" for job in list(self._jobs.values()))

    def put(self, job: Job) -> None:
        """Queue a job.

        Raises:
            Full: too many jobs wait.
        """
        if self.waiting >= self._max_jobs:
            raise Full
        self._jobs[job.id] = job
        self._queue.put(job)
        if self._thread.ident is None:
            self._thread.start()

    def get(self, id: str) -> Job | None:
        """The job of an id."""
        return self._jobs.get(id)

    def drop(self, id: str) -> bool:
        """Cancel a job, and forget it and its pictures. False where there is none."""
        job = self._jobs.pop(id, None)
        if job is not None:
            job.cancelled = True
        return job is not None

    def stop(self) -> None:
        """Cancel all jobs, and wait a little until the thread has ended its step."""
        for id in list(self._jobs):
            self.drop(id)
        self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join(_STOP_S)

    def state(self, job: Job) -> JobState:
        """The progress of a job; its pictures by address."""
        done, running = list(job.pictures), job.status == "running"
        inside = job.share if running else 0.0
        return JobState(
            id=job.id,
            status=job.status,
            progress=round(min(1.0, (len(done) + inside) / job.total), 3),
            total=job.total,
            model=self.name,
            embeddings=self.takes_embeddings,
            negative=job.negative,
            error=job.error,
            pictures=done,
        )

    def _work(self) -> None:
        for job in iter(self._queue.get, None):
            if job.cancelled:
                continue
            self._run(job)
            ended = [one.id for one in list(self._jobs.values()) if one.status != "queued"]
            for id in ended[:-KEPT]:
                self._jobs.pop(id, None)

    def _run(self, job: Job) -> None:
        """Draw a job. An error goes to its caller, and the thread goes on."""
        began = time.monotonic()
        job.status = "running"
        try:
            self._draw(job)
            status: _Status = "done"
        except _Cancelled:
            status = "cancelled"
        except Exception as error:
            # A message may name files of this machine: the log has it, the caller a line.
            known = isinstance(error, PromptliftError)
            _log.error("picture job", extra={"fields": describe(error, told=known)})
            told = isinstance(error, InputError | MissingExtraError)
            hidden = "the pictures cannot be drawn; the server's log says why"
            job.error, status = str(error) if told else hidden, "failed"
        job.status = status
        took_ms = round(1000 * (time.monotonic() - began))
        fields = {"status": status, "pictures": len(job.pngs), "ms": took_ms}
        _log.info("picture job", extra={"fields": fields})

    def _draw(self, job: Job) -> None:
        illustrator, origin = self._loaded

        def progress(share: float) -> None:
            job.share = share
            job.go_on()

        illustrator.watch(progress)
        if job.shares is not None and not self.takes_embeddings:
            raise InputError(NO_EMBEDDINGS)
        places = wanted(illustrator, job.prompts, job.receipts, job.shares)
        # By seed, then by prompt: pictures that are to be compared come one after the other.
        for seed in job.seeds:
            for one in places:
                job.go_on()
                picture = illustrator.draw(
                    one.prompt, seed=seed, negative=job.negative, embedding=one.embedding
                )
                job.pngs.append(_png(len(job.pngs), picture, one.receipt, illustrator, origin))
                url = f"{job.address}/pictures/{len(job.pictures)}"
                job.pictures.append(_about(picture, one.share, url))
                job.share = 0.0

    @cached_property
    def _loaded(self) -> "tuple[Illustrator, list[dict[str, str]]]":
        """The image model, and the names and hashes of its weights."""
        from promptlift.illustrating.illustrator import Illustrator

        assert self.model is not None
        illustrator = Illustrator.load(self.model, **self._drawing)
        if not self._config.is_server:
            self.takes_embeddings = illustrator.diffusers.pipelines.is_clip
        return illustrator, illustrator.describe_model()


def _png(
    index: int,
    picture: "DrawnPicture",
    receipt: Improvement | None,
    illustrator: "Illustrator",
    origin: list[dict[str, str]],
) -> bytes:
    """The file of a picture, which carries its receipt."""
    from promptlift.illustrating.receipts import Drawing, png_bytes, unimproved

    request = picture.request
    drawing = Drawing(
        prompt_index=index,
        seed=request.seed,
        side="original" if receipt is None else "improved",
        variant=None if receipt is None else receipt.variant,
        improvement=receipt or unimproved(request.prompt),
        negative=request.negative,
        settings=illustrator.settings(),
        model=origin,
    )
    return png_bytes(drawing, picture)


def _about(picture: "DrawnPicture", share: float | None, url: str) -> PictureOfJob:
    request, (width, height) = picture.request, picture.image.size
    return PictureOfJob(
        url=url,
        prompt=request.prompt,
        share=share,
        seed=request.seed,
        width=width,
        height=height,
        seconds=round(picture.seconds, 3),
        cut=picture.cut,
        notes=list(picture.notes),
    )
