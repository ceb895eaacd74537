"""Sources and their files, and the one transaction by which a plan enters the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, bindparam, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from envwatch.catalog import asks, rows, schema
from envwatch.catalog.database import Database
from envwatch.catalog.events import note
from envwatch.catalog.records import EnvironmentRecord, SourceRecord
from envwatch.catalog.schema import SourceState
from envwatch.model import (
    EnvKey,
    FileOutcome,
    FileState,
    Plan,
    Standing,
)
from envwatch.previews import Target
from envwatch.settings import SourceSettings

SOURCE = schema.source.c
ENV = schema.environment.c
SPEC = schema.spec.c
GENERATION = schema.generation.c


# one request to change a source: there may be many, and they are nobody's business but its own
preview_member: ColumnElement[bool] = (SOURCE.base != "") & (SOURCE.family != "")

# each poll runs these two: to make a statement anew costs more than to run it
_BY_NAME = select(schema.source).where(SOURCE.name == bindparam("of"), SOURCE.removed_at.is_(None))
_WELL = (
    update(schema.source)
    .where(SOURCE.name == bindparam("of"))
    .values(
        looked_at=bindparam("now", type_=schema.Instant()),
        ok_at=bindparam("now", type_=schema.Instant()),
        failures=0,
        state=SourceState.OK,
        message="",
        hint="",
    )
)


class Sources:
    """What envwatch knows of its sources."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> tuple[SourceRecord, ...]:
        query = select(schema.source).where(SOURCE.removed_at.is_(None)).order_by(SOURCE.name)
        with self._database.read() as c:
            return tuple(rows.source(r) for r in c.execute(query))

    def get(self, name: str) -> SourceRecord | None:
        with self._database.read() as c:
            row = c.execute(_BY_NAME, {"of": name}).first()
        return rows.source(row) if row else None

    def declare(self, sources: Sequence[tuple[SourceSettings, str]], *, family: str = "") -> None:
        """Take over the sources of the config, each with its place as people may see it.

        With `family` they are all its members there are now, and other sources stay as they are.
        """
        now = datetime.now(UTC)
        with self._database.write() as c:
            for settings, place in sources:
                _declare(c, settings, place)
            names = [s.name for s, _ in sources]
            # who belongs to a family that is gone goes with it
            families = [s.name for s, _ in sources if s.is_family]
            mine = SOURCE.family == family if family else SOURCE.family.not_in(families)
            gone = (mine, SOURCE.name.not_in(names), SOURCE.removed_at.is_(None))
            c.execute(update(schema.source).where(*gone).values(removed_at=now))

    def members(self, family: str) -> tuple[str, ...]:
        """The sources that are branches of this one, as last seen."""
        query = select(SOURCE.name).where(SOURCE.family == family, SOURCE.removed_at.is_(None))
        with self._database.read() as c:
            return tuple(c.execute(query.order_by(SOURCE.name)).scalars())

    def looked(self, name: str) -> None:
        """Nothing new was seen."""
        now = datetime.now(UTC)
        with self._database.write(detail=True) as c:
            c.execute(_WELL, {"of": name, "now": now})

    def failed(self, name: str, message: str, hint: str, *, stalled: bool) -> int:
        """The source could not be read; how often in a row."""
        now = datetime.now(UTC)
        state = SourceState.STALLED if stalled else SourceState.FAILING
        with self._database.write() as c:
            before = c.execute(
                select(SOURCE.state, SOURCE.message).where(SOURCE.name == name)
            ).first()
            failures = c.execute(
                update(schema.source)
                .where(SOURCE.name == name)
                .values(
                    looked_at=now,
                    failures=SOURCE.failures + 1,
                    state=state,
                    message=message,
                    hint=hint,
                )
                .returning(SOURCE.failures)
            ).scalar()
            if before is None or (before.state, before.message) != (state, message):
                note(c, "source-failing", message, source=name)
        return failures or 0

    def empty(self, name: str, message: str, hint: str) -> None:
        """The source shows nothing where there was something: condition SourceEmpty."""
        now = datetime.now(UTC)
        with self._database.write() as c:
            changed = c.execute(
                update(schema.source)
                .where(SOURCE.name == name, SOURCE.state != SourceState.EMPTY)
                .values(state=SourceState.EMPTY, message=message, hint=hint)
            ).rowcount
            c.execute(update(schema.source).where(SOURCE.name == name).values(looked_at=now))
            if changed:
                note(c, "source-empty", message, source=name)

    def confirm_empty(self, name: str) -> None:
        """A person says that the emptiness is meant; the next plan may retire everything."""
        with self._database.write() as c:
            c.execute(
                update(schema.source)
                .where(SOURCE.name == name)
                .values(confirmed_empty=True, fingerprint="")
            )

    def tell(self, name: str, kind: str, message: str) -> None:
        """Something that people did to a source, for its story."""
        with self._database.write(detail=True) as c:
            note(c, kind, message, source=name)

    def refused(self) -> tuple[str, ...]:
        """The refused files of all sources, each with its first message; requests are left out."""
        FILE = schema.file.c  # noqa: N806  # the columns
        previews = select(SOURCE.name).where(preview_member)
        query = select(schema.file).where(
            FILE.state == FileState.REFUSED, FILE.source.not_in(previews)
        )
        with self._database.read() as c:
            return tuple(str(r.messages[0]) for r in c.execute(query.order_by(FILE.path)))

    def standing(self, name: str) -> tuple[Standing, ...]:
        """What was last asked for by this source, and what others hold (to see clashes).

        What a source held that is gone from the config is free: it may have another name now.
        """
        there = select(SOURCE.name).where(SOURCE.removed_at.is_(None))
        query = select(
            ENV.namespace, ENV.name, ENV.source, ENV.path, ENV.asked_digest, ENV.retired_at
        ).where((ENV.source == name) | (ENV.retired_at.is_(None) & ENV.source.in_(there)))
        with self._database.read() as c:
            return tuple(
                Standing(
                    EnvKey(r.namespace, r.name),
                    r.source,
                    r.path,
                    r.asked_digest,
                    bool(r.retired_at),
                )
                for r in c.execute(query)
            )

    def parts(self, name: str) -> tuple[tuple[EnvKey, str], ...]:
        """The environments of a source that are merged from several files, with each of them."""
        query = (
            select(ENV.namespace, ENV.name, SPEC.composition)
            .join_from(schema.environment, schema.spec)
            .where(ENV.source == name, ENV.retired_at.is_(None), SPEC.composition.is_not(None))
        )
        with self._database.read() as c:
            found = [(EnvKey(r.namespace, r.name), r.composition) for r in c.execute(query)]
        return tuple((key, layer.path) for key, made in found for layer in made.layers)

    def targets(self, name: str) -> tuple[Target, ...]:
        """The environments of a source that requests are for, and what is current of each."""
        query = (
            select(ENV.name, ENV.path, ENV.asked_digest, GENERATION.lock_digest)
            .select_from(
                schema.environment.outerjoin(
                    schema.generation,
                    (GENERATION.environment_id == ENV.id) & (GENERATION.number == ENV.current),
                )
            )
            .where(ENV.source == name, ENV.retired_at.is_(None))
            .order_by(ENV.name)
        )
        with self._database.read() as c:
            return tuple(
                Target(r.name, r.path, r.asked_digest, r.lock_digest or "")
                for r in c.execute(query)
            )

    def apply(self, plan: Plan, *, fingerprint: str, rules: str) -> tuple[EnvironmentRecord, ...]:
        """Take over a plan in one transaction; the environments that changed."""
        now = datetime.now(UTC)
        changed: list[int] = []
        with self._database.write() as c:
            _record_revision(c, plan, now)
            changed += [asks.take(c, plan, ask, now) for ask in plan.build]
            changed += [asks.touch(c, plan, ask, now) for ask in plan.touch]
            changed += [i for key in plan.retire if (i := asks.retire(c, key, now))]
            for key, message in plan.invalid:
                asks.change(c, key, invalid=message)
            _replace_files(c, plan.source, plan.files)
            c.execute(
                update(schema.source)
                .where(SOURCE.name == plan.source)
                .values(
                    fingerprint=fingerprint,
                    rules=rules,
                    revision=plan.revision,
                    ref=plan.ref,
                    state=SourceState.OK,
                    message="",
                    hint="",
                    failures=0,
                    looked_at=now,
                    ok_at=now,
                    confirmed_empty=False,
                )
            )
            found = c.execute(rows.environments.where(ENV.id.in_(changed)))
            return tuple(rows.environment(r) for r in found)


