"""The build queue: asking, claiming, progress, endings. Work is claimed by one UPDATE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, insert, or_, select, update

from envwatch.catalog import remaking, rows, schema
from envwatch.catalog.database import Database
from envwatch.catalog.events import note
from envwatch.catalog.packages import keep_packages, packages_of
from envwatch.catalog.records import BuildRecord, EnvironmentRecord, SpecRecord
from envwatch.catalog.schema import Mode, Reason
from envwatch.errors import NotFound
from envwatch.model import (
    RUNNING,
    BuildState,
    EnvKey,
    Failure,
    FailureKind,
    Package,
    Phase,
    Progress,
    Result,
)
from envwatch.units import count

BUILD = schema.build.c
ENV = schema.environment.c
QUEUED = BuildState.QUEUED
# until here a newer commit may stop a build: afterwards most of its work is done and can be kept
SOLVING = BuildState.SOLVING
FIRST_RETRY = 30.0
LONGEST_RETRY = 3600.0
MOST_ATTEMPTS = 8


class Builds:
    """Attempts, in the order in which they were asked for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, build_id: int) -> BuildRecord:
        """Raises NotFound."""
        with self._database.read() as c:
            row = c.execute(rows.builds.where(BUILD.id == build_id)).first()
        if row is None:
            raise NotFound(f"there is no build `{build_id}`", hint="see `envwatch build list`")
        return rows.build(row)

    def spec(self, spec_id: int) -> SpecRecord:
        with self._database.read() as c:
            return rows.spec(
                c.execute(select(schema.spec).where(schema.spec.c.id == spec_id)).one()
            )

    def of(self, environment_id: int, *, limit: int = 50) -> tuple[BuildRecord, ...]:
        """The newest builds of an environment, newest first."""
        query = (
            rows.builds.where(BUILD.environment_id == environment_id)
            .order_by(BUILD.id.desc())
            .limit(limit)
        )
        with self._database.read() as c:
            return tuple(rows.build(r) for r in c.execute(query))

    def in_state(self, *states: BuildState) -> tuple[BuildRecord, ...]:
        query = rows.builds.where(BUILD.state.in_(states)).order_by(BUILD.id)
        with self._database.read() as c:
            return tuple(rows.build(r) for r in c.execute(query))

    def newest_id(self) -> int:
        with self._database.read() as c:
            return c.execute(select(func.max(BUILD.id))).scalar() or 0

    def enqueue(
        self, env: EnvironmentRecord, mode: Mode, reason: Reason, *, by: str = ""
    ) -> BuildRecord:
        """Queue a build of what is asked for now; one that is queued already is returned."""
        with self._database.write() as c:
            waiting = c.execute(
                rows.builds.where(
                    BUILD.environment_id == env.id,
                    BUILD.state == QUEUED,
                    BUILD.mode == mode,
                    BUILD.generation.is_(None),
                )
            ).first()
            if waiting is not None:
                return rows.build(waiting)
            build_id = enqueue(c, env, mode, reason, by=by)
            return rows.build(c.execute(rows.builds.where(BUILD.id == build_id)).one())

    def claim(self, most: Callable[[str], int] = lambda _: 0) -> BuildRecord | None:
        """Take the next queued build; None where nothing waits.

        An environment has one running build at a time; namespaces with fewer running builds
        come first, so that one busy namespace does not hold up the others. `most` says how many
        of one may run; 0 is no limit.
        """
        running = schema.build.alias("running")
        its_env = schema.environment.alias("its_env")
        busy_namespace = (
            select(func.count())
            .select_from(running.join(its_env, its_env.c.id == running.c.environment_id))
            .where(running.c.state.in_(RUNNING), its_env.c.namespace == ENV.namespace)
            .scalar_subquery()
        )
        busy_environments = select(running.c.environment_id).where(running.c.state.in_(RUNNING))
        waiting = (
            select(BUILD.id)
            .join_from(schema.build, schema.environment)
            .where(BUILD.state == QUEUED, BUILD.environment_id.not_in(busy_environments))
            .order_by(busy_namespace, BUILD.id)
            .limit(1)
        )
        with self._database.read() as c:
            if c.execute(select(BUILD.id).where(BUILD.state == QUEUED).limit(1)).first() is None:
                return None
        with self._database.write(news=False) as c:
            chosen = waiting.where(ENV.namespace.not_in(_full(c, most))).scalar_subquery()
            claimed = c.execute(
                update(schema.build)
                .where(BUILD.id == chosen, BUILD.state == QUEUED)
                .values(state=SOLVING, started_at=datetime.now(UTC))
                .returning(BUILD.id)
            ).scalar()
            if claimed is None:
                return None
            return rows.build(c.execute(rows.builds.where(BUILD.id == claimed)).one())

    def beat(
        self, build_id: int, progress: Progress | None, phases: Sequence[Phase]
    ) -> BuildState | None:
        """Note how far a running build is; the state it is to be stopped with, if it is."""
        if progress is not None:
            with self._database.write(detail=True) as c:
                c.execute(
                    update(schema.build)
                    .where(BUILD.id == build_id, BUILD.state.in_(RUNNING))
                    .values(state=progress.state, progress=progress, phases=tuple(phases))
                )
        with self._database.read() as c:
            return c.execute(select(BUILD.cancel).where(BUILD.id == build_id)).scalar()

    def cancel(self, build_id: int, *, by: str) -> BuildRecord:
        """A queued build ends at once, a running one at its next beat."""
        now = datetime.now(UTC)
        with self._database.write() as c:
            row = c.execute(rows.builds.where(BUILD.id == build_id)).first()
            if row is None:
                raise NotFound(f"there is no build `{build_id}`", hint="see `envwatch build list`")
            if row.state is QUEUED:
                _end(c, build_id, BuildState.CANCELLED, now, cancelled_by=by)
            elif not row.state.over:
                c.execute(
                    update(schema.build)
                    .where(BUILD.id == build_id)
                    .values(cancel=BuildState.CANCELLED, cancelled_by=by)
                )
            return rows.build(c.execute(rows.builds.where(BUILD.id == build_id)).one())

    def end(self, build_id: int, state: BuildState, result: Result | None) -> None:
        """The build is over without a generation. A transient failure is due again later."""
        now = datetime.now(UTC)
        failure = result.failure if result else None
        with self._database.write() as c:
            row = c.execute(rows.builds.where(BUILD.id == build_id)).one()
            _end(
                c,
                build_id,
                state,
                now,
                failure=failure,
                phases=result.phases if result else row.phases,
                messages=result.messages if result else (),
                retry_at=_retry_at(failure, row.attempt, now),
            )
            if failure is not None:
                text = f"build #{build_id}: {failure.message}"
                note(c, state.value, text, environment=row.environment_id)
            c.execute(
                update(schema.environment)
                .where(ENV.id == row.environment_id)
                .values(changed_at=now)
            )

    def solved(self, build_id: int, result: Result) -> None:
        """The packages of a preview are chosen, and that is all. Again it changes nothing."""
        now = datetime.now(UTC)
        with self._database.write() as c:
            row = c.execute(rows.builds.where(BUILD.id == build_id)).one()
            if row.state is BuildState.READY:
                return
            keep_packages(c, result.lock_digest, result.packages)
            _end(
                c,
                build_id,
                BuildState.READY,
                now,
                phases=result.phases,
                messages=result.messages,
                lock_digest=result.lock_digest,
                retry_at=None,
            )
            chosen = count(len(result.packages), "package")
            text = f"build #{build_id}: {chosen}, none installed"
            note(c, "solved", text, environment=row.environment_id)
            c.execute(
                update(schema.environment)
                .where(ENV.id == row.environment_id)
                .values(changed_at=now)
            )

    def retry_due(self, now: datetime) -> int:
        """Queue again what failed for passing reasons and is still asked for; how many."""
        with self._database.read() as c:
            due = c.execute(select(BUILD.id).where(BUILD.retry_at <= now).limit(1)).first()
        if due is None:
            return 0
        with self._database.write() as c:
            found = c.execute(rows.builds.where(BUILD.retry_at <= now)).all()
            return sum(_retry(c, rows.build(r), now) for r in found)

    def interrupted(self) -> tuple[BuildRecord, ...]:
        """At start: end what a daemon that is gone left running, and queue it again."""
        now = datetime.now(UTC)
        with self._database.write() as c:
            left = [rows.build(r) for r in c.execute(rows.builds.where(BUILD.state.in_(RUNNING)))]
            for old in left:
                failure = Failure("BuildKilled", FailureKind.TRANSIENT, "the daemon ended")
                state = old.cancel or BuildState.FAILED
                _end(c, old.id, state, now, failure=None if old.cancel else failure)
                if old.cancel is None:
                    _again(c, old, Reason.INTERRUPTED, old.attempt, now)
            return tuple(left)

    def packages(self, lock_digest: str) -> tuple[Package, ...]:
        """What a lock installs, by name."""
        with self._database.read() as c:
            return packages_of(c, lock_digest)


