"""Answers kept for a day: who sends a request again is told what it came to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, insert, select, update

from envwatch.catalog import schema
from envwatch.catalog.database import Database
from envwatch.errors import Conflict

REPLY = schema.reply.c
KEPT = timedelta(days=1)
# a request that began so long ago and has no answer died with its daemon
LOST = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: str


class Replies:
    """One row for each request that was sent with a key of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, key: str, request: str) -> Reply | None:
        """What was answered before; None where it is to be done now. Raises Conflict."""
        now = datetime.now(UTC)
        with self._database.write(detail=True) as c:
            c.execute(delete(schema.reply).where(REPLY.at < now - KEPT))
            lost = (REPLY.key == key, REPLY.status.is_(None), REPLY.at < now - LOST)
            c.execute(delete(schema.reply).where(*lost))
            row = c.execute(select(schema.reply).where(REPLY.key == key)).first()
            if row is None:
                c.execute(insert(schema.reply).values(key=key, request=request, at=now))
                return None
        if row.request != request:
            raise Conflict("this `Idempotency-Key` was sent with another request before")
        if row.status is None:
            raise Conflict("the same request is being done right now", hint="ask again later")
        return Reply(row.status, row.body)

    def end(self, key: str, reply: Reply | None) -> None:
        """Keep the answer; without one the request may be sent again."""
        mine = REPLY.key == key
        with self._database.write(detail=True) as c:
            if reply is None:
                c.execute(delete(schema.reply).where(mine))
            else:
                values = {"status": reply.status, "body": reply.body}
                c.execute(update(schema.reply).where(mine).values(**values))
