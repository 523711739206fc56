"""Paraphrases, asked of a real server on this computer that speaks OpenAI's format."""

import json
import logging
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from promptlift.errors import ConfigError, InputError, ModelError
from promptlift.llm.config import base_of
from promptlift.pairs import paraphrase as module
from promptlift.pairs.config import ParaphraseConfig
from promptlift.pairs.paraphrase import Paraphrase, paraphrase
from tests.llm.server import PATIENCE_S, SECRET, Endpoint, Reply, answer, failure, head, serving

NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
PROMPTS = [
    f"a lighthouse number {number}, oil on canvas, artstation"
    for number in (*NUMBERS, "eleven", "twelve")
]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("no_proxy", "*")
    with serving() as server:
        yield server


class Asking:
    """`paraphrase` with the test's endpoint, journal, and sleeps that only count."""

    def __init__(self, endpoint: Endpoint, journal: Path) -> None:
        self.endpoint, self.journal = endpoint, journal
        self.slept: list[float] = []
        self.reports: list[str] = []

    def __call__(self, prompts: Any, **options: Any) -> Iterator[Paraphrase]:
        config = ParaphraseConfig(**{"url": self.endpoint.url, "model": "tiny", **options})
        return paraphrase(
            prompts,
            config,
            journal=self.journal,
            report=self.reports.append,
            sleep=self.slept.append,
            uniform=lambda: 1.0,
        )

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.journal.read_text("utf-8").splitlines()]


@pytest.fixture
def ask(endpoint: Endpoint, tmp_path: Path) -> Asking:
    return Asking(endpoint, tmp_path / "deep" / "paraphrases.jsonl")


def states(results: list[Paraphrase]) -> list[str]:
    return [result.state for result in results]


# Settings


def test_all_wrong_settings_are_named_together() -> None:
    with pytest.raises(ConfigError) as caught:
        ParaphraseConfig(
            url="ftp://host", model=" ", api_key="a b", concurrency=0, max_requests=-1,
            max_tokens=0, temperature=math.nan, timeout_s=math.inf, attempts=0, max_words=0,
        )  # fmt: skip
    problems = str(caught.value).split("; ")
    assert [problem.split()[0] for problem in problems] == [
        "concurrency", "max_requests", "max_tokens", "temperature", "timeout_s", "attempts",
        "max_words", "url", "model", "api_key",
    ]  # fmt: skip
    assert "a b" not in problems[-1]


