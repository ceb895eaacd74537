"""Filtered pages of environments, builds and packages for programs: what a visitor may see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, and_, exists, false, func, select

from envwatch.access import Visitor
from envwatch.catalog import rows, schema
from envwatch.catalog.database import Database
from envwatch.catalog.records import (
    BuildRecord,
    EventRecord,
    GenerationRecord,
    SpecRecord,
)
from envwatch.model import ArchiveState, ArtifactKind, BuildState, EnvKey, Manager
from envwatch.views.board import Standing, board, by_name
from envwatch.views.environments import chosen
from envwatch.views.names import holding
from envwatch.views.scope import scope_of

ENV = schema.environment.c
BUILD = schema.build.c
GENERATION = schema.generation.c
PACKAGE = schema.package.c
ARTIFACT = schema.artifact.c
SPEC = schema.spec.c
EVENT = schema.event.c
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Span:
    """Which part of a list: `size` None is all of it. `order` names columns, `down` reverses."""

    page: int = 1
    size: int | None = 100
    order: tuple[str, ...] = ()
    down: bool = False

    def of(self, found: Sequence[T]) -> Sequence[T]:
        """The part of what is there whole."""
        if self.size is None:
            return found
        return found[(self.page - 1) * self.size : self.page * self.size]

    def limit(self, query: Select[Any]) -> Select[Any]:
        """The query of the part alone."""
        if self.size is None:
            return query
        return query.limit(self.size).offset((self.page - 1) * self.size)


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """A part of a list, and how long the whole is."""

    items: tuple[T, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters of environments and builds; an empty one takes all. `artifact` is one of FILES.

    `search` is for environments, `environment_id` for builds alone.
    """

    namespace: str = ""
    name: str = ""
    search: str = ""
    states: tuple[BuildState, ...] = ()
    packages: tuple[str, ...] = ()
    artifact: str = ""
    environment_id: int | None = None


@dataclass(frozen=True, slots=True)
class ListedPackage:
    name: str
    version: str
    build: str
    channel: str
    license: str
    manager: Manager
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Looked:
    """A build with what it was made of and what can be downloaded of it."""

    build: BuildRecord
    spec: SpecRecord
    generation: GenerationRecord | None
    files: tuple[ArtifactKind, ...]


# which file of ours is behind the words of other programs
FILES = {
    "LOCKFILE": ArtifactKind.LOCK,
    "YAML": ArtifactKind.PINNED,
    "LOGS": ArtifactKind.LOG,
    "CONDA_PACK": ArtifactKind.TAR_GZ,
}
_of_build = and_(
    GENERATION.environment_id == BUILD.environment_id, GENERATION.number == BUILD.generation
)
_of_current = and_(GENERATION.environment_id == ENV.id, GENERATION.number == ENV.current)
_packable = and_(GENERATION.pruned_at.is_(None), GENERATION.archive != ArchiveState.FAILED)


def environments(database: Database, who: Visitor, wanted: Wanted, span: Span) -> Part[Standing]:
    """Environments that are not retired, previews apart."""
    of = board(database)
    found = chosen(of.living(scope_of(who.grants)), wanted.namespace, wanted.search)
    fitting = [s for s in found if _fits(s, wanted)]
    for name in wanted.packages:
        locks = holding(database, name, of.locks)
        fitting = [s for s in fitting if s.lock in locks]
    if wanted.artifact:
        files = select(ENV.id).where(*_with_file(wanted.artifact, _of_current))
        with database.read() as c:
            having = set(c.execute(files).scalars())
        fitting = [s for s in fitting if s.id in having]
    return Part(tuple(span.of(_sorted(fitting, span))), len(fitting))


def _fits(s: Standing, wanted: Wanted) -> bool:
    """What is in use counts; the newest build only where nothing is in use yet."""
    state = BuildState.READY if s.current is not None else s.newest
    return wanted.name in ("", s.key.name) and (not wanted.states or state in wanted.states)


def _sorted(found: Sequence[Standing], span: Span) -> list[Standing]:
    known: dict[str, Callable[[Standing], Any]] = {
        "namespace": lambda s: s.key.namespace,
        "name": lambda s: s.key.name,
        "id": lambda s: s.id,
    }
    wanted = [known[name] for name in span.order if name in known]
    ordered = sorted(found, key=by_name, reverse=span.down and not wanted)
    return sorted(ordered, key=lambda s: [of(s) for of in wanted], reverse=span.down)


