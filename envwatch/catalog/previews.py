"""What a preview is held against: what is current of its target."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from envwatch import diff
from envwatch.catalog import schema
from envwatch.catalog.packages import Lists
from envwatch.diff import PackageDiff
from envwatch.model import EnvKey

ENV = schema.environment.c
GENERATION = schema.generation.c


@dataclass(frozen=True, slots=True)
class Current:
    """The generation that is current of a target, and the digest of its lock."""

    number: int
    lock_digest: str


def current_of(c: Connection, target: EnvKey) -> Current | None:
    """None where nothing is published."""
    query = (
        select(GENERATION.number, GENERATION.lock_digest)
        .join_from(schema.environment, schema.generation)
        .where(ENV.namespace == target.namespace, ENV.name == target.name)
        .where(GENERATION.number == ENV.current, ENV.retired_at.is_(None))
    )
    found = c.execute(query).first()
    return Current(found.number, found.lock_digest) if found else None


def change(lists: Lists, current: Current | None, lock_digest: str) -> PackageDiff | None:
    """What a lock would change there; None for no lock."""
    if not lock_digest:
        return None
    return diff.solved(lists.of(current.lock_digest if current else ""), lists.of(lock_digest))