@pytest.mark.parametrize(
    "url",
    [
        "", "host/v1", "file:///etc/passwd", "http://", "http:///v1", "https://me:pw@host/v1",
        "https://host/v1?key=1", "https://host/v1#a", "https://host/a b", "http://host:port/v1",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="url is"):
        ParaphraseConfig(url=url, model="tiny")


@pytest.mark.parametrize(
    "url", ["https://host/v1", "https://host/v1/", "https://host/v1/chat/completions"]
)
def test_the_endpoint_follows_from_any_form_of_the_address(url: str) -> None:
    assert base_of(ParaphraseConfig(url=url, model="m").url) == "https://host/v1"


def test_the_key_is_not_shown() -> None:
    config = ParaphraseConfig(url="http://[::1]:80", model="m", api_key=SECRET)
    assert SECRET not in repr(config)


# Asking


def test_requests_are_as_openai_describes_them(ask: Asking, endpoint: Endpoint) -> None:
    [result] = ask(PROMPTS[:1], api_key=SECRET, max_tokens=32, temperature=0.5, max_words=7)
    assert result == Paraphrase(
        prompt=PROMPTS[0], state="accepted", answer="a lighthouse number one"
    )
    [(path, headers, body)] = endpoint.requests
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert headers["Content-Type"] == "application/json"
    assert {key: body[key] for key in ("model", "max_tokens", "temperature")} == {
        "model": "tiny", "max_tokens": 32, "temperature": 0.5,
    }  # fmt: skip
    [message] = body["messages"]
    assert message["role"] == "user" and "at most 7 words" in message["content"]


def test_without_a_key_none_is_sent(ask: Asking, endpoint: Endpoint) -> None:
    list(ask(PROMPTS[:1]))
    assert "Authorization" not in endpoint.requests[0][1]


def test_the_key_stays_out_of_journal_logs_and_errors(
    ask: Asking, endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def respond(prompt: str) -> Reply:
        return head(prompt) if prompt == PROMPTS[0] else failure(400, f"bad key {SECRET}")

    endpoint.respond = respond
    results = list(ask(PROMPTS[:2], api_key=SECRET))
    assert results[1].reason == "HTTP 400 bad key ***"
    endpoint.respond = lambda prompt: failure(401, f"Incorrect API key {SECRET}")
    with pytest.raises(ModelError) as caught:
        list(ask(PROMPTS, api_key=SECRET))
    seen = f"{results} {caught.value} {caplog.text} {ask.reports} {ask.journal.read_text()}"
    assert SECRET not in seen


def test_order_is_kept_when_answers_come_in_another(ask: Asking, endpoint: Endpoint) -> None:
    last = threading.Event()

    def respond(prompt: str) -> Reply:
        if prompt == PROMPTS[3]:
            last.set()
        elif prompt == PROMPTS[0]:
            assert last.wait(PATIENCE_S)
        return head(prompt)

    endpoint.respond = respond
    results = list(ask(PROMPTS, concurrency=2))
    assert [result.prompt for result in results] == PROMPTS
    assert states(results) == ["accepted"] * len(PROMPTS)
    assert ask.rows()[0]["prompt"] == PROMPTS[1]  # kept as they came


def test_as_many_requests_at_a_time_as_allowed_and_no_more(ask: Asking, endpoint: Endpoint) -> None:
    three = threading.Barrier(3, timeout=PATIENCE_S)

    def respond(prompt: str) -> Reply:
        three.wait()
        return head(prompt)

    endpoint.respond = respond
    assert states(list(ask(PROMPTS, concurrency=3))) == ["accepted"] * 12
    assert endpoint.most_at_once == 3


def test_prompts_are_read_a_window_at_a_time(ask: Asking) -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield f"a lighthouse, oil on canvas, take {read}"

    results = ask(endless(), concurrency=2)
    for _ in range(50):
        next(results)
    assert read <= 50 + 2 * module._WINDOW
    results.close()  # type: ignore[attr-defined]


def test_a_prompt_that_comes_twice_is_asked_once(ask: Asking, endpoint: Endpoint) -> None:
    prompts = [*PROMPTS[:3], *PROMPTS[:3]] * 10
    results = list(ask(prompts))
    assert [result.prompt for result in results] == prompts
    assert sorted(endpoint.asked) == sorted(PROMPTS[:3])


def test_progress_is_reported(ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REPORT_EVERY", 5)
    list(ask(PROMPTS, concurrency=1))
    assert [line.split(";")[0] for line in ask.reports] == [
        "5 prompts, 5 accepted", "10 prompts, 10 accepted", "12 prompts, 12 accepted",
    ]  # fmt: skip
    assert ask.reports[-1].endswith("; 12 requests")


# Trouble


def script(endpoint: Endpoint, *replies: Reply) -> None:
    """Give these replies, then good ones."""
    waiting = list(replies)
    endpoint.respond = lambda prompt: waiting.pop(0) if waiting else head(prompt)


@pytest.mark.parametrize(
    "reply",
    [
        failure(429),
        failure(500),
        failure(503),
        failure(408),
        Reply(b"<html>busy</html>"),
        Reply(b'{"choices": ['),
        Reply([1]),
        Reply({"choices": []}),
        Reply({"choices": [{"message": "text"}]}),
        Reply({"error": {"message": "overloaded"}}),
        answer(["parts"]),
    ],
)
def test_passing_trouble_is_waited_out(ask: Asking, endpoint: Endpoint, reply: Reply) -> None:
    script(endpoint, reply, reply)
    [result] = ask(PROMPTS[:1])
    assert result.state == "accepted"
    assert ask.slept == [1.0, 2.0]  # with all of the jitter
    assert len(endpoint.asked) == 3


def test_jitter_takes_off_at_most_half(ask: Asking, endpoint: Endpoint) -> None:
    script(endpoint, failure(500), failure(500))
    config = ParaphraseConfig(url=endpoint.url, model="tiny")
    list(
        paraphrase(
            PROMPTS[:1], config, journal=ask.journal, sleep=ask.slept.append, uniform=lambda: 0.0
        )
    )
    assert ask.slept == [0.5, 1.0]


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("7", 7, 7),
        ("0.25", 1, 1),
        ("soon", 1, 1),
        ("-3", 1, 1),
        ("nan", 1, 1),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 1, 1),
    ],
)
def test_retry_after_is_honoured(
    ask: Asking, endpoint: Endpoint, header: str, least: float, most: float
) -> None:
    script(endpoint, failure(429, Retry_After=header))
    list(ask(PROMPTS[:1]))
    [slept] = ask.slept
    assert least <= slept <= most


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (failure(429, "quota", Retry_After="86400"), "HTTP 429 quota"),
        (failure(400, "too\nlong\x1b[0m"), "HTTP 400 too long[0m"),
        (Reply(b"", 422), "HTTP 422"),
        (answer("a lighthouse num", "length"), "the answer was cut off by max_tokens, 64"),
        (answer("", "content_filter"), "the answer was cut off by a content filter"),
    ],
)
def test_what_does_not_pass_is_asked_again_in_a_later_run_only(
    ask: Asking, endpoint: Endpoint, reply: Reply, reason: str
) -> None:
    script(endpoint, reply)
    [failed, fine] = ask(PROMPTS[:2], concurrency=1)
    assert (failed.state, failed.reason, failed.answer) == ("failed", reason, None)
    assert fine.state == "accepted" and not ask.slept
    assert states(list(ask(PROMPTS[:2]))) == ["accepted"] * 2
    assert endpoint.asked == [PROMPTS[0], PROMPTS[1], PROMPTS[0]]