def builds(database: Database, who: Visitor, wanted: Wanted, span: Span) -> Part[BuildRecord]:
    """Builds of environments that are seen, newest first unless told otherwise."""
    where = [*scope_of(who.grants).where(), *_of_env(wanted)]
    if wanted.states:
        where.append(BUILD.state.in_(wanted.states))
    if wanted.environment_id is not None:
        where.append(BUILD.environment_id == wanted.environment_id)
    where += [_with_package(name) for name in wanted.packages]
    where += _with_file(wanted.artifact, _of_build)
    query = rows.builds.where(*where)
    known = {
        "id": BUILD.id,
        "scheduled_on": BUILD.queued_at,
        "started_on": BUILD.started_at,
        "ended_on": BUILD.ended_at,
        "status": BUILD.state,
        "size": BUILD.size,
    }
    with database.read() as c:
        total = _count(c, query.with_only_columns(BUILD.id))
        ordered = _ordered(query, span, known, (BUILD.id.desc(),))
        return Part(tuple(rows.build(r) for r in c.execute(span.limit(ordered))), total)


def looked(database: Database, found: Sequence[BuildRecord]) -> tuple[Looked, ...]:
    """Some builds with their specs, generations and files: three queries, however many."""
    ids = [b.id for b in found]
    with database.read() as c:
        specs = {
            r.id: rows.spec(r)
            for r in c.execute(select(schema.spec).where(SPEC.id.in_({b.spec_id for b in found})))
        }
        joined = rows.generations.join(schema.build, _of_build).where(BUILD.id.in_(ids))
        made = {
            r.of_build: rows.generation(r)
            for r in c.execute(joined.add_columns(BUILD.id.label("of_build")))
        }
        wanted = {g.id for g in made.values()}
        files: dict[int, tuple[ArtifactKind, ...]] = {}
        for r in c.execute(select(schema.artifact).where(ARTIFACT.generation_id.in_(wanted))):
            files[r.generation_id] = (*files.get(r.generation_id, ()), r.kind)
    return tuple(_look(b, specs[b.spec_id], made.get(b.id), files) for b in found)


def _look(
    build: BuildRecord,
    spec: SpecRecord,
    made: GenerationRecord | None,
    files: dict[int, tuple[ArtifactKind, ...]],
) -> Looked:
    return Looked(build, spec, made, files.get(made.id, ()) if made else ())


def key_of(database: Database, environment_id: int) -> EnvKey | None:
    with database.read() as c:
        row = c.execute(rows.environments.where(ENV.id == environment_id)).first()
    return EnvKey(row.namespace, row.name) if row else None


def packages(  # noqa: PLR0913  # each filter of the API is one
    database: Database,
    who: Visitor,
    *,
    lock: str | None = None,
    search: str = "",
    exact: str = "",
    build: str = "",
    distinct: tuple[str, ...] = (),
    span: Span,
) -> Part[ListedPackage]:
    """The packages of a lock, or without one the conda packages of all that is seen."""
    columns: dict[str, ColumnElement[Any]] = {
        "name": PACKAGE.name,
        "version": PACKAGE.version,
        "build": PACKAGE.build,
        "channel": PACKAGE.channel,
        "license": PACKAGE.license,
        "manager": PACKAGE.manager,
        "sha256": PACKAGE.sha256,
    }
    where = [PACKAGE.lock_digest == lock] if lock is not None else _known_to(who)
    where += [PACKAGE.name.icontains(search, autoescape=True)] if search else []
    where += [PACKAGE.name == exact] if exact else []
    where += [PACKAGE.build.icontains(build, autoescape=True)] if build else []
    unique = [columns[d] for d in distinct if d in columns] or list(columns.values())
    chosen = [
        col.label(n) if any(col is u for u in unique) else func.min(col).label(n)
        for n, col in columns.items()
    ]
    query = select(*chosen).where(*where).group_by(*unique)
    ordered = _ordered(query, span, columns, (PACKAGE.name, PACKAGE.version))
    with database.read() as c:
        total = _count(c, query)
        items = tuple(
            ListedPackage(r.name, r.version, r.build, r.channel, r.license, r.manager, r.sha256)
            for r in c.execute(span.limit(ordered))
        )
    return Part(items, total)


