"""Notices: how everything was when it was last looked at, and what notifiers still have to hear."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from envwatch.catalog import schema
from envwatch.catalog.database import Database
from envwatch.catalog.events import note
from envwatch.catalog.recipients import (
    NOTIFIER,
    Trouble,
    note_ok,
    note_trouble,
    notification_waits,
    rests,
)
from envwatch.catalog.schema import SourceState
from envwatch.catalog.sources import preview_member
from envwatch.catalog.statuses import env_facts, facts_query
from envwatch.telling import (
    PATIENCE,
    Condition,
    Known,
    Letter,
    Subject,
    env_condition,
)

BUILD = schema.build.c
CONDITION = schema.condition.c
ENV = schema.environment.c
NOTIFICATION = schema.notification.c
SOURCE = schema.source.c


@dataclass(frozen=True, slots=True)
class NotificationRecord:
    """One message to one notifier, and how it went."""

    id: int
    letter: Letter
    created_at: datetime
    attempts: int
    failure: str
    told_at: datetime | None
    given_up_at: datetime | None


class Notices:
    """Turns of conditions, and the messages about them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def subjects(self) -> tuple[Subject, ...]:
        """All environments and sources, as they are now."""
        with self._database.read() as c:
            return (*_environments(c), *_sources(c))

    def known(self) -> Mapping[str, Known]:
        """How each subject was when it was last looked at."""
        with self._database.read() as c:
            return {
                r.subject: Known(r.value, r.current) for r in c.execute(select(schema.condition))
            }

    def turn(
        self,
        seen: Mapping[str, Known],
        gone: Collection[str],
        letters: Sequence[Letter],
        now: datetime,
    ) -> None:
        """Note how subjects are now, and what is to be told of it: both, or neither."""
        with self._database.write(detail=True) as c:
            if seen:
                _keep_conditions(c, seen, now)
            c.execute(delete(schema.condition).where(CONDITION.subject.in_(gone)))
            for letter in letters:
                added = insert(schema.notification).values(
                    notifier=letter.notifier,
                    message_id=letter.id,
                    kind=letter.kind,
                    notice=letter.notice,
                    created_at=now,
                )
                c.execute(added)

    def due(self, notifier: str, now: datetime) -> NotificationRecord | None:
        """What to send next, in the order in which it happened."""
        query = (
            select(schema.notification)
            .where(NOTIFICATION.notifier == notifier, notification_waits)
            .where(or_(NOTIFICATION.next_at.is_(None), NOTIFICATION.next_at <= now))
            .order_by(NOTIFICATION.id)
            .limit(1)
        )
        with self._database.read() as c:
            if rests(c, NOTIFIER, notifier, now):
                return None
            row = c.execute(query).first()
        return record(row) if row else None

    def told(self, sent: NotificationRecord, now: datetime) -> None:
        with self._database.write(detail=True) as c:
            c.execute(
                update(schema.notification)
                .where(NOTIFICATION.id == sent.id)
                .values(told_at=now, next_at=None, failure="", attempts=NOTIFICATION.attempts + 1)
            )
            note_ok(c, NOTIFIER, sent.letter.notifier, now)

    def failed(self, sent: NotificationRecord, trouble: Trouble, now: datetime) -> None:
        with self._database.write(detail=True) as c:
            c.execute(
                update(schema.notification)
                .where(NOTIFICATION.id == sent.id)
                .values(
                    attempts=NOTIFICATION.attempts + 1,
                    next_at=trouble.next_at if trouble.refused else None,
                    failure=trouble.message,
                    given_up_at=now if trouble.over else None,
                )
            )
            note_trouble(c, NOTIFIER, sent.letter.notifier, trouble, now)
            if trouble.over:
                _note_given_up(c, sent, trouble)

    def tidy(self, before: datetime) -> None:
        """Forget messages that were settled long ago."""
        with self._database.write(detail=True) as c:
            c.execute(
                delete(schema.notification).where(
                    ~notification_waits, NOTIFICATION.created_at < before
                )
            )


def _keep_conditions(c: Connection, seen: Mapping[str, Known], now: datetime) -> None:
    keep = upsert(schema.condition)
    values = {name: keep.excluded[name] for name in ("value", "current", "since")}
    c.execute(
        keep.on_conflict_do_update(index_elements=["subject"], set_=values),
        [
            {"subject": subject, "value": k.condition, "current": k.current, "since": now}
            for subject, k in seen.items()
        ],
    )


def _note_given_up(c: Connection, sent: NotificationRecord, trouble: Trouble) -> None:
    namespace, _, name = sent.letter.notice.environment.partition("/")
    query = select(ENV.id).where(ENV.namespace == namespace, ENV.name == name)
    text = f"`{sent.letter.notifier}` could not be told `{sent.letter.kind}`: {trouble.message}"
    env = c.execute(query).scalar()
    note(c, "given-up", text, environment=env, source=sent.letter.notice.source)


def record(row: Row[Any]) -> NotificationRecord:
    return NotificationRecord(
        row.id,
        Letter(row.message_id, row.notifier, row.kind, row.notice),
        row.created_at,
        row.attempts,
        row.failure,
        row.told_at,
        row.given_up_at,
    )


def _environments(c: Connection) -> list[Subject]:
    each = schema.build.alias("each")
    newest = select(func.max(each.c.id)).where(each.c.environment_id == ENV.id).scalar_subquery()
    found = []
    for row in c.execute(facts_query(newest, ENV.current).where(ENV.preview_of == "")):
        facts = env_facts(row)
        condition, message = env_condition(facts)
        found.append(
            Subject(
                name=str(facts.key),
                namespace=facts.key.namespace,
                condition=condition,
                key=facts.key,
                current=facts.current,
                build=facts.build.id if facts.build else None,
                revision=row.revision,
                message=message,
            )
        )
    return found


def _sources(c: Connection) -> list[Subject]:
    query = select(schema.source).where(SOURCE.removed_at.is_(None), ~preview_member)
    return [
        Subject(
            name=r.name,
            namespace=r.namespace,
            condition=_source_condition(r.state, r.failures),
            revision=r.revision,
            message=f"{r.message} ({r.hint})" if r.hint else r.message,
        )
        for r in c.execute(query)
    ]


def _source_condition(state: SourceState, failures: int) -> Condition | None:
    if state in (SourceState.STALLED, SourceState.EMPTY):
        return Condition.STALLED
    if state is SourceState.OK:
        return Condition.GOOD
    # what was never read, or may be well again by itself, is no news yet
    unclear = state is SourceState.NEW or failures < PATIENCE
    return None if unclear else Condition.FAILING
