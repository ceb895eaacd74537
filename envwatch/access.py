"""Who may do what where: roles on patterns of `namespace/name`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from envwatch.errors import Conflict
from envwatch.model import EnvKey
from envwatch.settings import EVERYWHERE, AccessSettings, Binding, Grant, Role
from envwatch.spec import valid_name

_PART = r"[A-Za-z0-9*_][A-Za-z0-9._*-]{0,63}"
_PATTERN = re.compile(rf"{_PART}(?:/{_PART})?")
_SCOPE = re.compile(rf"(?P<role>[a-z]+)!namespace=(?P<namespace>{_PART})")
# what other tools call a role that is here under another name
_SYNONYMS = {"editor": Role.DEVELOPER, "superadmin": Role.ADMIN}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is, as those say who signed them in. `grants` came with the login."""

    name: str
    groups: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whoever asks, and what they may do. `name` is empty for somebody who is not signed in.

    `token` is the name of the token by which a program asks, empty for a person. Only `token_id`
    says which it is: people may call theirs like those of others. `owner` is whose it is, with all
    that they may.
    """

    name: str = ""
    grants: tuple[Grant, ...] = ()
    token: str = ""
    token_id: int = 0
    owner: Visitor | None = None

    @property
    def signed_in(self) -> bool:
        return bool(self.name)

    def may(self, role: Role, key: EnvKey) -> bool:
        """Are they this, or more, for one environment?"""
        return any(g.role.covers(role) and _matches(g.pattern, key) for g in self.grants)

    def may_all(self, role: Role, namespace: str) -> bool:
        """Are they this, or more, for every environment of a namespace?"""
        return any(g.role.covers(role) and _of_whole(g.pattern, namespace) for g in self.grants)

    def may_some(self, role: Role, namespace: str) -> bool:
        """… for any environment that there could be in it?"""
        return any(
            g.role.covers(role) and fnmatchcase(namespace, _split(g.pattern)[0])
            for g in self.grants
        )

    def is_told_of(self, namespace: str) -> bool:
        """May they know that there is such a namespace, whatever is in it?

        A pattern that fits any name tells of none: `*/stats` sees what there is of that name.
        A token tells of none that its owner is not told of: who makes it may spell any name.
        """
        spelt = any(_split(g.pattern)[0] == namespace for g in self.grants)
        told = spelt or self.may_all(Role.VIEWER, namespace)
        return told and (self.owner is None or self.owner.is_told_of(namespace))

    def role_in(self, namespace: str) -> Role | None:
        """The highest role that they have anywhere in a namespace."""
        found = [r for r in Role if self.may_some(r, namespace)]
        return found[-1] if found else None

    def role_of_all(self, namespace: str) -> Role | None:
        """The highest role that they have in the whole of a namespace."""
        found = [r for r in Role if self.may_all(r, namespace)]
        return found[-1] if found else None

    def within(self, grants: Iterable[Grant]) -> tuple[Grant, ...]:
        """Of some grants those that give nothing which they do not have."""
        return tuple(g for g in grants if any(_contains(mine, g) for mine in self.grants))


# names that stand in the audit trail for who is no person
NOBODY = ("host", "anybody")
HOST = Visitor("host", (Grant(EVERYWHERE, Role.ADMIN),))


def anonymous(rules: AccessSettings) -> Visitor:
    """Somebody of whom nothing is known."""
    return Visitor(grants=rules.anonymous)


def visitor(
    identity: Identity,
    rules: AccessSettings,
    bindings: Iterable[Binding] = (),
    taken: Iterable[str] = (),
) -> Visitor:
    """Somebody who is signed in. `taken` are patterns of namespaces that belong to no person."""
    found = [*rules.anonymous, *rules.signed_in, *identity.grants]
    if rules.own_namespace and own_namespace(identity.name, taken):
        found.append(Grant(f"{identity.name}/*", Role.ADMIN))
    groups = {g.removeprefix("/") for g in identity.groups}
    found += [
        b.grant
        for b in (*rules.bindings, *bindings)
        if identity.name in b.users or groups.intersection(g.removeprefix("/") for g in b.groups)
    ]
    return Visitor(identity.name, tuple(dict.fromkeys(found)))


def limited(owner: Visitor, scope: Iterable[Grant], token: str, token_id: int) -> Visitor:
    """Somebody by a token: what it is for, as far as its owner may do that by now."""
    wanted = tuple(scope)
    found = (_common(mine, other) for mine in owner.grants for other in wanted)
    grants = tuple(dict.fromkeys(g for g in found if g))
    return Visitor(owner.name, grants, token, token_id, owner)


def person_name(text: str) -> str:
    """The name of somebody as a login gives it, empty where it is none.

    A list is none: a proxy that adds a header to one that was sent makes a list of two names.
    """
    name = text.strip()
    odd = not name.isprintable() or "," in name or name.casefold() in NOBODY
    return "" if odd or not 0 < len(name) <= 255 else name


def own_namespace(name: str, taken: Iterable[str] = ()) -> str:
    """The namespace that belongs to somebody of this name, empty where none can.

    What the config names (as patterns) or others have made is nobody's own: else who chose the
    name of a team would have it.
    """
    free = not any(fnmatchcase(name.casefold(), t.casefold()) for t in (*taken, "envs"))
    return name if valid_name(name) and free else ""


def is_pattern(text: str) -> bool:
    return _PATTERN.fullmatch(text.strip()) is not None


def read_pattern(text: str) -> str:
    """`team-*` or `team-*/stats` → with both parts. Raises Conflict."""
    pattern = text.strip()
    if not is_pattern(text):
        raise Conflict(
            f"`{_shown(pattern)}` is not a namespace",
            hint="write names, `*` stands for any characters: `people`, `team-*`, `lab/stats`",
        )
    return pattern if "/" in pattern else f"{pattern}/*"


def read_patterns(text: str) -> tuple[str, ...]:
    """`people,team-*` → the patterns, each once. Raises Conflict."""
    patterns = tuple(dict.fromkeys(read_pattern(p) for p in text.split(",") if p.strip()))
    if not patterns:
        raise Conflict("no namespace is named", hint="write for example `people,team-*`")
    return patterns


def read_grants(text: str) -> tuple[Grant, ...]:
    """`viewer!namespace=x,admin!namespace=y`, as Nebari writes them; what is odd gives nothing."""
    found = (_SCOPE.fullmatch(part.strip()) for part in text.split(","))
    named = ((m["role"], m["namespace"]) for m in found if m)
    roles = {r.value: r for r in Role} | _SYNONYMS
    return tuple(Grant(f"{ns}/*", roles[role]) for role, ns in named if role in roles)


def _matches(pattern: str, key: EnvKey) -> bool:
    namespace, name = _split(pattern)
    return fnmatchcase(key.namespace, namespace) and fnmatchcase(key.name, name)


def _of_whole(pattern: str, namespace: str) -> bool:
    of, name = _split(pattern)
    return fnmatchcase(namespace, of) and not name.strip("*")


def bears_on(wide: str, pattern: str) -> bool:
    """Does a pattern take in anything of another one, without a namespace that this one hides?

    `*/web-*` bears on `lab/*`. `lab/*` does not on `*/stats`: that would tell of a `lab`.
    """
    (namespace, name), (of, its) = _split(wide), _split(pattern)
    return fnmatchcase(of, namespace) and _meet(name, its)


def _contains(outer: Grant, inner: Grant) -> bool:
    """Does one grant give all that the other gives?"""
    return outer.role.covers(inner.role) and _is_wider(outer.pattern, inner.pattern)


def _is_wider(outer: str, inner: str) -> bool:
    """A pattern is matched as if it were a name: what is not sure is not so."""
    pairs = zip(_split(outer), _split(inner), strict=True)
    return all(fnmatchcase(i, o) for o, i in pairs)


def _common(one: Grant, other: Grant) -> Grant | None:
    """What two grants have in common; parts of which neither holds the other have nothing."""
    role = one.role if other.role.covers(one.role) else other.role
    parts = zip(_split(one.pattern), _split(other.pattern), strict=True)
    narrower = [a if fnmatchcase(a, b) else b if fnmatchcase(b, a) else "" for a, b in parts]
    return Grant("/".join(narrower), role) if all(narrower) else None


@lru_cache(4096)
def _meet(one: str, other: str) -> bool:
    """Is there a text that both patterns match?"""
    if "*" not in (one[:1], other[:1]):
        alike = one[:1] == other[:1]
        return alike and (not one or _meet(one[1:], other[1:]))
    if one[:1] != "*":
        one, other = other, one
    return _meet(one[1:], other) or (other != "" and _meet(one, other[1:]))


def _split(pattern: str) -> tuple[str, str]:
    namespace, _, name = pattern.partition("/")
    return namespace, name or "*"


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:80]
