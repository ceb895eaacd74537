"""Roles that people give to each other: who may see them, give them, and take them back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from envwatch.access import Visitor, bears_on, person_name
from envwatch.catalog import Catalog
from envwatch.errors import Conflict, Forbidden, NotFound
from envwatch.model import EnvKey
from envwatch.settings import AccessSettings, Grant, Role

CONFIG = "the config"


@dataclass(frozen=True, slots=True)
class Given:
    """A role that somebody has, or a group, or (both empty) everybody of whom `all_of` tells.

    `at` is None for what the config grants: that can be taken back there only.
    """

    grant: Grant
    user: str = ""
    group: str = ""
    all_of: str = ""
    by: str = CONFIG
    at: datetime | None = None


def of_config(rules: AccessSettings) -> Iterator[Given]:
    yield from (Given(g, all_of="anybody") for g in rules.anonymous)
    yield from (Given(g, all_of="everybody signed in") for g in rules.signed_in)
    for binding in rules.bindings:
        yield from (Given(binding.grant, user=u) for u in binding.users)
        yield from (Given(binding.grant, group=g) for g in binding.groups)


def given(rules: AccessSettings, catalog: Catalog) -> tuple[Given, ...]:
    """Every role: those of the config, and those that were granted here."""
    here = (
        Given(Grant(b.pattern, b.role), b.user, b.group, by=b.granted_by, at=b.granted_at)
        for b in catalog.bindings.all()
    )
    return (*of_config(rules), *here)


def concerns(who: Visitor, given: Given) -> bool:
    """Does it say something of what somebody is admin of?"""
    pattern = given.grant.pattern
    mine = [g.pattern for g in who.grants if g.role is Role.ADMIN]
    so = may_grant(who, pattern) or any(bears_on(pattern, of) for of in mine)
    return so and (who.owner is None or concerns(who.owner, given))


def may_grant(who: Visitor, pattern: str) -> bool:
    return bool(who.within((Grant(pattern, Role.ADMIN),)))


def grant(catalog: Catalog, who: Visitor, wanted: Given) -> Given:
    """Give a role, in place of another one there; what was given. Raises Conflict, Forbidden."""
    _check(who, wanted.grant.pattern)
    user, group = _whom(wanted)
    catalog.bindings.grant(wanted.grant, user=user, group=group, by=who.name)
    detail = f"{wanted.grant.role} to {_words(user, group)}"
    catalog.audits.note(who, "grant", _place(wanted.grant.pattern), detail)
    return Given(wanted.grant, user, group, by=who.name, at=datetime.now(UTC))


def revoke(catalog: Catalog, who: Visitor, wanted: Given) -> None:
    """Take back what was granted here. Raises Forbidden, NotFound."""
    place = wanted.grant.pattern
    _check(who, place)
    user, group = _names(wanted)
    if not catalog.bindings.revoke(place, user=user, group=group):
        raise NotFound(
            f"`{place}` was not granted to {_words(user, group)} here",
            hint="what the config grants is taken back there",
        )
    catalog.audits.note(who, "revoke", _place(place), f"of {_words(user, group)}")


def _check(who: Visitor, pattern: str) -> None:
    if not may_grant(who, pattern):
        hint = "roles are given by who is admin of all that they are for"
        raise Forbidden(f"you are no admin of `{pattern}`", hint=hint)


def _whom(wanted: Given) -> tuple[str, str]:
    user, group = _names(wanted)
    if bool(user) == bool(group):
        raise Conflict("a role is for one person or one group", hint="name one of the two")
    if user and not person_name(user):
        raise Conflict("nobody can have this name", hint="write it as their login names them")
    if group and (not group.isprintable() or len(group) > 255):
        raise Conflict("no group can have this name", hint="write it as logins name it")
    return user, group


def _names(wanted: Given) -> tuple[str, str]:
    """`/lab` is the group `lab`: some providers write the whole path."""
    return wanted.user.strip(), wanted.group.strip().lstrip("/")


def _place(pattern: str) -> EnvKey:
    namespace, _, name = pattern.partition("/")
    return EnvKey(namespace, name)


def _words(user: str, group: str) -> str:
    return f"`{user}`" if user else f"the group `{group}`"
