"""The judging server: what it answers, and that nothing of it unblinds."""

import io
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from scipy.stats import binomtest, mannwhitneyu

from promptlift.judging.collecting.study import Study
from promptlift.judging.config import JudgingConfig
from promptlift.web.judging import judging_app
from tests.judging.runs import draw_run


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study.open([draw_run(tmp_path / "run", 6)], JudgingConfig(repeats=0.0))


@pytest.fixture
def client(study: Study) -> Iterator[TestClient]:
    with TestClient(judging_app(study)) as client:
        yield client


def link(study: Study, rater: int = 0) -> str:
    return f"/r/{study.store.raters()[rater].token}"


def vote(client: TestClient, base: str, state: dict[str, Any], answer: str) -> dict[str, Any]:
    body = {
        "position": state["position"],
        "question": state["question"],
        "answer": answer,
        "seconds": 1.25,
        "key": f"key-{state['position']:04d}-{state['question']}",
    }
    response = client.post(f"{base}/votes", json=body)
    assert response.status_code == 200
    return dict(response.json())


def test_votes_through_the_api_are_those_in_the_store(study: Study, client: TestClient) -> None:
    base, given = link(study), []
    state = client.get(f"{base}/state").json()
    for answer in ["left", "right", "tie", "both_bad", "skip", "left"] * 2:
        given.append((state["question"], answer))
        state = vote(client, base, state, answer)
    assert state["question"] is None
    assert [(one.question, one.answer) for one in study.store.votes()] == given
    state = client.post(f"{base}/undo", json={"key": "undo-key-1"}).json()
    assert (state["position"], state["question"]) == (5, "picture")
    assert len(study.store.votes()) == 11


def test_a_vote_from_a_second_window_gets_the_state(study: Study, client: TestClient) -> None:
    base = link(study)
    state = client.get(f"{base}/state").json()
    vote(client, base, state, "left")
    body = {"position": 0, "question": "match", "answer": "right", "seconds": 1, "key": "other-key"}
    response = client.post(f"{base}/votes", json=body)
    assert response.status_code == 409
    assert response.json()["question"] == "picture"
    assert [one.answer for one in study.store.votes()] == ["left"]


@pytest.mark.parametrize(
    "change",
    [
        {"answer": "middle"}, {"seconds": -1}, {"seconds": "NaN"}, {"position": -1},
        {"key": "short"}, {"question": "q" * 100}, {"extra": 1}, {"position": None},
    ],
)  # fmt: skip
def test_faulty_votes_are_refused(study: Study, client: TestClient, change: dict[str, Any]) -> None:
    body = {"position": 0, "question": "match", "answer": "left", "seconds": 1, "key": "some-key"}
    response = client.post(f"{link(study)}/votes", json={**body, **change})
    assert response.status_code == 422
    assert study.store.records() == []


