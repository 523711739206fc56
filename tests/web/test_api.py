"""The API in this process, with a tiny model: what it answers, shares, refuses and logs."""

import asyncio
import gc
import json
import logging
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from promptlift.errors import ConfigError
from promptlift.improving.config import ControlConfig, DecodingConfig
from promptlift.improving.decoding.loop import GivenUp
from promptlift.improving.improver import Improver
from promptlift.improving.session import Ask
from promptlift.prompts.picture_models.table import NAMES
from promptlift.web.api import create_app
from promptlift.web.batcher import Batcher
from promptlift.web.config import ServeConfig
from promptlift.web.improving import ImproveRequest, Result
from promptlift.web.logs import JsonLines
from promptlift.web.service import Service
from tests.conftest import HEADS, with_forms
from tests.llm.server import answer as said
from tests.llm.server import serving

TOKEN = "a-token-of-some-length"
SHORT = {"max_new_tokens": 6}


Make = Callable[..., Service]


@pytest.fixture(scope="module")
def make(exported: Path) -> Make:
    """Makes a service with a tiny model; takes fields of its config."""

    def load(**config: Any) -> Service:
        return Service.load(ServeConfig(**config), model=str(exported), threads=1)

    return load


@pytest.fixture
def service(make: Make) -> Service:
    return make()


@pytest.fixture(scope="module")
def client(make: Make) -> Iterator[TestClient]:
    with TestClient(create_app(make()), base_url="http://localhost") as client:
        yield client


@asynccontextmanager
async def asking(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """The app with its worker running, for requests at the same time."""
    app = create_app(service)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:80") as client,
    ):
        yield client


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    found = [block.split("\n") for block in text.split("\n\n") if block]
    return [(a.removeprefix("event: "), json.loads(b.removeprefix("data: "))) for a, b in found]


class Held:
    """Lets the thread that improves begin a batch, and go on with it once it is freed."""

    def __init__(self, batcher: Batcher, *, free: bool = False) -> None:
        self._begun, self._free = threading.Event(), threading.Event()
        self._improve = batcher._improve
        batcher._improve = self._wait_and_improve  # type: ignore[method-assign]
        if free:
            self.free()

    async def begun(self) -> None:
        """Until the thread has begun its first batch."""
        assert await asyncio.to_thread(self._begun.wait, 300)

    def free(self) -> None:
        self._free.set()

    def _wait_and_improve(self, batch: Any) -> Any:
        self._begun.set()
        self._free.wait(300)
        return self._improve(batch)


@pytest.mark.parametrize(
    "options",
    [{}, {"mode": "rewrite"}, {"diversity": 0.5, "n": 3}, {"do_sample": False, "negative": "blur"}],
)
def test_requests_that_share_batches_get_what_they_would_get_alone(
    service: Service, improver: Improver, options: dict[str, Any]
) -> None:
    asked = [
        {"prompts": prompt, "seed": seed, **SHORT, **options}
        for prompt in [*HEADS, "a (red:1.2) owl BREAK dusk", "an old tower and a quiet boat"]
        for seed in range(3)
    ]

    async def ask_all() -> list[httpx.Response]:
        async with asking(service) as client:
            return await asyncio.gather(*(client.post("/v1/improve", json=one) for one in asked))

    answers = asyncio.run(ask_all())
    assert service.batcher.batches <= 4  # for 21 requests
    for body, answer in zip(asked, answers, strict=True):
        alone = improver.improve(body.pop("prompts"), **body)
        found = answer.json()["results"]
        assert found == [
            {"index": 0, **json.loads(json.dumps(one.to_dict())), "schema_version": 4}
            for one in alone
        ]


def test_a_batch_is_filled_to_its_size(make: Make) -> None:
    service = make(batch_size=4)

    async def ask() -> httpx.Response:
        async with asking(service) as client:
            body = {"prompts": [*HEADS[:4], *HEADS[:4]], "seed": 1, **SHORT}
            return await client.post("/v1/improve", json=body)

    assert len(asyncio.run(ask()).json()["results"]) == 8
    assert service.batcher.batches == 2


