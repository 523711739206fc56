"""Pictures through the API, drawn by a tiny real pipeline."""

import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from promptlift.illustrating.illustrator import Illustrator
from promptlift.steering.vectors import blend, embedding_of
from promptlift.web.api import create_app
from promptlift.web.config import ServeConfig
from promptlift.web.picture_jobs import KEPT, Job, PictureJobs
from promptlift.web.service import Service
from tests.illustrating.models import DIFFUSERS_WARNS, save_lcm, save_sd15
from tests.illustrating.servers.conftest import WORKFLOW
from tests.illustrating.servers.hosts import FakeComfyUI, noise, serving

pytestmark = DIFFUSERS_WARNS
STEPS: dict[str, Any] = {"num_inference_steps": 2}
ENDED = ("done", "failed")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sd15(tmp_path_factory.mktemp("pictures") / "sd15")


def client_of(exported: Path, image_model: str | None, **config: Any) -> TestClient:
    drawing = STEPS if config.pop("few_steps", True) else {"num_inference_steps": 900}
    service = Service.load(
        ServeConfig(**config), model=str(exported), threads=1, image_model=image_model,
        drawing=drawing,
    )  # fmt: skip
    return TestClient(create_app(service), base_url="http://localhost")


@pytest.fixture
def client(exported: Path, pipeline: Path) -> Iterator[TestClient]:
    with client_of(exported, str(pipeline)) as client:
        yield client


def ended(client: TestClient, place: str) -> dict[str, Any]:
    return awaited(client, place, lambda job: job.status in ENDED)


def awaited(client: TestClient, place: str, enough: Callable[[Job], bool]) -> dict[str, Any]:
    """Wait until a job has come far enough, and return its state."""
    jobs: PictureJobs = client.app.state.service.pictures  # type: ignore[attr-defined]
    job = jobs.get(place.rpartition("/")[2])
    assert job is not None
    end = time.monotonic() + 300
    while not enough(job):
        assert time.monotonic() < end, job.status
        time.sleep(0.01)
    told: dict[str, Any] = client.get(place).json()
    return told


def test_a_job_draws_what_the_illustrator_draws(client: TestClient, pipeline: Path) -> None:
    prompts = ["a cat", "a cat, soft light"]
    answer = client.post("/v1/illustrate", json={"prompts": prompts, "seed": 5, "seeds": 2})
    assert answer.status_code == 202
    place = answer.headers["location"]
    assert answer.json()["status"] in ("queued", "running")
    job = ended(client, place)
    assert (job["status"], job["progress"], job["model"]) == ("done", 1.0, "sd15")
    assert [(one["prompt"], one["seed"]) for one in job["pictures"]] == [
        (prompt, seed) for seed in (5, 6) for prompt in prompts
    ]
    alone = Illustrator.load(pipeline, **STEPS)
    for one in job["pictures"]:
        png = client.get(one["url"])
        assert png.headers["content-type"] == "image/png"
        image = Image.open(io.BytesIO(png.content))
        expected = alone.draw(one["prompt"], seed=one["seed"]).image
        assert (np.asarray(image) == np.asarray(expected)).all()
        receipt = json.loads(image.info["promptlift"])
        assert receipt["prompt"] == one["prompt"]
        assert receipt["drawing"]["seed"] == one["seed"]
        assert str(pipeline.parent) not in str(image.info)
    assert str(pipeline.parent) not in json.dumps(job)
    assert client.get(f"{place}/pictures/4").status_code == 404
    assert client.delete(place).status_code == 204
    assert client.get(place).status_code == 404
    assert client.get(f"{place}/pictures/0").status_code == 404


def test_a_job_is_cancelled_in_the_middle_of_a_picture(exported: Path, pipeline: Path) -> None:
    with client_of(exported, str(pipeline), few_steps=False, max_jobs=1) as client:

        def begin() -> httpx.Response:
            answer: httpx.Response = client.post("/v1/illustrate", json={"prompts": "a cat"})
            return answer

        first = begin().headers["location"]
        assert awaited(client, first, lambda job: job.share > 0)["progress"] > 0
        second = begin().headers["location"]
        refused = begin()
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        began = time.monotonic()
        assert client.delete(first).status_code == 204
        assert client.get(first).status_code == 404
        awaited(client, second, lambda job: job.share > 0)
        assert time.monotonic() - began < 10
    # The server has stopped, though the second job had hundreds of steps to go.


def test_a_waiting_job_that_is_deleted_gives_up_its_place(exported: Path, pipeline: Path) -> None:
    with client_of(exported, str(pipeline), few_steps=False, max_jobs=1) as client:
        first = client.post("/v1/illustrate", json={"prompts": "a cat"}).headers["location"]
        awaited(client, first, lambda job: job.share > 0)
        second = client.post("/v1/illustrate", json={"prompts": "a dog"})
        assert second.json()["status"] == "queued"
        assert client.post("/v1/illustrate", json={"prompts": "an owl"}).status_code == 429
        assert client.delete(second.headers["location"]).status_code == 204
        assert client.post("/v1/illustrate", json={"prompts": "an owl"}).status_code == 202


