"""Answers that refuse: one line as JSON, whatever went wrong."""

import json
from collections.abc import Mapping
from typing import Any

from fastapi import Response
from pydantic import BaseModel

_LONGEST = 500


class Error(BaseModel):
    """Why a request was refused."""

    error: str


def refusal(status: int, line: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer with one line of text.

    ASCII, as a line may quote what was sent, and that need not be valid Unicode.
    """
    line = " ".join(line.split())
    line = line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
    return Response(
        json.dumps({"error": line}), status, dict(headers or {}), media_type="application/json"
    )


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How a route may refuse, for its description."""
    return {status: {"model": Error} for status in (*statuses, 400, 401, 403, 408, 413, 421, 500)}
