"""The log of a build: whole, or from an offset on for who follows it. No answer is held open."""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint, Response, jsonify, request, send_file

from envwatch.errors import NotFound
from envwatch.web import logfile
from envwatch.web.context import site
from envwatch.web.seeing import seen, seen_build

logs = Blueprint("logs", __name__)

LONGEST = 2**40  # bytes; no log is as long, and a file system may have no place beyond


@logs.get("/<namespace>/<name>/builds/<int:build_id>/log")
def follow(namespace: str, name: str, build_id: int) -> Response:
    """What came after `offset`, when to ask for more, and whether there will be more."""
    build = seen_build(seen(namespace, name), build_id)
    offset = max(0, min(request.args.get("offset", 0, type=int), LONGEST))
    piece = logfile.piece(site().context.log_path(build_id), offset, over=build.state.over)
    response = jsonify({k: v for k, v in asdict(piece).items() if k != "cut"})
    response.headers["Cache-Control"] = "no-store"
    return response


@logs.get("/<namespace>/<name>/builds/<int:build_id>/log.txt")
def whole(namespace: str, name: str, build_id: int) -> Response:
    """The bytes as they were written, with ranges."""
    build = seen_build(seen(namespace, name), build_id)
    path = site().context.log_path(build_id)
    if not path.is_file():
        raise NotFound(f"build `{build_id}` has no log", hint="it may not have begun yet")
    response = send_file(path, "text/plain", conditional=True, etag=False)
    response.headers["Cache-Control"] = "max-age=3600" if build.state.over else "no-store"
    return response
