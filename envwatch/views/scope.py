"""Of all there is the part that somebody may see, as conditions for queries.

An environment is seen where one of the patterns matches its `namespace/name`; a preview where its
target is seen as well. A source is seen by who sees the whole of each namespace that it has to do
with: its files, their messages and its commits are of one piece, and may name any of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache

from sqlalchemy import ColumnElement, Connection, and_, false, or_, select, true

from envwatch.access import Visitor
from envwatch.catalog import schema
from envwatch.model import EnvKey
from envwatch.settings import EVERYWHERE, Grant, Role

ENV = schema.environment.c
BUILD = schema.build.c
FILE = schema.file.c
SOURCE = schema.source.c


@dataclass(frozen=True, slots=True)
class Scope:
    """Patterns of `namespace/name`, sorted, each once."""

    patterns: tuple[str, ...] = ()

    @property
    def everything(self) -> bool:
        return self.patterns == (EVERYWHERE,)

    @property
    def partial(self) -> bool:
        """May there be a namespace of which a part is seen?"""
        return any(_parts(p)[1] != "*" for p in self.patterns)

    def where(self) -> list[ColumnElement[bool]]:
        """Conditions for a query of environments: none for who sees all of them."""
        if self.everything:
            return []
        return list(_where(self))

    def whole(self, namespace: str) -> bool:
        """Is all of a namespace seen?"""
        viewer = Visitor(grants=tuple(Grant(p, Role.VIEWER) for p in self.patterns))
        return viewer.may_all(Role.VIEWER, namespace)

    def sees(self, key: EnvKey) -> bool:
        return _matcher(self).fullmatch(str(key)) is not None

    def shows(self, key: EnvKey, preview_of: str) -> bool:
        """Is an environment seen; is a preview, for which its target must be seen as well?"""
        of = EnvKey(key.namespace, preview_of or key.name)
        return self.sees(key) and (not preview_of or self.sees(of))


EVERYTHING = Scope((EVERYWHERE,))


def scope_of(grants: Iterable[Grant]) -> Scope:
    """Every role is a viewer at least."""
    found = {"/".join(_parts(g.pattern)) for g in grants if g.role.covers(Role.VIEWER)}
    return EVERYTHING if EVERYWHERE in found else Scope(tuple(sorted(found)))


def has_environment(c: Connection, key: EnvKey, scope: Scope) -> bool:
    """Is there such an environment, retired or not, and is it seen?"""
    mine = (ENV.namespace == key.namespace, ENV.name == key.name)
    return c.execute(select(ENV.id).where(*mine, *scope.where())).first() is not None


def seen_sources(c: Connection, scope: Scope) -> frozenset[str]:
    """The names of the sources that are seen; one of a family with all that it belongs to."""
    spaces: dict[str, set[str]] = {}
    above: dict[str, tuple[str, ...]] = {}
    for r in c.execute(select(schema.source).where(SOURCE.removed_at.is_(None))):
        spaces.setdefault(r.name, set()).add(r.namespace)
        above[r.name] = (r.family, r.base)
    files = select(FILE.source, FILE.namespace).where(FILE.namespace != "").distinct()
    living = select(ENV.source, ENV.namespace).where(ENV.retired_at.is_(None)).distinct()
    for source, namespace in (*c.execute(files), *c.execute(living)):
        spaces.setdefault(source, set()).add(namespace)
    seen = {s for s in above if all(scope.whole(namespace) for namespace in spaces[s])}
    return frozenset(s for s in seen if all(a in seen for a in above[s] if a in above))


def of_sources(c: Connection, scope: Scope) -> list[ColumnElement[bool]]:
    """Conditions for a query of sources: none for who sees everything."""
    return [] if scope.everything else [SOURCE.name.in_(sorted(seen_sources(c, scope)))]


@lru_cache(512)
def _matcher(scope: Scope) -> re.Pattern[str]:
    """As both a pattern and a name have one `/`, each matches the part on its side."""
    return re.compile("|".join(map(translate, scope.patterns)) or "(?!)")


@lru_cache(512)
def _where(scope: Scope) -> tuple[ColumnElement[bool], ...]:
    """Made once for all who see the same: of many roles it is a large condition."""
    found = [or_(false(), *_any(scope.patterns, ENV.name))]
    if scope.partial:
        found.append(or_(ENV.preview_of == "", *_any(scope.patterns, ENV.preview_of)))
    return tuple(found)


def _any(patterns: tuple[str, ...], name: ColumnElement[str]) -> Iterator[ColumnElement[bool]]:
    """Conditions of which one must hold; whole namespaces are one of them together."""
    whole = [of for of, called in map(_parts, patterns) if called == "*" and "*" not in of]
    if whole:
        yield ENV.namespace.in_(whole)
    left = (p for p in patterns if _parts(p)[0] not in whole or _parts(p)[1] != "*")
    yield from (_matches(p, name) for p in left)


def _matches(pattern: str, name: ColumnElement[str]) -> ColumnElement[bool]:
    of, called = _parts(pattern)
    return and_(true(), *_glob(ENV.namespace, of), *_glob(name, called))


def _glob(column: ColumnElement[str], part: str) -> list[ColumnElement[bool]]:
    """As fnmatch has it: patterns hold no other sign that GLOB takes for more than itself."""
    if part == "*":
        return []
    return [column.op("GLOB", is_comparison=True)(part) if "*" in part else column == part]


def _parts(pattern: str) -> tuple[str, str]:
    namespace, _, name = pattern.partition("/")
    return (namespace if namespace.strip("*") else "*"), (name if name.strip("*") else "*")
