"""Which locks there are to write back, and how far that is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from envwatch.catalog import schema
from envwatch.catalog.database import Database
from envwatch.catalog.events import note
from envwatch.catalog.schema import WriteState
from envwatch.model import RUNNING, BuildState, EnvKey

BUILD = schema.build.c
ENV = schema.environment.c
GENERATION = schema.generation.c
WRITE = schema.write_back.c


@dataclass(frozen=True, slots=True)
class WriteBackRecord:
    """How the locks of a source stand.

    `done` names what was brought to an end last, `revision` is the last commit of ours and `base`
    what it stands on; `written` is how many locks it holds.
    """

    source: str
    state: WriteState
    message: str
    hint: str
    failures: int
    done: str
    revision: str
    base: str
    written: int
    tried_at: datetime | None
    written_at: datetime | None
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class LockRow:
    """One lock: of the generation that is current, or of the candidate that waits."""

    key: EnvKey
    number: int
    build_id: int
    path: str


class WriteBacks:
    """The locks of each source."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, source: str) -> WriteBackRecord | None:
        query = select(schema.write_back).where(WRITE.source == source)
        with self._database.read() as c:
            row = c.execute(query).first()
        return _record(row) if row else None

    def all(self) -> tuple[WriteBackRecord, ...]:
        with self._database.read() as c:
            query = select(schema.write_back).order_by(WRITE.source)
            return tuple(_record(r) for r in c.execute(query))

    def declare(self, sources: Collection[str]) -> None:
        """These are written back, and no others; what failed is tried again at once."""
        with self._database.write() as c:
            c.execute(delete(schema.write_back).where(WRITE.source.not_in(sources)))
            for name in sources:
                values = {"source": name, "state": WriteState.NEW, "message": "", "hint": ""}
                c.execute(upsert(schema.write_back).values(**values).on_conflict_do_nothing())
            c.execute(update(schema.write_back).values(next_at=None))

    def locks(self, source: str) -> tuple[LockRow, ...]:
        """The locks of what is built for what the source asks for now, by path."""
        waiting = GENERATION.candidate & (GENERATION.number > ENV.current)
        newest = (
            select(ENV.id, func.max(GENERATION.number).label("number"))
            .join_from(schema.environment, schema.generation)
            .where(
                ENV.source == source,
                ENV.retired_at.is_(None),
                ENV.invalid.is_(None),
                ENV.lock_path != "",
                GENERATION.asked_digest == ENV.asked_digest,
                GENERATION.pruned_at.is_(None),
                or_(waiting, GENERATION.number == ENV.current),
            )
            .group_by(ENV.id)
            .subquery()
        )
        query = (
            select(ENV.namespace, ENV.name, ENV.lock_path, GENERATION.number, GENERATION.build_id)
            .join_from(newest, schema.environment, ENV.id == newest.c.id)
            .join(
                schema.generation,
                (GENERATION.environment_id == newest.c.id) & (GENERATION.number == newest.c.number),
            )
            .order_by(ENV.lock_path, ENV.namespace, ENV.name)
        )
        with self._database.read() as c:
            return tuple(
                LockRow(EnvKey(r.namespace, r.name), r.number, r.build_id, r.lock_path)
                for r in c.execute(query)
            )

    def is_busy(self, source: str) -> bool:
        """Is anything of this source being built, or about to be?"""
        query = (
            select(BUILD.id)
            .join_from(schema.build, schema.environment)
            .where(ENV.source == source, BUILD.state.in_((BuildState.QUEUED, *RUNNING)))
            .limit(1)
        )
        with self._database.read() as c:
            return c.execute(query).first() is not None

    def wait(self, source: str, message: str) -> None:
        """Something must end first."""
        with self._database.write() as c:
            c.execute(
                update(schema.write_back)
                .where(WRITE.source == source, WRITE.message != message)
                .values(state=WriteState.WAITING, message=message, hint="")
            )

    def done(self, source: str, done: str) -> None:
        """There was nothing to write."""
        now = datetime.now(UTC)
        with self._database.write() as c:
            c.execute(_of(source).values(**_fine(now), done=done))

    def written(
        self, source: str, done: str, commit: tuple[str, str], count: int, text: str
    ) -> None:
        """A commit of ours, and what it stands on, is on the branch."""
        now = datetime.now(UTC)
        revision, base = commit
        with self._database.write() as c:
            known = c.execute(select(WRITE.revision).where(WRITE.source == source)).scalar()
            c.execute(
                _of(source).values(
                    **_fine(now),
                    done=done,
                    revision=revision,
                    base=base,
                    written=count,
                    written_at=now,
                )
            )
            if known != revision:
                note(c, "locks-written", text, source=source)

    def failed(self, source: str, message: str, hint: str, *, stalled: bool, wait: float) -> None:
        now = datetime.now(UTC)
        state = WriteState.STALLED if stalled else WriteState.FAILING
        with self._database.write() as c:
            before = c.execute(select(WRITE.message).where(WRITE.source == source)).scalar()
            c.execute(
                _of(source).values(
                    state=state,
                    message=message,
                    hint=hint,
                    failures=WRITE.failures + 1,
                    tried_at=now,
                    next_at=now + timedelta(seconds=wait),
                )
            )
            if before != message:
                note(c, "locks-not-written", message, source=source)


def _of(source: str) -> Any:
    return update(schema.write_back).where(WRITE.source == source)


def _fine(now: datetime) -> dict[str, object]:
    return {
        "state": WriteState.OK,
        "message": "",
        "hint": "",
        "failures": 0,
        "tried_at": now,
        "next_at": None,
    }


def _record(row: Row[Any]) -> WriteBackRecord:
    return WriteBackRecord(**row._mapping)  # noqa: SLF001  # SQLAlchemy's public name for it
