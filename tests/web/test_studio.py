"""What the studio asks of its server, in this process, with a tiny model."""

import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

import promptlift.web
from promptlift import Improver
from promptlift.improving.receipts import (
    parse_a1111_parameters,
    parse_receipt,
    receipt_text,
)
from promptlift.prompts.picture_models.encoders import count_tokens
from promptlift.web.api import create_app
from promptlift.web.config import ServeConfig
from promptlift.web.service import Service
from promptlift.web.studio import studio_routers
from tests.web.server_process import Studio

PAGE = Path(promptlift.web.__file__).parent / "studio"
TOKEN = "a-token-of-some-length"


def studio(**config: Any) -> TestClient:
    service = Service.load(ServeConfig(**config), threads=1)
    app = create_app(service, pages=studio_routers(service))
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with studio() as client:
        yield client


@pytest.fixture(scope="module")
def receipt() -> dict[str, Any]:
    [result] = Improver.load(threads=1).improve("a cat in armor", seed=3)
    found: dict[str, Any] = json.loads(receipt_text(result))
    return found


def png(**texts: str) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    said = [chunk(b"tEXt", key.encode() + b"\0" + text.encode()) for key, text in texts.items()]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(said) + chunk(b"IEND", b"")


def tell(client: TestClient, picture: bytes) -> Any:
    return client.post("/v1/picture-text", content=picture, headers={"content-type": "image/png"})


def test_the_page_and_its_files_are_sent_with_safe_headers(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert (
        "<script>" not in page.text
        and " style=" not in page.text
        and " on" + "click" not in page.text
    )
    for name in [path.name for path in PAGE.glob("*.js")]:
        file = client.get(f"/studio/{name}")
        assert file.headers["content-type"].startswith("text/javascript")
        assert "innerHTML" not in file.text and "://" not in file.text
    for name in ("..%2fapi.py", "none.js", "studio.py"):
        assert client.get(f"/studio/{name}").status_code == 404


def test_additions_are_taken_out_and_texts_to_copy_come_back(
    client: TestClient, receipt: dict[str, Any]
) -> None:
    answer = client.post("/v1/edit", json={"receipt": receipt, "removed": [0]}).json()
    assert answer["receipt"]["additions"] == receipt["additions"][1:]
    assert answer["copies"]["plain"] == answer["receipt"]["prompt"]
    prompt, _, settings = parse_a1111_parameters(answer["copies"]["a1111"])
    assert (prompt, settings["Seed"]) == (answer["receipt"]["prompt"], "3")
    assert parse_receipt(json.dumps(answer["receipt"]), "here").checks["removed"] == [0]
    refused = client.post("/v1/edit", json={"receipt": receipt, "removed": [400]})
    assert refused.status_code == 422 and "no addition 400" in refused.json()["error"]


def test_reasons_come_for_each_addition(client: TestClient, receipt: dict[str, Any]) -> None:
    answer = client.post("/v1/reasons", json={"receipt": receipt}).json()
    assert len(answer["reasons"]) == len(receipt["additions"])
    assert answer["source_tokens"] == 4


def test_your_tokens_are_of_the_encoder_that_counts(client: TestClient) -> None:
    [result] = Improver.load(threads=1).improve("a cat in armor", seed=3, picture_model="flux")
    receipt = json.loads(receipt_text(result))
    answer = client.post("/v1/reasons", json={"receipt": receipt}).json()
    assert answer["source_tokens"] == count_tokens("a cat in armor", "t5").tokens > 4
    receipt["checks"]["encoder"] = ["no encoder"]
    assert client.post("/v1/reasons", json={"receipt": receipt}).json()["source_tokens"] == 4


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"artists": [], "styles": {}, "length": []}},
        {"settings": {"max_prompt_tokens": "x", "chunks": None}},
        {"settings": {"include": 3, "style": 4}}, {"settings": {}},
        {"schema_version": 1}, {"prompt": " "}, {"source": ""}, {"additions": []},
        {"additions": ["not in the prompt"] * 3}, {"seed": -1}, {"variant": 10**30},
        {"checks": {"removed": "abc"}}, {"checks": {"removed": [9**9, "x"]}}, {"model": "other"},
        {"mode": "rewrite"}, {"mode": "none"}, {"prompt": "\ud800 cat"}, {"negative": "\udfff"},
    ],
)  # fmt: skip
def test_odd_receipts_are_answered_or_refused_in_a_line(
    client: TestClient, receipt: dict[str, Any], change: dict[str, Any]
) -> None:
    for path in ("/v1/edit", "/v1/reasons"):
        body = json.dumps({"receipt": {**receipt, **change}})
        answer = client.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (200, 422), (path, answer.text)


@pytest.mark.parametrize("field", ["source", "prompt", "additions"])
def test_receipts_have_an_end(client: TestClient, receipt: dict[str, Any], field: str) -> None:
    long: Any = ["cat"] * 201 if field == "additions" else "[a|b] " * 30_000
    for path in ("/v1/edit", "/v1/reasons"):
        answer = client.post(path, json={"receipt": {**receipt, field: long}})
        assert answer.status_code == 422 and answer.elapsed.total_seconds() < 2