def test_requests_of_other_options_wait_their_turn(service: Service) -> None:
    async def ask_all() -> list[httpx.Response]:
        async with asking(service) as client:
            return await asyncio.gather(
                *(
                    client.post(
                        "/v1/improve", json={"prompts": "a cat", "max_new_tokens": 4 + place % 3}
                    )
                    for place in range(12)
                )
            )

    for place, answer in enumerate(asyncio.run(ask_all())):
        [result] = answer.json()["results"]
        assert result["settings"]["max_new_tokens"] == 4 + place % 3


def test_a_stream_gives_each_result_as_an_event(client: TestClient) -> None:
    body = {"prompts": HEADS[:3], "n": 2, "seed": 4, **SHORT}
    whole = client.post("/v1/improve", json=body).json()["results"]
    answer = client.post("/v1/improve", json={**body, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    *results, last = events(answer.text)
    assert last == ("done", {"results": 6})
    order = sorted((data for _, data in results), key=lambda item: (item["index"], item["variant"]))
    assert order == whole


def test_a_request_takes_all_options_that_improving_has() -> None:
    options = {item.name for config in (DecodingConfig, ControlConfig) for item in fields(config)}
    own = {"prompts", "n", "seed", "mode", "preset", "model", "negative", "stream"}
    assert set(ImproveRequest.model_fields) == options | own


def test_null_asks_for_no_budget(client: TestClient) -> None:
    for sent, wanted in (
        ({}, 75),
        ({"max_prompt_tokens": None}, None),
        ({"max_prompt_tokens": 40}, 40),
    ):
        answer = client.post("/v1/improve", json={"prompts": "a cat", **SHORT, **sent})
        assert answer.json()["results"][0]["settings"]["max_prompt_tokens"] == wanted


def test_results_are_described_as_they_are(client: TestClient) -> None:
    [result] = client.post("/v1/improve", json={"prompts": "a cat", **SHORT}).json()["results"]
    assert set(result) == set(Result.model_fields)
    Result.model_validate(result, strict=True)
    assert isinstance(result["seed"], int)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prompts": ""}, "prompt 0 is empty"),
        ({"prompts": ["a cat", " "]}, "prompt 1 is empty"),
        ({"prompts": []}, "there are no prompts"),
        ({"prompts": 3}, "prompts"),
        ({"prompts": "a" * 4001}, "4001 characters"),
        ({"prompts": ["a cat"] * 65}, "more than the 64 results"),
        ({"n": 65}, "more than the 64 results"),
        ({"n": 0}, "n: "),
        ({"n": True}, "n: "),
        ({"seed": -1}, "seed: "),
        ({"seed": "3"}, "seed: "),
        ({"temperature": 0}, "temperature: "),
        ({"top_p": 2}, "top_p: "),
        ({"max_new_tokens": 257}, "this server allows 256"),
        ({"preset": "paper", "max_new_tokens": None}, "this server allows 256"),
        ({"min_new_tokens": 9, "max_new_tokens": 6}, "at most max_new_tokens"),
        ({"artists": "often"}, "artists"),
        ({"avoid": ["x"] * 65}, "avoid: "),
        ({"reference": "nothing"}, "reference is 'nothing'"),
        ({"reference": "x" * 4001}, "reference has 4001 characters"),
        ({"mode": "shorten"}, "mode: "),
        ({"unknown": 1}, "unknown: "),
        ({"budget": 40}, "budget: "),
        ({"lock": False}, "lock: "),
        ({str(place): 1 for place in range(90_000)}, "it has 90002 fields and may have"),
    ],
)
def test_wrong_requests_get_one_line(client: TestClient, change: Any, words: str) -> None:
    answer = client.post("/v1/improve", json={"prompts": "a cat", **SHORT, **change})
    assert answer.status_code == 422
    [(name, line)] = answer.json().items()
    assert name == "error"
    assert words in line
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("improve", {"prompts": [1] * 300_000}),
        ("improve", {"prompts": "a cat", "avoid": [1] * 300_000}),
        ("illustrate", {"prompts": "a cat", "receipts": [1] * 300_000}),
        ("illustrate", {"prompts": "a cat", "receipts": [{"notes": [1] * 300_000}]}),
        ("illustrate", {"prompts": "a cat", "receipts": [{"additions": [1] * 300_000}]}),
        ("illustrate", {"prompts": "a cat", "receipts": [{"dropped": [1] * 300_000}]}),
    ],
)
def test_a_hundred_thousand_mistakes_are_as_one(
    client: TestClient, path: str, body: dict[str, Any]
) -> None:
    began = time.process_time()
    answer = client.post(f"/v1/{path}", json=body)
    assert time.process_time() - began < 1
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert 0 < len(error) < 300
    more = re.search("and ([0-9]+) more", error)
    assert more is None or int(more[1]) < 20


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"[" * 100_000, 400),
        (b'{"prompts": NaN}', 422),
        (b'{"prompts": "a cat", "temperature": Infinity}', 422),
        (b'{"prompts": "a cat", "seed": 1' + b"0" * 5000 + b"}", 400),
        (b'{"prompts": "\\ud800"}', 422),
        (b'{"prompts": "a cat", "\\ud800": 1}', 422),
        (b"\xff\xfe", 400),
    ],
)
def test_malformed_bodies_are_refused(client: TestClient, body: bytes, status: int) -> None:
    headers = {"content-type": "application/json"}
    answer = client.post("/v1/improve", content=body, headers=headers)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b'{"prompts": "a \xff"}', "the body is not UTF-8: byte 0xff at 15"),
        (b"[" * 100_000, "the body cannot be read: it nests too deeply, or a number has too many"),
        (b'{"prompts": }', "the body is not valid JSON: Expecting value at character 12"),
        (b'{"prompts": 5}', "prompts: Input should be a valid string or list"),
        (b'{"prompts": ["a cat", 5]}', "prompts.1: Input should be a valid string"),
        (b'{"prompts": "a cat", "n": "x"}', "n: Input should be a valid integer"),
        (b'{"n": 1}', "prompts: Field required"),
        (b"[]", "the body: Input should be a valid dictionary or object to extract fields from"),
    ],
)
def test_a_mistake_is_said_once_with_its_place(client: TestClient, body: bytes, line: str) -> None:
    headers = {"content-type": "application/json"}
    error = client.post("/v1/improve", content=body, headers=headers).json()["error"]
    assert error.startswith(line)
    assert ";" not in error


