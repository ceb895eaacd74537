"""Pages of other hosts that may use the API as whoever is signed in: those of `web.origins`."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, Response, request
from werkzeug.datastructures import Headers

from envwatch.web.context import site

_METHODS = "GET, HEAD, POST, PUT, DELETE"
_SENT = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match"
_READ = "Content-Disposition, ETag, Idempotent-Replayed, Retry-After"
_REMEMBERED = "600"  # seconds


def add_origins(api: Blueprint) -> None:
    api.before_request(_asked)
    api.after_request(_told)


def is_trusted(origin: str) -> bool:
    return origin in site().context.settings.web.origins


def origin_of(url: str) -> str:
    """What a browser calls the host of an address, empty where it is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}".lower() if parts.scheme and parts.netloc else ""


def _asked() -> Response | None:
    """A browser asks before it sends what a page of another host wants to be sent."""
    asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    if not asks or not is_trusted(_sender()):
        return None
    rules = {
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": _SENT,
        "Access-Control-Max-Age": _REMEMBERED,
    }
    return Response(status=204, headers=Headers(rules))


def _told(answer: Response) -> Response:
    """Only a page of a host that is named can read the answer."""
    if site().context.settings.web.origins:
        answer.vary.add("Origin")
    if is_trusted(_sender()):
        answer.headers["Access-Control-Allow-Origin"] = _sender()
        answer.headers["Access-Control-Allow-Credentials"] = "true"
        answer.headers["Access-Control-Expose-Headers"] = _READ
    return answer


def _sender() -> str:
    return request.headers.get("Origin", "")
