"""The control socket: what the command line asks of a running daemon, as JSON over HTTP.

Only the owner of the root and root itself can open the socket: the file says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, Response, jsonify, request

from envwatch.errors import Conflict, EnvwatchError, NotFound, SpecError

Run = Callable[[str, Mapping[str, Any]], dict[str, Any]]
STATUS = {NotFound: 404, Conflict: 409, SpecError: 422}


def create_control(run: Run) -> Flask:
    """An app that hands `POST /VERB` with a JSON object to `run`."""
    app = Flask(__name__, static_folder=None)

    @app.post("/<verb>")
    def call(verb: str) -> Response:
        arguments = request.get_json(silent=True)
        if not isinstance(arguments, dict):
            raise Conflict("the arguments are not a JSON object")
        return jsonify(run(verb, arguments))

    @app.errorhandler(EnvwatchError)
    def refused(error: EnvwatchError) -> tuple[Response, int]:
        answer = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
        return jsonify(answer), STATUS.get(type(error), 500)

    return app