def test_silence_is_trouble(ask: Asking, endpoint: Endpoint) -> None:
    replies = iter([True, False])

    def respond(prompt: str) -> Reply:
        if next(replies):
            endpoint.gate.wait(PATIENCE_S)
        return head(prompt)

    endpoint.respond = respond
    [result] = ask(PROMPTS[:1], timeout_s=0.1)
    assert result.state == "accepted" and ask.slept == [1.0]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://127.0.0.1:9/v1", "nothing answers there; `promptlift doctor` lists the servers"),
        ("http://127.0.0.1:99999", "answer"),
        ("http://a..b", "no answer: "),
    ],
)
def test_an_endpoint_that_is_not_there_stops_the_run(ask: Asking, address: str, said: str) -> None:
    results = ask(PROMPTS, url=address, concurrency=1, attempts=2)
    found: list[Paraphrase] = []
    with pytest.raises(ModelError, match="failed for 10 prompts in succession") as caught:
        found.extend(results)
    assert address in str(caught.value) and said in str(caught.value)
    assert states(found) == ["failed"] * len(found)
    assert "\n" not in str(caught.value)


def test_single_failures_do_not_stop_the_run(ask: Asking, endpoint: Endpoint) -> None:
    prompts = [f"{prompt}, take {take}" for take in range(20) for prompt in PROMPTS]
    endpoint.respond = lambda prompt: failure(500) if "seven" in prompt else head(prompt)
    results = list(ask(prompts, attempts=2))
    assert states(results).count("failed") == 20


def test_a_run_ends_when_only_hopeless_prompts_are_left(ask: Asking, endpoint: Endpoint) -> None:
    endpoint.respond = lambda prompt: failure(400, "filtered")
    with pytest.raises(ModelError, match=r"10 prompts in succession.*HTTP 400 filtered"):
        list(ask(PROMPTS))
    endpoint.respond = lambda prompt: head(prompt) if "one" in prompt else failure(400)
    for _ in range(2):
        assert states(list(ask(PROMPTS, concurrency=1))) == ["accepted"] + ["failed"] * 11


@pytest.mark.parametrize("status", [301, 308, 401, 402, 403, 404, 405])
def test_a_refusal_of_the_service_stops_at_once(
    ask: Asking, endpoint: Endpoint, status: int
) -> None:
    endpoint.respond = lambda prompt: failure(status, "no\nway", Location="http://127.0.0.1:9/")
    with pytest.raises(ModelError) as caught:
        list(ask(PROMPTS * 5, concurrency=2))
    text = str(caught.value)
    assert text.startswith(f"{endpoint.url} refuses: HTTP {status} no way. Check ")
    assert len(endpoint.asked) <= 4 and not ask.slept


