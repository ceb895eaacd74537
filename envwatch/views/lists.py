"""Long lists, one page at a time: builds, uses of a package, the files of a source."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Select, func, select

from envwatch.catalog import Catalog, rows, schema
from envwatch.model import BuildState, EnvKey, Package
from envwatch.views.commits import commits
from envwatch.views.scope import EVERYTHING, Scope
from envwatch.views.values import BuildList, BuildRow, PackageUse, PackageUses
from envwatch.views.words import seconds

ENV = schema.environment.c
BUILD = schema.build.c
GENERATION = schema.generation.c
PACKAGE = schema.package.c
SIZE = 50


def pages_of(total: int, page: int, size: int = SIZE) -> tuple[int, int]:
    """The number of pages, and `page` brought within them."""
    pages = max(1, -(-total // size))
    return pages, min(max(1, page), pages)


def count(c: Connection, query: Select[tuple[int]]) -> int:
    return c.execute(select(func.count()).select_from(query.subquery())).scalar_one()


def recent_builds(
    catalog: Catalog,
    *,
    states: Sequence[BuildState] = (),
    namespace: str = "",
    page: int = 1,
    size: int = SIZE,
    scope: Scope = EVERYTHING,
) -> BuildList:
    """The builds of all environments, newest first."""
    ids = select(BUILD.id)
    if states:
        ids = ids.where(BUILD.state.in_(states))
    of = [*([ENV.namespace == namespace] if namespace else []), *scope.where()]
    if of:
        ids = ids.join_from(schema.build, schema.environment).where(*of)
    with catalog.database.read() as c:
        total = count(c, ids)
        pages, page = pages_of(total, page, size)
        shown = ids.order_by(BUILD.id.desc()).limit(size).offset((page - 1) * size)
        query = rows.builds.where(BUILD.id.in_(shown)).order_by(BUILD.id.desc())
        found = [rows.build(r) for r in c.execute(query)]
        known = commits(c, {(b.source, b.revision) for b in found})
    listed = tuple(BuildRow(b, known.get((b.source, b.revision)), seconds(b)) for b in found)
    return BuildList(listed, page, pages, total)


def package_uses(
    catalog: Catalog,
    name: str,
    *,
    page: int = 1,
    size: int = SIZE,
    scope: Scope = EVERYTHING,
) -> PackageUses:
    """Which current generations hold a package of this name, and in which version."""
    query = (
        select(schema.package, ENV.namespace, ENV.name.label("environment"), GENERATION.number)
        .join_from(schema.package, schema.generation, GENERATION.lock_digest == PACKAGE.lock_digest)
        .join(schema.environment, ENV.id == GENERATION.environment_id)
        .where(PACKAGE.name == name, GENERATION.number == ENV.current, ENV.retired_at.is_(None))
        .where(*scope.where())
    )
    with catalog.database.read() as c:
        total = count(c, query.with_only_columns(GENERATION.id))
        pages, page = pages_of(total, page, size)
        ordered = query.order_by(ENV.namespace, ENV.name, PACKAGE.manager)
        uses = tuple(
            PackageUse(
                EnvKey(r.namespace, r.environment),
                r.number,
                Package(r.name, r.version, r.build, r.manager, r.channel, r.size, r.license),
            )
            for r in c.execute(ordered.limit(size).offset((page - 1) * size))
        )
    return PackageUses(name, uses, page, pages, total)