def channels(database: Database, who: Visitor) -> tuple[str, ...]:
    """The channels from which anything that is seen was installed."""
    query = select(PACKAGE.channel).where(*_known_to(who), PACKAGE.channel != "").distinct()
    with database.read() as c:
        return tuple(sorted(c.execute(query).scalars()))


def usage(database: Database, who: Visitor) -> tuple[tuple[str, int, int, int], ...]:
    """Of each namespace its name, environments, builds and bytes: each prefix once."""
    living = (*scope_of(who.grants).where(), ENV.preview_of == "")
    envs = select(ENV.namespace, func.count()).where(*living, ENV.retired_at.is_(None))
    made = select(ENV.namespace, func.count()).join_from(schema.build, schema.environment)
    one_each = (
        select(ENV.namespace, func.max(GENERATION.own_size).label("size"))
        .join_from(schema.generation, schema.environment)
        .where(*scope_of(who.grants).where(), GENERATION.pruned_at.is_(None))
        .group_by(ENV.namespace, GENERATION.prefix)
        .subquery()
    )
    sizes = select(one_each.c.namespace, func.sum(one_each.c.size)).group_by(one_each.c.namespace)
    with database.read() as c:
        counted = {r[0]: r[1] for r in c.execute(envs.group_by(ENV.namespace))}
        built = {r[0]: r[1] for r in c.execute(made.where(*living).group_by(ENV.namespace))}
        size = {r[0]: r[1] for r in c.execute(sizes)}
    names = sorted({*counted, *built, *size})
    return tuple((n, counted.get(n, 0), built.get(n, 0), size.get(n, 0) or 0) for n in names)


def events(
    database: Database, who: Visitor, *, key: EnvKey | None, after: int, limit: int
) -> tuple[tuple[EnvKey, EventRecord], ...]:
    """What happened after the event of that id, oldest first: for who follows."""
    query = (
        select(schema.event, ENV.namespace, ENV.name)
        .join_from(schema.event, schema.environment)
        .where(*scope_of(who.grants).where(), EVENT.id > after)
        .order_by(EVENT.id)
        .limit(limit)
    )
    if key is not None:
        query = query.where(ENV.namespace == key.namespace, ENV.name == key.name)
    with database.read() as c:
        return tuple(
            (EnvKey(r.namespace, r.name), EventRecord(r.id, r.at, r.type, r.message))
            for r in c.execute(query)
        )


# ---------------------------------------------------------------- parts


def _of_env(wanted: Wanted) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    where += [ENV.namespace == wanted.namespace] if wanted.namespace else []
    where += [ENV.name == wanted.name] if wanted.name else []
    return where


def _with_package(name: str) -> ColumnElement[bool]:
    """By the whole key: by its name alone a package is found in every lock that ever was."""
    return exists().where(
        _of_build,
        PACKAGE.lock_digest == GENERATION.lock_digest,
        PACKAGE.manager.in_(tuple(Manager)),
        PACKAGE.name == name,
    )


def _with_file(artifact: str, joined: ColumnElement[bool]) -> list[ColumnElement[bool]]:
    """Having a file of this kind, empty for any."""
    if artifact in ("CONDA_PACK", "DIRECTORY"):
        return [exists().where(joined, _packable)]
    if artifact in FILES:
        of_kind = and_(ARTIFACT.generation_id == GENERATION.id, ARTIFACT.kind == FILES[artifact])
        return [exists().where(joined, of_kind)]
    return [false()] if artifact else []  # a kind that is never made


def _known_to(who: Visitor) -> list[ColumnElement[bool]]:
    used = (
        select(GENERATION.lock_digest)
        .join_from(schema.generation, schema.environment)
        .where(*scope_of(who.grants).where(), ENV.retired_at.is_(None))
    )
    return [PACKAGE.lock_digest.in_(used), PACKAGE.manager == Manager.CONDA]


def _ordered(
    query: Select[Any],
    span: Span,
    known: dict[str, Any],
    usual: tuple[Any, ...],
) -> Select[Any]:
    chosen = [known[name] for name in span.order if name in known]
    if not chosen:
        return query.order_by(*(usual if not span.down else _reversed(usual)))
    return query.order_by(*(col.desc() if span.down else col for col in chosen), *usual)


def _reversed(usual: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(col.element if hasattr(col, "modifier") else col.desc() for col in usual)


def _count(c: Any, query: Select[Any]) -> int:
    return int(c.execute(select(func.count()).select_from(query.subquery())).scalar_one())
