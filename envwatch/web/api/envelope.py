"""The form of every answer: `{status, data, message}`, and of every error."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from flask import Response

from envwatch.errors import (
    Busy,
    Conflict,
    EnvwatchError,
    Forbidden,
    NotFound,
    SourceError,
    SpecError,
    StorageError,
    Unknown,
)

# the first that fits
STATUS: tuple[tuple[type[EnvwatchError], HTTPStatus], ...] = (
    (NotFound, HTTPStatus.NOT_FOUND),
    (Unknown, HTTPStatus.UNAUTHORIZED),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (Conflict, HTTPStatus.CONFLICT),
    (SpecError, HTTPStatus.BAD_REQUEST),
    (Busy, HTTPStatus.TOO_MANY_REQUESTS),
    (StorageError, HTTPStatus.SERVICE_UNAVAILABLE),
    (SourceError, HTTPStatus.SERVICE_UNAVAILABLE),
)


class BadRequest(EnvwatchError):
    """What was sent is not what is asked for."""


class TooLarge(BadRequest):
    """… and is too large to be read."""


class Stale(Conflict):
    """It was changed since it was seen."""


def answer(body: dict[str, Any], status: int = 200) -> Response:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    response = Response(text, status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def ok(data: Any = None, message: str | None = None, **more: Any) -> Response:
    return answer({"status": "ok", "data": data, "message": message, **more})


def failed(error: EnvwatchError) -> Response:
    """An error that was meant, with what it says of a line where it says it."""
    status = status_of(error)
    more: dict[str, Any] = {}
    if isinstance(error, SpecError):
        more = {"line": error.line, "column": error.column, "path": error.path}
    response = problem(status, type(error).__name__, error.message, error.hint, **more)
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="envwatch"'
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        response.headers["Retry-After"] = "60"
    return response


def problem(status: HTTPStatus, kind: str, detail: str, hint: str = "", **more: Any) -> Response:
    """`message` is what other clients show: all of it in one line."""
    message = f"{detail} ({hint})" if hint else detail
    body = {
        "status": "error",
        "message": message,
        "type": kind,
        "title": status.phrase,
        "detail": detail,
        "hint": hint,
        **more,
    }
    return answer(body, status.value)


def status_of(error: EnvwatchError) -> HTTPStatus:
    if isinstance(error, Stale):
        return HTTPStatus.PRECONDITION_FAILED
    if isinstance(error, TooLarge):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    if isinstance(error, BadRequest):
        return HTTPStatus.BAD_REQUEST
    found = (status for kind, status in STATUS if isinstance(error, kind))
    return next(found, HTTPStatus.INTERNAL_SERVER_ERROR)
