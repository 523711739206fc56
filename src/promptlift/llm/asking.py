"""Asking an endpoint for many answers: several at a time, patiently, and none twice."""

import logging
import math
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.pool import AsyncResult, ThreadPool
from typing import Any, Protocol

from promptlift.endpoint import NoAnswer
from promptlift.errors import ModelError
from promptlift.llm.endpoint import ChatEndpoint, Completion

_MAX_FAILURES = 10  # questions in succession, after which the endpoint is taken to be down
_LONGEST_BACKOFF_S, _LONGEST_WAIT_S = 60.0, 600.0
_log = logging.getLogger(__name__)


class Kept(Protocol):
    """Keeps answers by the key of their question. One thread at a time asks it."""

    def get(self, key: str) -> Completion | None:
        """The answer, None where there is none."""

    def put(self, key: str, answer: Completion) -> None:
        """Keep an answer."""

    def close(self) -> None:
        """Keep no more."""


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        key: stands for all that decides the answer.
        messages: role and content of each.
        options: of the request.
        whole: whether an answer that is cut off at `max_tokens` is of no use.
    """

    key: str
    messages: Sequence[Mapping[str, str]]
    options: Mapping[str, Any]
    whole: bool = True


@dataclass(frozen=True)
class Answer:
    """What came of a question.

    Attributes:
        text: the answer, None where there is none.
        reason: why there is none.
        asked: whether the endpoint was asked at all; not where the requests are used up.
        ended: whether the model ended the text; otherwise it was cut off at `max_tokens`.
    """

    text: str | None
    reason: str = ""
    asked: bool = True
    ended: bool = True


class Asker:
    """Threads that ask and keep the answers.

    A pool of `multiprocessing`, whose threads are daemons: those of an executor would hold up the
    exit of an interrupted program until their requests time out.

    Args:
        endpoint: whom to ask.
        kept: answers that are not asked for again.
        concurrency: requests at a time.
        attempts: requests for an answer until it has failed.
        max_requests: no more are sent than so many.
        sleep: waits so many seconds before a request is repeated.
        uniform: draws from [0, 1) the jitter of those waits.
    """

    def __init__(
        self,
        endpoint: ChatEndpoint,
        kept: Kept,
        *,
        concurrency: int,
        attempts: int,
        max_requests: int | None = None,
        sleep: Callable[[float], object] | None = None,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self.requests = self._failures = self._answered = 0
        self._endpoint, self._kept, self._uniform = endpoint, kept, uniform
        self._attempts, self._max_requests = attempts, max_requests
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._sleep = sleep or self._stop.wait
        self._closed, self._under_way = False, 0  # requests
        self._fatal: BaseException | None = None  # after which asking on is of no use
        self._pool = ThreadPool(concurrency)

    def ask(self, question: Question) -> "AsyncResult[Answer]":
        """Ask as soon as a thread is free."""
        return self._pool.apply_async(self._work, (question,))

    def result(
        self, job: "AsyncResult[Answer]", given_up: Callable[[], bool] | None = None
    ) -> Answer | None:
        """Wait for an answer, or raise what went wrong in any thread; None once it is given up."""
        while not (job.ready() or self._fatal):
            if given_up is not None and given_up():
                return None
            job.wait(0.1)  # and then look again: another thread may have failed
        if self._fatal:
            raise self._fatal
        return job.get()

    @property
    def is_failing(self) -> bool:
        """Whether no answer came since the last failure that may be the endpoint's."""
        return self._failures > 0

    def close(self) -> None:
        """Ask no more, and wait for nobody; answers that are under way are still kept."""
        self._closed = True
        self._stop.set()
        self._pool.terminate()
        self._close_kept()

    def _asked(self, question: Question) -> Completion:
        """The endpoint's answer, which is kept."""
        found = self._endpoint.ask(question.messages, **question.options)
        if question.whole and not found.ended:
            limit = f"max_tokens, {question.options.get('max_tokens')}"
            raise NoAnswer(f"the answer was cut off by {limit}", math.inf)
        with self._lock:
            self._failures = 0
            self._answered += 1
            self._kept.put(question.key, found)
        return found

    def _close_kept(self) -> None:
        """Close what keeps the answers, once nobody adds to it."""
        with self._lock:
            if self._closed and not self._under_way:
                self._kept.close()

    def _work(self, question: Question) -> Answer:
        try:
            return self._answer(question)
        except BaseException as error:
            self._fatal = self._fatal or error
            self._stop.set()  # here, before another thread of the pool asks on
            raise

    def _answer(self, question: Question) -> Answer:
        with self._lock:
            kept = None if self._stop.is_set() else self._kept.get(question.key)
        if kept is not None:
            self._answered += 1
            return Answer(kept.text, ended=kept.ended)
        trouble, wait_s = "", 0.0
        for attempt in range(self._attempts):
            with self._lock:
                if self._stop.is_set() or self.requests == self._max_requests:
                    used_up = f"max_requests, {self._max_requests}, is used up"
                    reason = "it was stopped" if self._stop.is_set() else used_up
                    return Answer(None, reason, asked=False)
                self.requests += 1
                self._under_way += 1
            try:
                found = self._asked(question)
            except NoAnswer as error:
                trouble, wait_s = str(error), error.wait_s
            else:
                return Answer(found.text, ended=found.ended)
            finally:
                with self._lock:
                    self._under_way -= 1
                self._close_kept()
            if wait_s > _LONGEST_WAIT_S or attempt + 1 == self._attempts:
                break
            backoff = min(2.0**attempt, _LONGEST_BACKOFF_S) * (0.5 + self._uniform() / 2)
            self._sleep(max(wait_s, backoff))
        with self._lock:
            # Where others were answered, one that is not to be asked again is at fault itself.
            self._failures += wait_s < math.inf or not self._answered
        if self._failures >= _MAX_FAILURES:
            raise ModelError(
                f"{self._endpoint.base} failed for {self._failures} prompts in succession, the "
                f"last time with: {trouble}. Answers are kept; mend it and try again."
            )
        return Answer(None, trouble)
