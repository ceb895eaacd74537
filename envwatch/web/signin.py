"""Signing in and out: to a provider and back, a session, and nothing secret in any address kept."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, g, render_template, request, url_for
from itsdangerous import BadData, URLSafeTimedSerializer

from envwatch.access import Identity, Visitor
from envwatch.errors import Busy, EnvwatchError, NotFound, SigninError, SigninRefused
from envwatch.signin.attempt import Attempt, Provider, Returned
from envwatch.web import cookies, places
from envwatch.web.arriving import arrived
from envwatch.web.attempts import VALID
from envwatch.web.context import site
from envwatch.web.parts import absolute
from envwatch.web.proxied import of_proxy
from envwatch.web.visitor import whoever

logger = logging.getLogger(__name__)
signin = Blueprint("signin", __name__)

ATTEMPT = "envwatch_signin_"
MOST_ATTEMPTS = 5  # of one browser at once: tabs


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why somebody is not signed in, in words that hold nothing of what came."""

    status: HTTPStatus
    text: str
    hint: str = ""


AGAIN = "begin again"
TROUBLES = {
    "stale": Trouble(
        HTTPStatus.BAD_REQUEST, "that sign-in took too long, or began in another browser", AGAIN
    ),
    "denied": Trouble(HTTPStatus.FORBIDDEN, "you were not signed in there", AGAIN),
    "refused": Trouble(
        HTTPStatus.FORBIDDEN,
        "what came back cannot be believed or used",
        "begin again; the log of the daemon says what it is",
    ),
    "away": Trouble(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "who signs people in cannot be asked now",
        "try again later; the log of the daemon says why",
    ),
    "busy": Trouble(
        HTTPStatus.TOO_MANY_REQUESTS, "too many tries came just now", "wait for a minute"
    ),
}


