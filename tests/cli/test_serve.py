"""The limits that `promptlift serve` and `promptlift studio` begin with."""

from typing import Any

import pytest

from promptlift.cli.serve import allowed
from promptlift.llm.config import URL_VARIABLE

URL = "http://127.0.0.1:9/v1"


@pytest.mark.parametrize(
    ("settings", "model", "llm", "timeout_s"),
    [
        ({}, "writer", {}, 30),
        ({}, "writer", {"llm_url": URL}, 300),
        ({}, f"{URL}#tiny", {}, 300),
        ({}, None, {"llm_url": URL, "llm_timeout_s": 5.0}, 30),
        ({"timeout_s": 20.0}, None, {"llm_url": URL}, 20),
    ],
)
def test_a_request_may_take_as_long_as_a_language_model(
    settings: dict[str, Any], model: str | None, llm: dict[str, Any], timeout_s: float
) -> None:
    assert allowed(None, settings, model, llm).timeout_s == timeout_s


def test_the_server_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL_VARIABLE, URL)
    assert allowed(None, {}, "owner/name", {}).timeout_s == 300
    assert allowed(None, {}, "writer", {}).timeout_s == 30
