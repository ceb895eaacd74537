"""Who asks and what they may do: version, permissions, tokens, use."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

from flask import Response
from pydantic import BaseModel, Field

from envwatch.access import Visitor, is_pattern, read_pattern
from envwatch.catalog.records import TokenRecord
from envwatch.errors import NotFound, Unknown
from envwatch.rights import LONGEST_DAYS, NAMELESS
from envwatch.settings import EVERYWHERE, Grant, Role
from envwatch.spec import valid_name
from envwatch.views import listing
from envwatch.web.api import guard
from envwatch.web.api.envelope import BadRequest, ok
from envwatch.web.api.finding import audit
from envwatch.web.api.reading import Input
from envwatch.web.api.routes import Routes, Told
from envwatch.web.context import site
from envwatch.web.seeing import workplaces
from envwatch.web.signin import sign_out
from envwatch.web.visitor import visitor

ROLES = {
    "viewer": Role.VIEWER,
    "editor": Role.DEVELOPER,
    "developer": Role.DEVELOPER,
    "admin": Role.ADMIN,
}
DAY = timedelta(days=1)
MOST_TOKENS = 600  # in a minute: a hub asks for each person who opens its launcher
_READ = ("environment::read", "namespace::read", "namespace-role-mapping::read")
# conda-store's page offers a new environment where it reads `namespace::create`
_WRITE = (
    "build::cancel",
    "environment:create",
    "environment::delete",
    "environment::solve",
    "environment::update",
    "namespace::create",
)
_ADMIN = ("build::delete", "setting::read")
PERMISSIONS = {
    Role.VIEWER: _READ,
    Role.DEVELOPER: (*_READ, *_WRITE),
    Role.ADMIN: (*_READ, *_WRITE, *_ADMIN),
}


class Version(BaseModel):
    version: str
    server: str = "envwatch"


class Permission(BaseModel):
    authenticated: bool
    primary_namespace: str
    entity_permissions: dict[str, tuple[str, ...]]
    entity_roles: dict[str, tuple[str, ...]]
    expiration: datetime | None
    name: str


class Usage(BaseModel):
    num_environments: int
    num_builds: int
    storage: int


class WantedToken(Input):
    """`exp` is what conda-store's client sends, `expiration` what its server reads."""

    primary_namespace: str | None = None
    role_bindings: dict[str, tuple[str, ...]] | None = None
    expiration: datetime | None = None
    exp: datetime | None = None
    name: str = Field("", max_length=64)


class NewToken(BaseModel):
    token: str
    name: str
    expires_on: datetime | None


class Token(BaseModel):
    name: str
    namespaces: tuple[str, ...]
    role: str
    created_on: datetime
    expires_on: datetime | None
    used_on: datetime | None
    revoked_on: datetime | None


def add(routes: Routes) -> None:
    routes.get("/", answer=Version)(api_version)
    routes.get("/permission/", answer=Permission)(permission)
    routes.get("/usage/", answer=dict[str, Usage])(usage)
    # its answer is a secret: it is remembered nowhere
    routes.post("/token/", body=WantedToken, answer=NewToken, kept=False)(token)
    routes.get("/token/", answer=tuple[Token, ...])(tokens)
    routes.delete("/token/<name>/", answer=None)(revoke)
    routes.post("/signout/", answer=None, kept=False)(signout)


def api_version() -> Version:
    """The version of the server."""
    return Version(version=version("envwatch"))


def permission() -> Permission:
    """Who asks, and what they may do where. Patterns are `namespace/name`, `*` is anything.

    What a pattern with `*` gives is told of each namespace too: clients look up `analyst/*`.
    """
    who = visitor()
    highest: dict[str, Role] = {}
    for grant in who.grants:
        known = highest.get(grant.pattern)
        if known is None or grant.role.covers(known):
            highest[grant.pattern] = grant.role
    for name in _filled():
        role = who.role_of_all(name)
        if role is not None and role is not highest.get(EVERYWHERE):
            highest[f"{name}/*"] = role
    token = _token_of(who)
    return Permission(
        authenticated=who.signed_in,
        primary_namespace=primary(who),
        entity_permissions={p: PERMISSIONS[r] for p, r in highest.items()},
        entity_roles={p: (r.value,) for p, r in highest.items()},
        expiration=token.expires_at if token else None,
        name=who.name,
    )


def primary(who: Visitor) -> str:
    """Their own namespace where something fills it, else the first that they may change.

    conda-store's page offers to change it whatever they may do: it is none that they only see.
    """
    own = site().rights.own_namespace(who.name)
    token = _token_of(who)
    if token is not None and not token.owner:
        own = ""  # it was made on the host: nobody has a namespace of that name
    mine = workplaces()
    names = [n for n in _filled() if n in mine]
    if own in names:
        return own
    return names[0] if names else own or "default"


def _filled() -> tuple[str, ...]:
    """The namespaces that sources fill."""
    return tuple(dict.fromkeys(s.namespace for s in site().context.settings.sources))


