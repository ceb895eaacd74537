"""What is installed across environments: each package, and who uses which version of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, distinct, func, select

from envwatch.catalog import Catalog, schema
from envwatch.model import Manager, Package
from envwatch.views.board import board, by_name
from envwatch.views.lists import SIZE, count, pages_of
from envwatch.views.names import holding
from envwatch.views.scope import EVERYTHING, Scope
from envwatch.views.values import KnownPackage, KnownPackages, PackageUse, PackageUses

ENV = schema.environment.c
GENERATION = schema.generation.c
PACKAGE = schema.package.c
NAMES = 100  # on a page
of_current: ColumnElement[bool] = (GENERATION.environment_id == ENV.id) & (
    GENERATION.number == ENV.current
)


def known_packages(
    catalog: Catalog,
    wanted: str = "",
    *,
    page: int = 1,
    size: int = NAMES,
    scope: Scope = EVERYTHING,
) -> KnownPackages:
    """The packages of all current generations whose name holds `wanted`, by name."""
    where = [PACKAGE.name.contains(wanted, autoescape=True)] if wanted else []
    grouped = _current(
        PACKAGE.name,
        func.count(distinct(ENV.id)).label("environments"),
        func.count(distinct(PACKAGE.version)).label("versions"),
        func.min(PACKAGE.version).label("version"),
        func.min(PACKAGE.license).label("license"),
        scope=scope,
    ).where(*where)
    with catalog.database.read() as c:
        names = grouped.with_only_columns(PACKAGE.name).distinct()
        total = count(c, names)
        pages, page = pages_of(total, page, size)
        shown = grouped.group_by(PACKAGE.name).order_by(PACKAGE.name)
        found = tuple(
            KnownPackage(r.name, r.environments, r.versions, r.version, r.license)
            for r in c.execute(shown.limit(size).offset((page - 1) * size))
        )
    return KnownPackages(wanted, found, page, pages, total)


def package_uses(  # each is one thing that may be asked for
    catalog: Catalog,
    name: str,
    *,
    version: str = "",
    page: int = 1,
    size: int = SIZE,
    scope: Scope = EVERYTHING,
) -> PackageUses:
    """Which current generations hold a package of this name, and in which version.

    `version` takes those of one alone.
    """
    all_of_them = board(catalog.database)
    having = holding(catalog.database, name, all_of_them.locks)
    serving = sorted((s for s in all_of_them.seen(scope) if s.lock in having), key=by_name)
    with catalog.database.read() as c:
        held = _named(c, name, {s.lock for s in serving})
    every = [
        PackageUse(s.key, s.current, p)
        for s in serving
        if s.current is not None
        for p in held.get(s.lock, ())
    ]
    versions = dict(Counter(u.package.version for u in every).most_common())
    asked = [u for u in every if u.package.version == version] if version else every
    pages, page = pages_of(len(asked), page, size)
    shown = tuple(asked[(page - 1) * size : page * size])
    return PackageUses(name, shown, page, pages, len(asked), version, versions)


def _named(c: Connection, name: str, locks: Iterable[str]) -> dict[str, tuple[Package, ...]]:
    """The packages of this name in each of these locks: by the whole key, for each lock once.

    By its name alone a package is found in every lock that ever was, and that takes long. They
    come as one row, for at each row other threads get their turn before this one.
    """
    digests = func.json_each(json.dumps(sorted(locks))).table_valued("value")
    fields = (
        PACKAGE.lock_digest, PACKAGE.manager, PACKAGE.version, PACKAGE.build, PACKAGE.channel,
        PACKAGE.size, PACKAGE.license, PACKAGE.requested,
    )  # fmt: skip
    query = select(func.json_group_array(func.json_array(*fields))).where(
        PACKAGE.lock_digest.in_(select(digests.c.value)),
        PACKAGE.manager.in_(tuple(Manager)),
        PACKAGE.name == name,
    )
    out: dict[str, tuple[Package, ...]] = {}
    for lock, manager, version, build, channel, size, terms, requested in sorted(
        json.loads(c.execute(query).scalar_one())
    ):
        found = Package(
            name, version, build, Manager(manager), channel, size, terms, requested=bool(requested)
        )
        out[lock] = (*out.get(lock, ()), found)
    return out


def _current(*columns: Any, scope: Scope) -> Select[Any]:
    """Packages of the current generations of what is there, and seen."""
    return (
        select(*columns)
        .join_from(schema.environment, schema.generation, of_current)
        .join(schema.package, PACKAGE.lock_digest == GENERATION.lock_digest)
        .where(ENV.retired_at.is_(None), *scope.where())
    )
