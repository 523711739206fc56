"""Which models a request may name, and that none makes the server ask another host."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from promptlift import Improver
from promptlift.web.api import create_app
from promptlift.web.config import ServeConfig
from promptlift.web.service import Service
from promptlift.web.studio import studio_routers
from tests.llm.server import Endpoint, Reply, answer, serving

ADDED = answer(json.dumps({"additions": ["soft light", "long exposure"]}))
PATIENCE_S = 60  # reached only when a test fails


@pytest.fixture
def server() -> Iterator[Endpoint]:
    with serving() as server:
        server.names = ["tiny", "large"]
        server.respond = lambda prompt: ADDED
        yield server


Open = Callable[..., TestClient]


@pytest.fixture
def open_studio(server: Endpoint) -> Iterator[Open]:
    """Opens the studio, whose model is the server's `tiny`."""
    opened: list[TestClient] = []

    def visit(*, others: bool = True, **config: Any) -> TestClient:
        llm = {"llm_url": server.url, "llm_attempts": 1, "llm_cache": False}
        config = {"wait_ms": 0, **config}
        service = Service.load(
            ServeConfig(**config), model="tiny", threads=1, llm=llm, others=others
        )
        app = create_app(service, pages=studio_routers(service))
        client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
        opened.append(client.__enter__())
        return client

    yield visit
    for client in opened:
        client.__exit__(None, None, None)


def listed(client: TestClient) -> dict[str, dict[str, Any]]:
    """The models that write, by their names."""
    found = client.get("/v1/models").json()["models"]
    return {one["id"].rpartition("@")[0]: one for one in found if one["kind"] == "improve"}


def improve(client: TestClient, **body: Any) -> Any:
    return client.post("/v1/improve", json={"prompts": "a lighthouse", "seed": 3, **body})


def test_the_studio_has_its_own_model_the_bundled_one_and_those_of_its_server(
    server: Endpoint, open_studio: Open
) -> None:
    client = open_studio()
    models = listed(client)
    assert [*models] == ["tiny", "writer", "large"]
    assert [one["server"] for one in models.values()] == [server.url, None, server.url]
    assert models["writer"]["forms"] == ["tags", "paragraph"]
    assert models["large"]["forms"] == ["tags", "paragraph"]

    [result] = improve(client).json()["results"]  # nobody is named
    assert result["model"] == models["tiny"]["id"]
    [result] = improve(client, model=models["large"]["id"]).json()["results"]
    assert result["model"] == models["large"]["id"] != models["tiny"]["id"]
    assert [body["model"] for _, _, body in server.requests] == ["tiny", "large"]

    [expected] = Improver.load("writer").improve("a lighthouse", seed=3)
    for name in (models["writer"]["id"], "writer"):
        [result] = improve(client, model=name).json()["results"]
        assert (result["model"], result["prompt"]) == (expected.model, expected.prompt)
    assert len(server.requests) == 2
    # Its reasons are its own: a server gives no likelihoods.
    receipt = {name: value for name, value in result.items() if name != "index"}
    told = client.post("/v1/reasons", json={"receipt": receipt}).json()["reasons"]
    words = ("suits “a lighthouse”", "suits anything", "unusual here")
    assert told and all(any(word in reason for word in words) for reason in told)


def test_a_model_that_came_later_is_found(server: Endpoint, open_studio: Open) -> None:
    client = open_studio()
    assert "new" not in listed(client)
    server.names = ["tiny", "new"]
    [result] = improve(client, model="new").json()["results"]
    assert result["model"].startswith("new@")
    assert [*listed(client)] == ["tiny", "writer", "new"]


def test_no_request_makes_the_server_ask_another_host(server: Endpoint, open_studio: Open) -> None:
    client = open_studio()
    with serving() as other:
        for name in (f"{other.url}#tiny", other.url, f"tiny@{other.url}", "", "weights/writer"):
            refused = improve(client, model=name)
            assert refused.status_code == 404 and "tiny@" in refused.json()["error"]
        assert other.requests == [] and other.others == []
    assert server.requests == []


def test_without_others_there_is_one_and_its_server_is_not_asked_for_more(
    server: Endpoint, open_studio: Open
) -> None:
    client = open_studio(others=False)
    assert [*listed(client)] == ["tiny"]
    assert improve(client, model="writer").status_code == 404
    assert improve(client, model="large").status_code == 404
    assert improve(client, model="tiny").status_code == 200
    assert server.others == []


def test_a_server_that_is_gone_is_one_line_and_the_others_go_on(
    server: Endpoint, open_studio: Open
) -> None:
    client = open_studio()
    assert [*listed(client)] == ["tiny", "writer", "large"]
    server.shutdown()
    server.server_close()
    for name in ("tiny", "large"):
        answered = improve(client, model=name)
        assert answered.status_code == 502
        line = answered.json()["error"]
        assert f"{server.url} answers no more" in line and "\n" not in line
    streamed = improve(client, model="tiny", stream=True)
    assert streamed.text.startswith("event: error\n") and "answers no more" in streamed.text
    assert improve(client, model="writer").status_code == 200
    assert [*listed(client)] == ["tiny", "writer", "large"]  # as it said last


def test_a_server_that_lists_nothing_costs_its_other_models(
    server: Endpoint, open_studio: Open
) -> None:
    server.listing = Reply({"error": "no"}, 404)
    client = open_studio()
    assert [*listed(client)] == ["tiny", "writer"]
    assert improve(client).status_code == 200


def test_one_that_writes_slowly_holds_up_no_other(server: Endpoint, open_studio: Open) -> None:
    begun, free = threading.Event(), threading.Event()

    def slowly(prompt: str) -> Reply:
        begun.set()
        assert free.wait(PATIENCE_S)
        return ADDED

    server.respond = slowly
    client = open_studio()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(improve, client)
        assert begun.wait(PATIENCE_S)
        assert improve(client, model="writer").status_code == 200
        assert not slow.done()
        free.set()
        assert slow.result().status_code == 200
