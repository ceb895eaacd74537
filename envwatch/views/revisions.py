"""The revisions of a source for programs: page by page, or one by its name."""

from __future__ import annotations

from sqlalchemy import func, select

from envwatch.catalog import schema
from envwatch.catalog.database import Database
from envwatch.views.commits import KnownRevision, of_source, with_builds
from envwatch.views.listing import Part, Span
from envwatch.views.scope import Scope

REVISION = schema.revision.c


def revisions(database: Database, source: str, span: Span, scope: Scope) -> Part[KnownRevision]:
    """Those that were looked at, the newest first."""
    with database.read() as c:
        count = select(func.count()).where(REVISION.source == source)
        found = with_builds(c, source, c.execute(span.limit(of_source(source))).all(), scope)
        return Part(found, c.execute(count).scalar_one())


def revision(database: Database, source: str, revision: str, scope: Scope) -> KnownRevision | None:
    """One of them, if it was ever looked at."""
    with database.read() as c:
        query = of_source(source).where(REVISION.revision == revision)
        return next(iter(with_builds(c, source, c.execute(query).all(), scope)), None)
