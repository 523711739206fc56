"""The chat completions of a server, asked with OpenAI's own client."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from promptlift.improving.improver import Improver
from promptlift.prompts.reading import longest_part
from promptlift.web.chat import ChatCompletion
from promptlift.web.config import ServeConfig
from promptlift.web.service import Service
from tests.web.test_api import Held, asking
from tests.web.test_serve import Api, example

openai = pytest.importorskip("openai")

TOKEN = "a-token-of-some-length"
PATH = "/v1/chat/completions"
SHORT: Any = {"max_new_tokens": 6}
CAT = [{"role": "user", "content": "a cat in armor"}]
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.fixture(scope="module")
def api(exported: Path) -> Iterator[Api]:
    api = Api(exported)
    yield api
    status, errors = api.end()
    assert status == 0 and '"status": 500' not in errors and "armor" not in errors


@pytest.fixture(scope="module")
def client(api: Api) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{api.address}/v1", api_key="any", max_retries=0) as client:
        yield client


def chat(client: Any, messages: Any = CAT, *, model: str = "promptlift", **options: Any) -> Any:
    extra = {**SHORT, **options.pop("extra_body", {})}
    return client.chat.completions.create(
        model=model, messages=messages, extra_body=extra, **options
    )


def test_the_answer_is_what_improving_gives(client: Any, improver: Improver) -> None:
    earlier = [
        {"role": "system", "content": "You write prompts."},
        {"role": "user", "content": [IMAGE]},
        {"role": "assistant", "content": None, "tool_calls": []},
    ]
    found = chat(client, [*earlier, *CAT], seed=3)
    [wanted] = improver.improve("a cat in armor", seed=3, max_new_tokens=6)
    [choice] = found.choices
    assert (choice.message.content, choice.message.role) == (wanted.prompt, "assistant")
    assert (choice.index, choice.finish_reason) == (0, "stop")
    assert choice.promptlift == {**json.loads(json.dumps(wanted.to_dict())), "schema_version": 4}
    assert (found.object, found.model) == ("chat.completion", improver.model_id)
    tokens = longest_part("a cat in armor"), wanted.clip_tokens
    assert tokens[0] == 4
    usage = found.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == tokens
    assert usage.total_tokens == sum(tokens)


def test_choices_are_the_variants_and_a_seed_repeats_them(client: Any, improver: Improver) -> None:
    options: Any = {"n": 3, "seed": 7, "temperature": 1.5, "top_p": 0.9}
    found = chat(client, **options)
    wanted = improver.improve("a cat in armor", max_new_tokens=6, **options)
    texts = [choice.message.content for choice in found.choices]
    assert texts == [item.prompt for item in wanted]
    assert [choice.index for choice in found.choices] == [0, 1, 2]
    assert found.usage.completion_tokens == sum(item.clip_tokens for item in wanted)
    assert [choice.message.content for choice in chat(client, **options).choices] == texts
    settings = found.choices[0].promptlift["settings"]
    assert (settings["temperature"], settings["top_p"]) == (1.5, 0.9)


@pytest.mark.parametrize("zero", [{"temperature": 0}, {"top_p": 0}])
def test_zero_is_greedy(client: Any, improver: Improver, zero: Any) -> None:
    [wanted] = improver.improve("a cat in armor", max_new_tokens=6, do_sample=False)
    [choice] = chat(client, **zero).choices
    assert choice.message.content == wanted.prompt
    assert choice.promptlift["settings"]["do_sample"] is False


def test_a_stream_has_what_the_answer_has(client: Any) -> None:
    whole = chat(client, n=2, seed=3)
    chunks = list(chat(client, n=2, seed=3, stream=True, stream_options={"include_usage": True}))
    *parts, last = chunks
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    for choice in whole.choices:
        mine = [one.choices[0] for one in parts if one.choices[0].index == choice.index]
        assert mine[0].delta.role == "assistant"
        assert "".join(one.delta.content or "" for one in mine) == choice.message.content
        assert [one.finish_reason for one in mine] == [None, None, "stop"]
        assert mine[-1].promptlift == choice.promptlift
    assert (last.choices, last.usage) == ([], whole.usage)
    assert all(chunk.usage is None for chunk in parts)
    assert all(one.usage is None for one in chat(client, stream=True))


def test_a_stream_ends_as_openais(api: Api) -> None:
    sent = json.dumps({"messages": CAT, "stream": True, **SHORT}).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += f"Connection: close\r\nContent-Length: {len(sent)}\r\n\r\n"
    found = api.raw(head.encode() + sent).decode()
    assert "content-type: text/event-stream" in found
    assert found.endswith("data: [DONE]\n\n")


def test_options_are_those_of_the_api(client: Any, api: Api) -> None:
    options = {
        "mode": "rewrite", "negative": "blur", "max_prompt_tokens": None, "avoid": ["smoke"],
    }  # fmt: skip
    [choice] = chat(client, seed=3, extra_body=options).choices
    _, wanted = api.improve("a cat in armor", seed=3, **SHORT, **options)
    [result] = wanted["results"]
    assert choice.promptlift == {k: v for k, v in result.items() if k != "index"}
    assert choice.message.content == result["prompt"]


def test_what_says_nothing_here_is_ignored(client: Any) -> None:
    plain = chat(client, seed=3)
    function = {"type": "function", "function": {"name": "f", "parameters": {}}}
    found = chat(
        client, seed=3, max_tokens=1, max_completion_tokens=1, presence_penalty=2,
        frequency_penalty=1, response_format={"type": "json_object"}, user="u", tools=[function],
        tool_choice="auto", stop=["a"], logprobs=True, logit_bias={"1": 5}, store=True,
        metadata={"a": "b"}, extra_body={"chat_id": "x", "n": None, "stream": None},
    )  # fmt: skip
    assert found.choices[0].message == plain.choices[0].message


def test_parts_of_text_are_one_prompt(client: Any) -> None:
    parts = [{"type": "text", "text": "a cat"}, {"type": "text", "text": "in armor"}]
    [choice] = chat(client, [{"role": "user", "content": parts}]).choices
    assert choice.promptlift["source"] == "a cat\nin armor"


def test_models_are_listed_and_named(client: Any, api: Api, improver: Improver) -> None:
    listed = [model.id for model in client.models.list()]
    assert listed == ["promptlift", improver.model_id]
    for model in (*listed, improver.card.name):
        assert chat(client, model=model).model == improver.model_id
    _, found = api.ask("GET", "/v1/models")
    assert [model["id"] for model in found["models"]] == [improver.model_id]
    assert found["limits"]["max_results"] == 64


def test_a_model_is_found_by_each_of_its_names(client: Any, improver: Improver) -> None:
    names = ["promptlift", improver.card.name, improver.model_id]
    assert [client.models.retrieve(name).id for name in names] == names
    assert client.models.retrieve("promptlift") == client.models.list().data[0]
    for name in ("gpt-4o", "org/name"):
        with pytest.raises(openai.NotFoundError) as caught:
            client.models.retrieve(name)
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def text(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("messages", "options", "param", "words"),
    [
        ([], {}, "messages", "none has the role user"),
        ([{"role": "system", "content": "a cat"}], {}, "messages", "none has the role user"),
        ([{"role": "user", "content": ""}], {}, "messages", "messages.0 is empty"),
        ([*CAT, {"role": "user", "content": None}], {}, "messages", "messages.1 is empty"),
        (text(), {}, "messages", "messages.0 is empty"),
        (text({"type": "text", "text": "a cat"}, IMAGE), {}, "messages", "type 'image_url'"),
        ([{"role": "user", "content": "a" * 4001}], {}, "messages", "4001 characters"),
        ([{"role": "user", "content": 3}], {}, "messages.0.content", "valid string or list"),
        ([{"content": "a cat"}], {}, "messages.0.role", "Field required"),
        (CAT, {"n": 65}, None, "more than the 64 results"),
        (CAT, {"n": 0}, "n", "greater than or equal to 1"),
        (CAT, {"seed": -1}, "seed", "greater than or equal to 0"),
        (CAT, {"temperature": -1}, "temperature", "greater than or equal to 0"),
        (CAT, {"extra_body": {"artists": "often"}}, "artists", "'free' or 'never'"),
        (CAT, {"extra_body": {"max_new_tokens": 257}}, None, "this server allows 256"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_wrong_requests_are_refused_in_openais_form(
    client: Any, messages: Any, options: Any, param: str | None, words: str, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, messages, stream=stream, **options)
    error = caught.value
    assert (error.type, error.param, error.code) == ("invalid_request_error", param, None)
    assert set(error.body) == {"message", "type", "param", "code"}
    assert words in error.body["message"]


def test_another_model_is_not_found(client: Any) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        chat(client, model="gpt-4o")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_the_token_is_the_key(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPTLIFT_TOKEN", TOKEN)
    api = Api(exported)
    for key in ("any", TOKEN):
        with openai.OpenAI(base_url=f"{api.address}/v1", api_key=key, max_retries=0) as client:
            if key == TOKEN:
                assert chat(client).choices and client.models.list().data
                continue
            with pytest.raises(openai.AuthenticationError) as caught:
                chat(client)
            assert (caught.value.type, caught.value.code) == (
                "invalid_request_error",
                "invalid_api_key",
            )
            assert "token" in caught.value.body["message"]
            with pytest.raises(openai.AuthenticationError):
                client.models.list()
    assert api.end()[0] == 0


def service_of(exported: Path, **config: Any) -> Service:
    return Service.load(ServeConfig(**config), model=str(exported), threads=1)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_gives_its_place_up(api: Api, stream: bool) -> None:
    """Long requests of clients that are gone delay nobody."""
    left = '"status": 499'
    before = sum(left in line for line in api.log.lines)
    body = {"messages": CAT, "n": 64, "min_new_tokens": 250, "max_new_tokens": 250}
    sent = json.dumps({**body, "stream": stream}).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for _ in range(7):
        with socket.create_connection(("127.0.0.1", api.port)) as connection:
            connection.sendall(f"{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent)
    api.log.until(left, before + 7)
    assert api.improve(**SHORT)[0] == 200


def test_too_much_and_too_late_are_errors_of_the_server(exported: Path) -> None:
    service = service_of(exported, max_queue=1, max_results=1, timeout_s=1)

    async def ask() -> list[httpx.Response]:
        async with asking(service) as client:
            held = Held(service.batcher)
            late = asyncio.create_task(client.post(PATH, json={"messages": CAT, **SHORT}))
            await held.begun()
            other = {"messages": CAT, "stream": True, **SHORT}
            waits = asyncio.create_task(client.post(PATH, json=other))
            while not service.batcher.waiting:
                await asyncio.sleep(0)
            full = await client.post(PATH, json=other)
            found = [await late, await waits, full]
            held.free()
            return found

    answers = asyncio.run(ask())
    assert [answer.status_code for answer in answers] == [503, 503, 429]
    errors = [answer.json()["error"] for answer in answers]
    assert [(error["type"], error["code"]) for error in errors] == [
        ("server_error", None), ("server_error", None), ("rate_limit_error", "rate_limit_exceeded"),
    ]  # fmt: skip
    assert all(answer.headers["retry-after"] == "5" for answer in answers)


def test_the_example_of_the_docs_runs(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    exec(example("OpenAI(", api), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all(line.startswith("a cat in armor") for line in lines)


def test_answers_are_described_as_they_are(api: Api) -> None:
    status, found = api.ask("POST", PATH, {"messages": CAT, **SHORT})
    assert status == 200
    ChatCompletion.model_validate(found, strict=True)
    assert set(found) == set(ChatCompletion.model_fields)
