"""Where forges send their web hooks. No session, no cookie: who signs is who may."""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import RequestEntityTooLarge

from envwatch.receive import MOST_BYTES, Answer, Work
from envwatch.web.context import site

hooks = Blueprint("hooks", __name__)


@hooks.post("/hooks/<source>")
def receive(source: str) -> Response:
    receiver = site().context.hooks
    headers = {name.lower(): value for name, value in request.headers}
    request.max_content_length = MOST_BYTES
    notes: list[Work] = []
    try:
        body = request.get_data(cache=False)
        answer = receiver.receive(source, headers, body, notes.append)
    except RequestEntityTooLarge:
        answer = receiver.too_large(source, headers, notes.append)
    response = _said(answer)
    for note in notes:
        # behind the answer: else its time would tell which sources there are
        response.call_on_close(note)
    return response


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
