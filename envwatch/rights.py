"""What people and tokens may do now: the config, what was granted here, and who they are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from envwatch import access
from envwatch.access import HOST, Identity, Visitor
from envwatch.catalog import Catalog
from envwatch.catalog.tokens import NewToken
from envwatch.errors import Conflict, Forbidden
from envwatch.model import EnvKey
from envwatch.settings import EVERYWHERE, Grant, Role, Settings
from envwatch.spec import valid_name

LONGEST_DAYS = 366
MOST_KEPT = 1000  # sessions whose rights are kept
MOST_TOKENS = 100  # valid ones of one person that have a name
MOST_NAMELESS = 5000  # … and that have none: a launcher asks for one at each look
NAMELESS = "api-"  # how tokens are called for which no name is said


@dataclass(frozen=True, slots=True)
class Reason:
    """Why somebody has a role, in words."""

    grant: Grant
    why: str


@dataclass(frozen=True, slots=True)
class TokenWish:
    """A token that somebody asks for; `namespaces` are patterns."""

    name: str
    namespaces: tuple[str, ...]
    role: Role
    days: int


@dataclass(frozen=True, slots=True)
class _Kept:
    """Who somebody was by their session, as of the last change of catalog and settings."""

    changes: int
    settings: Settings
    ends_at: datetime
    visitor: Visitor

    def holds(self, changes: int, settings: Settings) -> bool:
        same = self.changes == changes and self.settings is settings
        return same and datetime.now(UTC) < self.ends_at


@dataclass(frozen=True, slots=True)
class Rights:
    """`settings` are those in force."""

    catalog: Catalog
    settings: Callable[[], Settings]
    _kept: dict[bytes, _Kept] = field(default_factory=dict)

    def anonymous(self) -> Visitor:
        return access.anonymous(self.settings().access)

    def of(self, identity: Identity) -> Visitor:
        """Somebody who is signed in."""
        settings = self.settings()
        granted = (b.binding for b in self.catalog.bindings.all())
        return access.visitor(identity, settings.access, granted, self._taken(identity.name))

    def own_namespace(self, name: str) -> str:
        """The namespace that is somebody's by their name, empty where they have none."""
        if not self.settings().access.own_namespace:
            return ""
        return access.own_namespace(name, self._taken(name))

    def _taken(self, name: str) -> Iterator[str]:
        """Namespaces, as patterns, that are not this person's for being called so."""
        settings = self.settings()
        yield from (n.name for n in settings.namespaces)
        yield from (pattern for pattern, _ in settings.patterns)
        if self.catalog.namespaces.is_of_another(name):
            yield name

    def of_session(self, secret: str) -> Visitor | None:
        """Whose session it is; None where it has ended.

        Every request asks: the answer is kept until its end, a write, or other settings.
        """
        changes, settings = self.catalog.database.changes, self.settings()
        key = hashlib.sha256(secret.encode()).digest()
        kept = self._kept.get(key)
        if kept is not None and kept.holds(changes, settings):
            return kept.visitor
        found = self.catalog.people.of_session(secret)
        if found is None:
            return None
        identity, ends_at = found
        kept = _Kept(changes, settings, ends_at, self.of(identity))
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[key] = kept
        return kept.visitor

    def of_token(self, secret: str) -> Visitor | None:
        """Whose token it is, limited to what it is for; None where it is none, or no more."""
        token = self.catalog.tokens.find(secret)
        if token is None:
            return None
        owner = HOST
        if token.owner:
            identity = self.catalog.people.identity(token.owner)
            if identity is None:
                return None
            owner = self.of(identity)
        self.catalog.tokens.used(token)
        return access.limited(owner, token.grants, token.name, token.id)

    def reasons(self, identity: Identity) -> tuple[Reason, ...]:
        """Where what somebody may do comes from."""
        return tuple(dict.fromkeys(self._reasons(identity)))

    def _reasons(self, identity: Identity) -> Iterator[Reason]:
        rules = self.settings().access
        yield from (Reason(g, "everybody has it") for g in rules.anonymous)
        yield from (Reason(g, "everybody who is signed in has it") for g in rules.signed_in)
        yield from (Reason(g, "your login says so") for g in identity.grants)
        if own := self.own_namespace(identity.name):
            yield Reason(Grant(f"{own}/*", Role.ADMIN), "the namespace of your name")
        groups = {g.removeprefix("/"): g for g in identity.groups}
        for binding in rules.bindings:
            if identity.name in binding.users:
                yield Reason(binding.grant, "the config names you")
            for group in groups.keys() & {g.removeprefix("/") for g in binding.groups}:
                yield Reason(binding.grant, f"the config names your group `{groups[group]}`")
        for record in self.catalog.bindings.all():
            whose = f" to your group `{record.group}`" if record.group else ""
            mine = record.group.removeprefix("/") in groups if record.group else False
            if mine or record.user == identity.name:
                yield Reason(record.binding.grant, f"granted{whose} by `{record.granted_by}`")

    def make_token(self, who: Visitor, wish: TokenWish) -> NewToken:
        """A token of somebody's own. Raises Forbidden where it would do more than they may.

        `*/*` is wherever they may, as far as they may: no token does more than its owner.
        """
        if who.token or not who.signed_in:
            raise Forbidden("only somebody who is signed in makes tokens", hint="sign in")
        _check(wish)
        grants = tuple(Grant(p, wish.role) for p in wish.namespaces if p != EVERYWHERE)
        more = set(grants) - set(who.within(grants))
        if more:
            place = min(g.pattern for g in more)
            hint = "a token may do no more than the person whose it is"
            raise Forbidden(f"you are no {wish.role} of `{place}`", hint=hint)
        self.check_room(who.name, wish.name)
        made = self.catalog.tokens.create(
            wish.name,
            wish.namespaces,
            role=wish.role,
            owner=who.name,
            by=who.name,
            expires_at=datetime.now(UTC) + timedelta(days=wish.days),
        )
        self.note(who, "token create", made.token.name)
        return made

    def check_room(self, owner: str, name: str) -> None:
        """Raises Conflict where a person has as many tokens as they may; the host has any number.

        Those without a name count apart: what launchers ask for locks nobody out of the page.
        """
        nameless = name.startswith(NAMELESS)
        names = self.catalog.tokens.valid_names(owner) if owner else ()
        held = sum(n.startswith(NAMELESS) is nameless for n in names)
        if held >= (MOST_NAMELESS if nameless else MOST_TOKENS):
            raise Conflict(f"you have {held} tokens", hint="revoke those that nobody uses")

    def revoke_token(self, who: Visitor, name: str) -> None:
        """Refuse a token of somebody's own from now on. Raises NotFound, Forbidden."""
        if who.token or not who.signed_in:
            raise Forbidden("only somebody who is signed in revokes their tokens", hint="sign in")
        self.catalog.tokens.revoke(name, owner=who.name)
        self.note(who, "token revoke", name)

    def note(self, who: Visitor, action: str, detail: str = "", key: EnvKey | None = None) -> None:
        self.catalog.audits.note(who, action, key, detail)


def _check(wish: TokenWish) -> None:
    if not valid_name(wish.name):
        hint = "letters, digits, `.`, `_` and `-`; at most 64, the first a letter or digit"
        raise Conflict(f"{wish.name[:80]!a} cannot be the name of a token", hint=hint)
    if not 1 <= wish.days <= LONGEST_DAYS:
        raise Conflict(f"a token holds for 1 to {LONGEST_DAYS} days")
