"""What a preview is held against: what is current of its target."""

from __future__ import annotations

from sqlalchemy import Connection, select

from envwatch import diff
from envwatch.catalog import schema
from envwatch.catalog.packages import packages_of
from envwatch.diff import PackageDiff
from envwatch.model import EnvKey

ENV = schema.environment.c
GENERATION = schema.generation.c


def current_of(c: Connection, target: EnvKey) -> tuple[int, str] | None:
    """The number of the generation that is current, and the digest of its lock."""
    query = (
        select(GENERATION.number, GENERATION.lock_digest)
        .join_from(schema.environment, schema.generation)
        .where(ENV.namespace == target.namespace, ENV.name == target.name)
        .where(GENERATION.number == ENV.current, ENV.retired_at.is_(None))
    )
    found = c.execute(query).first()
    return (found.number, found.lock_digest) if found else None


def change(c: Connection, target: EnvKey, lock_digest: str) -> PackageDiff | None:
    """What a lock would change there; None for no lock."""
    if not lock_digest:
        return None
    current = current_of(c, target)
    old = packages_of(c, current[1]) if current else ()
    return diff.solved(old, packages_of(c, lock_digest))
