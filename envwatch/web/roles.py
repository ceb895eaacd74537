"""For admins: who has which role and why, what each namespace asks for, and who did what."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from flask import Blueprint, Response, request, url_for

from envwatch import grants
from envwatch.access import Visitor, read_pattern
from envwatch.catalog import Catalog
from envwatch.errors import Conflict, EnvwatchError, Forbidden, NotFound, Unknown
from envwatch.grants import Given
from envwatch.model import EnvKey
from envwatch.settings import EVERYWHERE, Grant, Role
from envwatch.web.answers import own_page
from envwatch.web.changing import actions
from envwatch.web.context import site
from envwatch.web.signin import to
from envwatch.web.visitor import hidden, visitor

roles = Blueprint("roles", __name__)

FIELDS = {"pattern": "", "role": Role.DEVELOPER.value, "user": "", "group": "", "name": ""}
SHOWN = 50


@roles.get("/access")
def access() -> Response:
    return _page(_admin())


@roles.post("/access/grant")
def grant() -> Response:
    """A role for a person or a group, in place of one that they had there."""
    return _do(lambda who: grants.grant(_catalog(), who, _wanted()))


@roles.post("/access/revoke")
def revoke() -> Response:
    return _do(lambda who: grants.revoke(_catalog(), who, _wanted()))


@roles.post("/access/namespace")
def make() -> Response:
    """A namespace with a repository of its own: for who is admin of everything."""
    return _do(_make)


@roles.get("/audit")
def audit() -> Response:
    """Who did what in the namespaces of which somebody is admin, the newest first."""
    who, wanted = _admin(), request.args.get("namespace", "")[:64]
    places = _places(who)
    everything = who.may_all(Role.ADMIN, "*")
    if wanted and not everything and wanted not in places:
        raise hidden(who, f"there is no namespace `{wanted}`")
    found = _catalog().audits.all(
        namespace=wanted,
        within=None if everything else places,
        before=_before(),
        limit=SHOWN + 1,
    )
    return own_page(
        "audit.html",
        found=found[:SHOWN],
        older=found[SHOWN - 1].id if len(found) > SHOWN else None,
        places=places,
        wanted=wanted,
    )


def _do(change: Callable[[Visitor], object]) -> Response:
    who = _admin()
    try:
        change(who)
    except (Conflict, Forbidden, NotFound) as e:
        typed = {n: request.form.get(n, "")[:300] for n in FIELDS}
        return _page(who, fault=e, typed=FIELDS | {n: v for n, v in typed.items() if v})
    return to(url_for(".access"))


def _make(who: Visitor) -> None:
    name = request.form.get("name", "").strip()[:100]
    if not who.may_all(Role.ADMIN, "*"):
        raise Forbidden(f"you are no admin of `{EVERYWHERE}`", hint="an admin of `*/*` may make it")
    actions().make_namespace(name, by=who.name)
    _catalog().audits.note(who, "create namespace", EnvKey(name, ""))


def _wanted() -> Given:
    said = {n: request.form.get(n, "").strip()[:300] for n in FIELDS}
    try:
        role = Role(said["role"])
    except ValueError as e:
        raise Conflict(f"`{said['role'][:40]}` is not a role") from e
    return Given(Grant(read_pattern(said["pattern"]), role), said["user"], said["group"])


def _page(
    who: Visitor,
    *,
    fault: EnvwatchError | None = None,
    typed: dict[str, str] | None = None,
) -> Response:
    settings = site().context.settings
    known = grants.given(settings.access, _catalog())
    return own_page(
        "access.html",
        _status(fault),
        given=[
            (g, g.at is not None and grants.may_grant(who, g.grant.pattern))
            for g in known
            if grants.concerns(who, g)
        ],
        namespaces=[settings.namespace(n) for n in _places(who)],
        made={n.name: n for n in _catalog().namespaces.all()},
        everything=who.may_all(Role.ADMIN, "*"),
        own=settings.access.own_namespace,
        roles=tuple(Role),
        fault=fault,
        typed=typed or FIELDS,
    )


def _status(fault: EnvwatchError | None) -> HTTPStatus:
    if fault is None:
        return HTTPStatus.OK
    return HTTPStatus.FORBIDDEN if isinstance(fault, Forbidden) else HTTPStatus.CONFLICT


def _admin() -> Visitor:
    """Whoever is admin of anything. Raises Unknown, Forbidden."""
    who = visitor()
    if not who.signed_in:
        raise Unknown("this is for admins", hint="sign in")
    if not any(g.role is Role.ADMIN for g in who.grants):
        raise Forbidden(f"`{who.name}` is admin of nothing", hint="this page is for admins")
    return who


def _places(who: Visitor) -> list[str]:
    """The namespaces of which somebody is admin, as a whole."""
    return sorted(n for n in site().context.settings.declared if who.may_all(Role.ADMIN, n))


def _before() -> int | None:
    text = request.args.get("before", "")[:18]
    return int(text) if text.isdecimal() else None


def _catalog() -> Catalog:
    return site().context.catalog
