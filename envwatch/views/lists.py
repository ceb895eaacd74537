"""Long lists, one page at a time."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Select, func, select

from envwatch.catalog import Catalog, rows, schema
from envwatch.model import BuildState
from envwatch.views.commits import commits
from envwatch.views.scope import EVERYTHING, Scope
from envwatch.views.values import BuildList, BuildRow
from envwatch.views.words import seconds

ENV = schema.environment.c
BUILD = schema.build.c
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