def test_a_refusal_does_not_wait_for_slower_requests(ask: Asking, endpoint: Endpoint) -> None:
    def respond(prompt: str) -> Reply:
        if prompt == PROMPTS[0]:
            endpoint.gate.wait(PATIENCE_S)
        return failure(401)

    endpoint.respond = respond
    with pytest.raises(ModelError, match="Check the API key"):
        next(ask(PROMPTS, concurrency=2))
    assert not endpoint.gate.is_set() and endpoint.at_once == 1


# The budget


def test_the_budget_bounds_requests_and_keeps_known_answers(
    ask: Asking, endpoint: Endpoint
) -> None:
    list(ask(PROMPTS[8:]))
    results = list(ask(PROMPTS, max_requests=3))
    # Which three are asked depends on which of the threads comes first.
    assert sorted(states(results[:8])) == ["accepted"] * 3 + ["not asked"] * 5
    assert states(results[8:]) == ["accepted"] * 4
    left_out = [result.reason for result in results if result.state == "not asked"]
    assert left_out == ["max_requests, 3, is used up"] * 5
    assert len(endpoint.asked) == 4 + 3
    assert ask.reports[-1] == "12 prompts, 7 accepted, 5 not asked; 3 requests"


def test_repeated_requests_count(ask: Asking, endpoint: Endpoint) -> None:
    script(endpoint, failure(500), failure(500))
    results = list(ask(PROMPTS[:3], max_requests=2, concurrency=1))
    assert states(results) == ["not asked"] * 3
    assert len(endpoint.asked) == 2


def test_without_a_budget_only_the_journal_is_read(ask: Asking, endpoint: Endpoint) -> None:
    list(ask(PROMPTS[:2]))
    assert states(list(ask(PROMPTS[:3], max_requests=0))) == ["accepted"] * 2 + ["not asked"]
    assert len(endpoint.asked) == 2


# The journal


def test_a_second_run_asks_nothing_and_gives_the_same(ask: Asking, endpoint: Endpoint) -> None:
    first = list(ask(PROMPTS))
    assert list(ask(PROMPTS, temperature=1, concurrency=1, timeout_s=1)) == first
    assert len(endpoint.asked) == len(PROMPTS)


def test_refused_answers_are_kept_with_their_reason(ask: Asking, endpoint: Endpoint) -> None:
    texts = {PROMPTS[0]: "I'm sorry, I can't.", PROMPTS[1]: None, PROMPTS[2]: '"A lighthouse."'}
    endpoint.respond = lambda prompt: answer(texts[prompt])
    for _ in range(2):
        results = list(ask(PROMPTS[:3], concurrency=1))
        assert states(results) == ["refused", "refused", "accepted"]
        assert [r.reason for r in results] == ["the model declines", "it is empty", None]
        assert [r.answer for r in results] == ["I'm sorry, I can't", "", "A lighthouse"]
    assert len(endpoint.asked) == 3
    assert [row["reason"] for row in ask.rows()] == [r.reason for r in results]
    assert [row["answer"] for row in ask.rows()] == ["I'm sorry, I can't.", "", '"A lighthouse."']