def test_the_first_page_leads_on_and_head_is_answered(client: TestClient) -> None:
    first = client.get("/", follow_redirects=False)
    assert (first.status_code, first.headers["location"]) == (307, "/docs")
    for path in ("/healthz", "/readyz", "/docs", "/v1/models"):
        assert client.head(path).status_code == client.get(path).status_code == 200
    assert client.head("/nothing").status_code == 404


def test_numbers_of_json_are_of_one_kind(client: TestClient) -> None:
    answers = [
        client.post("/v1/improve", json={"prompts": "a cat", "seed": seed, **SHORT}).json()
        for seed in (3, 3.0)
    ]
    assert answers[0] == answers[1]
    assert answers[0]["results"][0]["seed"] == 3


def test_other_methods_are_told_which_there_are(client: TestClient) -> None:
    answer = client.put("/v1/illustrate/x")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, DELETE"


def test_what_is_no_json_is_refused(client: TestClient) -> None:
    answer = client.post("/v1/improve", content=b'{"prompts": "a cat"}')
    assert answer.status_code == 415


def test_a_model_that_is_not_there_is_refused(client: TestClient) -> None:
    body = {"prompts": "a cat", **SHORT}
    [model] = client.get("/v1/models").json()["models"]
    assert client.post("/v1/improve", json={**body, "model": model["id"]}).status_code == 200
    assert client.post("/v1/improve", json={**body, "model": "other"}).status_code == 404


