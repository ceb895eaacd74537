"""Generations whose files are gone and shall come back under their own number, from their lock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, select, update

from envwatch.catalog import rows, schema
from envwatch.catalog.database import Database
from envwatch.catalog.events import note
from envwatch.catalog.records import BuildRecord, GenerationRecord
from envwatch.catalog.schema import Mode, Reason
from envwatch.model import ArchiveState, BuildState, Result

BUILD = schema.build.c
ENV = schema.environment.c
GENERATION = schema.generation.c


def take_over(database: Database, root: str, said: str, *, artifacts: bool) -> int:
    """A catalog of another machine becomes that of this root; how many generations are asked for.

    No file of a prefix came with it: what is current or pinned is queued to be made again, and
    all else counts as pruned. Without the artifacts each generation offers them anew.
    """
    now = datetime.now(UTC)
    with database.write() as c:
        lost = [rows.generation(r) for r in c.execute(_needed())]
        _move(c, root, now)
        if not artifacts:
            _forget_artifacts(c)
        for generation in lost:
            ask_again(c, generation, now)
        note(c, "restored", said)
    return len(lost)


def ask_again(
    c: Connection,
    generation: GenerationRecord,
    now: datetime,
    *,
    reason: Reason = Reason.RESTORED,
    attempt: int = 1,
) -> None:
    """Queue a build that fills this generation instead of making the next one."""
    env = c.execute(rows.environments.where(ENV.id == generation.environment_id)).one()
    c.execute(
        insert(schema.build).values(
            environment_id=generation.environment_id,
            spec_id=generation.spec_id,
            asked_digest=generation.asked_digest,
            ask=generation.ask,
            mode=Mode.LOCK,
            reason=reason,
            requested_by="restore",
            source=env.source,
            path=env.path,
            revision=generation.revision,
            state=BuildState.QUEUED,
            queued_at=now,
            attempt=attempt,
            phases=(),
            messages=(),
            generation=generation.number,
        )
    )


def again(c: Connection, old: BuildRecord, reason: Reason, attempt: int, now: datetime) -> bool:
    """Queue an attempt once more, if the files are still not there."""
    row = c.execute(
        rows.generations.where(
            GENERATION.environment_id == old.environment_id,
            GENERATION.number == old.generation,
            GENERATION.pruned_at.is_not(None),
        )
    ).first()
    if row is None:
        return False
    ask_again(c, rows.generation(row), now, reason=reason, attempt=attempt)
    return True


def fill(c: Connection, build: BuildRecord, result: Result) -> None:
    """The files of a generation are there again. What is current stays as it is."""
    c.execute(
        update(schema.generation)
        .where(
            GENERATION.environment_id == build.environment_id,
            GENERATION.number == build.generation,
        )
        .values(
            prefix=str(result.prefix),
            prefix_digest=result.prefix_digest,
            size=result.size,
            own_size=result.own_size,
            kernels=result.kernels,
            pruned_at=None,
            damaged="",
            verified_at=None,
        )
    )


def _needed() -> Select[Any]:
    """What people use: current or pinned, of environments that are not retired."""
    return (
        rows.generations.where(GENERATION.pruned_at.is_(None), ENV.retired_at.is_(None))
        .where((GENERATION.number == ENV.current) | GENERATION.pinned)
        .order_by((GENERATION.number != ENV.current), GENERATION.id)
    )


def _move(c: Connection, root: str, now: datetime) -> None:
    """No path of the old root stays."""
    for table in (schema.generation, schema.build):
        for row in c.execute(select(table.c.id, table.c.prefix)).all():
            if row.prefix:
                moved = f"{root}/builds/{row.prefix.rpartition('/')[2]}"
                c.execute(update(table).where(table.c.id == row.id).values(prefix=moved))
    c.execute(update(schema.generation).where(GENERATION.pruned_at.is_(None)).values(pruned_at=now))


def _forget_artifacts(c: Connection) -> None:
    c.execute(delete(schema.artifact))
    c.execute(update(schema.generation).values(archive=ArchiveState.NONE, archive_message=""))
