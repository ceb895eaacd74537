"""What is installed across environments: each package, and who uses which version of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, distinct, func, select

from envwatch.catalog import Catalog, schema
from envwatch.model import EnvKey, Package
from envwatch.views.lists import SIZE, count, pages_of
from envwatch.views.scope import EVERYTHING, Scope
from envwatch.views.values import KnownPackage, KnownPackages, PackageUse, PackageUses

ENV = schema.environment.c
GENERATION = schema.generation.c
PACKAGE = schema.package.c
NAMES = 100  # on a page


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
    mine = _current(
        schema.package, ENV.namespace, ENV.name.label("environment"), GENERATION.number,
        scope=scope,
    ).where(PACKAGE.name == name)  # fmt: skip
    asked = mine.where(PACKAGE.version == version) if version else mine
    with catalog.database.read() as c:
        total = count(c, asked.with_only_columns(GENERATION.id))
        pages, page = pages_of(total, page, size)
        tally = mine.with_only_columns(PACKAGE.version, func.count()).group_by(PACKAGE.version)
        versions = {r[0]: r[1] for r in c.execute(tally.order_by(func.count().desc()))}
        ordered = asked.order_by(ENV.namespace, ENV.name, PACKAGE.manager)
        uses = tuple(
            PackageUse(
                EnvKey(r.namespace, r.environment),
                r.number,
                Package(
                    r.name, r.version, r.build, r.manager, r.channel, r.size, r.license,
                    requested=r.requested,
                ),
            )
            for r in c.execute(ordered.limit(size).offset((page - 1) * size))
        )  # fmt: skip
    return PackageUses(name, uses, page, pages, total, version, versions)


def _current(*columns: Any, scope: Scope) -> Select[Any]:
    """Packages of the current generations of what is there, and seen."""
    serving: ColumnElement[bool] = GENERATION.number == ENV.current
    return (
        select(*columns)
        .join_from(schema.package, schema.generation, GENERATION.lock_digest == PACKAGE.lock_digest)
        .join(schema.environment, ENV.id == GENERATION.environment_id)
        .where(serving, ENV.retired_at.is_(None), *scope.where())
    )
