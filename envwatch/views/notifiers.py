"""Who is told, how that goes, and what was told last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, select

from envwatch.catalog import Catalog, schema
from envwatch.catalog.recipients import RecipientRecord, recipients, status_waits
from envwatch.telling import NoticeKind, RecipientState, StatusState

NOTIFICATION = schema.notification.c
STATUS = schema.status.c
SOURCE = schema.source.c
MOST = 30
TROUBLED = (RecipientState.FAILING, RecipientState.STALLED)


class Fate(StrEnum):
    """What became of one message."""

    TOLD = "told"
    WAITING = "waiting"
    GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True)
class StatusRow:
    """A status of the newest commit of a source that the forge has not acknowledged."""

    source: str
    revision: str
    context: str
    state: StatusState
    description: str
    attempts: int
    failure: str
    next_at: datetime | None
    fate: Fate


@dataclass(frozen=True, slots=True)
class LetterRow:
    """A message to a notifier."""

    notifier: str
    at: datetime
    kind: NoticeKind
    subject: str
    message: str
    attempts: int
    failure: str
    next_at: datetime | None
    fate: Fate


@dataclass(frozen=True, slots=True)
class NotifiersPage:
    recipients: tuple[RecipientRecord, ...]
    statuses: tuple[StatusRow, ...]
    letters: tuple[LetterRow, ...]


def notifiers(catalog: Catalog) -> NotifiersPage:
    with catalog.database.read() as c:
        return NotifiersPage(recipients(c), _statuses(c), _letters(c))


def told(catalog: Catalog) -> tuple[RecipientRecord, ...]:
    return catalog.recipients.all()


def _statuses(c: Connection) -> tuple[StatusRow, ...]:
    query = (
        select(schema.status)
        .join(schema.source, (SOURCE.name == STATUS.source) & (SOURCE.revision == STATUS.revision))
        .where(status_waits | STATUS.given_up_at.is_not(None))
        .order_by(STATUS.source, STATUS.context)
        .limit(MOST)
    )
    return tuple(
        StatusRow(
            r.source, r.revision, r.context, r.state, r.description, r.attempts, r.failure,
            r.next_at, _fate(None, r.given_up_at),
        )
        for r in c.execute(query)
    )  # fmt: skip


def _letters(c: Connection) -> tuple[LetterRow, ...]:
    query = select(schema.notification).order_by(NOTIFICATION.id.desc()).limit(MOST)
    return tuple(
        LetterRow(
            r.notifier, r.notice.at, r.kind, r.notice.subject, r.notice.message, r.attempts,
            r.failure, r.next_at, _fate(r.told_at, r.given_up_at),
        )
        for r in c.execute(query)
    )  # fmt: skip


def _fate(told_at: datetime | None, given_up_at: datetime | None) -> Fate:
    if given_up_at is not None:
        return Fate.GIVEN_UP
    return Fate.TOLD if told_at is not None else Fate.WAITING
