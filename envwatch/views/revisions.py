"""The revisions of a source, each with the builds that were made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, func, select

from envwatch.catalog import schema
from envwatch.catalog.database import Database
from envwatch.model import BuildState, Commit, EnvKey
from envwatch.views.commits import commit_of
from envwatch.views.listing import Part, Span

REVISION = schema.revision.c
BUILD = schema.build.c
ENV = schema.environment.c


@dataclass(frozen=True, slots=True)
class KnownRevision:
    """`builds` are their numbers, environments and states, oldest first."""

    commit: Commit
    seen_at: datetime
    builds: tuple[tuple[int, EnvKey, BuildState], ...]


def revisions(database: Database, source: str, span: Span) -> Part[KnownRevision]:
    """Those that were looked at, the newest first."""
    of_source = select(schema.revision).where(REVISION.source == source)
    ordered = of_source.order_by(REVISION.seen_at.desc(), REVISION.revision)
    if span.size is not None:
        ordered = ordered.limit(span.size).offset((span.page - 1) * span.size)
    with database.read() as c:
        total = c.execute(select(func.count()).select_from(of_source.subquery())).scalar_one()
        return Part(_known(c, source, c.execute(ordered).all()), total)


def revision(database: Database, source: str, revision: str) -> KnownRevision | None:
    """One of them, if it was ever looked at."""
    query = select(schema.revision).where(REVISION.source == source, REVISION.revision == revision)
    with database.read() as c:
        return next(iter(_known(c, source, c.execute(query).all())), None)


def _known(
    c: Connection, source: str, found: Sequence[Row[tuple[object, ...]]]
) -> tuple[KnownRevision, ...]:
    query = (
        select(BUILD.id, BUILD.revision, BUILD.state, ENV.namespace, ENV.name)
        .join_from(schema.build, schema.environment)
        .where(BUILD.source == source, BUILD.revision.in_([r.revision for r in found]))
        .order_by(BUILD.id)
    )
    builds: dict[str, tuple[tuple[int, EnvKey, BuildState], ...]] = {}
    for b in c.execute(query):
        one = (b.id, EnvKey(b.namespace, b.name), b.state)
        builds[b.revision] = (*builds.get(b.revision, ()), one)
    return tuple(KnownRevision(commit_of(r), r.seen_at, builds.get(r.revision, ())) for r in found)
