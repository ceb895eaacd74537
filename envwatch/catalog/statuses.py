"""Statuses of commits: what each shall say, and what the forge has acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    case,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from envwatch.catalog import schema
from envwatch.catalog.database import Database
from envwatch.catalog.events import note
from envwatch.catalog.packages import Lists
from envwatch.catalog.previews import change, current_of
from envwatch.catalog.recipients import (
    FORGE,
    Trouble,
    note_ok,
    note_trouble,
    rests,
    status_waits,
)
from envwatch.model import BuildState, EnvKey, FileState, Level, Message
from envwatch.telling import BuildFacts, EnvFacts, Status, StatusState

BUILD = schema.build.c
ENV = schema.environment.c
FILE = schema.file.c
GENERATION = schema.generation.c
SOURCE = schema.source.c
STATUS = schema.status.c
# while something is in work its words change often: forges count each request
CALM = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class TipFacts:
    """What a source's commit speaks of: its environments, and files that never asked for one.

    `notes` are what else a request is to be told of its files.
    """

    revision: str
    environments: tuple[EnvFacts, ...]
    refused: tuple[tuple[str, Message], ...]
    notes: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """One context of one commit. `told` is what the forge acknowledged last."""

    source: str
    revision: str
    status: Status
    wanted_at: datetime
    told: tuple[StatusState, str, str] | None
    told_at: datetime | None
    attempts: int
    failure: str
    given_up_at: datetime | None


class Statuses:
    """What the forges of sources are told."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def tip(self, source: str) -> TipFacts | None:
        """Everything that the statuses of a source's newest commit depend on."""
        with self._database.read() as c:
            known_as = select(SOURCE.revision, SOURCE.base).where(SOURCE.name == source)
            tip = c.execute(known_as).first()
            if tip is None or not tip.revision:
                return None
            found = c.execute(_facts(ENV.source == source)).all()
            known = {r.path for r in found if r.invalid is not None}
            refused = select(FILE.path, FILE.messages).where(
                FILE.source == source, FILE.state == FileState.REFUSED
            )
            files = [(r.path, r.messages[0]) for r in c.execute(refused) if r.messages]
            lists = Lists(c)
            envs = tuple(_with_change(c, r, lists) for r in found)
            notes = _notes(c, source) if tip.base else ()
            return TipFacts(tip.revision, envs, tuple(f for f in files if f[0] not in known), notes)

    def of(self, source: str, revision: str) -> tuple[StatusRecord, ...]:
        query = select(schema.status).where(STATUS.source == source, STATUS.revision == revision)
        with self._database.read() as c:
            return tuple(_record(r) for r in c.execute(query.order_by(STATUS.context)))

    def open(self, source: str, tip: str) -> tuple[StatusRecord, ...]:
        """Of older commits: what was still in work when a newer one came."""
        older = (STATUS.source == source, STATUS.revision != tip)
        unfinished = select(STATUS.revision).where(*older, STATUS.state == StatusState.PENDING)
        query = select(schema.status).where(*older, STATUS.revision.in_(unfinished))
        with self._database.read() as c:
            return tuple(_record(r) for r in c.execute(query))

    def want(self, source: str, revision: str, statuses: Sequence[Status], now: datetime) -> None:
        """Each shall say this from now on; what it waited for before is no matter any more."""
        key = ("source", "revision", "context")
        wanted = [
            {
                "source": source,
                "revision": revision,
                "context": status.context,
                "namespace": status.key.namespace if status.key else "",
                "name": status.key.name if status.key else "",
                "ask": status.ask,
                "state": status.state,
                "description": status.description,
                "url": status.url,
                "wanted_at": now,
                "attempts": 0,
                "next_at": None,
                "failure": "",
                "given_up_at": None,
            }
            for status in statuses
        ]
        keep = upsert(schema.status)
        values = {name: keep.excluded[name] for name in wanted[0] if name not in key}
        with self._database.write(detail=True) as c:
            c.execute(keep.on_conflict_do_update(index_elements=key, set_=values), wanted)

    def due(self, source: str, now: datetime) -> StatusRecord | None:
        """What to tell next: the newest commit first, and what matters most."""
        tip = select(SOURCE.revision).where(SOURCE.name == source).scalar_subquery()
        calm = (
            (STATUS.state == StatusState.PENDING)
            & (STATUS.told_state == StatusState.PENDING)
            & (STATUS.told_at > now - CALM)
        )
        query = (
            select(schema.status)
            .where(STATUS.source == source, status_waits)
            .where(or_(STATUS.next_at.is_(None), STATUS.next_at <= now))
            .where(or_(STATUS.told_at.is_(None), ~calm))
            .order_by((STATUS.revision == tip).desc(), _rank(), STATUS.wanted_at, STATUS.context)
            .limit(1)
        )
        with self._database.read() as c:
            if rests(c, FORGE, source, now):
                return None
            row = c.execute(query).first()
        return _record(row) if row else None

    def told(self, record: StatusRecord, now: datetime) -> None:
        """The forge has acknowledged what the record says, whatever is wanted by now."""
        state, description, url = record.status.said
        values = {
            "told_state": state,
            "told_description": description,
            "told_url": url,
            "told_at": now,
            "failure": "",
            "next_at": None,
        }
        with self._database.write(detail=True) as c:
            c.execute(update(schema.status).where(*_is(record)).values(**values))
            note_ok(c, FORGE, record.source, now)

    def failed(self, record: StatusRecord, trouble: Trouble, now: datetime) -> None:
        with self._database.write(detail=True) as c:
            c.execute(
                update(schema.status)
                # what is wanted anew in the meantime has failed at nothing yet
                .where(*_is(record), STATUS.wanted_at == record.wanted_at)
                .values(
                    attempts=STATUS.attempts + 1,
                    next_at=trouble.next_at if trouble.refused else None,
                    failure=trouble.message,
                    given_up_at=now if trouble.over else None,
                )
            )
            note_trouble(c, FORGE, record.source, trouble, now)
            if trouble.over:
                text = f"the status `{record.status.context}` of {record.revision[:7]} is given up"
                note(c, "given-up", f"{text}: {trouble.message}", source=record.source)

    def tidy(self, source: str, tip: str, before: datetime) -> None:
        """Forget what was settled long ago; a commit that comes back is told anew."""
        with self._database.write(detail=True) as c:
            c.execute(
                delete(schema.status).where(
                    STATUS.source == source,
                    STATUS.revision != tip,
                    STATUS.wanted_at < before,
                    STATUS.state != StatusState.PENDING,
                    ~status_waits,
                )
            )


