"""Comments in requests to merge: what each shall say, and what the forge has acknowledged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from envwatch.catalog import schema
from envwatch.catalog.database import Database
from envwatch.catalog.events import note
from envwatch.catalog.recipients import (
    FORGE,
    Trouble,
    comment_waits,
    note_ok,
    note_trouble,
    rests,
)

COMMENT = schema.comment.c


@dataclass(frozen=True, slots=True)
class CommentRecord:
    """The one comment in a request. `name` is the forge's own for it, empty before the first."""

    source: str
    number: int
    text: str
    wanted_at: datetime
    told: str
    name: str
    attempts: int


class Comments:
    """One for each source that is a request."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, source: str) -> CommentRecord | None:
        with self._database.read() as c:
            row = c.execute(select(schema.comment).where(COMMENT.source == source)).first()
        return _record(row) if row else None

    def want(self, source: str, number: int, text: str, now: datetime) -> None:
        """It shall say this from now on."""
        values = {
            "number": number,
            "text": text,
            "wanted_at": now,
            "attempts": 0,
            "next_at": None,
            "failure": "",
            "given_up_at": None,
        }
        with self._database.write(detail=True) as c:
            c.execute(
                upsert(schema.comment)
                .values(source=source, **values)
                .on_conflict_do_update(index_elements=["source"], set_=values)
            )

    def due(self, source: str, now: datetime) -> CommentRecord | None:
        query = select(schema.comment).where(
            COMMENT.source == source,
            comment_waits,
            or_(COMMENT.next_at.is_(None), COMMENT.next_at <= now),
        )
        with self._database.read() as c:
            if rests(c, FORGE, source, now):
                return None
            row = c.execute(query).first()
        return _record(row) if row else None

    def told(self, record: CommentRecord, name: str, now: datetime) -> None:
        """The forge has acknowledged what the record says, whatever is wanted by now."""
        with self._database.write(detail=True) as c:
            c.execute(
                update(schema.comment)
                .where(COMMENT.source == record.source)
                .values(told=record.text, told_at=now, name=name, next_at=None, failure="")
            )
            note_ok(c, FORGE, record.source, now)

    def failed(self, record: CommentRecord, trouble: Trouble, now: datetime) -> None:
        with self._database.write(detail=True) as c:
            c.execute(
                update(schema.comment)
                .where(COMMENT.source == record.source, COMMENT.wanted_at == record.wanted_at)
                .values(
                    attempts=COMMENT.attempts + 1,
                    next_at=trouble.next_at,
                    failure=trouble.message,
                    given_up_at=now if trouble.over else None,
                )
            )
            note_trouble(c, FORGE, record.source, trouble, now)
            if trouble.over:
                text = f"the comment in request {record.number} is given up: {trouble.message}"
                note(c, "given-up", text, source=record.source)


def _record(row: Row[Any]) -> CommentRecord:
    return CommentRecord(
        row.source, row.number, row.text, row.wanted_at, row.told, row.name, row.attempts
    )