def _declare(c: Connection, settings: SourceSettings, place: str) -> None:
    values = {
        "namespace": settings.namespace,
        "kind": settings.kind.value,
        "place": place,
        "branch": settings.follows,
        "family": settings.family,
        "base": settings.base,
        "title": settings.title,
        "link": settings.link,
        "removed_at": None,
    }
    c.execute(
        upsert(schema.source)
        .values(name=settings.name, **values)
        .on_conflict_do_update(index_elements=["name"], set_=values)
    )


def _record_revision(c: Connection, plan: Plan, now: datetime) -> None:
    if not plan.revision:
        return
    commit = plan.commit
    values = {
        "author": commit.author if commit else "",
        "email": commit.email if commit else "",
        "subject": commit.subject if commit else "",
        "committed_at": commit.at if commit else None,
        "signature": commit.signature if commit else "",
        "seen_at": now,
    }
    c.execute(
        upsert(schema.revision)
        .values(source=plan.source, revision=plan.revision, **values)
        .on_conflict_do_nothing()
    )


def _replace_files(c: Connection, source: str, files: Sequence[FileOutcome]) -> None:
    c.execute(delete(schema.file).where(schema.file.c.source == source))
    if files:
        c.execute(
            insert(schema.file),
            [
                {
                    "source": source,
                    "path": f.path,
                    "state": f.state,
                    "namespace": f.key.namespace if f.key else "",
                    "name": f.key.name if f.key else "",
                    "messages": f.messages,
                }
                for f in files
            ],
        )
