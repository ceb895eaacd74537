"""Errors as pages, or as JSON where data was asked for."""

from __future__ import annotations

import logging
from http import HTTPStatus

from flask import Flask, Response, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from envwatch.errors import (
    Busy,
    Conflict,
    EnvwatchError,
    Forbidden,
    NotFound,
    StorageError,
    Unknown,
)
from envwatch.web import forms
from envwatch.web.api import http_problem, is_api

logger = logging.getLogger(__name__)

_STATUS = (
    (NotFound, HTTPStatus.NOT_FOUND),
    (Unknown, HTTPStatus.UNAUTHORIZED),
    (Forbidden, HTTPStatus.FORBIDDEN),
    (Busy, HTTPStatus.SERVICE_UNAVAILABLE),
    (Conflict, HTTPStatus.CONFLICT),
    (StorageError, HTTPStatus.SERVICE_UNAVAILABLE),
)


def add_faults(app: Flask) -> None:
    app.register_error_handler(EnvwatchError, _ours)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _ours(error: EnvwatchError) -> Response:
    if isinstance(error, Unknown) and forms.can_keep():
        return forms.kept(error)  # nothing that somebody typed is lost
    status = next((s for kind, s in _STATUS if isinstance(error, kind)), None)
    if status is None:
        return _unexpected(error)
    response = _answer(status, error.message, error.hint)
    if status is HTTPStatus.UNAUTHORIZED and _of_program():
        # a browser would ask for a password that nobody has
        response.headers["WWW-Authenticate"] = 'Bearer realm="envwatch"'
    if isinstance(error, Busy):
        response.headers["Retry-After"] = "5"
    return response


def _of_program() -> bool:
    return request.path.endswith(".json") or request.path.startswith(("/api/", "/metrics"))


def _http(error: HTTPException) -> Response:
    if is_api(request.path):
        return http_problem(error, request.path)
    status = HTTPStatus(error.code or 500)
    response = _answer(status, f"`{request.path}`: {status.phrase.lower()}", "")
    kept = ("Allow", "Content-Range", "Retry-After")
    response.headers.extend([(k, v) for k, v in error.get_headers() if k in kept])
    return response


def _unexpected(error: Exception) -> Response:
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return _answer(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "this page could not be made",
        "the log of the daemon says why; everything else goes on",
    )


def _answer(status: HTTPStatus, message: str, hint: str) -> Response:
    if request.path.endswith(".json"):
        response = jsonify(status=status.value, title=status.phrase, detail=message, hint=hint)
    else:
        response = Response(
            render_template("error.html", status=status, message=message, hint=hint)
        )
    response.status_code = status.value
    response.headers["Cache-Control"] = "no-store"
    return response
