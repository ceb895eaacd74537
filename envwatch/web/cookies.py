"""Cookies of people: of this host alone, out of reach of scripts, and not sent from elsewhere."""

from __future__ import annotations

from flask import Response, request

from envwatch.web.context import site

SESSION = "envwatch_session"
FORM = "envwatch_form"
HOST_ONLY = "__Host-"  # browsers take such a cookie from no other host, nor without https


def read(name: str) -> str:
    """The value of a cookie, empty where there is none.

    Over https only the strict name counts: the other could be set by a neighbour of this host.
    """
    return request.cookies.get(_full(name), "")[:4000]


def write(response: Response, name: str, value: str, seconds: float | None = None) -> None:
    response.set_cookie(
        _full(name),
        value,
        max_age=None if seconds is None else int(seconds),
        path=_path(),
        secure=_secure(),
        httponly=True,
        samesite="Lax",
    )


def drop(response: Response, name: str) -> None:
    for full in {name, _full(name)} & set(request.cookies):
        response.delete_cookie(full, path=_path(), secure=_secure(), httponly=True, samesite="Lax")


def names(start: str) -> list[str]:
    """Those that begin so, without the part that only browsers need."""
    found = (name.removeprefix(HOST_ONLY) for name in request.cookies)
    return [name for name in found if name.startswith(start)]


def _full(name: str) -> str:
    return f"{HOST_ONLY}{name}" if _secure() and _path() == "/" else name


def _secure() -> bool:
    return site().context.settings.web.address.startswith("https://")


def _path() -> str:
    return request.script_root or "/"