def test_the_last_finished_jobs_are_kept(client: TestClient) -> None:
    places = []
    for seed in range(KEPT + 2):
        answer = client.post("/v1/illustrate", json={"prompts": "a cat", "seed": seed})
        places.append(answer.headers["location"])
        ended(client, places[-1])
    # It is forgotten just after the last one has ended.
    for _ in range(3000):
        found = [client.get(place).status_code for place in places]
        if found == [404, 404, *[200] * KEPT]:
            return
    raise AssertionError(found)


def test_without_an_image_model_the_answer_says_so(exported: Path) -> None:
    with client_of(exported, None) as client:
        answer = client.post("/v1/illustrate", json={"prompts": "a cat"})
        assert answer.status_code == 501
        assert "without an image model" in answer.json()["error"]
        assert len(client.get("/v1/models").json()["models"]) == 1


def test_a_model_that_cannot_be_loaded_fails_the_job_and_names_no_place(
    exported: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken").mkdir()
    with client_of(exported, str(tmp_path / "broken")) as client:
        answer = client.post("/v1/illustrate", json={"prompts": "a cat"})
        job = ended(client, answer.headers["location"])
        assert job["status"] == "failed"
        assert "log says why" in job["error"]
        assert str(tmp_path) not in answer.text + json.dumps(job)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prompts": []}, "there are no prompts"),
        ({"prompts": ["a", ""]}, "prompt 1 is empty"),
        ({"prompts": ["a"] * 3, "seeds": 3}, "more than the 8 pictures"),
        ({"prompts": "a" * 4001}, "4001 characters"),
        ({"negative": "a" * 4001}, "4001 characters"),
        ({"seed": -1}, "seed: "),
        ({"width": 64}, "width: "),
        ({"shares": [0.5]}, "between two prompts, and here are 1"),
        ({"prompts": ["a"] * 3, "shares": [0.5]}, "between two prompts, and here are 3"),
        ({"prompts": ["a", "b"], "shares": []}, "shares: "),
        ({"prompts": ["a", "b"], "shares": [0.5, 1.1]}, "shares.1: "),
        ({"prompts": ["a", "b"], "shares": [-0.1]}, "shares.0: "),
        ({"prompts": ["a", "b"], "shares": ["half"]}, "shares.0: "),
        ({"prompts": ["a", "b"], "shares": [0.5] * 9}, "9 shares times 1 are more than the 8"),
    ],
)
def test_wrong_requests_get_one_line(
    client: TestClient, change: dict[str, Any], words: str
) -> None:
    answer = client.post("/v1/illustrate", json={"prompts": "a cat", **change})
    assert answer.status_code == 422
    assert words in answer.json()["error"]


ENDS = ["a cat", "a cat, soft light"]


def drawn(client: TestClient, job: dict[str, Any]) -> list[tuple[np.ndarray, dict[Any, Any]]]:
    """Pixels and texts of a job's pictures."""
    found = [Image.open(io.BytesIO(client.get(one["url"]).content)) for one in job["pictures"]]
    return [(np.asarray(image), dict(image.info)) for image in found]