def test_another_model_or_instruction_asks_anew(
    ask: Asking, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices: list[dict[str, Any]] = [{}, {"model": "other"}, {"max_words": 11}]
    for options in choices:
        assert states(list(ask(PROMPTS[:2], **options))) == ["accepted"] * 2
    monkeypatch.setattr(module, "INSTRUCTION", "Be brief: {max_words} words.")
    list(ask(PROMPTS[:2]))
    assert len(endpoint.asked) == len({row["key"] for row in ask.rows()}) == 8


@pytest.mark.parametrize("kept", [1, 5, 30, -1])
def test_a_torn_last_line_is_asked_again(ask: Asking, endpoint: Endpoint, kept: int) -> None:
    first = list(ask(PROMPTS, concurrency=1))
    lines = ask.journal.read_bytes().splitlines(keepends=True)
    ask.journal.write_bytes(b"".join(lines[:-1]) + lines[-1][:kept])
    endpoint.asked.clear()
    assert list(ask(PROMPTS)) == first
    assert endpoint.asked == PROMPTS[-1:]
    assert ask.journal.read_bytes().splitlines(keepends=True) == lines


@pytest.mark.parametrize(
    "content",
    [
        "a cat\n",
        "a cat",
        '{"source": "a"}\n',
        "[1]\n",
        '{"schema_version": 2, "key": "a", "answer": "b"}\n',
        '{"schema_version": 1, "key": "a"}\n',
        '{"schema_version": 1, "key": "a", "answer": "b"}\n\0\0\0',
    ],
)
def test_other_files_are_refused_and_left_as_they_are(
    ask: Asking, endpoint: Endpoint, content: str
) -> None:
    ask.journal.parent.mkdir()
    ask.journal.write_text(content)
    with pytest.raises(InputError, match=r"paraphrases.jsonl line [12] is no line of a journal"):
        list(ask(PROMPTS))
    assert ask.journal.read_text() == content and not endpoint.asked


def test_any_text_goes_through_the_journal(ask: Asking, endpoint: Endpoint) -> None:
    prompt, text = "\ud83d a “cat”\n\u2028, oil, 猫", "a cat\ud83d"
    endpoint.respond = lambda _: answer(text)
    for _ in range(2):
        [result] = ask([prompt])
        assert (result.state, result.answer) == ("refused", text)
    assert len(endpoint.asked) == 1


# Stopping


@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_stops_asking_and_keeps_the_journal(
    ask: Asking, endpoint: Endpoint, kind: type[BaseException]
) -> None:
    fourth = threading.Event()

    def respond(prompt: str) -> Reply:
        if prompt not in PROMPTS[:3]:
            fourth.set()
            endpoint.gate.wait(PATIENCE_S)
        return head(prompt)

    def interrupted() -> Iterator[str]:
        yield from PROMPTS[:8]  # the window of one request at a time
        assert fourth.wait(PATIENCE_S)
        raise kind

    endpoint.respond = respond
    with pytest.raises(kind):
        list(ask(interrupted(), concurrency=1, timeout_s=600))
    assert not endpoint.gate.is_set()  # nobody waited for the fourth answer
    assert endpoint.asked == PROMPTS[:4]
    goes_on(ask, endpoint)


def start(ask: Asking, endpoint: Endpoint) -> "subprocess.Popen[str]":
    """A process that asks all prompts; three are answered, the fourth is not."""
    fourth = threading.Event()

    def respond(prompt: str) -> Reply:
        if prompt not in PROMPTS[:3]:
            fourth.set()
            endpoint.gate.wait(PATIENCE_S)
        return head(prompt)

    endpoint.respond = respond
    code = (
        "import json, signal, sys\n"
        "from pathlib import Path\n"
        "from promptlift.pairs.paraphrase import *\n"
        # A shell starts what it puts in the background with Ctrl-C ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "url, journal, prompts = json.loads(sys.argv[1])\n"
        "config = ParaphraseConfig(url=url, model='tiny', concurrency=1, timeout_s=600)\n"
        "for result in paraphrase(prompts, config, journal=Path(journal)): pass\n"
    )
    argument = json.dumps([endpoint.url, str(ask.journal), PROMPTS])
    line = [sys.executable, "-c", code, argument]
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
    assert fourth.wait(PATIENCE_S)
    return process


def goes_on(ask: Asking, endpoint: Endpoint) -> None:
    """Another run asks all but the prompts that were answered."""
    endpoint.gate.set()
    endpoint.asked.clear()
    assert states(list(ask(PROMPTS))) == ["accepted"] * 12
    # The answer to the fourth may have come late, and is kept then.
    assert sorted(endpoint.asked) in (sorted(PROMPTS[3:]), sorted(PROMPTS[4:]))


@pytest.mark.skipif(os.name == "nt", reason="sends signals")
def test_ctrl_c_ends_a_program_with_open_requests(ask: Asking, endpoint: Endpoint) -> None:
    process = start(ask, endpoint)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S / 2)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert not endpoint.gate.is_set()
    goes_on(ask, endpoint)


def test_a_killed_program_goes_on(ask: Asking, endpoint: Endpoint) -> None:
    process = start(ask, endpoint)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    goes_on(ask, endpoint)
