"""Dynamic batching: prompts of requests that arrive together are improved in one batch.

An idle server waits a few milliseconds for more prompts; a busy one takes those that arrived while
it worked. Prompts of a batch have the same options; each has its own mode, seed, number of variants
and negative prompt. No result depends on its neighbours (`improving.codec`).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from promptlift.errors import ConfigError, ModelError
from promptlift.improving.config import ControlConfig, DecodingConfig
from promptlift.improving.decoding.loop import GivenUp
from promptlift.improving.improver import Improver
from promptlift.improving.session import Ask, Session
from promptlift.records import Improvement
from promptlift.web.logs import describe

RETRY_S = 5  # after which a caller who was refused may ask again
_MOST_OTHERS = 16
_T = TypeVar("_T")
_log = logging.getLogger("promptlift.web")


Options = tuple[DecodingConfig, ControlConfig]  # which all prompts of a batch share


class Full(Exception):
    """Too much work waits."""


@dataclass(frozen=True)
class _Waiting:
    options: Options
    ask: Ask
    result: "asyncio.Future[list[Improvement]]"


class Batcher:
    """A bounded queue of prompts and the one thread that improves them.

    `batches` counts the batches that have begun.

    Args:
        improver: the model.
        batch_size: results that are decoded together.
        wait_s: how long an idle server waits for more prompts.
        max_queue: results that may wait.
    """

    def __init__(
        self, improver: Improver, *, batch_size: int, wait_s: float, max_queue: int
    ) -> None:
        self.improver = improver
        self.batch_size, self.wait_s, self.max_queue = batch_size, wait_s, max_queue
        self.batches = 0
        self._queue: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "improve")
        self._worker: asyncio.Task[None] | None = None
        self._others = 0
        self._stopping = self._overdue = False

    @property
    def running(self) -> bool:
        """Whether the worker improves what is put into the queue."""
        return self._worker is not None and not self._worker.done()

    @property
    def waiting(self) -> int:
        """Results that wait, without those whose callers gave up."""
        return sum(item.ask.n for item in self._queue if not item.result.done())

    def start(self) -> None:
        """Begin; needs a running event loop."""
        self._worker = asyncio.create_task(self._work())

    async def stop(self, within_s: float) -> None:
        """Finish the batch in hand, unless nobody waits for it or it takes longer than this."""
        assert self._worker is not None
        self._stopping = True
        self._arrived.set()
        await asyncio.wait([self._worker], timeout=within_s)
        self._overdue = True
        await self._worker
        await asyncio.to_thread(self._thread.shutdown)

    def put(
        self, options: Options, asks: Sequence[Ask]
    ) -> "list[asyncio.Future[list[Improvement]]]":
        """Queue prompts. Cancelling a future gives up its place.

        Raises:
            Full: they do not fit into the queue.
        """
        if self.waiting + sum(ask.n for ask in asks) > self.max_queue:
            raise Full
        loop = asyncio.get_running_loop()
        items = [_Waiting(options, ask, loop.create_future()) for ask in asks]
        self._queue += items
        self._arrived.set()
        return [item.result for item in items]

    async def between(self, work: Callable[[], _T]) -> _T:
        """Run other work of the model in the thread that improves, between two batches.

        Raises:
            Full: too much other work waits already.
        """
        if self._others >= _MOST_OTHERS:
            raise Full
        self._others += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._others -= 1

    async def _work(self) -> None:
        while not self._stopping:
            if not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
                await asyncio.sleep(self.wait_s)
            if batch := self._take():
                await self._do(batch)

    async def _do(self, batch: list[_Waiting]) -> None:
        """Improve a batch. Errors go to its callers, and the worker goes on."""
        self.batches += 1
        loop = asyncio.get_running_loop()
        results: Sequence[list[Improvement] | Exception]
        try:
            results = await loop.run_in_executor(self._thread, self._improve, batch)
        except Exception as error:
            _log.error("batch", extra={"fields": describe(error, told=False)})
            results = [error] * len(batch)
        for item, result in zip(batch, results, strict=True):
            if item.result.done():
                continue
            if isinstance(result, Exception):
                item.result.set_exception(result)
                item.result.exception()  # otherwise asyncio logs it as never retrieved
            else:
                item.result.set_result(result)

    def _take(self) -> list[_Waiting]:
        """The oldest prompt, and those that may share its batch."""
        batch: list[_Waiting] = []
        left: list[_Waiting] = []
        rows = 0
        for item in self._queue:
            if item.result.done():
                continue
            if not batch or (
                rows + item.ask.n <= self.batch_size and item.options == batch[0].options
            ):
                batch.append(item)
                rows += item.ask.n
            else:
                left.append(item)
        self._queue = left
        return batch

    def _improve(self, batch: list[_Waiting]) -> "Sequence[list[Improvement] | Exception]":
        decoding, control = batch[0].options
        try:
            session = Session(
                self.improver.model,
                decoding=decoding,
                control=control,
                batch_size=self.batch_size,
                given_up=lambda: self._overdue or all(item.result.done() for item in batch),
            )
            return list(session.improve(item.ask for item in batch))
        except (ConfigError, GivenUp, ModelError) as error:  # it concerns all of them
            return [error] * len(batch)
        except Exception as error:
            if len(batch) == 1:
                return [error]
            # One prompt must not spoil the others' batch.
            return [self._improve([item])[0] for item in batch]
        finally:
            if not self._queue:
                self.improver.model.close()
