"""Where forges send their web hooks. No session, no cookie: who signs is who may."""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import RequestEntityTooLarge

from envwatch.receive import MOST_BYTES, Answer
from envwatch.web.context import site

hooks = Blueprint("hooks", __name__)


@hooks.post("/hooks/<source>")
def receive(source: str) -> Response:
    receiver = site().context.hooks
    headers = {name.lower(): value for name, value in request.headers}
    request.max_content_length = MOST_BYTES
    try:
        body = request.get_data(cache=False) if receiver.knows(source) else b""
    except RequestEntityTooLarge:
        return _said(receiver.too_large(source, headers))
    return _said(receiver.receive(source, headers, body))


def _said(answer: Answer) -> Response:
    status = answer.decision.status
    if status < HTTPStatus.BAD_REQUEST:
        response = jsonify(delivery=answer.delivery, decision=answer.decision)
    else:
        response = jsonify(
            status=status.value, title=status.phrase, detail=answer.detail, hint=answer.hint
        )
    response.status_code = status.value
    response.headers["Cache-Control"] = "no-store"
    return response
