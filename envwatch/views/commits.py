"""What git said of the revisions that pages name, and the builds that were made of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select, tuple_

from envwatch.catalog import schema
from envwatch.model import BuildState, Commit, EnvKey
from envwatch.views.scope import Scope

REVISION = schema.revision.c
BUILD = schema.build.c
ENV = schema.environment.c


@dataclass(frozen=True, slots=True)
class RevisionBuild:
    id: int
    key: EnvKey
    state: BuildState


@dataclass(frozen=True, slots=True)
class KnownRevision:
    """One that a source has shown.

    `builds` has the newest of each environment that was built of it, oldest first; none where it
    changed nothing.
    """

    commit: Commit
    seen_at: datetime
    builds: tuple[RevisionBuild, ...]


def commits(c: Connection, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Commit]:
    """The commits of these (source, revision) pairs, as far as they are known."""
    pairs = sorted({pair for pair in wanted if pair[1]})
    if not pairs:
        return {}
    query = select(schema.revision).where(tuple_(REVISION.source, REVISION.revision).in_(pairs))
    return {(r.source, r.revision): _commit(r) for r in c.execute(query)}


def commit(c: Connection, source: str, revision: str) -> Commit | None:
    return commits(c, [(source, revision)]).get((source, revision))


def of_source(name: str) -> Select[Any]:
    """The query of the revisions of a source, the newest first."""
    shown = select(schema.revision).where(REVISION.source == name)
    return shown.order_by(REVISION.seen_at.desc(), REVISION.revision)


def with_builds(
    c: Connection, source: str, found: Sequence[Row[Any]], scope: Scope
) -> tuple[KnownRevision, ...]:
    """Rows of `of_source`, each with those of its builds that are seen."""
    newest = (
        select(func.max(BUILD.id))
        .where(BUILD.source == source, BUILD.revision.in_([r.revision for r in found]))
        .group_by(BUILD.revision, BUILD.environment_id)
    )
    query = (
        select(BUILD.id, BUILD.revision, BUILD.state, ENV.namespace, ENV.name)
        .join_from(schema.build, schema.environment)
        .where(BUILD.id.in_(newest), *scope.where())
        .order_by(BUILD.id)
    )
    builds: dict[str, list[RevisionBuild]] = defaultdict(list)
    for b in c.execute(query):
        builds[b.revision].append(RevisionBuild(b.id, EnvKey(b.namespace, b.name), b.state))
    return tuple(KnownRevision(_commit(r), r.seen_at, tuple(builds[r.revision])) for r in found)


def _commit(row: Row[Any]) -> Commit:
    return Commit(row.revision, row.author, row.email, row.subject, row.committed_at, row.signature)