def test_a_form_is_written_or_refused(client: TestClient, writer_folder: Path) -> None:
    body = {"prompts": "a cat", "form": "paragraph", "seed": 1, **SHORT}
    refused = client.post("/v1/improve", json=body)
    assert refused.status_code == 422
    assert "has not learned form 'paragraph'; it has: tags" in refused.json()["error"]
    assert client.post("/v1/improve", json={**body, "form": "prose"}).status_code == 422
    service = Service.load(ServeConfig(), model=str(writer_folder), threads=1)
    with TestClient(create_app(service), base_url="http://localhost") as writer:
        [model] = writer.get("/v1/models").json()["models"]
        assert model["forms"] == ["tags", "paragraph"]
        [result] = writer.post("/v1/improve", json=body).json()["results"]
        assert result["settings"]["form"] == "paragraph"
        assert result["prompt"].startswith("a cat")


def test_a_request_names_its_picture_model(client: TestClient, improver: Improver) -> None:
    body = {"prompts": "a cat", "seed": 1, **SHORT}
    for picture_model, form in (("pony", "tags"), ("flux", "tags"), ("ideogram4", "json")):
        answer = client.post("/v1/improve", json={**body, "picture_model": picture_model})
        assert answer.status_code == 200, answer.text
        [result] = answer.json()["results"]
        [expected] = improver.improve(
            "a cat", seed=1, picture_model=picture_model, max_new_tokens=SHORT["max_new_tokens"]
        )
        assert (result["prompt"], result["settings"]["form"]) == (expected.prompt, form)
    refused = client.post("/v1/improve", json={**body, "picture_model": "other"})
    assert refused.status_code == 422 and "picture_model" in refused.json()["error"]


def test_a_model_of_paragraphs_alone_writes_them(exported: Path, tmp_path: Path) -> None:
    model = with_forms(exported, tmp_path / "model", ["paragraph"])
    service = Service.load(ServeConfig(), model=str(model), threads=1)
    with TestClient(create_app(service), base_url="http://localhost") as writer:
        answer = writer.post("/v1/improve", json={"prompts": "a cat", **SHORT}).json()
        assert [one["settings"]["form"] for one in answer["results"]] == ["paragraph"]


def test_a_full_queue_says_when_to_come_back(make: Make) -> None:
    service = make(max_queue=4, max_results=4)

    async def ask_all() -> list[httpx.Response]:
        async with asking(service) as client:
            held = Held(service.batcher)
            first = asyncio.create_task(client.post("/v1/improve", json={"prompts": "a", **SHORT}))
            await held.begun()
            rest = [
                asyncio.create_task(client.post("/v1/improve", json={"prompts": "b", **SHORT}))
                for _ in range(6)
            ]
            left = set(rest)
            while len(left) > 4:  # until those who do not fit are refused
                _, left = await asyncio.wait(left, timeout=300, return_when="FIRST_COMPLETED")
            assert service.batcher.waiting == 4
            assert (await client.get("/readyz")).status_code == 503
            held.free()
            return [await first, *[await task for task in rest]]

    answers = asyncio.run(ask_all())
    assert [answer.status_code for answer in answers].count(200) == 5
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 2
    assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused)


def test_a_request_that_takes_too_long_is_told_and_given_up(make: Make) -> None:
    service = make(timeout_s=1)

    async def ask_all() -> None:
        async with asking(service) as client:
            body = {"prompts": "a cat", **SHORT}
            assert (await client.post("/v1/improve", json=body)).status_code == 200
            held = Held(service.batcher)
            whole, stream = await asyncio.gather(
                client.post("/v1/improve", json=body),
                client.post("/v1/improve", json={**body, "stream": True}),
            )
            assert whole.status_code == 503
            assert whole.headers["retry-after"]
            assert [name for name, _ in events(stream.text)] == ["error"]
            assert service.batcher.waiting == 0
            held.free()
            assert (await client.post("/v1/improve", json=body)).status_code == 200

    asyncio.run(ask_all())


