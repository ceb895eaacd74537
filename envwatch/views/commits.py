"""What git said of the revisions that pages name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, select, tuple_

from envwatch.catalog import schema
from envwatch.model import Commit

REVISION = schema.revision.c


def commits(c: Connection, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Commit]:
    """The commits of these (source, revision) pairs, as far as they are known."""
    pairs = sorted({pair for pair in wanted if pair[1]})
    if not pairs:
        return {}
    query = select(schema.revision).where(tuple_(REVISION.source, REVISION.revision).in_(pairs))
    return {(r.source, r.revision): commit_of(r) for r in c.execute(query)}


def commit_of(row: Row[Any]) -> Commit:
    return Commit(row.revision, row.author, row.email, row.subject, row.committed_at, row.signature)


def commit(c: Connection, source: str, revision: str) -> Commit | None:
    return commits(c, [(source, revision)]).get((source, revision))
