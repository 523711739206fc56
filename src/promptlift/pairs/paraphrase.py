"""Plain prompts from detailed ones, asked of any OpenAI-compatible chat endpoint."""

import json
import logging
import random
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from itertools import islice
from multiprocessing.pool import AsyncResult
from pathlib import Path
from typing import Literal

from promptlift.errors import InputError
from promptlift.files import writing
from promptlift.llm.answers import tidy_answer
from promptlift.llm.asking import Answer, Asker, Question
from promptlift.llm.cache import key_of
from promptlift.llm.endpoint import ChatEndpoint, Completion
from promptlift.pairs.answers import check_answer
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
    window: deque[tuple[str, str, AsyncResult[Answer]]] = deque()
    under_way: dict[str, AsyncResult[Answer]] = {}
    kept = _Journal(journal, config)
    asker = Asker(
        ChatEndpoint(config.url, config.api_key, config.timeout_s),
        kept,
        concurrency=config.concurrency,
        attempts=config.attempts,
        max_requests=config.max_requests,
        sleep=sleep,
        uniform=uniform,
    )
    try:
        while True:
            for prompt in islice(iterator, _WINDOW * config.concurrency - len(window)):
                key = key_of([config.model, INSTRUCTION, config.max_words, prompt])
                if key not in under_way:
                    kept.prompts[key] = prompt
                    under_way[key] = asker.ask(_question(key, prompt, config))
                window.append((key, prompt, under_way[key]))
            if window:
                key, prompt, job = window.popleft()
                answer = asker.result(job)
                assert answer is not None  # nobody gives up
                result = _judged(prompt, answer, config)
                under_way.pop(key, None)
                states[result.state] += 1
                yield result
            if not window or states.total() % _REPORT_EVERY == 0:
                found = "".join(f", {count} {state}" for state, count in sorted(states.items()))
                report(f"{states.total()} prompts{found}; {asker.requests} requests")
            if not window:
                break
    finally:
        asker.close()


def _question(key: str, prompt: str, config: ParaphraseConfig) -> Question:
    """One message: the chat templates of some models know no system role."""
    content = f"{INSTRUCTION.format(max_words=config.max_words)}\n\nPrompt: {prompt}"
    return Question(
        key,
        [{"role": "user", "content": content}],
        {
            "model": config.model,
            "max_tokens": config.max_tokens,
            "temperature": config.temperature,
        },
    )


def _judged(prompt: str, answer: Answer, config: ParaphraseConfig) -> Paraphrase:
    """What an answer is worth."""
    if answer.text is None:
        state: Literal["failed", "not asked"] = "failed" if answer.asked else "not asked"
        return Paraphrase(prompt=prompt, state=state, reason=answer.reason)
    tidy = tidy_answer(answer.text)
    reason = check_answer(prompt, tidy, config.max_words)
    return Paraphrase(
        prompt=prompt, state="refused" if reason else "accepted", answer=tidy, reason=reason
    )


class _Journal:
    """A JSONL file of the answers, each appended when it arrives.

    Attributes:
        prompts: by the key of what is asked of each.
    """

    def __init__(self, path: Path, config: ParaphraseConfig) -> None:
        self.prompts: dict[str, str] = {}
        self._config, self._answers = config, _read(path)
        self._file = path.open("ab")

    def get(self, key: str) -> Completion | None:
        answer = self._answers.get(key)
        return None if answer is None else Completion(answer)

    def put(self, key: str, answer: Completion) -> None:
        self._answers[key] = answer.text
        prompt, config = self.prompts[key], self._config
        row = {
            "schema_version": SCHEMA_VERSION, "key": key, "model": config.model, "prompt": prompt,
            "answer": answer.text,
            "reason": _judged(prompt, Answer(answer.text), config).reason,
        }  # fmt: skip
        # Plain ASCII: JSON can name half a surrogate pair, which UTF-8 cannot.
        with writing(Path(self._file.name)):
            self._file.write(json.dumps(row).encode() + b"\n")
            self._file.flush()

    def close(self) -> None:
        self._file.close()


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