# Some seconds of work.
LONG = {"prompts": "a cat", "n": 64, "diversity": 1, "min_new_tokens": 256, "max_new_tokens": 256}


@pytest.mark.parametrize("stream", [False, True])
def test_work_ends_with_the_wait_for_it(make: Make, stream: bool) -> None:
    service = make(timeout_s=1)

    async def ask_all() -> None:
        async with asking(service) as client:
            late = await client.post("/v1/improve", json={**LONG, "stream": stream})
            assert "not done within 1 s" in late.text
            body = {"prompts": "a dog", **SHORT}
            assert (await client.post("/v1/improve", json=body)).status_code == 200

    asyncio.run(ask_all())


def test_stopping_finishes_what_is_waited_for(make: Make) -> None:
    service = make()
    held = Held(service.batcher, free=True)

    async def ask_all() -> httpx.Response:
        async with asking(service) as client:
            body = {"prompts": "a cat", "min_new_tokens": 200, "max_new_tokens": 200}
            asked = asyncio.create_task(client.post("/v1/improve", json=body))
            await held.begun()
            assert not asked.done()
        assert not service.batcher.running
        return await asked

    assert asyncio.run(ask_all()).status_code == 200


@pytest.mark.parametrize("waits", [False, True])
def test_stopping_does_not_take_longer_than_it_may(make: Make, waits: bool) -> None:
    batcher = make().batcher
    held = Held(batcher, free=True)
    decoding = DecodingConfig(min_new_tokens=256, max_new_tokens=256)
    options = (decoding, ControlConfig(diversity=1))

    async def stop() -> None:
        batcher.start()
        [result] = batcher.put(options, [Ask(prompt="a cat", seed=1, n=64)])
        await held.begun()
        if not waits:
            result.cancel()
        began = time.monotonic()
        await batcher.stop(0.3 if waits else 60)
        assert time.monotonic() - began < 3
        assert result.cancelled() or isinstance(result.exception(), GivenUp)

    asyncio.run(stop())


