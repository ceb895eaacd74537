"""Generations: numbering, which one is current, holds, pins, pruning and artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from envwatch.catalog import remaking, rows, schema
from envwatch.catalog.builds import find
from envwatch.catalog.choosing import choose, make_current
from envwatch.catalog.database import Database
from envwatch.catalog.events import note
from envwatch.catalog.packages import keep_packages
from envwatch.catalog.records import (
    ArtifactRecord,
    BuildRecord,
    EnvironmentRecord,
    GenerationRecord,
)
from envwatch.errors import Conflict, NotFound
from envwatch.model import ArchiveState, BuildState, EnvKey, Result

BUILD = schema.build.c
ENV = schema.environment.c
GENERATION = schema.generation.c


class Generations:
    """Published builds, numbered 1, 2, 3… in each environment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def environment(self, key: EnvKey) -> EnvironmentRecord:
        """Raises NotFound."""
        with self._database.read() as c:
            return _require(c, key)

    def environments(self, *, retired: bool = False) -> tuple[EnvironmentRecord, ...]:
        query = rows.environments.order_by(ENV.namespace, ENV.name)
        if not retired:
            query = query.where(ENV.retired_at.is_(None))
        with self._database.read() as c:
            return tuple(rows.environment(r) for r in c.execute(query))

    def get(self, key: EnvKey, number: int) -> GenerationRecord:
        """Raises NotFound."""
        with self._database.read() as c:
            return _number(c, _require(c, key), number)

    def of(self, environment_id: int, *, limit: int = 1000) -> tuple[GenerationRecord, ...]:
        """Newest first."""
        query = (
            rows.generations.where(GENERATION.environment_id == environment_id)
            .order_by(GENERATION.number.desc())
            .limit(limit)
        )
        with self._database.read() as c:
            return tuple(rows.generation(r) for r in c.execute(query))

    def all(self) -> tuple[GenerationRecord, ...]:
        query = rows.generations.order_by(GENERATION.environment_id, GENERATION.number)
        with self._database.read() as c:
            return tuple(rows.generation(r) for r in c.execute(query))

    def size_of(self, namespace: str) -> int:
        """Bytes of the prefixes that a namespace keeps, each counted once."""
        one_each = (
            select(func.max(GENERATION.own_size).label("size"))
            .join_from(schema.generation, schema.environment)
            .where(ENV.namespace == namespace, GENERATION.pruned_at.is_(None))
            .group_by(GENERATION.prefix)
            .subquery()
        )
        with self._database.read() as c:
            total = c.execute(select(func.coalesce(func.sum(one_each.c.size), 0)))
            return int(total.scalar_one())

    def latest_asked(self, environment_id: int, digest: str) -> GenerationRecord | None:
        """The newest generation made for this asked-for digest; no candidate counts."""
        query = (
            rows.generations.where(
                GENERATION.environment_id == environment_id,
                GENERATION.asked_digest == digest,
                ~GENERATION.candidate,
            )
            .order_by(GENERATION.number.desc())
            .limit(1)
        )
        with self._database.read() as c:
            row = c.execute(query).first()
        return rows.generation(row) if row else None

    def publish(
        self, build: BuildRecord, result: Result, *, candidate: bool = False
    ) -> tuple[EnvironmentRecord, int]:
        """Make the next generation of a finished build, current unless a newer one already is.

        A `candidate` waits for somebody to take it, if it would bring other packages.

        Called again for the same build it changes nothing (a crash may have come between).
        """
        now = datetime.now(UTC)
        with self._database.write() as c:
            row = c.execute(rows.builds.where(BUILD.id == build.id)).one()
            env_row = c.execute(rows.environments.where(ENV.id == build.environment_id)).one()
            if row.state is BuildState.READY:
                return rows.environment(env_row), row.generation
            again = row.generation is not None
            waits = candidate and not again
            waits = waits and _differs(c, rows.environment(env_row), build, result)
            if again:
                number = row.generation
                remaking.fill(c, build, result)
            else:
                number = _insert(c, build, result, now, candidate=waits)
            keep_packages(c, result.lock_digest, result.packages)
            c.execute(
                update(schema.build)
                .where(BUILD.id == build.id)
                .values(
                    state=BuildState.READY,
                    ended_at=now,
                    progress=None,
                    retry_at=None,
                    phases=result.phases,
                    messages=result.messages,
                    lock_digest=result.lock_digest,
                    prefix_digest=result.prefix_digest,
                    prefix=str(result.prefix),
                    reused=result.reused,
                    size=result.size,
                    own_size=result.own_size,
                    generation=number,
                )
            )
            if not again:
                choose(c, build.environment_id, now)
            _note_published(c, build, number, again=again, waits=waits)
            env_row = c.execute(rows.environments.where(ENV.id == build.environment_id)).one()
            return rows.environment(env_row), number

    def hold(self, key: EnvKey, number: int | None, *, by: str) -> EnvironmentRecord:
        """Keep `number` (or the current one) current until `release`. Raises Conflict."""
        now = datetime.now(UTC)
        with self._database.write() as c:
            env = _require(c, key)
            wanted = number if number is not None else env.current
            if wanted is None:
                raise Conflict(f"{key}: there is no generation to hold yet")
            generation = _number(c, env, wanted)
            if generation.pruned_at is not None:
                raise Conflict(
                    f"{key}: the files of #{wanted} were pruned",
                    hint=f"`envwatch env rebuild {key} --generation {wanted}` makes them again",
                )
            c.execute(update(schema.environment).where(ENV.id == env.id).values(held=True))
            make_current(c, env.id, wanted, now)
            note(c, "held", f"at #{wanted} by {by or 'the command line'}", environment=env.id)
            return _require(c, key)

    def take(self, key: EnvKey, number: int, *, by: str) -> EnvironmentRecord:
        """Let a candidate be a generation as any other: current now, until a newer one comes."""
        with self._database.write() as c:
            env = _require(c, key)
            generation = _number(c, env, number)
            c.execute(
                update(schema.generation)
                .where(GENERATION.id == generation.id)
                .values(candidate=False)
            )
            c.execute(update(schema.environment).where(ENV.id == env.id).values(held=False))
            choose(c, env.id, datetime.now(UTC))
            text = f"candidate #{number} by {by or 'the command line'}"
            note(c, "taken", text, environment=env.id)
            return _require(c, key)

    def offer(self, environment_id: int, text: str) -> bool:
        """Note which packages an update would change, empty for none; was that news?"""
        with self._database.write() as c:
            changed = c.execute(
                update(schema.environment)
                .where(ENV.id == environment_id, ENV.offer != text)
                .values(offer=text, changed_at=datetime.now(UTC))
            ).rowcount
            if changed and text:
                note(c, "update-found", text, environment=environment_id)
            return bool(changed)

    def release(self, key: EnvKey, *, by: str) -> EnvironmentRecord:
        """Let the newest generation become current again."""
        with self._database.write() as c:
            env = _require(c, key)
            c.execute(update(schema.environment).where(ENV.id == env.id).values(held=False))
            choose(c, env.id, datetime.now(UTC))
            note(c, "released", f"by {by or 'the command line'}", environment=env.id)
            return _require(c, key)

    def pin(self, key: EnvKey, number: int, *, pinned: bool) -> None:
        with self._database.write() as c:
            generation = _number(c, _require(c, key), number)
            c.execute(
                update(schema.generation)
                .where(GENERATION.id == generation.id)
                .values(pinned=pinned)
            )

    def prune(self, ids: Sequence[int]) -> None:
        """Their prefixes go. The current ones of this moment are left out, whatever was planned."""
        current = select(GENERATION.id).join(
            schema.environment,
            (ENV.id == GENERATION.environment_id) & (ENV.current == GENERATION.number),
        )
        with self._database.write() as c:
            c.execute(
                update(schema.generation)
                .where(GENERATION.id.in_(ids), GENERATION.id.not_in(current), ~GENERATION.pinned)
                .values(pruned_at=datetime.now(UTC))
            )

    def verified(self, generation_id: int, damage: str) -> None:
        with self._database.write() as c:
            c.execute(
                update(schema.generation)
                .where(GENERATION.id == generation_id)
                .values(damaged=damage, verified_at=datetime.now(UTC))
            )

    def set_archive(self, generation_id: int, state: ArchiveState, message: str = "") -> None:
        with self._database.write() as c:
            c.execute(
                update(schema.generation)
                .where(GENERATION.id == generation_id)
                .values(archive=state, archive_message=message)
            )

    def archives(self, *states: ArchiveState) -> tuple[GenerationRecord, ...]:
        query = rows.generations.where(GENERATION.archive.in_(states)).order_by(GENERATION.id)
        with self._database.read() as c:
            return tuple(rows.generation(r) for r in c.execute(query))

    def claim_archive(self) -> GenerationRecord | None:
        """Take the next archive that is asked for."""
        chosen = (
            select(func.min(GENERATION.id))
            .where(GENERATION.archive == ArchiveState.QUEUED)
            .scalar_subquery()
        )
        with self._database.write() as c:
            claimed = c.execute(
                update(schema.generation)
                .where(GENERATION.id == chosen, GENERATION.archive == ArchiveState.QUEUED)
                .values(archive=ArchiveState.MAKING)
                .returning(GENERATION.id)
            ).scalar()
            if claimed is None:
                return None
            return rows.generation(
                c.execute(rows.generations.where(GENERATION.id == claimed)).one()
            )

    def keep_artifacts(self, generation_id: int, artifacts: Sequence[ArtifactRecord]) -> None:
        with self._database.write() as c:
            for a in artifacts:
                values = {"key": a.key, "size": a.size, "sha256": a.sha256}
                c.execute(
                    upsert(schema.artifact)
                    .values(generation_id=generation_id, kind=a.kind, **values)
                    .on_conflict_do_update(index_elements=["generation_id", "kind"], set_=values)
                )

    def artifacts(self, generation_id: int) -> tuple[ArtifactRecord, ...]:
        ARTIFACT = schema.artifact.c  # noqa: N806  # the columns, as above
        query = (
            select(schema.artifact)
            .where(ARTIFACT.generation_id == generation_id)
            .order_by(ARTIFACT.kind)
        )
        with self._database.read() as c:
            return tuple(ArtifactRecord(r.kind, r.key, r.size, r.sha256) for r in c.execute(query))