def _is(record: StatusRecord) -> tuple[ColumnElement[bool], ...]:
    return (
        STATUS.source == record.source,
        STATUS.revision == record.revision,
        STATUS.context == record.status.context,
    )


def _rank() -> ColumnElement[int]:
    """The commit as a whole and what went wrong come before what nobody waits for."""
    return case(
        (STATUS.name == "", 0),
        (STATUS.state == StatusState.FAILURE, 1),
        (STATUS.description.startswith("no change"), 3),
        else_=2,
    )


def _record(row: Row[Any]) -> StatusRecord:
    key = EnvKey(row.namespace, row.name) if row.name else None
    told = (row.told_state, row.told_description, row.told_url) if row.told_state else None
    return StatusRecord(
        row.source,
        row.revision,
        Status(row.context, row.state, row.description, key, row.ask, url=row.url),
        row.wanted_at,
        told,
        row.told_at,
        row.attempts,
        row.failure,
        row.given_up_at,
    )


# ---------------------------------------------------------------- facts


def _facts(*where: ColumnElement[bool]) -> Select[Any]:
    """Environments that are not retired, each with the newest build and generation of its ask."""
    each, made = schema.build.alias("each"), schema.generation.alias("made")
    newest = select(func.max(each.c.id)).where(
        each.c.environment_id == ENV.id, each.c.ask == ENV.ask
    )
    ready = select(func.max(made.c.number)).where(
        made.c.environment_id == ENV.id,
        made.c.asked_digest == ENV.asked_digest,
        ~made.c.candidate,
    )
    return facts_query(newest.scalar_subquery(), ready.scalar_subquery()).where(*where)


def facts_query(build_id: ColumnElement[int], number: ColumnElement[int]) -> Select[Any]:
    return (
        select(
            ENV.id, ENV.namespace, ENV.name, ENV.ask, ENV.path, ENV.revision, ENV.invalid,
            ENV.current, ENV.held,
            BUILD.id.label("build_id"), BUILD.state, BUILD.failure, BUILD.retry_at, BUILD.attempt,
            BUILD.path.label("build_path"), BUILD.lock_digest.label("build_lock"),
            ENV.preview_of, ENV.solve_only,
            GENERATION.number, GENERATION.revision.label("ready_revision"),
        )
        .select_from(
            schema.environment.outerjoin(schema.build, BUILD.id == build_id).outerjoin(
                schema.generation,
                (GENERATION.environment_id == ENV.id) & (GENERATION.number == number),
            )
        )
        .where(ENV.retired_at.is_(None))
        .order_by(ENV.namespace, ENV.name)
    )  # fmt: skip


def env_facts(row: Row[Any]) -> EnvFacts:
    return EnvFacts(
        EnvKey(row.namespace, row.name),
        row.ask,
        row.invalid,
        row.current,
        row.held,
        row.number,
        row.ready_revision or "",
        _build(row) if row.build_id is not None else None,
        preview_of=row.preview_of,
        solve_only=row.solve_only,
    )


def _notes(c: Connection, source: str) -> tuple[Message, ...]:
    """The warnings about its files, for who reads what a request would change."""
    told = select(FILE.messages).where(FILE.source == source, FILE.state != FileState.REFUSED)
    found = c.execute(told.order_by(FILE.path)).scalars()
    return tuple(m for messages in found for m in messages if m.level is Level.WARNING)


def _with_change(c: Connection, row: Row[Any], lists: Lists) -> EnvFacts:
    """A preview also says what it would change, once it is known."""
    facts = env_facts(row)
    if not row.preview_of or not row.build_lock:
        return facts
    current = current_of(c, facts.target)
    return replace(facts, change=change(lists, current, row.build_lock))


def _build(row: Row[Any]) -> BuildFacts:
    state: BuildState = row.state
    again = row.retry_at is not None
    return BuildFacts(row.build_id, state, row.build_path, row.failure, again, row.attempt)