def test_the_worker_outlives_what_nobody_foresaw(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service, body = make(), {"prompts": "a cat", **SHORT}

    async def ask_all() -> None:
        async with asking(service) as client:
            with monkeypatch.context() as patch:
                patch.setattr(service.batcher, "_improve", None)
                assert (await client.post("/v1/improve", json=body)).status_code == 500
            assert (await client.post("/v1/improve", json=body)).status_code == 200

    with caplog.at_level(logging.INFO, "promptlift.web"):
        asyncio.run(ask_all())
    assert [record.message for record in caplog.records].count("batch") == 1


class _Breaking:
    """The engine of a model, which fails over one prompt."""

    def __init__(self, improver: Improver) -> None:
        self._engine = improver.here.engine
        self._poison = improver.here.codec.encode([improver.card.prefix("extend") + "poison"])[0]
        self.libraries, self.vocab_size = self._engine.libraries, self._engine.vocab_size

    def start(self, input_ids: Any, attention_mask: Any) -> Any:
        size = len(self._poison)
        if any(row[:size].tolist() == self._poison for row in input_ids):
            raise RuntimeError("in /secret/place with poison")
        return self._engine.start(input_ids, attention_mask)


@pytest.mark.parametrize("log_prompts", [False, True])
def test_a_failure_is_500_for_its_own_request_alone(
    make: Make, caplog: pytest.LogCaptureFixture, log_prompts: bool
) -> None:
    service = make(log_prompts=log_prompts)
    improver = service.batcher.improver
    improver.model = replace(improver.here, engine=_Breaking(improver))

    async def ask_all() -> list[httpx.Response]:
        async with asking(service) as client:
            bodies: list[dict[str, Any]] = [
                {"prompts": prompt, **SHORT} for prompt in ("a cat", "poison", "a dog")
            ]
            bodies.append({"prompts": ["poison", "a cat", "poison"], "stream": True, **SHORT})
            return await asyncio.gather(*(client.post("/v1/improve", json=body) for body in bodies))

    with caplog.at_level(logging.INFO, "promptlift.web"):
        answers = asyncio.run(ask_all())
    assert [answer.status_code for answer in answers] == [200, 500, 200, 200]
    assert events(answers[3].text)[-1] == ("error", {"error": "something went wrong here"})
    number = answers[1].headers["x-request-id"]
    assert number in answers[1].json()["error"]
    assert "secret" not in answers[1].text
    assert "default-src 'none'" in answers[1].headers["content-security-policy"]
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    [failed] = [line for line in lines if line.get("id") == number]
    assert failed["exception"] == "RuntimeError"
    assert sum("exception" in line for line in lines) == 2
    assert ("secret" in json.dumps(failed)) == log_prompts


def test_the_log_has_prompts_only_where_asked(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    for told in (False, True):
        caplog.clear()
        app = create_app(make(log_prompts=told))
        with (
            caplog.at_level(logging.INFO, "promptlift.web"),
            TestClient(app, base_url="http://localhost") as client,
        ):
            body = {"prompts": "a zebra", "negative": "an okapi", **SHORT}
            client.post("/v1/improve", json=body)
            client.post("/v1/improve", json={**body, "stream": True})
            chat = {"messages": [{"role": "user", "content": "a zebra"}], "negative": "an okapi"}
            client.post("/v1/chat/completions", json={**chat, **SHORT})
            client.get("/v1/illustrate/zebra")
            client.get("/zebra?zebra=1", headers={"user-agent": "zebra"})
        lines = [JsonLines().format(record) for record in caplog.records]
        found = [json.loads(line) for line in lines if "request" in line]
        assert [line["status"] for line in found] == [200, 200, 200, 404, 404]
        routes = ["/v1/improve", "/v1/improve", "/v1/chat/completions"]
        for route, line in zip(routes, found, strict=False):
            assert (line["route"], line["results"]) == (route, 1)
            assert (line.get("negative") == "an okapi") == told
            assert ("a zebra" in line.get("improved", [""])[0]) == told
        assert ("zebra" in "".join(lines)) == ("okapi" in "".join(lines)) == told


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/improve", {"prompts": ["a cat", "a dog"]}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a cat"}], "n": 2}),
    ],
)
def test_callers_who_leave_at_once_leave_nothing_behind(
    make: Make, caplog: pytest.LogCaptureFixture, path: str, asked: dict[str, Any], stream: bool
) -> None:
    """As uvicorn tells it: the body has come, and then nobody is there."""
    service = make()
    app = create_app(service)
    body = json.dumps({**asked, "stream": stream}).encode()
    scope = {
        "type": "http", "asgi": {"spec_version": "2.3"}, "http_version": "1.1", "method": "POST",
        "path": path, "query_string": b"", "scheme": "http",
        "headers": [
            (b"host", b"localhost"), (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ],
    }  # fmt: skip

    async def leave() -> None:
        messages: list[dict[str, Any]] = [
            {"type": "http.disconnect"},
            {"type": "http.request", "body": body},
        ]

        async def receive() -> dict[str, Any]:
            return messages.pop() if len(messages) > 1 else messages[0]

        async def send(message: dict[str, Any]) -> None:
            pass

        async with app.router.lifespan_context(app):
            held = Held(service.batcher)
            await app(scope, receive, send)  # type: ignore[arg-type]
            assert service.batcher.waiting == 0
            held.free()
        gc.collect()

    with caplog.at_level(logging.WARNING, "asyncio"):
        asyncio.run(leave())
    assert [record for record in caplog.records if record.name == "asyncio"] == []


def test_what_asyncio_complains_of_is_a_line_without_what_it_is_about() -> None:
    try:
        raise ValueError("a zebra")
    except ValueError as error:
        text = f"never retrieved\nfuture: <Future exception={error!r}>"
        told = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("asyncio", logging.ERROR, "", 0, text, (), told)
    line = JsonLines().format(record)
    assert "zebra" not in line
    found = json.loads(line)
    assert (found["event"], found["exception"]) == ("never retrieved", "ValueError")


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST:80", "127.0.0.1:9", "[::1]:80", "[::1]", "192.168.1.7",
        "prompts.example", "prompts.example:443",
    ],
)  # fmt: skip
def test_own_names_and_addresses_are_served(make: Make, host: str) -> None:
    app = create_app(make(allow_host=("Prompts.Example",)))
    with TestClient(app) as client:
        assert client.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "", "localhost.evil.example", "localhost:80@evil", "::1x", "[::1", "a b"],
)
def test_other_names_are_not(client: TestClient, host: str) -> None:
    for path in ("/healthz", "/v1/models", "/docs"):
        assert client.get(path, headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:81"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_writes_from_pages_elsewhere_are_refused(
    client: TestClient, headers: dict[str, str]
) -> None:
    body = {"prompts": "a cat", **SHORT}
    assert client.post("/v1/improve", json=body, headers=headers).status_code == 403
    assert client.delete("/v1/illustrate/x", headers=headers).status_code == 403
    own = {"origin": "http://localhost", "sec-fetch-site": "same-origin"}
    assert client.post("/v1/improve", json=body, headers=own).status_code == 200