def enqueue(
    c: Connection,
    env: EnvironmentRecord,
    mode: Mode,
    reason: Reason,
    *,
    by: str = "",
    attempt: int = 1,
    now: datetime | None = None,
) -> int:
    values = {
        "environment_id": env.id,
        "spec_id": env.spec_id,
        "asked_digest": env.asked_digest,
        "ask": env.ask,
        "mode": mode,
        "reason": reason,
        "requested_by": by,
        "source": env.source,
        "path": env.path,
        "revision": env.revision,
        "state": QUEUED,
        "queued_at": now or datetime.now(UTC),
        "attempt": attempt,
        "solve_only": env.solve_only,
        "phases": (),
        "messages": (),
    }
    return int(c.execute(insert(schema.build).values(**values).returning(BUILD.id)).scalar_one())


def _full(c: Connection, most: Callable[[str], int]) -> list[str]:
    """The namespaces of which as many builds run as may."""
    running = (
        select(ENV.namespace, func.count())
        .join_from(schema.build, schema.environment)
        .where(BUILD.state.in_(RUNNING))
        .group_by(ENV.namespace)
    )
    return [name for name, count in c.execute(running) if 0 < most(name) <= count]


def supersede(c: Connection, environment_id: int, now: datetime) -> None:
    """A newer ask: queued builds end, running ones are stopped while they are still solving.

    One that makes the files of a published generation again goes on: people use it until then.
    """
    of_env = (BUILD.environment_id == environment_id) & BUILD.generation.is_(None)
    c.execute(
        update(schema.build)
        .where(of_env, BUILD.state == QUEUED)
        .values(state=BuildState.SUPERSEDED, ended_at=now)
    )
    c.execute(update(schema.build).where(of_env).values(retry_at=None))
    c.execute(
        update(schema.build)
        .where(of_env, BUILD.state == SOLVING, BUILD.cancel.is_(None))
        .values(cancel=BuildState.SUPERSEDED)
    )


