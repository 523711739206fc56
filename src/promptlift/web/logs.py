"""The log, one line of JSON for each request, and the answer 500 to unexpected errors.

Prompts stay out unless asked for. A line never holds the caller's address, nor the path as it was
sent, which may carry anything: it holds the route's path.
"""

import json
import logging
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from secrets import token_hex
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from promptlift.web.answers import refusal

Count = Callable[[str, str | None, int, float, Mapping[str, Any]], None]
_log = logging.getLogger("promptlift.web")


def note(scope: Scope, **values: Any) -> None:
    """Add to the line of a request."""
    scope["state"].setdefault("noted", {}).update(values)


class RequestLog:
    """Writes a line when an answer ends; answers an exception with 500 and the line's number.

    Args:
        app: what answers.
        log_prompts: whether prompts may be in the log.
        count: called with method, route, status (0 where the caller went away), seconds and what
            was noted.
    """

    def __init__(self, app: ASGIApp, *, log_prompts: bool, count: Count) -> None:
        self._app, self._log_prompts, self._count = app, log_prompts, count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, number, status = time.perf_counter(), token_hex(8), 0
        state = scope.setdefault("state", {})

        async def numbered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = number
            await send(message)

        try:
            await self._app(scope, receive, numbered)
        except Exception as error:
            note(scope, **describe(error, told=self._log_prompts))
            if not status:
                line = f"something went wrong here; the server's log has it under {number}"
                await refusal(500, line)(scope, receive, numbered)
        finally:
            route, noted = getattr(scope.get("route"), "path", None), state.get("noted", {})
            method = scope["method"] if scope["method"].isalpha() else "?"
            seconds = time.perf_counter() - began
            self._count(method, route, status, seconds, noted)
            _log.log(
                logging.ERROR if "exception" in noted else logging.INFO,
                "request",
                extra={
                    "fields": {
                        "id": number,
                        "method": method,
                        "route": route,
                        "status": status or None,  # None: the caller went away
                        "ms": round(1000 * seconds, 1),
                        **noted,
                    }
                },
            )


def describe(error: BaseException, *, told: bool) -> dict[str, Any]:
    """An exception for the log. Its text may quote a prompt, so it is left out unless asked for."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return {
        "exception": type(error).__name__,
        **({"message": str(error)} if told else {}),
        "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, timezone.utc)
        line = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            # The first line alone: asyncio shows in others what it is about, which may be a prompt.
            "event": record.getMessage().partition("\n")[0],
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line |= describe(record.exc_info[1], told=False)
        return json.dumps(line)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Write the log of the server, and warnings of uvicorn and asyncio, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, least in (
        ("promptlift.web", level),
        ("uvicorn", logging.WARNING),
        ("asyncio", logging.WARNING),
    ):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(least)