def _require(c: Connection, key: EnvKey) -> EnvironmentRecord:
    env = find(c, key)
    if env is None:
        raise NotFound(f"there is no environment `{key}`", hint="see `envwatch env list --all`")
    return env


def _number(c: Connection, env: EnvironmentRecord, number: int) -> GenerationRecord:
    row = c.execute(
        rows.generations.where(GENERATION.environment_id == env.id, GENERATION.number == number)
    ).first()
    if row is None:
        raise NotFound(
            f"{env.key}: there is no generation `#{number}`",
            hint=f"see `envwatch env show {env.key}`",
        )
    return rows.generation(row)


def _note_published(
    c: Connection, build: BuildRecord, number: int, *, again: bool, waits: bool
) -> None:
    what, more = ("candidate", ", waits") if waits else ("published", "")
    text = f"#{number}{' again' if again else ''} by build #{build.id}{more}"
    note(c, what, text, environment=build.environment_id)
    mine = ENV.id == build.environment_id
    c.execute(update(schema.environment).where(mine).values(offer=""))


def _insert(
    c: Connection, build: BuildRecord, result: Result, now: datetime, *, candidate: bool
) -> int:
    of_env = GENERATION.environment_id == build.environment_id
    highest = c.execute(select(func.max(GENERATION.number)).where(of_env)).scalar()
    number = (highest or 0) + 1
    c.execute(
        insert(schema.generation).values(
            environment_id=build.environment_id,
            number=number,
            build_id=build.id,
            spec_id=build.spec_id,
            asked_digest=build.asked_digest,
            ask=build.ask,
            reason=build.reason,
            revision=build.revision,
            lock_digest=result.lock_digest,
            prefix_digest=result.prefix_digest,
            prefix=str(result.prefix),
            size=result.size,
            own_size=result.own_size,
            published_at=now,
            kernels=result.kernels,
            python=result.python,
            lock_file_digest=result.lock_file_digest,
            candidate=candidate,
        )
    )
    return number


def _differs(c: Connection, env: EnvironmentRecord, build: BuildRecord, result: Result) -> bool:
    """Does a build bring other packages than what is current for the same ask?"""
    if env.current is None:
        return False
    current = _number(c, env, env.current)
    same = current.asked_digest == build.asked_digest
    return same and current.lock_digest != result.lock_digest
