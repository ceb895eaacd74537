"""Forges and notifiers: how well they can be told, and how much waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, func, literal, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from envwatch.catalog import schema
from envwatch.catalog.database import Database
from envwatch.telling import RecipientState

RECIPIENT = schema.recipient.c
COMMENT = schema.comment.c
STATUS = schema.status.c
NOTIFICATION = schema.notification.c
FORGE = "forge"
NOTIFIER = "notifier"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who is told: `role` is forge (then `name` is that of the source) or notifier.

    `place` is where it is, without secrets.
    """

    role: str
    name: str
    kind: str
    place: str


@dataclass(frozen=True, slots=True)
class RecipientRecord:
    """How it went. `next_at`: when it is tried again, `waiting`: how many messages are for it."""

    role: str
    name: str
    kind: str
    place: str
    state: RecipientState
    message: str
    hint: str
    failures: int
    tried_at: datetime | None
    ok_at: datetime | None
    next_at: datetime | None
    delivered: int
    failed: int
    given_up: int
    waiting: int = 0
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something could not be told. `next_at` is when the recipient is tried again.

    `refused` is about this one message: the recipient is well. `over` gives the message up.
    """

    message: str
    hint: str
    next_at: datetime
    stalled: bool = False
    refused: bool = False
    over: bool = False


# what is wanted and was not acknowledged
status_differs: ColumnElement[bool] = or_(
    STATUS.told_state.is_(None),
    STATUS.told_state != STATUS.state,
    STATUS.told_description != STATUS.description,
    STATUS.told_url != STATUS.url,
)
status_waits: ColumnElement[bool] = status_differs & STATUS.given_up_at.is_(None)
comment_waits: ColumnElement[bool] = (COMMENT.told != COMMENT.text) & COMMENT.given_up_at.is_(None)
notification_waits: ColumnElement[bool] = NOTIFICATION.told_at.is_(
    None
) & NOTIFICATION.given_up_at.is_(None)


class Recipients:
    """Everybody who is told something."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> tuple[RecipientRecord, ...]:
        with self._database.read() as c:
            return recipients(c)

    def failures(self, role: str, name: str) -> int:
        """How often in a row it could not be told."""
        query = select(RECIPIENT.failures).where(RECIPIENT.role == role, RECIPIENT.name == name)
        with self._database.read() as c:
            return c.execute(query).scalar() or 0

    def declare(self, found: Sequence[Recipient]) -> frozenset[str]:
        """Take over those of the config; the names of notifiers that were there before.

        What waited for one that is gone is dropped.
        """
        with self._database.write(news=False) as c:
            before = {(r.role, r.name) for r in c.execute(select(RECIPIENT.role, RECIPIENT.name))}
            for recipient in found:
                values = {"kind": recipient.kind, "place": recipient.place}
                c.execute(
                    upsert(schema.recipient)
                    .values(role=recipient.role, name=recipient.name, **values)
                    .on_conflict_do_update(index_elements=["role", "name"], set_=values)
                )
            for role, name in before - {(r.role, r.name) for r in found}:
                _forget(c, role, name)
        return frozenset(name for role, name in before if role == NOTIFIER)

    def hasten(self, now: datetime) -> None:
        """A person may have changed something: try at once what needed one, or was given up."""
        tip = select(schema.source.c.revision).where(schema.source.c.name == STATUS.source)
        with self._database.write() as c:
            c.execute(
                update(schema.status)
                .where(STATUS.given_up_at.is_not(None), STATUS.revision == tip.scalar_subquery())
                .values(given_up_at=None, wanted_at=now, next_at=None)
            )
            c.execute(
                update(schema.comment)
                .where(COMMENT.given_up_at.is_not(None))
                .values(given_up_at=None, wanted_at=now, next_at=None)
            )
            c.execute(
                update(schema.recipient)
                .where(RECIPIENT.state == RecipientState.STALLED)
                .values(next_at=None)
            )


def recipients(c: Connection, role: str = "") -> tuple[RecipientRecord, ...]:
    """With what waits for each."""
    waiting = {(FORGE, r[0]): r[1:] for r in c.execute(_waiting_comments())}
    for source, count, due in c.execute(_waiting_statuses()):
        more, other = waiting.get((FORGE, source), (0, None))
        waiting[FORGE, source] = (count + more, min(due, other) if other else due)
    waiting |= {(NOTIFIER, r[0]): r[1:] for r in c.execute(_waiting_notifications())}
    query = select(schema.recipient).order_by(RECIPIENT.role, RECIPIENT.name)
    if role:
        query = query.where(RECIPIENT.role == role)
    return tuple(
        RecipientRecord(*row, *waiting.get((row.role, row.name), (0, None)))
        for row in c.execute(query)
    )


def _waiting_statuses() -> Select[Any]:
    # one that was never tried is due since it is wanted
    due = func.min(func.coalesce(STATUS.next_at, STATUS.wanted_at))
    return select(STATUS.source, func.count(), due).where(status_waits).group_by(STATUS.source)


def _waiting_comments() -> Select[Any]:
    due = func.coalesce(COMMENT.next_at, COMMENT.wanted_at)
    return select(COMMENT.source, literal(1), due).where(comment_waits)


def _waiting_notifications() -> Select[Any]:
    due = func.min(func.coalesce(NOTIFICATION.next_at, NOTIFICATION.created_at))
    query = select(NOTIFICATION.notifier, func.count(), due).where(notification_waits)
    return query.group_by(NOTIFICATION.notifier)


def _forget(c: Connection, role: str, name: str) -> None:
    c.execute(delete(schema.recipient).where(RECIPIENT.role == role, RECIPIENT.name == name))
    if role == FORGE:
        c.execute(delete(schema.status).where(STATUS.source == name))
        c.execute(delete(schema.comment).where(COMMENT.source == name))
    else:
        c.execute(delete(schema.notification).where(NOTIFICATION.notifier == name))


def note_ok(c: Connection, role: str, name: str, now: datetime) -> None:
    c.execute(
        update(schema.recipient)
        .where(RECIPIENT.role == role, RECIPIENT.name == name)
        .values(
            state=RecipientState.OK,
            message="",
            hint="",
            failures=0,
            tried_at=now,
            ok_at=now,
            next_at=None,
            delivered=RECIPIENT.delivered + 1,
        )
    )


def note_trouble(c: Connection, role: str, name: str, trouble: Trouble, now: datetime) -> None:
    state = RecipientState.STALLED if trouble.stalled else RecipientState.FAILING
    c.execute(
        update(schema.recipient)
        .where(RECIPIENT.role == role, RECIPIENT.name == name)
        .values(
            state=state,
            message=trouble.message,
            hint=trouble.hint,
            failures=RECIPIENT.failures + 1,
            tried_at=now,
            next_at=None if trouble.refused else trouble.next_at,
            failed=RECIPIENT.failed + 1,
            given_up=RECIPIENT.given_up + (1 if trouble.over else 0),
        )
    )


def rests(c: Connection, role: str, name: str, now: datetime) -> bool:
    """Is it left alone for now?"""
    query = select(RECIPIENT.next_at).where(RECIPIENT.role == role, RECIPIENT.name == name)
    next_at = c.execute(query).scalar()
    return next_at is not None and next_at > now