def test_a_picture_tells_its_prompt(client: TestClient, receipt: dict[str, Any]) -> None:
    told = tell(client, png(promptlift=json.dumps(receipt))).json()
    assert told["prompt"] == receipt["prompt"] and told["receipt"]["source"] == receipt["source"]
    theirs = "a dog\nNegative prompt: blur\nSteps: 20, Sampler: Euler a, Seed: 5"
    told = tell(client, png(parameters=theirs)).json()
    assert (told["prompt"], told["negative"], told["receipt"]) == ("a dog", "blur", None)
    assert told["settings"]["Sampler"] == "Euler a"


def block(parameters: str) -> bytes:
    """The EXIF block of a JPEG, as A1111 writes it."""
    exif = Image.Exif()
    exif[0x8769] = {0x9286: b"UNICODE\0" + parameters.encode("utf-16-be")}
    return exif.tobytes()


SWARMUI = json.dumps({"sui_image_params": {"prompt": "a dog", "negativeprompt": "blur"}})
FOOOCUS = json.dumps({"prompt": "a dog", "negative_prompt": "blur", "version": "Fooocus v2"})
A1111 = "a dog\nNegative prompt: blur\nSteps: 20, Sampler: Euler a, Seed: 5"


@pytest.mark.parametrize(
    ("text", "tool"), [(SWARMUI, "SwarmUI"), (FOOOCUS, "Fooocus"), (A1111, "A1111")]
)
def test_i_a_picture_of_another_tool_tells_its_prompt(
    client: TestClient, text: str, tool: str
) -> None:
    for picture in (png(parameters=text), block(text)):
        told = tell(client, picture).json()
        assert (told["prompt"], told["negative"], told["tool"]) == ("a dog", "blur", tool)
        assert told["receipt"] is None and told["notes"] == []


@pytest.mark.parametrize(
    ("picture", "line"),
    [
        (b"", "is not a PNG"), (b"GIF89a", "is not a PNG"), (png(), "carries no prompt: neither"),
        (png(parameters='{"steps": 20}'), "is JSON of an unknown tool"),
        (png(workflow='{"nodes": []}'), "ComfyUI's workflow is there"),
        (png(prompt='{"3": {"class_type": "X", "inputs": {}}}'), "does not lead from a sampler"),
        (b"Exif\0\0MM\0*\0\0", "is damaged"), (b"\xff\xd8", "is damaged"),
        (png()[:-5], "ends in the middle"), (png(promptlift="{}"), "lacks"),
        (png(promptlift="[" * 3000), "is no receipt"),
        (png(parameters="x")[:-16] + b"\0" * 16, "damaged"),
    ],
)  # fmt: skip
def test_pictures_without_a_prompt_are_refused(
    client: TestClient, picture: bytes, line: str
) -> None:
    answer = tell(client, picture)
    assert answer.status_code == 422 and line in answer.json()["error"], answer.text


def test_chat_completions_are_answered_too(client: TestClient, receipt: dict[str, Any]) -> None:
    body = {"messages": [{"role": "user", "content": receipt["source"]}], "seed": receipt["seed"]}
    [choice] = client.post("/v1/chat/completions", json=body).json()["choices"]
    assert choice["message"]["content"] == receipt["prompt"]


def test_beyond_the_page_a_token_is_needed(receipt: dict[str, Any]) -> None:
    with studio(token=TOKEN) as client:
        assert client.get("/").status_code == 200 and client.get("/studio/studio.js").is_success
        for path in ("/v1/edit", "/v1/reasons"):
            body = {"receipt": receipt}
            assert client.post(path, json=body).status_code == 401
            allowed = {"authorization": f"Bearer {TOKEN}"}
            assert client.post(path, json=body, headers=allowed).status_code == 200
        assert tell(client, png()).status_code == 401


@pytest.mark.slow
def test_requests_made_from_the_description_meet_no_failure(tmp_path: Path) -> None:
    # Beside this Python first, which need not be on the path.
    tool = shutil.which(
        "schemathesis", path=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    )
    if tool is None:
        pytest.skip("no schemathesis")
    server = Studio("--image-model", "none")
    line = [
        tool, "run", f"{server.address}/openapi.json", "--seed", "1", "--max-examples", "150",
        "--include-path-regex", "/v1/(edit|reasons|picture-text)", "--workers", "2",
        "--generation-database", "none", "--request-timeout", "60",
        "--phases", "fuzzing",  # the other one fails within Hypothesis on free objects
        # A receipt has to be whole, which a schema does not say.
        "--exclude-checks", "positive_data_acceptance",
    ]  # fmt: skip
    try:
        done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path)
    finally:
        server.kill()
    assert done.returncode == 0, done.stdout
