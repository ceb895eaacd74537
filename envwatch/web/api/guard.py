"""Before something is done: does the browser mean it, is it too often, was it done already?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from flask import Response, request

from envwatch.access import HOST
from envwatch.catalog.replies import Reply
from envwatch.errors import Busy, Forbidden
from envwatch.web.api.envelope import BadRequest
from envwatch.web.context import site
from envwatch.web.costly import MOST
from envwatch.web.forms import is_from_here
from envwatch.web.origins import is_trusted
from envwatch.web.tokens import secret_of
from envwatch.web.visitor import visitor

LONGEST_KEY = 255


def same_origin() -> None:
    """A browser says from where a request comes; a program that sends a token is not asked.

    A password is no such token: browsers send one that they remember by themselves.
    """
    if is_trusted(request.headers.get("Origin", "")):
        return
    if request.headers.get("Authorization", "")[:7].lower() == "bearer ":
        return
    told = "Sec-Fetch-Site" in request.headers or "Origin" in request.headers
    browsing = visitor().signed_in and not secret_of(request.headers.get("Authorization", ""))
    if not is_from_here() or (browsing and not told):
        raise Forbidden(
            "this request comes from another page", hint="send it from here, or with a token"
        )


def seldom(what: str = "", most: int = MOST) -> None:
    """`what` is counted apart from all else that costs."""
    who = visitor()
    # of a person, whichever of their tokens they use: they may make many. Those that were made
    # on the host are each somebody else's
    mine = f"{who.name}/{who.token_id}" if who.name == HOST.name else who.name
    caller = f"of {mine}" if who.signed_in else f"at {request.remote_addr}"
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
    key = _digest(who.name, str(who.token_id), given)
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
