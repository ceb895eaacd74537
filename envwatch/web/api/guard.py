"""Before something is done: does the browser mean it, is it too often, was it done already?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Response, request

from envwatch.catalog.replies import Reply
from envwatch.errors import Busy, Forbidden
from envwatch.web.api.envelope import BadRequest
from envwatch.web.context import site
from envwatch.web.costly import MOST
from envwatch.web.origins import is_trusted
from envwatch.web.tokens import secret_of
from envwatch.web.visitor import COOKIE, visitor

LONGEST_KEY = 255


def same_origin() -> None:
    """A browser says from where a request comes; a program that sends a token is not asked."""
    if is_trusted(request.headers.get("Origin", "")):
        return
    if secret_of(request.headers.get("Authorization", "")):
        return
    fetch = request.headers.get("Sec-Fetch-Site", "")
    origin = request.headers.get("Origin", "")
    if fetch == "same-origin" or (origin and _is_ours(origin)):
        return
    if fetch or origin or COOKIE in request.cookies:
        raise Forbidden(
            "this request comes from another page", hint="send it from here, or with a token"
        )


def _is_ours(origin: str) -> bool:
    ours = urlsplit(site().context.settings.web.address)
    sent = urlsplit(origin)
    return sent.netloc == request.host or (sent.scheme, sent.netloc) == (ours.scheme, ours.netloc)


def seldom(what: str = "", most: int = MOST) -> None:
    """`what` is counted apart from all else that costs."""
    who = visitor()
    caller = f"{who.name}/{who.token}" if who.signed_in else f"at {request.remote_addr}"
    if site().costly.too_many(f"{what} {caller}", most):
        raise Busy("too many requests that cost much came from you", hint="wait for a minute")


def once(do: Callable[[], Response]) -> Response:
    """Do it, or tell again what it came to when the same key was sent before."""
    given = request.headers.get("Idempotency-Key", "")
    if not given:
        return do()
    if len(given) > LONGEST_KEY or not given.isprintable():
        raise BadRequest("the `Idempotency-Key` has more than 255 characters, or odd ones")
    who, replies = visitor(), site().context.catalog.replies
    key = _digest(who.name, who.token, given)
    known = replies.begin(key, _digest(request.method, request.full_path, _body()))
    if known is not None:
        response = Response(known.body, known.status, content_type="application/json")
        response.headers["Idempotent-Replayed"] = "true"
        return response
    kept: Reply | None = None
    try:
        response = do()
        kept = Reply(response.status_code, response.get_data(as_text=True))
        return response
    finally:
        # an error is no answer to keep: it may be sent again
        replies.end(key, kept)


def _body() -> str:
    return hashlib.sha256(request.get_data(cache=True)).hexdigest()


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()
