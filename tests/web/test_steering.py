"""The server of the page to pick on, without a browser."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from promptlift.illustrating.illustrator import Illustrator
from promptlift.steering.picking import Picking
from promptlift.steering.vectors import embedding_of
from promptlift.web.steering import steering_app
from tests.illustrating.models import DIFFUSERS_WARNS

pytestmark = DIFFUSERS_WARNS
AT = {"place": 0, "offer": 0}


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    pocket = Illustrator.load("pocket", num_inference_steps=2)
    picking = Picking(tmp_path, pocket, embedding_of(pocket, "red star"), pool=8)
    return TestClient(steering_app(picking), "http://127.0.0.1:8000")


def mask(size: int, level: int) -> str:
    output = io.BytesIO()
    Image.new("L", (size, size), level).save(output, "PNG")
    return base64.b64encode(output.getvalue()).decode()


def test_a_round(client: TestClient, tmp_path: Path) -> None:
    assert client.get("/v1/state").json()["places"][0]["how"] == "start"
    found = client.get("/v1/offers/0/0").json()
    assert [len(one["styles"]) for one in found["candidates"]] == [3] * 5
    assert len(found["map"]) == 6
    shown = client.get("/v1/pictures/0/0/3/40")
    assert shown.headers["content-type"] == "image/png"
    moved = client.post("/v1/go", json={**AT, "pick": 3, "percent": 40})
    assert moved.json()["present"] == 1
    here, preview = (
        Image.open(io.BytesIO(one.content)) for one in (client.get("/v1/pictures/1"), shown)
    )
    assert here.tobytes() == preview.tobytes()
    saved = client.get("/v1/embeddings/1").content
    assert saved == (tmp_path / "embeddings" / "01.safetensors").read_bytes()
    again = client.post("/v1/go", json={**AT, "pick": 3, "percent": 40})  # its answer was lost
    assert (again.status_code, again.json()["present"], len(again.json()["places"])) == (409, 1, 2)
    assert client.post("/v1/back", json={"place": 0}).json()["present"] == 0
    assert client.post("/v1/others", json=AT).json()["offer"] == 1


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("go", {**AT, "pick": 9, "percent": 50}, 422, "there is no candidate 9 at 50%"),
        ("go", {**AT, "pick": 0, "percent": 0}, 422, "percent: Input should be greater"),
        ("go", [], 422, "Input should be"),
        ("back", {"place": 5}, 422, "there is no place 5"),
        ("redraw", {**AT, "percent": 50, "mask": "none"}, 422, "no PNG that can be read"),
        ("redraw", {**AT, "percent": 50, "mask": mask(64, 0)}, 422, "the mask is black"),
        ("redraw", {**AT, "percent": 50, "mask": mask(8, 255)}, 422, "the mask must be 64x64"),
        ("back", {"place": "0"}, 422, "place"),
        ("back", {"place": True}, 422, "place"),
        ("others", {"place": 3, "offer": 0}, 409, ""),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_line(
    client: TestClient, path: str, body: object, status: int, said: str
) -> None:
    answer = client.post(f"/v1/{path}", json=body)
    assert answer.status_code == status
    assert said in str(answer.json().get("error", ""))
    assert len(client.get("/v1/state").json()["places"]) == 1


def test_other_pages_and_names_are_refused(client: TestClient) -> None:
    body = {"place": 0}
    elsewhere = {"origin": "http://evil.example"}
    assert client.post("/v1/back", json=body, headers=elsewhere).status_code == 403
    assert client.get("/v1/state", headers={"host": "evil.example"}).status_code == 421
    for path in ("/v1/embeddings/4", "/v1/pictures/4", "/v1/offers/0/3"):
        assert client.get(path).status_code == 422
    for path in ("/", "/steer/brush.js", "/steer/map.js", "/studio/studio.css"):
        assert "default-src 'none'" in client.get(path).headers["content-security-policy"]
    assert client.get("/steer/..%2fsteering.py").status_code == 404
