"""Plain prompts from detailed ones, asked of any OpenAI-compatible chat endpoint."""

import hashlib
import json
import logging
import math
import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from itertools import islice
from multiprocessing.pool import AsyncResult, ThreadPool
from pathlib import Path
from typing import Literal

from promptlift.errors import InputError, ModelError
from promptlift.files import writing
from promptlift.pairs.answers import check_answer, tidy_answer
from promptlift.pairs.chat import ChatEndpoint, NoAnswer
from promptlift.pairs.config import ParaphraseConfig

SCHEMA_VERSION = 1
INSTRUCTION = (
    "Shorten a prompt for a text-to-image model to its subject: what is to be seen, as someone "
    "would say it plainly, in at most {max_words} words taken from the prompt. Leave out style, "
    "medium, names of artists, camera, lighting and quality words. Add nothing, explain nothing, "
    "use no quotes; answer with the short prompt alone."
)
_WINDOW = 8  # prompts under way for each concurrent request
_REPORT_EVERY = 500
_MAX_FAILURES = 10  # prompts in succession, after which the endpoint is taken to be down
_LONGEST_BACKOFF_S, _LONGEST_WAIT_S = 60.0, 600.0
_LINE_START = b'{"schema_version": '
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Paraphrase:
    """What came of one prompt.

    Attributes:
        prompt: the detailed prompt.
        state: "accepted"; "refused" by `check_answer`; "failed", when no answer could be had; or
            "not asked", when `max_requests` was used up. A later run asks again for the last two.
        answer: the tidied answer, None where there is none.
        reason: why it is not accepted, None where it is.
    """

    prompt: str
    state: Literal["accepted", "refused", "failed", "not asked"]
    answer: str | None = None
    reason: str | None = None


def paraphrase(
    prompts: Iterable[str],
    config: ParaphraseConfig,
    *,
    journal: Path,
    report: Callable[[str], None] = _log.info,
    sleep: Callable[[float], object] | None = None,
    uniform: Callable[[], float] = random.random,
) -> Generator[Paraphrase, None, None]:
    """A paraphrase of each prompt, in their order, a window of them at a time.

    Every answer is appended to the journal when it arrives, and what stands there is not asked
    again: call again with the same journal to go on after any kind of stop. Answers are
    checked when they are used, so that another check costs no requests. Close the iterator, or
    let an exception pass through it, to stop asking; it does not wait for open requests.

    Args:
        prompts: detailed prompts, read as needed.
        config: see `ParaphraseConfig`.
        journal: JSONL file to go on from and append to; its answers are held in memory.
        report: takes lines of progress.
        sleep: waits so many seconds before a request is repeated.
        uniform: draws from [0, 1) the jitter of those waits.

    Raises:
        InputError: the journal is another file.
        ModelError: the endpoint refuses (wrong key, address or model), or fails for many
            prompts in succession.
    """
    iterator, states = iter(prompts), Counter[str]()
    window: deque[tuple[str, AsyncResult[Paraphrase]]] = deque()
    under_way: dict[str, AsyncResult[Paraphrase]] = {}
    workers = _Workers(config, journal, sleep, uniform)
    try:
        while True:
            for prompt in islice(iterator, _WINDOW * config.concurrency - len(window)):
                asked = [config.model, INSTRUCTION, config.max_words, prompt]
                key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
                if key not in under_way:
                    under_way[key] = workers.ask(prompt, key)
                window.append((key, under_way[key]))
            if window:
                key, job = window.popleft()
                result = workers.result(job)
                under_way.pop(key, None)
                states[result.state] += 1
                yield result
            if not window or states.total() % _REPORT_EVERY == 0:
                found = "".join(f", {count} {state}" for state, count in sorted(states.items()))
                report(f"{states.total()} prompts{found}; {workers.requests} requests")
            if not window:
                break
    finally:
        workers.close()


