"""Namespaces that are made, and roles that people give to each other."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from envwatch import grants
from envwatch.access import Visitor, read_pattern
from envwatch.errors import Forbidden
from envwatch.grants import Given
from envwatch.model import EnvKey
from envwatch.settings import EVERYWHERE, Role
from envwatch.settings import Grant as Right
from envwatch.web.api import finding
from envwatch.web.api.reading import Input, Paging
from envwatch.web.api.routes import Listed, Routes
from envwatch.web.api.status import ROLES, role_of
from envwatch.web.context import site
from envwatch.web.visitor import refused, visitor


class Grant(BaseModel):
    """`by` is who gave it, or `the config`; then `at` is null, and it is taken back there only."""

    pattern: str
    role: str
    user: str
    group: str
    by: str
    at: datetime | None


class Made(BaseModel):
    """`clone` is the address of its repository."""

    namespace: str
    clone: str


class NewGrant(Input):
    """For one person or one group; `role` is one of conda-store's words or ours."""

    pattern: str = Field(min_length=1, max_length=129)
    role: str = Field(max_length=40, examples=list(ROLES))
    user: str = Field("", max_length=255)
    group: str = Field("", max_length=255)


class OldGrant(Input):
    pattern: str = Field(min_length=1, max_length=129)
    user: str = Field("", max_length=255)
    group: str = Field("", max_length=255)


def add(routes: Routes) -> None:
    routes.post("/namespace/<namespace>/", answer=Made)(create)
    routes.get("/grant/", query=Paging, answer=Grant, listed=True)(listed)
    routes.put("/grant/", body=NewGrant, answer=Grant)(grant)
    routes.delete("/grant/", query=OldGrant, answer=None)(revoke)


def create(namespace: str) -> Made:
    """A namespace with a repository of its own: for an admin of everything."""
    who = _somebody()
    if not who.may_all(Role.ADMIN, "*"):
        hint = f"an admin of `{EVERYWHERE}` may make it"
        raise Forbidden(f"`{who.name}` is no admin of `{EVERYWHERE}`", hint=hint)
    finding.actions().make_namespace(namespace, by=finding.author())
    finding.audit("create namespace", EnvKey(namespace, ""))
    address = site().context.settings.web.address
    return Made(namespace=namespace, clone=f"{address}/git/{namespace}.git")


def listed(query: Paging) -> Listed:
    """Roles that concern what one is admin of: of the config, and those that were given here."""
    who, span = visitor(), query.span(whole=True)
    context = site().context
    known = grants.given(context.settings.access, context.catalog)
    found = [g for g in known if grants.concerns(who, g)]
    return Listed.cut(found, span, _shown)


def grant(body: NewGrant) -> Grant:
    """Give a role, in place of another one that they have there."""
    who, place = _somebody(), read_pattern(body.pattern)
    wanted = Given(Right(place, role_of(body.role)), body.user, body.group)
    return _shown(grants.grant(site().context.catalog, who, wanted))


def revoke(query: OldGrant) -> None:
    """Take back what was given here."""
    wanted = Given(Right(read_pattern(query.pattern), Role.VIEWER), query.user, query.group)
    grants.revoke(site().context.catalog, _somebody(), wanted)


def _somebody() -> Visitor:
    who = visitor()
    if not who.signed_in:
        raise refused(who, Role.ADMIN, "this place")
    return who


def _shown(it: Given) -> Grant:
    return Grant(
        pattern=it.grant.pattern,
        role=it.grant.role.value,
        user=it.user or it.all_of,
        group=it.group,
        by=it.by,
        at=it.at,
    )
