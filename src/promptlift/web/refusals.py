"""What every server answers where a request is wrong: a status and one line, no details of ours."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

from promptlift.errors import ConfigError, InputError, ModelError
from promptlift.web.answers import refusal
from promptlift.web.batcher import RETRY_S, Full

_MOST_MISTAKES = 3
# In the places that pydantic names: the whole body, and types of which one has to fit.
_NO_FIELD = re.compile(r"body|str|(?:list|dict|nullable|constrained|function|literal|float)\b.*")
_UNREADABLE = "There was an error parsing the body"


def refuse_in_one_line(app: FastAPI) -> None:
    """Answer errors that are expected, and requests that do not fit, with a line."""

    @app.exception_handler(Full)
    async def full(request: Request, error: Full) -> Response:
        line = f"too much waits already; try again in {RETRY_S} s"
        return refusal(429, line, {"retry-after": str(RETRY_S)})

    @app.exception_handler(ConfigError)
    @app.exception_handler(InputError)
    async def wrong(request: Request, error: Exception) -> Response:
        return refusal(422, str(error))

    @app.exception_handler(ModelError)
    async def unable(request: Request, error: ModelError) -> Response:
        return refusal(502, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        if (
            request.headers.get("content-length") != "0"
            and "json" not in request.headers.get("content-type", "")
            and request.method == "POST"
        ):
            return refusal(415, "send JSON, with Content-Type: application/json")
        found = _mistakes(error.errors())
        lines = [line for _, line in found[:_MOST_MISTAKES]]
        more = len(found) - len(lines)
        whole = "; ".join(lines) + (f"; and {more} more" if more > 0 else "")
        return refusal(422, whole, param=found[0][0] or None)

    @app.exception_handler(StarletteHTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        if error.status_code == 405:  # of routes with one path, Starlette names the first alone
            path = getattr(request.scope.get("route"), "path", None)
            methods = app.openapi()["paths"].get(path, {})
            headers["allow"] = ", ".join(map(str.upper, methods)) or headers.get("allow", "")
        if error.detail == _UNREADABLE:  # of FastAPI; `Guard` has refused what is no UTF-8
            line = "the body cannot be read: it nests too deeply, or a number has too many digits"
            return refusal(400, line)
        return refusal(error.status_code, str(error.detail), headers)


def _mistakes(found: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Place and line of each mistake that pydantic found, once, and without what was sent."""
    said: dict[tuple[str, ...], list[str]] = {}
    for item in found:
        if item["type"] == "json_invalid":
            place, why = item["loc"][-1], item["ctx"]["error"]
            return [("", f"the body is not valid JSON: {why} at character {place}")]
        # Of a choice of types, pydantic names each that did not fit.
        where = tuple(str(part)[:40] for part in item["loc"] if not _NO_FIELD.fullmatch(str(part)))
        said.setdefault(where, []).append(str(item["msg"]))
    within = {where[:size] for where in said for size in range(1, len(where))}
    return [
        (".".join(where), f"{'.'.join(where) or 'the body'}: {_either(lines)}")
        for where, lines in said.items()
        if where not in within
    ]


def _either(lines: list[str]) -> str:
    start = "Input should be a valid "
    if all(line.startswith(start) for line in lines):
        return start + " or ".join(dict.fromkeys(line.removeprefix(start) for line in lines))
    return "; ".join(dict.fromkeys(lines))