def usage() -> dict[str, Usage]:
    """Environments, builds and bytes of each namespace; a prefix counts once."""
    found = listing.usage(site().context.catalog.database, visitor())
    return {
        name: Usage(num_environments=envs, num_builds=builds, storage=size)
        for name, envs, builds, size in found
    }


def token(body: WantedToken) -> Told:
    """A token for who asks: never for more than they may do, never for longer.

    For a day, unless its end is said: launchers make one for each look at the environments.
    """
    who = visitor()
    if not who.signed_in:
        raise Unknown("a token is made for somebody who is signed in", hint="sign in first")
    guard.seldom("token", MOST_TOKENS)
    grants, notes = _grants(who, body)
    parent = _token_of(who)
    role = max((g.role for g in grants), key=list(Role).index)
    ends = _end(body.expiration or body.exp, parent)
    name = body.name or f"{NAMELESS}{secrets.token_hex(4)}"
    if not valid_name(name):
        raise BadRequest("`name`: letters, digits, `.`, `_` and `-`, at most 64")
    if not body.name:
        site().context.catalog.tokens.forget(NAMELESS, datetime.now(UTC) - DAY)
    owner = parent.owner if parent else who.name
    site().rights.check_room(owner, name)
    made = site().context.catalog.tokens.create(
        name,
        tuple(g.pattern for g in grants),
        role=role,
        owner=owner,
        by=who.name,
        expires_at=ends,
    )
    audit("token create", detail=f"{name}: {', '.join(made.token.namespaces)}, {role}")
    return Told(NewToken(token=made.secret, name=name, expires_on=ends), notes or "made")


def tokens() -> tuple[Token, ...]:
    """The tokens of who asks, without their secrets; by a token, that one alone."""
    return tuple(_shown(t) for t in _mine(visitor()))


def revoke(name: str) -> None:
    """Let a token of one's own be none any more."""
    now = datetime.now(UTC)
    held = next((t for t in _mine(visitor()) if t.name == name and t.is_valid(now)), None)
    if held is None:
        raise NotFound(f"you have no token `{name}`")
    site().context.catalog.tokens.revoke(name, owner=held.owner)
    audit("token revoke", detail=name)


def signout() -> Response:
    """End the session of who asks, as conda-store's page does it by a script."""
    response = ok(None, "signed out")
    sign_out(response)
    return response


def _mine(who: Visitor) -> tuple[TokenRecord, ...]:
    if not who.signed_in:
        raise Unknown("tokens belong to somebody who is signed in", hint="sign in, or send a token")
    parent = _token_of(who)
    if parent is not None:
        # a token that leaked must not tell of the others, nor end them
        return (parent,)
    return tuple(t for t in site().context.catalog.tokens.all() if t.owner == who.name)


def _token_of(who: Visitor) -> TokenRecord | None:
    return site().context.catalog.tokens.get(who.token_id) if who.token else None


def _grants(who: Visitor, body: WantedToken) -> tuple[tuple[Grant, ...], str]:
    """What is asked for, if it is no more than they have, and what gives nothing. BadRequest.

    Nebari asks for a namespace of each group's name, and not every name can be one.
    """
    asked = (body.role_bindings or {}).items()
    fit = {p: read_pattern(p) for p, _ in asked if is_pattern(p)}
    odd = ", ".join(f"`{p[:64]}`" for p, _ in asked if p not in fit)
    wanted = tuple(Grant(fit[p], role_of(r)) for p, roles in asked if p in fit for r in roles)
    if not body.role_bindings:
        wanted = who.grants
    if not wanted or set(who.within(wanted)) != set(wanted):
        raise BadRequest(
            "the token would be for more than you may do", hint="see /api/v1/permission/"
        )
    # where nothing is asked for, no pattern comes to more than its owner may there
    if body.role_bindings and len({g.role for g in wanted}) > 1:
        raise BadRequest("a token has one role", hint="make one token for each role")
    return wanted, f"{odd}: no namespace can be called so, which gives nothing" if odd else ""


def role_of(word: str) -> Role:
    if word not in ROLES:
        raise BadRequest(f"`{word[:40]}` is not a role", hint=f"one of {', '.join(ROLES)}")
    return ROLES[word]


def _end(wanted: datetime | None, parent: TokenRecord | None) -> datetime:
    if wanted is not None and wanted.tzinfo is None:
        wanted = wanted.replace(tzinfo=UTC)
    if wanted is not None and wanted <= datetime.now(UTC):
        raise BadRequest("`expiration` lies in the past")
    most = [datetime.now(UTC) + LONGEST_DAYS * DAY]
    most += [parent.expires_at] if parent and parent.expires_at else []
    return min(wanted or datetime.now(UTC) + DAY, *most)


def _shown(it: TokenRecord) -> Token:
    return Token(
        name=it.name,
        namespaces=it.namespaces,
        role=it.role.value,
        created_on=it.created_at,
        expires_on=it.expires_at,
        used_on=it.used_at,
        revoked_on=it.revoked_at,
    )