class _Workers:
    """Threads that ask and keep the answers.

    A pool of `multiprocessing`, whose threads are daemons: those of an executor would hold up the
    exit of an interrupted program until their requests time out.
    """

    def __init__(
        self,
        config: ParaphraseConfig,
        journal: Path,
        sleep: Callable[[float], object] | None,
        uniform: Callable[[], float],
    ) -> None:
        self.requests = self._failures = 0
        self._config, self._uniform = config, uniform
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._sleep = sleep or self._stop.wait
        self._fatal: BaseException | None = None  # after which asking on is of no use
        self._endpoint = ChatEndpoint(config.endpoint, config.api_key, config.timeout_s)
        self.answers = _read(journal)
        self._file = journal.open("ab")
        self._pool = ThreadPool(config.concurrency)

    def ask(self, prompt: str, key: str) -> "AsyncResult[Paraphrase]":
        """Ask for a prompt as soon as a thread is free."""
        return self._pool.apply_async(self._work, (prompt, key))

    def result(self, job: "AsyncResult[Paraphrase]") -> Paraphrase:
        """Wait for a result, or raise what went wrong in any thread."""
        while not (job.ready() or self._fatal):
            job.wait(0.1)  # and then look again: another thread may have failed
        if self._fatal:
            raise self._fatal
        return job.get()

    def _judge(self, prompt: str, key: str) -> Paraphrase:
        """What the answer kept under a key is worth."""
        answer = tidy_answer(self.answers[key])
        reason = check_answer(prompt, answer, self._config.max_words)
        state: Literal["accepted", "refused"] = "refused" if reason else "accepted"
        return Paraphrase(prompt=prompt, state=state, answer=answer, reason=reason)

    def close(self) -> None:
        """Ask no more, wait for nobody, and close the journal."""
        self._stop.set()
        self._pool.terminate()
        with self._lock:
            self._file.close()

    def _work(self, prompt: str, key: str) -> Paraphrase:
        try:
            return self._answer(prompt, key)
        except BaseException as error:
            self._fatal = self._fatal or error
            self._stop.set()  # here, before another thread of the pool asks on
            raise

    def _answer(self, prompt: str, key: str) -> Paraphrase:
        if key in self.answers:
            return self._judge(prompt, key)
        config, trouble, wait_s = self._config, "", 0.0
        for attempt in range(config.attempts):
            with self._lock:
                if self._stop.is_set() or self.requests == config.max_requests:
                    reason = f"max_requests, {config.max_requests}, is used up"
                    return Paraphrase(prompt=prompt, state="not asked", reason=reason)
                self.requests += 1
            try:
                raw = self._endpoint.ask(
                    f"{INSTRUCTION.format(max_words=config.max_words)}\n\nPrompt: {prompt}",
                    model=config.model,
                    max_tokens=config.max_tokens,
                    temperature=config.temperature,
                )
                return self._keep(prompt, key, raw)
            except NoAnswer as error:
                trouble, wait_s = str(error), error.wait_s
            if wait_s > _LONGEST_WAIT_S or attempt + 1 == config.attempts:
                break
            backoff = min(2.0**attempt, _LONGEST_BACKOFF_S) * (0.5 + self._uniform() / 2)
            self._sleep(max(wait_s, backoff))
        with self._lock:
            # Where others were answered, one that is not to be asked again is a prompt's own fault.
            self._failures += wait_s < math.inf or not self.answers
        if self._failures >= _MAX_FAILURES:
            raise ModelError(
                f"{config.endpoint} failed for {self._failures} prompts in succession, the "
                f"last time with: {trouble}. Answers are kept; mend it, then run again to go on."
            )
        return Paraphrase(prompt=prompt, state="failed", reason=trouble)

    def _keep(self, prompt: str, key: str, raw: str) -> Paraphrase:
        with self._lock:
            self._failures = 0
            self.answers[key] = raw
            result = self._judge(prompt, key)
            row = {
                "schema_version": SCHEMA_VERSION, "key": key, "model": self._config.model,
                "prompt": prompt, "answer": raw, "reason": result.reason,
            }  # fmt: skip
            if not self._file.closed:
                # Plain ASCII: JSON can name half a surrogate pair, which UTF-8 cannot.
                with writing(Path(self._file.name)):
                    self._file.write(json.dumps(row).encode() + b"\n")
                    self._file.flush()
        return result


def _read(path: Path) -> dict[str, str]:
    """The answers of a journal by key; a line torn by a kill is cut off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    answers, whole = {}, 0
    with path.open("a+b") as file:
        file.seek(0)
        for number, raw in enumerate(file, 1):
            if not raw.endswith(b"\n") and raw.startswith(_LINE_START[: len(raw)]):
                break
            try:
                row = json.loads(raw)
                if row["schema_version"] != SCHEMA_VERSION or not raw.endswith(b"\n"):
                    raise ValueError
                answers[str(row["key"])] = str(row["answer"])
            except (ValueError, RecursionError, LookupError, TypeError) as error:
                raise InputError(
                    f"{path} line {number} is no line of a journal of paraphrases, version "
                    f"{SCHEMA_VERSION}. Name another file, or take that line out to go on."
                ) from error
            whole += len(raw)
        file.truncate(whole)
    return answers