@pytest.mark.parametrize(
    "path", ["/", "/r/nobody/", "/r/nobody/state", "/files/judge.html", "/files/..%2f__init__.py"]
)
def test_strangers_find_nothing(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_pictures_far_ahead_are_not_given(study: Study, client: TestClient) -> None:
    base = link(study)
    assert client.get(f"{base}/pairs/2/left").status_code == 200
    assert client.get(f"{base}/pairs/3/left").status_code == 404
    assert client.get(f"{base}/pairs/0/middle").status_code == 422


def test_a_changed_picture_is_not_shown(study: Study, client: TestClient) -> None:
    for path in (study.folder / "pictures").glob("*.png"):
        path.write_bytes(b"other")
    response = client.get(f"{link(study)}/pairs/0/left")
    assert response.status_code == 500
    assert str(study.folder) not in response.text


def test_answers_carry_safe_headers(study: Study, client: TestClient) -> None:
    for path in ("/", f"{link(study)}/", f"{link(study)}/state", "/files/judge.js"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"
    page = client.get(f"{link(study)}/").text
    assert "<script>" not in page
    assert " style=" not in page


def test_nothing_but_the_pixels_tells_the_sides_apart(tmp_path: Path) -> None:
    """All that a browser gets, compared between original and improved over many pairs."""
    study = Study.open(
        [draw_run(tmp_path / "run", 60)], JudgingConfig(questions=("match",), repeats=0.0)
    )
    base, store = link(study), study.store
    [me] = store.raters()
    told: dict[str, list[Any]] = {"original": [], "improved": []}
    sides, times = [], {"original": [], "improved": []}  # type: ignore[var-annotated]
    with TestClient(judging_app(study)) as client:
        state = client.get(f"{base}/state").json()
        while state["question"]:
            found = store.task(me, state["position"])
            assert found is not None
            task, pair = found
            systems = pair.systems[::-1] if task.swapped else pair.systems
            sides.append(systems[0] == "improved")
            # Everything in the state but the prompt is the same for every pair.
            assert state["left"] == f"pairs/{state['position']}/left"
            assert state["right"] == f"pairs/{state['position']}/right"
            assert state["prompt"] == pair.prompt
            pixels, order = {}, [("left", systems[0]), ("right", systems[1])]
            for side, system in order if state["position"] % 2 else order[::-1]:
                began = time.perf_counter()
                response = client.get(f"{base}/{state[side]}")
                times[system].append(time.perf_counter() - began)
                image = Image.open(io.BytesIO(response.content))
                image.load()
                pixels[system] = np.asarray(image)
                chunks = _chunks(response.content)
                told[system].append(
                    (
                        str(response.url).replace(side, "SIDE"),
                        sorted(response.headers.items()),
                        len(response.content),
                        image.info,
                        image.mode,
                        chunks[0],
                        set(chunks),
                    )
                )
            # The pixels are those that were drawn, each on its side.
            for system, file in zip(pair.systems, pair.files, strict=True):
                drawn = np.asarray(Image.open(study.folder / file).convert("RGB"))
                assert (pixels[system] == drawn).all()
            state = vote(client, base, state, "tie")
    assert told["original"] == told["improved"]
    assert sum(sides) == 30  # balanced
    runs = sum(a != b for a, b in pairwise(sides))
    assert binomtest(runs, len(sides) - 1).pvalue > 1e-4  # and in no order that repeats
    assert mannwhitneyu(times["original"], times["improved"]).pvalue > 1e-4


def test_sides_do_not_depend_on_the_prompt(tmp_path: Path) -> None:
    """The same run dealt twice has other sides: none can be worked out from what is shown."""
    layouts = []
    for number in range(2):
        study = Study.open([draw_run(tmp_path / f"run{number}", 40)], JudgingConfig(repeats=0.0))
        [me] = study.store.raters()
        tasks = [study.store.task(me, position) for position in range(40)]
        layouts.append({found[1].prompt: found[0].swapped for found in tasks if found})
    alike = sum(layouts[0][prompt] == layouts[1][prompt] for prompt in layouts[0])
    assert binomtest(alike, 40).pvalue > 1e-4


def _chunks(png: bytes) -> list[bytes]:
    names, at = [], 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        names.append(png[at + 4 : at + 8])
        at += 12 + length
    return names


def test_the_page_does_not_know_the_sides(study: Study, client: TestClient) -> None:
    page = client.get(f"{link(study)}/").text + client.get("/files/judge.js").text
    assert "improved" not in page.lower()
    assert "original" not in page.lower()


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_vote_that_finds_the_disk_full_is_counted_once_there_is_room(study: Study) -> None:
    said: list[str] = []
    with TestClient(judging_app(study, said.append)) as client:
        base = link(study)
        state = vote(client, base, client.get(f"{base}/state").json(), "left")
        size = (study.folder / "judging" / "votes.sqlite-wal").stat().st_size
        body = {**state, "answer": "tie", "seconds": 1.0, "key": "key-of-the-vote"}
        body = {name: body[name] for name in ("position", "question", "answer", "seconds", "key")}
        with file_limit(size):
            for _ in range(2):
                refused = client.post(f"{base}/votes", json=body)
                assert refused.status_code == 507
                assert refused.text.startswith("Not saved yet")
        assert len(study.store.votes()) == 1
        for _ in range(2):  # the page sends a vote again that was not answered
            assert client.post(f"{base}/votes", json=body).status_code == 200
        assert [one.answer for one in study.store.votes()] == ["left", "tie"]
    [full, again] = said
    assert "votes.sqlite cannot be written (is the disk full?)" in full
    assert again == "votes are saved again"


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """No file of this process can be longer, as on a full disk."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, kept)
