"""The catalog filled from values that were read elsewhere: in one transaction, ids as they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert
from sqlalchemy.dialects.sqlite import insert as upsert

from envwatch.catalog import labels, schema
from envwatch.catalog.database import Database
from envwatch.catalog.packages import keep_packages
from envwatch.catalog.records import (
    BuildRecord,
    EnvironmentRecord,
    GenerationRecord,
    SpecRecord,
)
from envwatch.model import Commit, Package


@dataclass(frozen=True, slots=True)
class Remembered:
    """One build with all that belongs to it."""

    build: BuildRecord
    spec: SpecRecord
    generation: GenerationRecord | None
    commit: Commit | None
    packages: tuple[Package, ...]


def restore(
    database: Database, environments: Sequence[EnvironmentRecord], builds: Sequence[Remembered]
) -> None:
    """Write all of it into a catalog that has none of it."""
    with database.write() as c:
        for remembered in builds:
            _add_once(c, schema.spec, _values(remembered.spec))
        for env in environments:
            named = {"namespace": env.key.namespace, "name": env.key.name}
            c.execute(insert(schema.environment).values(**_values(env), **named))
            labels.keep(c, env.id, env.wishes.labels if env.wishes else ())
        for remembered in builds:
            c.execute(insert(schema.build).values(**_values(remembered.build)))
            _add_generation(c, remembered)


def _add_generation(c: Connection, remembered: Remembered) -> None:
    build, generation = remembered.build, remembered.generation
    if remembered.commit is not None:
        _add_commit(c, build, remembered.commit)
    if generation is None:
        return
    values = _values(generation) | {"prefix": str(generation.prefix)}
    c.execute(insert(schema.generation).values(**values))
    keep_packages(c, generation.lock_digest, remembered.packages)
    c.execute(
        insert(schema.event).values(
            at=generation.published_at,
            type="published",
            message=f"#{generation.number} by build #{build.id}",
            environment_id=build.environment_id,
            source="",
        )
    )


def _add_commit(c: Connection, build: BuildRecord, commit: Commit) -> None:
    values = {
        "source": build.source,
        "revision": commit.revision,
        "author": commit.author,
        "email": commit.email,
        "subject": commit.subject,
        "committed_at": commit.at,
        "seen_at": datetime.now(UTC),
    }
    _add_once(c, schema.revision, values)


def _add_once(c: Connection, table: Any, values: dict[str, Any]) -> None:
    c.execute(upsert(table).values(**values).on_conflict_do_nothing())


def _values(record: Any) -> dict[str, Any]:
    """A record as a row; its key has columns of its own, or those of its environment."""
    return {f.name: getattr(record, f.name) for f in fields(record) if f.name != "key"}