@signin.after_request
def _keep_nowhere(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response


@signin.get("/signin")
def choose() -> Response:
    """Every way to sign in, and what became of the last try."""
    trouble = TROUBLES.get(request.args.get("trouble", ""))
    page = render_template(
        "signin.html",
        providers=site().context.providers,
        by_proxy=site().context.settings.login.proxy is not None,
        trouble=trouble,
        out="out" in request.args,
        next=places.place(request.args.get("next", "")),
    )
    return Response(page, trouble.status if trouble else HTTPStatus.OK)


@signin.get("/signin/<provider>")
def leave(provider: str) -> Response:
    """To the provider, with the secret of this attempt in a cookie."""
    found, wanted = _provider(provider), places.place(request.args.get("next", ""))
    attempt = Attempt.new(_back(found))
    try:
        site().attempts.begin(request.remote_addr or "")
        with site().attempts.asking():
            address = found.leave(attempt)
    except (SigninError, Busy) as e:
        return _not_signed_in(found, e, wanted)
    g.leaves_for = address
    response = to(address)
    _drop_old(response)
    signed = _signer().dumps([found.name, attempt.secret, wanted])
    cookies.write(response, _cookie(attempt.state), str(signed), VALID)
    return response


@signin.get("/signin/<provider>/callback")
def come_back(provider: str) -> Response:
    """From the provider. Where it leads then, the code is in no address any more."""
    found, state = _provider(provider), request.args.get("state", "")[:100]
    wanted = places.HOME
    try:
        site().attempts.come_back(request.remote_addr or "")
        attempt, wanted = _attempt(found, state)
        with site().attempts.asking():
            identity = found.identify(attempt, _returned())
        response = _signed_in(found, identity, wanted)
    except (_Stale, _Denied, SigninError, Busy) as e:
        response = _not_signed_in(found, e, wanted)
    cookies.drop(response, _cookie(state))
    return response


@signin.post("/signout")
def leave_us() -> Response:
    """This session ends, or every one of this person."""
    response = to(url_for(".choose", out=""))
    sign_out(response, everywhere="everywhere" in request.form)
    return response


def sign_out(response: Response, *, everywhere: bool = False) -> None:
    """A token is no session, and goes on."""
    who, people = whoever(), site().context.catalog.people
    if who.signed_in and not who.token:
        if everywhere:
            people.close_all(who.name)
        people.close_session(cookies.read(cookies.SESSION))
        action = "sign out everywhere" if everywhere else "sign out"
        site().rights.note(who, action)
        logger.info("%s: %s", action, who.name)
    cookies.drop(response, cookies.SESSION)
    cookies.drop(response, cookies.FORM)


# ---------------------------------------------------------------- one attempt


class _Stale(EnvwatchError):
    """Nobody left for there from this browser, or it is too long ago, or has come back already."""


class _Denied(EnvwatchError):
    """The provider says that it has signed nobody in."""


def _provider(name: str) -> Provider:
    found = next((p for p in site().context.providers if p.name == name), None)
    if found is None:
        raise NotFound(f"nobody is signed in by `{name}` here", hint="see `/signin`")
    return found


def _attempt(provider: Provider, state: str) -> tuple[Attempt, str]:
    """The attempt that this state belongs to, and where it leads. Raises _Stale."""
    try:
        read: Any = _signer().loads(cookies.read(_cookie(state)), max_age=int(VALID))
    except BadData as e:
        raise _Stale("there is no such attempt") from e
    name, secret, wanted = read
    attempt = Attempt(secret, _back(provider))
    if name != provider.name or attempt.state != state or not site().attempts.use(state):
        raise _Stale("it is another attempt")
    return attempt, wanted


def _returned() -> Returned:
    code = request.args.get("code", "")
    if request.args.get("error") or not code or len(code) > 4000:
        raise _Denied("there is no code")
    return Returned(code, request.args.get("iss", ""))


def _signed_in(provider: Provider, identity: Identity, wanted: str) -> Response:
    people = site().context.catalog.people
    before = cookies.read(cookies.SESSION)
    if before:
        people.close_session(before)
    seconds = site().context.settings.login.session
    arrived(identity, provider.name)
    secret = people.open_session(identity.name, seconds)
    site().rights.note(Visitor(identity.name), "sign in", f"by {provider.name}")
    logger.info("signed in by %s: %s", provider.name, identity.name)
    if places.is_elsewhere(wanted):
        g.leaves_for = wanted
    response = to(wanted)
    # the cookie of forms stays: one may wait in another tab to be sent by this person
    cookies.write(response, cookies.SESSION, secret, seconds)
    return response


def _not_signed_in(provider: Provider, error: EnvwatchError, wanted: str) -> Response:
    kinds = ((_Stale, "stale"), (_Denied, "denied"), (SigninRefused, "refused"), (Busy, "busy"))
    word = next((w for kind, w in kinds if isinstance(error, kind)), "away")
    logger.warning("nobody was signed in by %s: %s: %s", provider.name, word, error.message)
    return to(url_for(".choose", trouble=word, next=wanted if wanted != places.HOME else None))


def to(address: str) -> Response:
    # without a body: the address would stand in it
    return Response(status=HTTPStatus.SEE_OTHER, headers={"Location": address})


def _back(provider: Provider) -> str:
    return absolute(url_for(".come_back", provider=provider.name))


def _cookie(state: str) -> str:
    # several tabs may be on their way at once; only letters of ours are in the name
    return ATTEMPT + "".join(c for c in state[:10] if c.isalnum())


def _drop_old(response: Response) -> None:
    old = cookies.names(ATTEMPT)
    if len(old) >= MOST_ATTEMPTS:
        for name in old:
            cookies.drop(response, name)


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(site().key, salt="sign in")


def signed_in_by_proxy() -> bool:
    """Is this somebody whom a proxy signs in with each request?"""
    said = site().context.settings.login.proxy
    return said is not None and of_proxy(said) is not None
