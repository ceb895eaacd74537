"""A program without a browser asks for a token, and takes it once a person has allowed it."""

from __future__ import annotations

from datetime import datetime

from flask import request, url_for
from pydantic import BaseModel, Field

from envwatch.errors import Conflict, Forbidden, NotFound
from envwatch.spec import valid_name
from envwatch.web.api import guard
from envwatch.web.api.envelope import BadRequest
from envwatch.web.api.reading import Input
from envwatch.web.api.routes import Routes
from envwatch.web.codes import INTERVAL, LASTS, State
from envwatch.web.context import site
from envwatch.web.parts import absolute

MOST_ASKED = 20  # in a minute, from one address
MOST_MISSES = 60


class Program(Input):
    """`name` is what the token will be called, unless the person wants another name."""

    name: str = Field("program", max_length=64)


class Code(BaseModel):
    """In the words of RFC 8628; the numbers are seconds."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


class Held(Input):
    device_code: str = Field(max_length=200)


class Answered(BaseModel):
    """`state` is `waiting` or `allowed`: then the token is here, this once."""

    state: str
    token: str | None
    name: str | None
    expires_on: datetime | None


def add(routes: Routes) -> None:
    # their answers are secrets: they are remembered nowhere
    secret = {"tag": "token", "kept": False}
    routes.post("/device/", body=Program, answer=Code, **secret)(ask)
    routes.post("/device/token/", body=Held, answer=Answered, **secret)(collect)


def ask(body: Program) -> Code:
    """Ask for a token: `user_code` is to be shown to a person, who allows it on the page."""
    if not site().context.settings.login.possible:
        hint = "a token is made by `envwatch token create` on the host"
        raise Conflict("nobody can sign in here, so nobody could allow it", hint=hint)
    if not valid_name(body.name):
        raise BadRequest("`name`: letters, digits, `.`, `_` and `-`, at most 64")
    guard.seldom("device", MOST_ASKED)
    secret, made = site().codes.ask(body.name, request.remote_addr or "")
    return Code(
        device_code=secret,
        user_code=made.code,
        verification_uri=absolute(url_for("device.show")),
        verification_uri_complete=absolute(url_for("device.show", code=made.code)),
        expires_in=LASTS,
        interval=INTERVAL,
    )


def collect(body: Held) -> Answered:
    """Has it been allowed? To be asked at most each `interval`."""
    found = site().codes.collect(body.device_code)
    if found is None:
        # a right one passes whatever was counted: many may come from one address
        guard.seldom("device token", MOST_MISSES)
        raise NotFound("no program waits with this code", hint="ask again for a new one")
    if found.state is State.REFUSED:
        raise Forbidden("it was refused on the page", hint="ask again if that was a mistake")
    made = found.token
    if made is None:
        return Answered(state=found.state.value, token=None, name=None, expires_on=None)
    return Answered(
        state=found.state.value,
        token=made.secret,
        name=made.token.name,
        expires_on=made.token.expires_at,
    )
