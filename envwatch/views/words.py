"""Small facts of a record that several views say in the same way."""

from __future__ import annotations

from envwatch.catalog.records import BuildRecord


def seconds(record: BuildRecord) -> float | None:
    """How long a build took; None while it runs or where it never began."""
    if record.started_at is None or record.ended_at is None:
        return None
    return (record.ended_at - record.started_at).total_seconds()
