"""Prompts improved by the model of a server that misbehaves, a real one on this computer."""

import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from promptlift.cli import app
from promptlift.errors import ConfigError, InputError, ModelError
from promptlift.improving import chat_model
from promptlift.improving.chat_model import ChatModel
from promptlift.improving.config import resolve_options
from promptlift.improving.decoding.loop import GivenUp
from promptlift.improving.improver import Improver
from promptlift.improving.loading import MODEL_VARIABLE
from promptlift.improving.receipts import receipt_text
from promptlift.improving.session import Ask, Session
from promptlift.llm.asking import Asker
from promptlift.llm.cache import Cache, cache_path
from promptlift.llm.config import KEY_VARIABLE, URL_VARIABLE, api_key
from promptlift.llm.endpoint import Completion
from promptlift.records import Improvement
from tests.llm.server import (
    PATIENCE_S,
    SECRET,
    Endpoint,
    Reply,
    answer,
    cut,
    dripping,
    failure,
    serving,
)  # fmt: skip

LIGHT = "warm lamplight, crashing waves"
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
PROMPTS = [f"a lighthouse on cliff {number}" for number in NUMBERS]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No server and no key of the user; waits before another attempt are none."""
    for name in (URL_VARIABLE, KEY_VARIABLE, "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make = Asker.__init__

    def hurried(self: Asker, *args: Any, **options: Any) -> None:
        make(self, *args, **options, sleep=lambda seconds: None)

    monkeypatch.setattr(Asker, "__init__", hurried)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving() as server:
        server.respond = lambda prompt: answer(LIGHT)
        yield server


def load(endpoint: Endpoint, **options: Any) -> Improver:
    return Improver.load("tiny", llm_url=endpoint.url, **{"llm_attempts": 2, **options})


def stored() -> str:
    """All that the cache holds."""
    return "".join(
        path.read_bytes().decode("latin-1") for path in cache_path().parent.glob("answers*")
    )


def one(improver: Improver, prompt: str = "a lighthouse", **options: Any) -> Improvement:
    results: list[Improvement] = improver.improve(prompt, seed=1, **options)
    [result] = results
    return result


# What it says


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (LIGHT, None),
        (json.dumps({"additions": LIGHT.split(", ")}), None),
        (json.dumps({"other": LIGHT}), None),
        (f"<think>fog?</think>{LIGHT}", "reasoning"),
        (f"fog?</think>{LIGHT}", "reasoning"),
        (f"{LIGHT}\n<think>fog?", "reasoning"),
        (
            f"<|channel|>analysis<|message|>fog?<|end|><|channel|>final<|message|>{LIGHT}",
            "reasoning",
        ),
        (f"```\n{LIGHT}\n```", "a fence"),
        (f"Here is your prompt:\n{LIGHT}", "a preface"),
        (f'"{LIGHT}"', "quotation marks"),
        (f"{LIGHT}\nOption 2, which has fog and a pier", "further lines"),
        ("1. warm lamplight\n2. crashing waves", "marks of a list"),
        ("* warm lamplight\n* crashing waves", "marks of a list"),
    ],
)
def test_what_a_model_says_around_its_text_is_taken_off(
    endpoint: Endpoint, text: str, note: str | None
) -> None:
    endpoint.respond = lambda prompt: answer(text)
    result = one(load(endpoint))
    assert result.prompt == f"a lighthouse, {LIGHT}"
    assert (note in "".join(result.notes)) if note else not result.notes


@pytest.mark.parametrize(
    ("text", "options", "wanted"),
    [
        (f"{LIGHT}, low clo", {}, f"a lighthouse, {LIGHT}"),
        (f"- {LIGHT.replace(', ', chr(10) + '- ')}\n- low clo", {}, f"a lighthouse, {LIGHT}"),
        ('{"additions": ["warm lamplight", "crashing waves", "lo', {}, f"a lighthouse, {LIGHT}"),
        (f"{LIGHT}, low clo", {"guards": False}, f"a lighthouse, {LIGHT}"),
        (
            "Waves crash on the rocks. The lamp is li",
            {"form": "paragraph"},
            "a lighthouse. Waves crash on the rocks.",
        ),
        (
            "A lighthouse in warm lamplight, crashing waves, low clo",
            {"mode": "rewrite"},
            "A lighthouse in warm lamplight, crashing waves",
        ),
    ],
)
def test_an_answer_that_is_cut_off_is_used_but_for_its_end(
    endpoint: Endpoint, text: str, options: dict[str, Any], wanted: str
) -> None:
    endpoint.respond = lambda prompt: answer(text, "length")
    for _ in range(2):  # asked once, and then found in the cache as what it is
        result = one(load(endpoint, llm_tokens=9), **options)
        assert result.prompt == wanted
        assert "the answer was cut off by llm_tokens, 9" in result.notes
    assert len(endpoint.asked) == 1


def test_where_reasoning_took_all_tokens_nothing_is_asked_again(endpoint: Endpoint) -> None:
    endpoint.respond = lambda prompt: answer("<think>fog?", "length")
    assert one(load(endpoint)).notes == (
        "left as it is: the answer was cut off by llm_tokens, 4096",
        "left as it is: its reasoning took all tokens of the answer",
    )
    assert len(endpoint.asked) == 1


def test_words_of_ones_own_instruction_may_come(endpoint: Endpoint, tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    file.write_text(f"Always write {LIGHT}, and an improved prompt.")
    endpoint.respond = lambda prompt: answer(f"{LIGHT}, an improved prompt")
    result = one(load(endpoint, instruction=str(file)))
    assert result.prompt == f"a lighthouse, {LIGHT}"
    endpoint.respond = lambda prompt: answer(f"{LIGHT}, time of day, change nothing in it")
    result = one(load(endpoint))
    assert result.prompt == f"a lighthouse, {LIGHT}"
    assert result.notes == ("taken off the answer: talk of the task",)


def test_a_rewriting_that_says_nothing_new_is_drawn_again(endpoint: Endpoint) -> None:
    texts = ["The lighthouse", f"A lighthouse, {LIGHT}"]
    endpoint.respond = lambda prompt: answer(texts.pop(0) if len(texts) > 1 else texts[0])
    result = one(load(endpoint), mode="rewrite")
    assert result.prompt == f"A lighthouse, {LIGHT}"
    assert result.notes == ("drawn again: a rewriting said nothing new",)
    texts = ["The lighthouse"]
    result = one(load(endpoint), "a lighthouse ", mode="rewrite")
    assert result.prompt == "The lighthouse" and len(endpoint.asked) == 5


def test_text_in_parts_is_put_together(endpoint: Endpoint) -> None:
    parts = [{"type": "reasoning", "text": "fog"}, {"type": "text", "text": LIGHT}]
    endpoint.respond = lambda prompt: answer(parts)
    assert one(load(endpoint)).prompt == f"a lighthouse, {LIGHT}"


def redirect(server: Endpoint) -> Reply:
    return failure(307, "moved", Location=f"{server.url}/chat/completions")


BAD: dict[str, tuple[Reply, str]] = {
    "reasoning alone": (answer("<think>fog"), "the answer holds reasoning alone"),
    "refusal": (answer("I'm sorry, but I can't help with that."), "the model declines"),
    "Chinese": (answer("一座灯塔，暖色灯光"), "the answer looks like Chinese"),
    "empty": (answer(""), "the answer is empty"),
    "null": (answer(None), "the answer is empty"),
    "3,000 words": (answer("fog " * 3000), "the answer has 3000 words, more than 400"),
    "torn JSON": (answer('{"additions": ["fog'), "the answer is JSON that cannot be read"),
    "other JSON": (answer('{"a": 1, "b": [2]}'), "the answer is JSON that cannot be read"),
    "cut off": (answer("fog", "length"), "the answer was cut off by llm_tokens, 4096"),
    "long reasoning": (
        answer("<think>fog", "length"),
        "the answer was cut off by llm_tokens, 4096",
    ),
    "task": (answer("As requested, three phrases"), "the answer speaks of its task alone"),
    "filtered": (answer("fog", "content_filter"), "the answer was cut off by a content filter"),
    "500": (failure(500, "out of memory"), "HTTP 500 out of memory"),
    "429": (failure(429, "quota", Retry_After="86400"), "HTTP 429 quota"),
    "400": (failure(400, "too long"), "HTTP 400 too long"),
    "page": (Reply(b"<!doctype html>hello", Content_Type="text/html"), "no chat completion: <!"),
    "no JSON": (Reply(b'{"choices": ['), "no chat completion"),
    "another shape": (Reply({"choices": "none"}), "no chat completion"),
    "no UTF-8": (Reply(b'{"choices": "\xff\xfe"}'), "no chat completion"),
    "no number": (Reply([1]), "no chat completion: [1]"),
    "cut connection": (cut(answer(LIGHT)), "no answer: RemoteProtocolError"),
    "too large": (Reply(b" " * (1 << 20) + b"{}"), "no chat completion"),
    "encoding": (Reply(b"abc", Content_Encoding="gzip"), "no answer: DecodingError"),
    "deep": (Reply(b"[" * 50_000), "no chat completion"),
    "key": (failure(400, f"no such key: {SECRET}"), "HTTP 400 no such key: ***"),
}


@pytest.mark.parametrize(("reply", "reason"), BAD.values(), ids=BAD.keys())
def test_where_nothing_can_be_used_the_prompt_comes_back(
    endpoint: Endpoint,
    reply: Reply,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(KEY_VARIABLE, SECRET)
    endpoint.respond = lambda prompt: answer(LIGHT) if "one" in prompt else reply
    first, bad = load(endpoint).improve([PROMPTS[0], "a lighthouse"], seed=1)
    assert first[0].prompt == f"{PROMPTS[0]}, {LIGHT}"  # one does not stop the others
    assert bad[0].prompt == "a lighthouse" and not bad[0].additions
    assert any(note.startswith(f"left as it is: {reason}") for note in bad[0].notes)
    assert endpoint.requests[0][1]["Authorization"] == f"Bearer {SECRET}"
    assert SECRET not in f"{first} {bad} {receipt_text(bad[0])} {caplog.text} {stored()}"


@pytest.mark.parametrize("mode", ["extend", "rewrite"])
@pytest.mark.parametrize("form", ["tags", "paragraph"])
def test_every_mode_and_form_comes_back_from_nonsense(
    endpoint: Endpoint, mode: str, form: str
) -> None:
    endpoint.respond = lambda prompt: answer("no fog <think>")
    result = one(load(endpoint), mode=mode, form=form)
    assert result.prompt.startswith("a lighthouse") and "<think>" not in result.prompt


@pytest.mark.parametrize("raw", [False, True], ids=["body", "headers"])
def test_a_drip_ends_with_the_time_out(endpoint: Endpoint, raw: bool) -> None:
    reply = Reply(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 1000) if raw else answer(LIGHT)
    reply.raw = raw
    endpoint.respond = lambda prompt: dripping(reply, 0.05)
    result = one(load(endpoint, llm_timeout_s=0.3, llm_attempts=1))
    assert result.notes == ("left as it is: no whole answer within 0.3 s",)


def test_silence_ends_with_the_time_out(endpoint: Endpoint) -> None:
    def respond(prompt: str) -> Reply:
        endpoint.gate.wait(PATIENCE_S)
        return answer(LIGHT)

    endpoint.respond = respond
    result = one(load(endpoint, llm_timeout_s=0.2, llm_attempts=1))
    assert result.notes == ("left as it is: no whole answer within 0.2 s",)


def test_trouble_that_passes_is_not_seen(endpoint: Endpoint) -> None:
    waiting = [failure(500), failure(429, Retry_After="1"), cut(answer("fog")), Reply(b"<html>")]
    endpoint.respond = lambda prompt: waiting.pop(0) if waiting else answer(LIGHT)
    result = one(load(endpoint, llm_attempts=6))
    assert (result.prompt, result.notes) == (f"a lighthouse, {LIGHT}", ())
    assert len(endpoint.asked) == 5


def test_a_server_without_structured_output_is_asked_for_text(endpoint: Endpoint) -> None:
    def respond(prompt: str) -> Reply:
        has_format = "response_format" in endpoint.requests[-1][2]
        return failure(400, "unknown: response_format") if has_format else answer(LIGHT)

    endpoint.respond = respond
    for _ in range(2):  # answers are found again, though the second asks with the format at first
        improver = load(endpoint, llm_concurrency=1, llm_json=True)
        assert one(improver).prompt == f"a lighthouse, {LIGHT}"
        assert one(improver, "a cat").prompt == f"a cat, {LIGHT}"
    assert ["response_format" in body for _, _, body in endpoint.requests] == [True, False, False]


def test_json_is_asked_for_where_the_user_wants_it(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.respond = lambda prompt: answer(json.dumps({"additions": LIGHT.split(", ")}))
    assert one(load(endpoint)).model != one(load(endpoint, llm_json=True)).model
    file = tmp_path / "own.txt"
    file.write_text("Add weather.")
    one(load(endpoint, llm_json=True), length="long")
    one(load(endpoint, llm_json=True, instruction=str(file)))
    one(load(endpoint, llm_json=True), form="paragraph")
    sent = [body for _, _, body in endpoint.requests]
    told = [body["messages"][0]["content"].split("\n\nPrompt: ")[0] for body in sent]
    assert "JSON" not in told[0] and "response_format" not in sent[0]
    list_wish = 'Put it into a JSON object with a list of texts named "additions"'
    assert all(list_wish in text for text in told[1:4])
    assert 'a JSON object with a text named "additions"' in told[4]
    schemas = [body["response_format"]["json_schema"]["schema"] for body in sent[1:5]]
    values = [schema["properties"]["additions"] for schema in schemas]
    assert [(value.get("minItems"), value.get("maxItems")) for value in values] == [
        (3, 7), (8, 12), (1, None), (None, None),
    ]  # fmt: skip


def test_a_prompt_that_is_refused_does_not_take_structure_from_the_others(
    endpoint: Endpoint,
) -> None:
    endpoint.respond = lambda prompt: failure(400) if prompt == "a cat" else answer(LIGHT)
    improver = load(endpoint, llm_concurrency=1, llm_json=True)
    for prompt in ("a dog", "a cat", "a lighthouse"):
        one(improver, prompt)
    assert "response_format" in endpoint.requests[-1][2]


# Where keys go


def test_redirects_are_not_followed(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, SECRET)
    with serving() as other:
        endpoint.respond = lambda prompt: redirect(other)
        with pytest.raises(ModelError, match=r"HTTP 307 moved\. Check the address: it redirects"):
            one(load(endpoint))
        assert not other.requests and not other.others


def test_a_key_in_an_answer_is_not_kept(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, SECRET)
    endpoint.respond = lambda prompt: answer(f"{LIGHT}, {SECRET}")
    assert SECRET not in f"{one(load(endpoint))}{stored()}" and "lamplight" in stored()


@pytest.mark.parametrize(
    ("url", "environment", "key"),
    [
        ("http://a/v1", {KEY_VARIABLE: "ours"}, "ours"),
        ("http://a/v1", {KEY_VARIABLE: "ours", URL_VARIABLE: "http://a:80/other"}, "ours"),
        ("http://a/v1", {KEY_VARIABLE: "ours", URL_VARIABLE: "http://b/v1"}, None),
        ("http://a/v1", {KEY_VARIABLE: "ours", URL_VARIABLE: "https://a/v1"}, None),
        ("http://a/v1", {KEY_VARIABLE: "ours", URL_VARIABLE: "http://[a"}, None),
        ("http://a/v1", {"OPENAI_API_KEY": "theirs"}, None),
        ("http://api.openai.com/v1", {"OPENAI_API_KEY": "theirs"}, None),
        ("https://api.openai.com.evil.org/v1", {"OPENAI_API_KEY": "theirs"}, None),
        ("https://api.openai.com/v1", {"OPENAI_API_KEY": "theirs"}, "theirs"),
        (
            "http://a/v1",
            {"OPENAI_API_KEY": "theirs", "OPENAI_BASE_URL": "http://a/v1"},
            "theirs",
        ),
        (
            "https://api.openai.com/v1",
            {"OPENAI_API_KEY": "theirs", "OPENAI_BASE_URL": "http://a/v1"},
            None,
        ),
        (
            "https://api.openai.com/v1",
            {"OPENAI_API_KEY": "theirs", "OPENAI_BASE_URL": "http://[x"},
            None,
        ),
    ],
)
def test_a_key_goes_to_its_owner_alone(
    url: str, environment: dict[str, str], key: str | None
) -> None:
    assert api_key(url, environment) == key


def test_the_address_of_openai_alone_sends_nothing(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    assert Improver.load().model.about == {}
    assert not endpoint.requests and not endpoint.others


def test_our_variable_names_the_server(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MODEL_VARIABLE)
    monkeypatch.setenv(URL_VARIABLE, endpoint.url)
    assert one(Improver.load()).model.startswith("tiny@")  # the only one that it has
    assert Improver.load("writer").model.about == {}
    assert Improver.load("other").card.name == "other"


def test_a_model_of_this_machine_that_the_environment_names_is_no_name_on_a_server(
    endpoint: Endpoint,
) -> None:
    assert Improver.load(llm_url=endpoint.url).card.name == "tiny"


def test_no_proxy_leads_to_this_computer(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert one(load(endpoint)).additions


def test_an_address_with_a_name(endpoint: Endpoint) -> None:
    named = f"{endpoint.url}#small"
    assert one(Improver.load(named)).model.startswith("small@")
    assert Improver.load(named, llm_url=f"{endpoint.url}/").card.name == "small"


def test_a_given_address_comes_before_that_of_the_environment(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "http://127.0.0.1:9/v1#small"
    monkeypatch.setenv(MODEL_VARIABLE, other)
    assert Improver.load(llm_url=endpoint.url).card.name == "tiny"
    with pytest.raises(ConfigError, match=rf"^the model is one of http.*:9/v1, .*{endpoint.url}; "):
        Improver.load(other, llm_url=endpoint.url)


@pytest.mark.parametrize("names", [[], ["small", "large"]])
def test_one_of_several_models_is_to_be_named(endpoint: Endpoint, names: list[str]) -> None:
    endpoint.names = names
    with pytest.raises(ConfigError, match=f"it has: {', '.join(names) or 'none'}$"):
        Improver.load(llm_url=endpoint.url)


# Instructions and options


def test_an_instruction_of_ones_own(endpoint: Endpoint, tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    file.write_text("Add weather.\n{wishes}\nPhrases alone.", "utf-8")
    result = one(load(endpoint, instruction=str(file)), avoid=("fog",))
    [message] = endpoint.requests[0][2]["messages"]
    assert message["role"] == "user"
    assert message["content"] == (
        "Add weather.\nNever use: fog.\nPhrases alone.\n\nPrompt: a lighthouse"
    )
    assert result.model != one(load(endpoint)).model
    assert len(result.settings["llm"]["instructions"]["extend-tags"]) == 64


@pytest.mark.parametrize("content", [None, b" \n", b"\xff"])
def test_an_instruction_that_cannot_be_read(
    endpoint: Endpoint, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "own.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=r"the instruction .*own.txt (is empty|cannot be read)"):
        load(endpoint, instruction=str(file))


def test_options_without_a_meaning_are_refused(endpoint: Endpoint) -> None:
    with pytest.raises(ConfigError, match=r"^max_new_tokens, top_k: a server's model takes"):
        one(load(endpoint), top_k=5, max_new_tokens=9)
    one(load(endpoint), temperature=0.5, top_p=0.9, length="short")
    body = endpoint.requests[0][2]
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.5, 0.9, 4096)
    assert "Write 2 or 3 phrases." in body["messages"][0]["content"]
    one(load(endpoint), do_sample=False)
    assert endpoint.requests[-1][2]["temperature"] == 0


def test_the_id_says_server_model_and_instruction(endpoint: Endpoint, tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    file.write_text("Add weather.")
    with serving() as other:
        ids = {
            load(endpoint).model_id, load(other).model_id,
            load(endpoint, instruction=str(file)).model_id,
            Improver.load("large", llm_url=endpoint.url).model_id,
        }  # fmt: skip
    assert len(ids) == 4
    assert load(endpoint, llm_concurrency=1).model_id in ids


# Picture models

SEA = "Waves crash on the rocks below it. Low clouds drift over a grey sea."
WHOLE = "A lighthouse with a red door stands on a cliff. Waves crash on the rocks below it."
BESIDE = "Waves crash on the rocks below it. A masterpiece, best quality."


@pytest.mark.parametrize(
    ("picture_model", "options", "text", "wanted"),
    [
        ("flux", {}, SEA, f"a lighthouse with a red door. {SEA}"),
        ("flux", {"mode": "rewrite"}, WHOLE, WHOLE),
        (
            "flux",
            {},
            BESIDE,
            "a lighthouse with a red door. Waves crash on the rocks below it.",
        ),
        ("flux", {"form": "tags"}, LIGHT, f"a lighthouse with a red door, {LIGHT}"),
        (
            "pony",
            {},
            LIGHT,
            f"score_9, score_8_up, score_7_up, a lighthouse with a red door, {LIGHT}",
        ),
        (
            "pony",
            {"mode": "rewrite"},
            f"lighthouse with a red door, {LIGHT}",
            f"score_9, score_8_up, score_7_up, lighthouse with a red door, {LIGHT}",
        ),
    ],
)
def test_each_picture_model_gets_its_form(
    endpoint: Endpoint, picture_model: str, options: dict[str, Any], text: str, wanted: str
) -> None:
    endpoint.respond = lambda prompt: answer(text)
    source = "a lighthouse with a red door"
    result = one(load(endpoint), source, picture_model=picture_model, **options)
    assert result.prompt == wanted
    assert result.checks["lost"] == [] and result.checks["over_budget"] is False
    assert not any(note.startswith("in tags") for note in result.notes)
    told = endpoint.requests[0][2]["messages"][0]["content"]
    is_prose = picture_model == "flux" and "form" not in options
    assert ("plain sentences" in told) == is_prose
    assert ("masterpiece" in told) == (picture_model == "flux")  # as what is never to be used


def test_a_picture_model_is_named_on_the_command_line(endpoint: Endpoint) -> None:
    endpoint.respond = lambda prompt: answer(SEA)
    line = ["improve", "a lighthouse", "--for", "flux", "--llm-url", endpoint.url, "--model", "x"]
    done = CliRunner().invoke(app, line)
    assert (done.exit_code, done.stdout) == (0, f"a lighthouse. {SEA}\n")


# Variants


def test_variants_differ_by_seed_and_do_not_depend_on_their_number(endpoint: Endpoint) -> None:
    def respond(prompt: str) -> Reply:
        return answer(f"{LIGHT}, lamp number {endpoint.requests[-1][2]['seed'] % 1000}")

    endpoint.respond = respond
    improver = load(endpoint, llm_cache=False, llm_concurrency=1)
    five = improver.improve("a lighthouse", seed=1, n=5)
    seeds = [body["seed"] for _, _, body in endpoint.requests]
    assert len(set(seeds)) == 5
    assert improver.improve("a lighthouse", seed=1, n=2) == five[:2]
    assert [body["seed"] for _, _, body in endpoint.requests[5:]] == seeds[:2]


def test_with_diversity_later_variants_are_told_of_earlier_ones(endpoint: Endpoint) -> None:
    endpoint.respond = lambda prompt: answer(LIGHT)
    load(endpoint).improve("a lighthouse", seed=1, n=2, diversity=1.0)
    contents = [body["messages"][0]["content"] for _, _, body in endpoint.requests]
    assert [f"something else than: {LIGHT}" in content for content in contents[:2]] == [
        False,
        True,
    ]


def test_a_prompt_that_comes_twice_is_asked_once(endpoint: Endpoint) -> None:
    results = load(endpoint, llm_cache=False).improve(["a cat", "a cat"], seed=1)
    assert results[0] == results[1] and len(endpoint.asked) == 1


# The cache


def test_a_second_run_asks_nothing(endpoint: Endpoint) -> None:
    first = load(endpoint).improve(PROMPTS, seed=1, n=2)
    assert len(endpoint.asked) == 20
    assert load(endpoint).improve(PROMPTS, seed=1, n=2) == first
    assert len(endpoint.asked) == 20
    load(endpoint, llm_cache=False).improve(PROMPTS[:1], seed=1)
    load(endpoint).improve(PROMPTS[:1], seed=2)
    load(endpoint).improve(PROMPTS[:1], seed=1, temperature=0.1)
    assert len(endpoint.asked) == 23


def test_failures_are_not_kept(endpoint: Endpoint) -> None:
    endpoint.respond = lambda prompt: failure(500)
    assert not one(load(endpoint)).additions
    endpoint.respond = lambda prompt: answer(LIGHT)
    assert one(load(endpoint)).additions


def test_an_answer_that_comes_once_nobody_waits_is_kept(endpoint: Endpoint) -> None:
    begun = threading.Event()

    def respond(prompt: str) -> Reply:
        begun.set()
        endpoint.gate.wait(PATIENCE_S)
        return answer(LIGHT)

    endpoint.respond = respond
    before = set(threading.enumerate())
    model = load(endpoint).model
    decoding, control = resolve_options(model.card, None, {})
    session = Session(
        model, decoding=decoding, control=control, batch_size=1, given_up=begun.is_set
    )
    with pytest.raises(GivenUp):
        list(session.improve([Ask(prompt="a lighthouse", seed=1)]))
    endpoint.gate.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE_S)
    assert one(load(endpoint)).prompt == f"a lighthouse, {LIGHT}"
    assert len(endpoint.asked) == 1


def damaged(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database, " * 1000)


def other_table(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as base:
        base.execute("create table answers (a, b, c)")
    base.close()


def a_file_above(path: Path) -> None:
    path.parent.parent.mkdir(parents=True)
    path.parent.touch()


def a_folder(path: Path) -> None:
    path.mkdir(parents=True)


@pytest.mark.parametrize("spoil", [damaged, other_table, a_file_above, a_folder])
def test_without_a_cache_that_can_be_used_one_line_says_so(
    endpoint: Endpoint, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    spoil(cache_path())
    found = load(endpoint).improve(PROMPTS, seed=1)
    assert all(result.additions for [result] in found)
    [record] = [record for record in caplog.records if record.name.startswith("promptlift")]
    assert f"{cache_path()} keeps no answers: " in record.message
    assert "Delete it, or pass --no-llm-cache." in record.message


def test_processes_share_a_cache(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from promptlift.llm.cache import Cache\n"
        "cache = Cache(Path(sys.argv[1]))\n"
        "from promptlift.llm.endpoint import Completion\n"
        "for i in range(200):\n"
        "    cache.put(f'{sys.argv[2]}-{i}', Completion('fog')); cache.get(f'0-{i}')\n"
        "cache.close()"
    )
    path = tmp_path / "new" / "answers.sqlite"

    def run(name: int) -> "subprocess.CompletedProcess[str]":
        line = [sys.executable, "-c", code, str(path), str(name)]
        return subprocess.run(line, capture_output=True, text=True, timeout=60)

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(run, range(3)))
    assert [(one.returncode, one.stderr) for one in done] == [(0, "")] * 3
    cache = Cache(path)
    assert all(
        cache.get(f"{name}-{i}") == Completion("fog") for name in range(3) for i in range(200)
    )
    cache.close()


# Stopping


def test_ten_failures_in_succession_stop_the_work_and_later_work_begins_anew(
    endpoint: Endpoint,
) -> None:
    endpoint.respond = lambda prompt: failure(503, "down")
    improver = load(endpoint, llm_attempts=1)
    with pytest.raises(ModelError, match=r"failed for 10 prompts in succession.*HTTP 503 down"):
        improver.improve([*PROMPTS, *PROMPTS[:2]], seed=1, n=2)
    endpoint.respond = lambda prompt: answer(LIGHT)
    assert one(improver).additions


def test_a_server_that_is_not_there_is_an_error_at_once() -> None:
    improver = Improver.load("tiny", llm_url="http://127.0.0.1:9/v1", llm_attempts=1)
    with pytest.raises(
        ModelError, match=r"127.0.0.1:9/v1 answers no more: nothing answers there; "
    ):
        one(improver)


def test_threads_end_with_the_work(endpoint: Endpoint) -> None:
    before = set(threading.enumerate())
    load(endpoint).improve(PROMPTS, seed=1)
    for thread in set(threading.enumerate()) - before:
        if "process_request_thread" not in thread.name:  # the server's own
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


@pytest.mark.skipif(os.name == "nt", reason="sends signals")
def test_ctrl_c_ends_with_a_request_under_way_and_a_resumed_job_asks_for_the_rest(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    fourth = threading.Event()

    def respond(prompt: str) -> Reply:
        if prompt not in PROMPTS[:3]:
            fourth.set()
            endpoint.gate.wait(PATIENCE_S)
        return answer(LIGHT)

    endpoint.respond = respond
    file, output = tmp_path / "prompts.txt", tmp_path / "out.jsonl"
    file.write_text("\n".join(PROMPTS))
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from promptlift.cli import main; main()"
    )
    line = [
        sys.executable, "-c", code, "improve", "-i", str(file), "-o", str(output), "--seed", "1",
        "--llm-url", endpoint.url, "--model", "tiny", "--llm-concurrency", "1",
    ]  # fmt: skip
    pipe = subprocess.PIPE
    with subprocess.Popen(line, stdout=pipe, stderr=pipe, text=True) as process:
        assert fourth.wait(PATIENCE_S)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE_S / 2)
    assert process.returncode == 130 and "--resume" in said.splitlines()[-1]
    assert not endpoint.gate.is_set()  # nobody waited for the answer
    endpoint.gate.set()
    endpoint.asked.clear()
    done = subprocess.run([*line, "--resume"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert sorted(endpoint.asked) == sorted(PROMPTS[3:])
    rows = [json.loads(row) for row in output.read_text("utf-8").splitlines()]
    assert [row["prompt"] for row in rows] == [f"{prompt}, {LIGHT}" for prompt in PROMPTS]


# The command line


def lines(prompts: list[str], tmp_path: Path) -> list[str]:
    file = tmp_path / "prompts.txt"
    file.write_text("\n".join(prompts))
    return ["improve", "-i", str(file), "-o", str(tmp_path / "out.jsonl"), "--seed", "1"]


def test_a_server_that_goes_away_stops_a_job_that_goes_on_without_asking_twice(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    prompts = [f"{prompt}, take {take}" for take in range(4) for prompt in PROMPTS]
    line = lines(prompts, tmp_path)
    line += ["--llm-url", endpoint.url, "--model", "tiny"]
    line += ["--llm-concurrency", "1", "--llm-attempts", "1"]
    known = set(prompts[:12])
    endpoint.listing = failure(503)
    endpoint.respond = lambda prompt: answer(LIGHT) if prompt in known else failure(503, "gone")
    stopped = CliRunner().invoke(app, line)
    assert stopped.exit_code == 1
    [error] = stopped.stderr.splitlines()
    assert error.startswith(f"promptlift: error: {endpoint.url} answers no more: HTTP 503 gone.")
    endpoint.asked.clear()
    endpoint.respond = lambda prompt: answer(LIGHT)
    file = tmp_path / "own.txt"
    file.write_text("Add weather.")
    other = CliRunner().invoke(app, [*line, "--resume", "--instruction", str(file)])
    assert other.exit_code == 2 and "was begun with model 'tiny@" in other.stderr
    assert CliRunner().invoke(app, [*line, "--resume"]).exit_code == 0
    assert sorted(endpoint.asked) == sorted(set(prompts) - known)
    rows = [json.loads(row) for row in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert [row["prompt"] for row in rows] == [f"{prompt}, {LIGHT}" for prompt in prompts]


def test_replay_says_what_a_server_cannot_promise(endpoint: Endpoint, tmp_path: Path) -> None:
    receipt, server = tmp_path / "receipt.json", ["--llm-url", endpoint.url, "--model", "tiny"]
    receipt.write_text(receipt_text(one(load(endpoint))))
    settings = json.loads(receipt.read_text())["settings"]
    assert settings["llm"]["url"] == endpoint.url and len(settings["answer"]) == 64
    again = CliRunner().invoke(app, ["replay", str(receipt), *server])
    assert (again.exit_code, again.stdout) == (0, f"same: a lighthouse, {LIGHT}\n")
    assert "the cache repeated the server's answers" in again.stderr
    endpoint.respond = lambda prompt: answer("fog")
    anew = CliRunner().invoke(app, ["replay", str(receipt), *server, "--no-llm-cache"])
    assert anew.exit_code == 1 and anew.stdout.startswith("DIFFERENT: a lighthouse, fog\n")
    assert "1 requests to the server, which promises no answer twice" in anew.stderr
    asked = len(endpoint.asked)
    alone = CliRunner().invoke(app, ["replay", str(receipt)])
    assert alone.exit_code == 1 and len(endpoint.asked) == asked
    assert f"pass --llm-url {endpoint.url} --model tiny" in alone.stderr


# Ollama's memory


@pytest.mark.parametrize(("time", "sent"), [("0", 0), ("300", 300), ("-1", -1), ("5m", "5m")])
def test_memory_is_freed_once_after_the_work(endpoint: Endpoint, time: str, sent: object) -> None:
    improver = load(endpoint, keep_alive=time)
    for done, _ in enumerate(improver.improve_stream(PROMPTS * 8, seed=1, n=2), 1):
        assert done == 80 or not endpoint.others  # not in the middle of a list
    [(path, _, body)] = endpoint.others
    assert path == "/api/generate" and body == {"model": "tiny", "keep_alive": sent}
    assert all("keep_alive" not in body for _, _, body in endpoint.requests)
    one(improver, PROMPTS[0])  # kept: nothing was asked, so nothing is to be freed
    assert len(endpoint.others) == 1


def test_a_server_that_frees_no_memory_is_told_of(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    improver = load(endpoint, keep_alive="0")
    endpoint.other = failure(404, "no such path")
    assert one(improver).additions
    assert "takes no keep_alive, as Ollama does: HTTP 404 no such path" in caplog.text


def test_a_time_that_ollama_does_not_know_is_refused(endpoint: Endpoint) -> None:
    with pytest.raises(ConfigError, match="keep_alive is 'soon' and must be like 0, 300 or 5m"):
        load(endpoint, keep_alive="soon")


def test_the_model_is_what_the_protocol_says(endpoint: Endpoint) -> None:
    model = load(endpoint).model
    assert isinstance(model, ChatModel) and model.requests == 0
    one(Improver(model))
    assert model.requests == 1 and chat_model.DECODING["temperature"] == 0.7