def test_a_token_is_needed_below_v1(make: Make) -> None:
    app = create_app(make(token=TOKEN))
    with TestClient(app, base_url="http://localhost") as client:
        for wrong in (None, TOKEN, f"Bearer {TOKEN}x", "Bearer ", f"bearer {TOKEN}", "Bearer é"):
            headers = {} if wrong is None else {"authorization": wrong.encode("latin-1")}
            for path in ("/v1/models", "/v1/illustrate/x", "/v1/nowhere", "/metrics"):
                answer = client.get(path, headers=headers)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
            assert client.post("/v1/improve", json={}, headers=headers).status_code == 401
        assert client.get("/healthz").status_code == 200
        good = {"authorization": f"Bearer {TOKEN}"}
        assert client.get("/v1/models", headers=good).status_code == 200
        assert client.get("/metrics", headers=good).status_code == 200
        spec = client.get("/openapi.json").json()
        assert TOKEN not in json.dumps(spec)
        assert spec["paths"]["/v1/improve"]["post"]["security"]


def test_figures_for_prometheus(make: Make) -> None:
    with TestClient(create_app(make()), base_url="http://localhost") as client:
        for _ in range(2):
            client.post("/v1/improve", json={"prompts": ["a cat", "a dog"], "n": 2, **SHORT})
        client.get("/nowhere/of/any/name")
        client.request("BREW", "/v1/improve")
        text = client.get("/metrics").text
        assert client.get("/metrics").text == text  # it does not count itself
    found = {
        (one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }
    assert found["promptlift_requests_total", "POST", "/v1/improve", "200"] == 2
    assert found["promptlift_requests_total", "GET", "none", "404"] == 1
    assert found["promptlift_requests_total", "other", "/v1/improve", "405"] == 1
    assert found["promptlift_request_seconds_count", "/v1/improve"] == 3
    assert found["promptlift_results_total",] == 8
    assert found["promptlift_batches_total",] >= 2
    assert found["promptlift_waiting_results",] == found["promptlift_waiting_picture_jobs",] == 0
    assert "a cat" not in text


def test_long_bodies_are_refused_before_they_are_read(make: Make) -> None:
    app = create_app(make(max_body=1_000))
    with TestClient(app, base_url="http://localhost") as client:
        for content in (b"x" * 1001, iter([b"x" * 600, b"x" * 600])):
            answer = client.post("/v1/improve", content=content)
            assert answer.status_code == 413
            assert answer.headers["connection"] == "close"


def test_answers_carry_safe_headers_and_no_name_of_the_server(client: TestClient) -> None:
    for path in ("/", "/docs", "/docs/api.js", "/v1/models", "/openapi.json"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


def test_markup_in_prompts_stays_text(client: TestClient) -> None:
    text = "<script>alert(1)</script> & \u2028 a cat"
    answer = client.post("/v1/improve", json={"prompts": text, **SHORT})
    assert answer.headers["content-type"] == "application/json"
    [result] = answer.json()["results"]
    assert result["source"] == text
    assert result["prompt"].startswith(text)


@pytest.mark.parametrize(
    "path",
    [
        "/docs/..%2f..%2fapi.py",
        "/docs/",
        "/docs/api.html/",
        "/docs/%00",
        "/docs/__init__.py",
        "/%2fdocs",
        "/.env",
    ],
)
def test_no_path_leads_to_a_file(client: TestClient, path: str) -> None:
    answer = client.get(path, follow_redirects=False)
    assert answer.status_code == 404
    assert "promptlift" not in answer.text


def test_the_page_of_the_api_is_its_own(client: TestClient) -> None:
    page = client.get("/docs").text
    assert not re.search(r"<script>|style=|onclick|https?://", page)
    for name in re.findall(r'(?:src|href)="(/[^"]+)"', page):
        assert client.get(name).status_code == 200
    assert "SwaggerUIBundle" in client.get("/docs/swagger-ui-bundle.js").text
    spec = client.get("/openapi.json").json()
    assert {"/v1/improve", "/v1/illustrate", "/v1/models", "/healthz"} <= set(spec["paths"])


def test_models_say_what_there_is(client: TestClient, improver: Improver, exported: Path) -> None:
    answer = client.get("/v1/models")
    [model] = answer.json()["models"]
    assert model["id"] == improver.model_id
    assert model["defaults"]["max_prompt_tokens"] == 75
    assert answer.json()["limits"]["max_results"] == 64
    assert [one["name"] for one in answer.json()["picture_models"]] == [*NAMES]
    assert str(exported.parent) not in answer.text


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"host": "0.0.0.0"}, "a token is needed"),
        ({"token": "short"}, "16 characters"),
        ({"token": "with spaces in the middle"}, "letters, digits"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"max_queue": 3}, "--max-queue is 3"),
        ({"timeout_s": float("nan")}, "timeout_s is nan"),
        ({"timeout_s": float("inf")}, "timeout_s is inf"),
        ({"wait_ms": float("inf")}, "wait_ms is inf"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ServeConfig(**config)


def test_a_model_with_one_mode_needs_no_mode(paper_folder: Path) -> None:
    service = Service.load(ServeConfig(), model=str(paper_folder), threads=1)
    with TestClient(create_app(service), base_url="http://localhost") as client:
        asked = {"prompts": "a cat", "max_new_tokens": 3}
        [result] = client.post("/v1/improve", json=asked).json()["results"]
        assert result["mode"] == "rewrite"
        refused = client.post("/v1/improve", json={**asked, "mode": "extend"})
    assert refused.status_code == 422 and "it has: rewrite" in refused.json()["error"]


def test_what_means_nothing_to_a_servers_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with serving() as endpoint:
        endpoint.respond = lambda prompt: said("warm lamplight")
        asked = {"llm_url": endpoint.url, "llm_attempts": 1}
        service = Service.load(ServeConfig(), model="org/tiny", llm=asked)
        with TestClient(create_app(service), base_url="http://localhost") as client:
            body = {"prompts": "a cat", "seed": 1, "temperature": 0.5}
            wrong = {**body, "top_k": 5, "repetition_penalty": 1.1}
            refused = client.post("/v1/improve", json=wrong)
            assert not endpoint.requests
            [result] = client.post("/v1/improve", json=body).json()["results"]
            assert client.get("/v1/models/org/tiny").json()["id"] == "org/tiny"
        with pytest.raises(ConfigError) as caught:
            service.batcher.improver.session(top_k=5, repetition_penalty=1.1)
    assert (refused.status_code, refused.json()["error"]) == (422, str(caught.value))
    assert "repetition_penalty, top_k: a server's model takes temperature" in str(caught.value)
    assert result["prompt"] == "a cat, warm lamplight"