def illustrated(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/illustrate", json=body)
    assert answer.status_code == 202, answer.text
    return ended(client, answer.headers["location"])


def test_shares_are_drawn_on_the_way_and_their_ends_are_the_prompts(
    client: TestClient, pipeline: Path
) -> None:
    given: dict[str, Any] = {"prompts": ENDS, "seed": 5, "negative": "fog"}
    begun = client.post("/v1/illustrate", json=given)
    assert begun.json()["embeddings"] is None
    words = ended(client, begun.headers["location"])
    assert words["embeddings"] is True
    assert [one["share"] for one in words["pictures"]] == [None, None]
    way = illustrated(client, **given, shares=[0, 0.4, 1])
    assert (way["total"], way["error"]) == (3, None)
    assert [(one["share"], one["prompt"]) for one in way["pictures"]] == [
        (0, ENDS[0]), (0.4, ENDS[1]), (1, ENDS[1])
    ]  # fmt: skip
    files = [client.get(one["url"]).content for one in [*words["pictures"], *way["pictures"]]]
    assert files[2] == files[0]
    with Image.open(io.BytesIO(files[4])) as last, Image.open(io.BytesIO(files[1])) as improved:
        assert (np.asarray(last) == np.asarray(improved)).all()

    [_, (pixels, texts), _] = drawn(client, way)
    alone = Illustrator.load(pipeline, **STEPS)
    one, other = (embedding_of(alone, end) for end in ENDS)
    embedding = blend(alone, one, other, 0.4)
    expected = alone.draw(ENDS[1], seed=5, negative="fog", embedding=embedding).image
    assert (pixels == np.asarray(expected)).all()
    receipt = json.loads(texts["promptlift"])
    assert (receipt["source"], receipt["prompt"], receipt["mode"]) == (*ENDS, "steer")
    steered = receipt["settings"]["steered"]
    assert (steered["prompt"], steered["towards"], steered["share"]) == (*ENDS, 0.4)
    assert receipt["settings"]["embedding"] == {"sha256": embedding.sha256}
    assert "Drawn from: an embedding 40% of the way to these words" in texts["parameters"]
    plain = json.loads(drawn(client, words)[1][1]["promptlift"])
    assert receipt["drawing"]["key"] != plain["drawing"]["key"]


def test_a_picture_on_the_way_keeps_the_improvements_receipt_and_one_of_words_no_embedding(
    client: TestClient,
) -> None:
    [receipt] = client.post("/v1/improve", json={"prompts": ENDS[0], "seed": 3}).json()["results"]
    given = {"prompts": [ENDS[0], receipt["prompt"]], "receipts": [None, receipt]}
    [(_, texts)] = drawn(client, illustrated(client, **given, shares=[0.5]))
    carried = json.loads(texts["promptlift"])
    settings = carried["settings"]
    assert {**settings, **receipt["settings"]} == settings
    assert {*settings} - {*receipt["settings"]} == {"embedding", "steered"}
    for name in ("source", "prompt", "additions", "model", "seed", "notes"):
        assert carried[name] == receipt[name]
    given["receipts"] = [None, {**receipt, "settings": settings}]
    [_, (_, texts)] = drawn(client, illustrated(client, **given))
    assert json.loads(texts["promptlift"])["settings"] == receipt["settings"]
    assert "Drawn from" not in texts["parameters"]


def test_a_model_that_reads_words_alone_refuses_shares(
    exported: Path, pipeline: Path, tmp_path: Path
) -> None:
    with client_of(exported, str(save_lcm(tmp_path / "lcm", pipeline))) as client:
        job = illustrated(client, prompts=ENDS, shares=[0.5])  # what it is was not known yet
        assert (job["status"], job["embeddings"]) == ("failed", False)
        assert "takes words alone" in job["error"]
        assert illustrated(client, prompts=ENDS)["status"] == "done"
        answer = client.post("/v1/illustrate", json={"prompts": ENDS, "shares": [0.5]})
        assert (answer.status_code, answer.json()) == (422, {"error": job["error"]})


@pytest.mark.parametrize("id", ["..%2f..", "x" * 65, "%00", "a b", "é"])
def test_ids_of_no_job_lead_nowhere(client: TestClient, id: str) -> None:
    for path in (f"/v1/illustrate/{id}", f"/v1/illustrate/{id}/pictures/0"):
        assert client.get(path).status_code in (404, 422)
    assert client.delete(f"/v1/illustrate/{id}").status_code in (404, 422)


def test_a_server_draws_jobs_and_a_cancelled_one_leaves_its_queue(
    exported: Path, tmp_path: Path
) -> None:
    fake = FakeComfyUI()
    workflow = tmp_path / "workflow.json"
    workflow.write_text(json.dumps(WORKFLOW))
    with serving(fake):
        drawing = {"backend": "comfyui", "url": fake.url, "workflow": str(workflow)}
        service = Service.load(
            ServeConfig(), model=str(exported), threads=1, image_model="", drawing=drawing
        )
        with TestClient(create_app(service), base_url="http://localhost") as client:
            models = client.get("/v1/models").json()["models"]
            [model] = [one for one in models if one["kind"] == "illustrate"]
            assert (model["id"], model["ready"]) == ("comfyui", True)
            way = {"prompts": ["a cat", "a dog"], "shares": [0.5]}
            refused = client.post("/v1/illustrate", json=way)
            assert refused.status_code == 422 and "takes words alone" in refused.json()["error"]
            begun = client.post("/v1/illustrate", json={"prompts": ["a cat"], "seed": 3})
            job = ended(client, begun.headers["location"])
            assert (job["status"], len(job["pictures"])) == ("done", 1)
            assert job["embeddings"] is False
            png = client.get(job["pictures"][0]["url"]).content
            expected = noise("a cat", 3, (4, 7.0, "blurry"))
            assert (np.asarray(Image.open(io.BytesIO(png))) == np.asarray(expected)).all()
            fake.step_s = 1.0
            place = client.post("/v1/illustrate", json={"prompts": ["a dog"]}).headers["location"]
            awaited(client, place, lambda job: job.share > 0)
            assert client.delete(place).status_code == 204
            end = time.monotonic() + 20
            while fake.running and time.monotonic() < end:
                time.sleep(0.01)
            assert not fake.running and not fake.pending
    fake.ended.set()
    assert fake.drawn == [("a cat", 3)]