def _end(c: Connection, build_id: int, state: BuildState, now: datetime, **values: object) -> None:
    c.execute(
        update(schema.build)
        .where(BUILD.id == build_id, or_(BUILD.state.in_(RUNNING), BUILD.state == QUEUED))
        .values(state=state, ended_at=now, progress=None, **values)
    )


def _retry_at(failure: Failure | None, attempt: int, now: datetime) -> datetime | None:
    if failure is None or failure.kind is not FailureKind.TRANSIENT or attempt >= MOST_ATTEMPTS:
        return None
    return now + timedelta(seconds=min(FIRST_RETRY * 2 ** (attempt - 1), LONGEST_RETRY))


def _retry(c: Connection, old: BuildRecord, now: datetime) -> bool:
    c.execute(update(schema.build).where(BUILD.id == old.id).values(retry_at=None))
    return _again(c, old, Reason.RETRY, old.attempt + 1, now)


def _again(c: Connection, old: BuildRecord, reason: Reason, attempt: int, now: datetime) -> bool:
    """Queue the same work once more, unless something newer is asked for by now."""
    if old.generation is not None:
        return remaking.again(c, old, reason, attempt, now)
    row = c.execute(rows.environments.where(ENV.id == old.environment_id)).one()
    env = rows.environment(row)
    if env.retired_at is not None or env.ask != old.ask:
        return False
    enqueue(c, env, old.mode, reason, by=old.requested_by, attempt=attempt, now=now)
    return True


def find(c: Connection, key: EnvKey) -> EnvironmentRecord | None:
    row = c.execute(
        rows.environments.where(ENV.namespace == key.namespace, ENV.name == key.name)
    ).first()
    return rows.environment(row) if row else None
