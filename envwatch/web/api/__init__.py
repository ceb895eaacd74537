"""`/api/v1`: conda-store's REST where the two overlap, and what it has no words for."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus

from flask import Blueprint, Response, render_template, request
from werkzeug.exceptions import HTTPException

from envwatch.errors import EnvwatchError
from envwatch.web.api import (
    builds,
    devices,
    environments,
    files,
    generations,
    granting,
    packages,
    sources,
    specifications,
    status,
    triggers,
)
from envwatch.web.api.envelope import failed, problem, status_of
from envwatch.web.api.openapi import document
from envwatch.web.api.routes import PREFIX, Routes
from envwatch.web.origins import add_origins

logger = logging.getLogger(__name__)


def create_api() -> Blueprint:
    """A blueprint of its own for each app."""
    api = Blueprint("api", __name__, url_prefix=PREFIX)
    add_origins(api)
    routes = Routes(api)
    of_environments = (environments, files, specifications, generations, triggers)
    for subject in (status, devices, *of_environments, builds, packages, sources, granting):
        subject.add(routes)
    described = document(routes.operations)
    text = json.dumps(described, indent=1)

    @api.get("/openapi.json")
    def openapi() -> Response:
        response = Response(text, content_type="application/json")
        response.headers["Cache-Control"] = "no-cache"
        return response

    @api.get("/docs", strict_slashes=False)
    def docs() -> Response:
        return Response(render_template("api.html", it=described))

    api.register_error_handler(EnvwatchError, _ours)
    api.register_error_handler(Exception, _unexpected)
    return api


def is_api(path: str) -> bool:
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def http_problem(error: HTTPException, path: str) -> Response:
    """An error of the protocol itself, in the envelope."""
    found = HTTPStatus(error.code or 500)
    hint = f"see {PREFIX}/docs" if found in (404, 405) else ""
    response = problem(found, type(error).__name__, f"`{path}`: {found.phrase.lower()}", hint)
    kept = ("Allow", "Content-Range", "Retry-After")
    response.headers.extend([(k, v) for k, v in error.get_headers() if k in kept])
    return response


def _ours(error: EnvwatchError) -> Response:
    if status_of(error) == HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unexpected(error)
    return failed(error)


def _unexpected(error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return http_problem(error, request.path)
    logger.error("a request to the API failed", exc_info=error)
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Error",
        "this could not be answered",
        "the log of the daemon says why; everything else goes on",
    )
