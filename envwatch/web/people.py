"""The page of a person: who they are here, what they may do and why, and their tokens."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

from flask import Blueprint, Response, request, url_for

from envwatch.access import Identity, Visitor, read_patterns
from envwatch.catalog.tokens import NewToken
from envwatch.errors import Conflict, EnvwatchError, Forbidden, NotFound, Unknown
from envwatch.rights import TokenWish
from envwatch.settings import Role
from envwatch.web.answers import own_page
from envwatch.web.context import site
from envwatch.web.signin import signed_in_by_proxy, to
from envwatch.web.visitor import visitor

people = Blueprint("people", __name__)
FIELDS = {"name": "", "namespaces": "", "role": Role.DEVELOPER.value, "days": "90"}


@people.after_request
def _keep_nowhere(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response


@people.get("/me")
def me() -> Response:
    if not visitor().signed_in:
        return to(url_for("signin.choose", next=url_for(".me")))
    return _page(person())


@people.post("/me/tokens")
def create_token() -> Response:
    """The secret is in this answer, and nowhere else."""
    who = person()
    try:
        made = site().rights.make_token(who, wish())
    except (Conflict, Forbidden) as e:
        return _page(who, fault=e, said=typed())
    return _page(who, made=made)


@people.post("/me/tokens/revoke")
def revoke_token() -> Response:
    who = person()
    try:
        site().rights.revoke_token(who, request.form.get("name", "")[:64])
    except NotFound as e:
        return _page(who, fault=e)
    return to(url_for(".me"))


def person() -> Visitor:
    """Whoever is signed in, and is no program. Raises Unknown, Forbidden."""
    who = visitor()
    if not who.signed_in:
        raise Unknown("you are not signed in", hint="sign in, and send it again")
    if who.token:
        raise Forbidden("this page is for people, not for tokens", hint="sign in")
    return who


def typed() -> dict[str, str]:
    """What a form says of a token."""
    return {name: request.form.get(name, "").strip()[:300] for name in FIELDS}


def wish() -> TokenWish:
    """The token that it asks for. Raises Conflict."""
    said = typed()
    try:
        role, days = Role(said["role"]), int(said["days"])
    except ValueError as e:
        raise Conflict("the role or the number of days is none") from e
    return TokenWish(said["name"], read_patterns(said["namespaces"]), role, days)


def _page(
    who: Visitor,
    *,
    made: NewToken | None = None,
    fault: EnvwatchError | None = None,
    said: dict[str, str] | None = None,
) -> Response:
    context, now = site().context, datetime.now(UTC)
    identity = context.catalog.people.identity(who.name) or Identity(who.name)
    tokens = [t for t in context.catalog.tokens.all() if t.owner == who.name]
    return own_page(
        "me.html",
        HTTPStatus.BAD_REQUEST if fault else HTTPStatus.OK,
        identity=identity,
        reasons=site().rights.reasons(identity),
        tokens=[(t, t.is_valid(now)) for t in tokens],
        made=made,
        fault=fault,
        typed=said or FIELDS,
        roles=tuple(Role),
        by_proxy=signed_in_by_proxy(),
    )
