"""What happened, in words, for the story of an environment or a source."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, insert

from envwatch.catalog import schema


def note(
    c: Connection, kind: str, message: str, *, environment: int | None = None, source: str = ""
) -> None:
    c.execute(
        insert(schema.event).values(
            at=datetime.now(UTC),
            type=kind,
            message=message[:2000],
            environment_id=environment,
            source=source,
        )
    )
