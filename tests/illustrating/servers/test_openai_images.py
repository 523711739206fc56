"""Drawing with an image endpoint, and what it may do wrong."""

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastapi
import numpy as np
import pytest
from fastapi.responses import HTMLResponse, JSONResponse
from typer.testing import CliRunner

from promptlift import ConfigError, Illustrator, InputError, ModelError
from promptlift.cli import app
from promptlift.illustrating.servers import backend
from promptlift.pictures import read_index
from promptlift.runs import Run
from tests.illustrating.servers.conftest import Draws
from tests.illustrating.servers.hosts import FakeImages, noise, png

Answer = Callable[[dict[str, Any]], Any]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between requests take hardly any time."""
    monkeypatch.setattr(backend, "_LONGEST_BACKOFF_S", 0.01)


@pytest.fixture
def options(images: FakeImages) -> dict[str, Any]:
    return {"backend": "openai", "url": f"{images.url}/v1"}


def failure(status: int, text: str = "no", **more: Any) -> Answer:
    headers = more.pop("headers", None)
    return lambda body: JSONResponse({"error": {"message": text, **more}}, status, headers)


def once(answer: Answer) -> Answer:
    """The answer to the second request alone: the first picture is drawn."""
    asked = []

    def respond(body: dict[str, Any]) -> Any:
        asked.append(body)
        return answer(body) if len(asked) == 3 else None

    return respond


def test_a_run_is_drawn(
    images: FakeImages, draws: Draws, options: dict[str, Any], tmp_path: Path
) -> None:
    files, said = draws(seeds=2, width=32, height=48, batch_size=4, **options)
    assert len(files) == 8 and not any("hold seeds" in line for line in said)
    sent = images.asked[0]
    assert (sent["model"], sent["n"], sent["size"]) == ("tiny", 1, "32x48")
    assert sent["response_format"] == "b64_json" and "negative_prompt" not in sent
    assert read_index(tmp_path / "run" / "pictures")[0].model == [{"name": "tiny", "sha256": ""}]


def test_a_server_that_knows_no_seeds_is_found_out_and_the_run_says_so(
    images: FakeImages, draws: Draws, options: dict[str, Any], tmp_path: Path
) -> None:
    images.refuses = ("seed", "response_format")
    _, said = draws(**options)
    assert sum("does not hold seeds" in line for line in said) == 1
    # What it does not understand is tried once.
    assert ["seed" in body for body in images.asked] == [True, *[False] * 5]
    assert Run.open(tmp_path / "run").stage("illustrating")["results"]["holds_seeds"] is False


def test_a_server_that_takes_seeds_and_forgets_them_is_found_out(
    images: FakeImages, draws: Draws, options: dict[str, Any]
) -> None:
    images.forgets = True
    _, said = draws(**options)
    assert sum("does not hold seeds" in line for line in said) == 1


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (failure(429, "slow down", headers={"Retry-After": "0.01"}), "HTTP 429 slow down"),
        (failure(500, "out of\nmemory"), "HTTP 500 out of memory"),
        (lambda body: HTMLResponse("<html>\n<h1>Hello</h1></html>"), "no JSON but: <html> <h1>"),
        (
            lambda body: {"data": [{"b64_json": base64.b64encode(b"<html>").decode()}]},
            "no whole picture but: <html>",
        ),
        (
            lambda body: {"data": [{"b64_json": base64.b64encode(png(noise())[:900]).decode()}]},
            "no whole picture",
        ),
        (lambda body: {"data": []}, "no picture but"),
        (lambda body: {"data": [{}]}, "neither a picture nor its address"),
        (lambda body: time.sleep(1), "no whole answer within 0.5 s"),
    ],
)
def test_what_passes_is_asked_again_and_nothing_is_lost(
    images: FakeImages, draws: Draws, options: dict[str, Any], answer: Answer, line: str
) -> None:
    images.respond = once(answer)
    files, said = draws(timeout_s=0.5, **options)
    assert len(files) == 4
    [found] = [one for one in said if "asking again" in one]
    assert line in found and "\n" not in found


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (failure(401, "bad key sk-secret-0123"), "HTTP 401 bad key .*. Check the key"),
        (failure(404), "Check the address and --backend"),
        (failure(400, "size is wrong"), "no picture could be drawn; .* HTTP 400 size is wrong"),
        (failure(500, "broken"), "no picture could be drawn; the last one: HTTP 500 broken"),
        (
            lambda body: {"data": [{"url": "http://elsewhere.example/a.png"}]},
            "the picture is at elsewhere.example, which was not named",
        ),
    ],
)
def test_what_does_not_pass_is_one_line_and_the_same_command_goes_on(
    images: FakeImages, draws: Draws, options: dict[str, Any], answer: Answer, line: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("PROMPTLIFT_PICTURE_API_KEY", "sk-secret-0123")
    images.respond = answer
    with pytest.raises(ModelError, match=line) as error:
        draws(**options)
    assert "\n" not in str(error.value) and "sk-secret" not in str(error.value)
    images.respond = lambda body: None
    assert len(draws(**options)[0]) == 4


def test_a_prompt_that_is_refused_for_what_it_says_is_left_out(
    images: FakeImages, draws: Draws, options: dict[str, Any], tmp_path: Path
) -> None:
    refuse = failure(400, "not allowed", code="content_policy_violation")
    images.respond = lambda body: refuse(body) if body["prompt"] == "a cat" else None
    files, said = draws(**options)
    assert files == [
        "000000-s0-improved-v0.png", "000001-s0-original.png", "000001-s0-improved-v0.png",
    ]  # fmt: skip
    assert "000000-s0-original.png is not drawn: HTTP 400 not allowed" in said
    # A pair whose original is missing would be none.
    prompts = [row.prompt for row in read_index(tmp_path / "run" / "pictures")]
    assert prompts == ["a dog", "a dog, on a beach"]
    with pytest.raises(InputError, match="“a cat” is not drawn: HTTP 400 not allowed"):
        Illustrator.load(**options).draw("a cat")
    images.respond = lambda body: None
    assert draws(**options)[0] == ["000000-s0-original.png"]
    assert len(read_index(tmp_path / "run" / "pictures")) == 4


def test_another_size_and_another_prompt_are_noted(
    images: FakeImages, options: dict[str, Any]
) -> None:
    data = base64.b64encode(png(noise(1))).decode()
    images.respond = lambda body: {"data": [{"b64_json": data, "revised_prompt": "a\nbig cat"}]}
    picture = Illustrator.load(width=32, height=32, **options).draw("a cat")
    assert picture.notes == (
        "the server drew 64x64 in place of 32x32",
        "the server drew another prompt: “a big cat”",
    )


def test_a_picture_at_an_address_of_the_same_server_is_fetched(
    images: FakeImages, options: dict[str, Any]
) -> None:
    for address in (f"{images.url}/pictures/one.png", "/pictures/one.png"):
        images.respond = lambda body, address=address: {"data": [{"url": address}]}  # type: ignore[misc]
        picture = Illustrator.load(**options).draw("a cat")
        assert np.array_equal(np.asarray(picture.image), np.asarray(noise("one.png")))


def test_models_are_asked_for(images: FakeImages, options: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="has no model 'nope'; it has tiny"):
        Illustrator.load("nope", **options)
    images.models = {"data": [{"id": "one"}, {"id": "two"}]}
    with pytest.raises(ConfigError, match=r"name one of the models of .*: one, two"):
        Illustrator.load(**options)
    with pytest.raises(ConfigError, match="give both --width and --height, or neither"):
        Illustrator.load("one", width=64, **options)
    images.models = [{"id": "one"}]  # as some answer
    assert Illustrator.load(**options).backend.name == "one"
    images.models = fastapi.Response("no", 404)
    assert Illustrator.load("any", **options).backend.name == "any"
    images.models = HTMLResponse("<html>")
    with pytest.raises(ModelError, match="/models: no JSON but: <html>"):
        Illustrator.load(**options)


def test_keys_go_where_they_belong(
    images: FakeImages, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-vendor")
    Illustrator.load(**options)
    assert "authorization" not in images.headers[-1]
    monkeypatch.setenv("OPENAI_BASE_URL", f"{images.url}/v1")
    Illustrator.load(**options)
    assert images.headers[-1]["authorization"] == "Bearer sk-vendor"
    monkeypatch.setenv("PROMPTLIFT_PICTURE_API_KEY", "sk-ours")
    Illustrator.load(**options)
    assert images.headers[-1]["authorization"] == "Bearer sk-ours"
    with pytest.raises(ConfigError, match="--offline uses no network"):
        Illustrator.load(backend="openai", url="https://host.example/v1", offline=True)
    with pytest.raises(ConfigError, match="name the server with --url"):
        Illustrator.load(backend="openai")


def test_the_command_says_what_was_refused(
    images: FakeImages, improvements: Path, tmp_path: Path
) -> None:
    refuse = failure(400, "not allowed", code="moderation_blocked")
    images.respond = lambda body: refuse(body) if body["prompt"] == "a cat" else None
    arguments = [
        "illustrate", "--prompts", str(improvements), "-o", str(tmp_path / "run"), "--backend",
        "openai", "--url", f"{images.url}/v1", "--json",
    ]  # fmt: skip
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "1 prompts and seeds have a picture that was refused" in result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["prompt"] for row in rows] == ["a cat, soft light", "a dog", "a dog, on a beach"]
