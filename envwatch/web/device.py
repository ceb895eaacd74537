"""The page on which somebody allows a program, which runs elsewhere, to act as they may."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request, url_for

from envwatch.access import Visitor
from envwatch.errors import Busy, Conflict, EnvwatchError, Forbidden, NotFound
from envwatch.settings import Role
from envwatch.web.answers import own_page, word
from envwatch.web.codes import Asked
from envwatch.web.context import site
from envwatch.web.people import FIELDS, person, typed, wish
from envwatch.web.signin import to
from envwatch.web.visitor import visitor

device = Blueprint("device", __name__)
LONGEST = 40  # characters of a code, as somebody may type it
MOST = 30  # codes that one person may try in a minute


@device.after_request
def _keep_nowhere(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response


@device.get("/device")
def show() -> Response:
    code = word("code", LONGEST)
    if not visitor().signed_in:
        return to(url_for("signin.choose", next=url_for(".show", code=code or None)))
    who = person()
    if not code:
        return _page()
    try:
        return _asks(who, _found(who, code))
    except NotFound as e:
        return _page(fault=e)


@device.post("/device")
def settle() -> Response:
    """The token is made, and handed to the program when it next asks."""
    who = person()
    try:
        asked = _found(who, request.form.get("code", "")[:LONGEST])
        if request.form.get("verb") != "allow":
            site().codes.refuse(asked.code)
            site().rights.note(who, "token refuse", asked.name)
            return _page(refused=asked)
        return _allow(who, asked)
    except NotFound as e:
        return _page(fault=e)


def _allow(who: Visitor, asked: Asked) -> Response:
    try:
        wanted = wish()
        made = site().codes.allow(asked.code, lambda: site().rights.make_token(who, wanted))
    except (Conflict, Forbidden) as e:
        return _page(asked=asked, fault=e, typed=typed())
    return _page(made=made.token)


def _found(who: Visitor, code: str) -> Asked:
    """Raises NotFound, Busy."""
    if site().costly.too_many(f"device of {who.name}", MOST):
        raise Busy("you tried too many codes", hint="wait for a minute")
    return site().codes.find(code)


def _asks(who: Visitor, asked: Asked) -> Response:
    """With what a person would have most often: all that they may, under a name that is free."""
    names = site().context.catalog.tokens.valid_names(who.name)
    tries = (asked.name, *(f"{asked.name[:58]}-{n}" for n in range(2, 1000)))
    free = next((t for t in tries if t not in names), "")
    return _page(asked=asked, typed={**FIELDS, "name": free, "namespaces": "*"})


def _page(fault: EnvwatchError | None = None, **values: Any) -> Response:
    known = {"asked": None, "made": None, "refused": None, "typed": FIELDS, **values}
    status = HTTPStatus.BAD_REQUEST if fault else HTTPStatus.OK
    return own_page("device.html", status, fault=fault, roles=tuple(Role), **known)
