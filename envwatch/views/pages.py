"""One environment, one build, two generations side by side, the sources."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, func, select

from envwatch import diff
from envwatch.catalog import Catalog, rows, schema
from envwatch.catalog.packages import Lists
from envwatch.catalog.records import (
    ArtifactRecord,
    BuildRecord,
    EnvironmentRecord,
    EventRecord,
    GenerationRecord,
    SourceRecord,
    SpecRecord,
)
from envwatch.diff import PackageDiff
from envwatch.errors import NotFound
from envwatch.model import BuildState, EnvKey, FileOutcome, FileState, Package
from envwatch.views import previews
from envwatch.views.commits import commit, commits, of_source, with_builds
from envwatch.views.environments import env_row
from envwatch.views.lists import pages_of
from envwatch.views.scope import EVERYTHING, Scope, seen_sources
from envwatch.views.values import (
    BuildPage,
    BuildRow,
    DiffPage,
    EnvironmentPage,
    EnvRow,
    FeedEntry,
    GenerationRow,
    Point,
    SourcePage,
    SourceRow,
)
from envwatch.views.words import seconds

ENV = schema.environment.c
BUILD = schema.build.c
GENERATION = schema.generation.c
EVENT = schema.event.c
FILE = schema.file.c
SIZE = 20
POINTS = 60


def environment(
    catalog: Catalog, key: EnvKey, *, page: int = 1, scope: Scope = EVERYTHING
) -> EnvironmentPage:
    """Everything about one environment. Raises NotFound."""
    record = catalog.generations.environment(key)
    with catalog.database.read() as c:
        row = _require(env_row(c, key), key)
        total = c.execute(
            select(func.count()).select_from(schema.build).where(BUILD.environment_id == record.id)
        ).scalar_one()
        pages, page = pages_of(total, page, SIZE)
        builds = _builds(c, record.id, page)
        generations = _generations(c, record, [b.build.generation for b in builds])
        events = _events(c, EVENT.environment_id == record.id)
        points = _points(c, record.id)
        said = commit(c, record.source, record.revision)
        spec = _spec(c, record.spec_id)
        lists = Lists(c)
        preview = previews.part(c, record, lists)
        others = () if preview else previews.on(c, key, lists, scope)
        packages = lists.of(previews.chosen(c, record)) if record.solve_only else ()
    current = next((g.generation for g in generations if g.current), None)
    return EnvironmentPage(
        row=row,
        record=record,
        commit=said,
        spec_text=spec.text,
        spec_messages=spec.messages,
        generation=current,
        packages=packages or _packages(catalog, current),
        artifacts=_artifacts(catalog, current),
        generations=generations,
        builds=builds,
        events=events,
        points=points,
        page=page,
        pages=pages,
        layers=_layers(spec),
        virtual_packages=_virtual_packages(spec),
        preview=preview,
        previews=others,
    )


def build(catalog: Catalog, build_id: int, *, scope: Scope = EVERYTHING) -> BuildPage:
    """One build. Raises NotFound."""
    record = catalog.builds.get(build_id)
    env = catalog.generations.environment(record.key)
    generation = (
        catalog.generations.get(record.key, record.generation) if record.generation else None
    )
    previous = _previous(catalog, record, generation)
    with catalog.database.read() as c:
        said = commit(c, record.source, record.revision)
        spec = _spec(c, record.spec_id)
        place = _place(c, record, scope)
        changes = (
            _diff(Lists(c), previous.lock_digest, generation.lock_digest)
            if previous and generation
            else None
        )
    return BuildPage(
        build=record,
        commit=said,
        spec_text=spec.text,
        spec_messages=spec.messages,
        generation=generation,
        current=env.current,
        packages=catalog.builds.packages(record.lock_digest) if record.lock_digest else (),
        artifacts=_artifacts(catalog, generation),
        diff=changes,
        previous=previous.number if previous else None,
        place=place,
        seconds=seconds(record),
        layers=_layers(spec),
    )


def compare(catalog: Catalog, key: EnvKey, old: int, new: int) -> DiffPage:
    """What changed between two generations. Raises NotFound."""
    first, second = (catalog.generations.get(key, n) for n in (old, new))
    numbers = tuple(g.number for g in catalog.generations.of(first.environment_id))
    texts = [catalog.builds.spec(g.spec_id).text for g in (first, second)]
    with catalog.database.read() as c:
        packages = _diff(Lists(c), first.lock_digest, second.lock_digest)
    return DiffPage(
        key=key,
        old=first,
        new=second,
        numbers=numbers,
        spec=diff.lines(*texts),
        packages=packages,
    )


def sources(catalog: Catalog, *, scope: Scope = EVERYTHING) -> tuple[SourceRow, ...]:
    """Every source with the first of its refused files."""
    # requests to change one are listed with those of their kind
    records = [r for r in _records(catalog, scope) if not r.is_request]
    locks = {w.source: w for w in catalog.writebacks.all()}
    with catalog.database.read() as c:
        return tuple(
            replace(
                _source(c, r, _files(r.name).where(FILE.state == FileState.REFUSED).limit(SIZE)),
                locks=locks.get(r.name),
            )
            for r in records
        )


def source(
    catalog: Catalog, name: str, *, page: int = 1, size: int = 100, scope: Scope = EVERYTHING
) -> SourcePage:
    """One source and a page of its files, refused ones first. Raises NotFound."""
    records = _records(catalog, scope)
    record = next((r for r in records if r.name == name), None)
    if record is None:
        raise NotFound(f"there is no source `{name}`", hint="see `envwatch source list`")
    locks = catalog.writebacks.get(name)
    with catalog.database.read() as c:
        total = c.execute(select(func.count()).where(FILE.source == name)).scalar_one()
        pages, page = pages_of(total, page, size)
        row = replace(
            _source(c, record, _files(name).limit(size).offset((page - 1) * size)),
            events=_events(c, EVENT.source == name, SIZE),
            locks=locks,
        )
        shown = with_builds(c, name, c.execute(of_source(name).limit(SIZE)).all(), scope)
    members = tuple(r for r in records if r.family == name)
    return SourcePage(row, page, pages, total, catalog.deliveries.of(name), members, shown)


def feed(
    catalog: Catalog, *, namespace: str = "", limit: int = 50, scope: Scope = EVERYTHING
) -> tuple[FeedEntry, ...]:
    """What happened last, newest first."""
    query = (
        select(schema.event, ENV.namespace, ENV.name)
        .join_from(schema.event, schema.environment)
        .where(EVENT.type.in_(("published", "failed", "timed-out", "retired", "held", "released")))
        .where(ENV.preview_of == "", *scope.where())
        .order_by(EVENT.id.desc())
        .limit(limit)
    )
    if namespace:
        query = query.where(ENV.namespace == namespace)
    with catalog.database.read() as c:
        return tuple(
            FeedEntry(r.id, r.at, EnvKey(r.namespace, r.name), r.type, r.message)
            for r in c.execute(query)
        )


# ---------------------------------------------------------------- parts


def _records(catalog: Catalog, scope: Scope) -> tuple[SourceRecord, ...]:
    records = catalog.sources.all()
    if scope.everything:
        return records
    with catalog.database.read() as c:
        seen = seen_sources(c, scope)
    return tuple(r for r in records if r.name in seen)


def _require(row: EnvRow | None, key: EnvKey) -> EnvRow:
    if row is None:
        raise NotFound(f"there is no environment `{key}`")
    return row


def _spec(c: Connection, spec_id: int) -> SpecRecord:
    return rows.spec(c.execute(select(schema.spec).where(schema.spec.c.id == spec_id)).one())


def _layers(spec: SpecRecord) -> tuple[str, ...]:
    return tuple(layer.path for layer in spec.composition.layers) if spec.composition else ()


def _virtual_packages(spec: SpecRecord) -> tuple[str, ...]:
    said = spec.composition.virtual_packages if spec.composition else ()
    return tuple(" ".join((v.text, *(f"({p})" for p in v.platforms))) for v in said)


def _builds(c: Connection, environment_id: int, page: int) -> tuple[BuildRow, ...]:
    query = (
        rows.builds.where(BUILD.environment_id == environment_id)
        .order_by(BUILD.id.desc())
        .limit(SIZE)
        .offset((page - 1) * SIZE)
    )
    found = [rows.build(r) for r in c.execute(query)]
    known = commits(c, {(b.source, b.revision) for b in found})
    return tuple(BuildRow(b, known.get((b.source, b.revision)), seconds(b)) for b in found)


def _generations(
    c: Connection, env: EnvironmentRecord, shown: Iterable[int | None]
) -> tuple[GenerationRow, ...]:
    """The current one and those of the builds shown, each compared with the one before it."""
    numbers = {n for n in (env.current, *shown) if n is not None}
    query = (
        select(
            schema.generation, ENV.namespace, ENV.name, BUILD.source, BUILD.started_at,
            BUILD.ended_at,
        )
        .join_from(schema.generation, schema.environment)
        .join(schema.build, BUILD.id == GENERATION.build_id)
        .where(GENERATION.environment_id == env.id)
        .where(GENERATION.number.in_(numbers | {n - 1 for n in numbers}))
        .order_by(GENERATION.number.desc())
    )  # fmt: skip
    found = {r.number: r for r in c.execute(query)}
    known = commits(c, {(r.source, r.revision) for r in found.values()})
    lists = Lists(c)
    return tuple(
        GenerationRow(
            rows.generation(r),
            number == env.current,
            known.get((r.source, r.revision)),
            _diff(lists, found[number - 1].lock_digest, r.lock_digest)
            if number - 1 in found
            else None,
            (r.ended_at - r.started_at).total_seconds() if r.started_at and r.ended_at else None,
        )
        for number, r in found.items()
        if number in numbers
    )


def _points(c: Connection, environment_id: int) -> tuple[Point, ...]:
    query = (
        select(BUILD.id, BUILD.started_at, BUILD.ended_at, BUILD.size, BUILD.state)
        .where(
            BUILD.environment_id == environment_id,
            BUILD.started_at.is_not(None),
            BUILD.ended_at.is_not(None),
        )
        .order_by(BUILD.id.desc())
        .limit(POINTS)
    )
    points = [
        Point(
            r.id,
            r.ended_at,
            (r.ended_at - r.started_at).total_seconds(),
            r.size,
            r.state is BuildState.READY,
        )
        for r in c.execute(query)
    ]
    return tuple(reversed(points))


def _events(c: Connection, where: ColumnElement[bool], limit: int = 30) -> tuple[EventRecord, ...]:
    query = select(schema.event).where(where).order_by(EVENT.id.desc()).limit(limit)
    return tuple(EventRecord(r.id, r.at, r.type, r.message) for r in c.execute(query))


def _place(c: Connection, record: BuildRecord, scope: Scope) -> int:
    """Among the builds that are seen: how many wait beside them is nobody else's business."""
    if record.state is not BuildState.QUEUED:
        return 0
    before = select(func.count()).select_from(schema.build.join(schema.environment))
    return c.execute(
        before.where(BUILD.state == BuildState.QUEUED, BUILD.id <= record.id, *scope.where())
    ).scalar_one()


def _packages(catalog: Catalog, generation: GenerationRecord | None) -> tuple[Package, ...]:
    return catalog.builds.packages(generation.lock_digest) if generation else ()


def _artifacts(catalog: Catalog, generation: GenerationRecord | None) -> tuple[ArtifactRecord, ...]:
    return catalog.generations.artifacts(generation.id) if generation else ()


def _previous(
    catalog: Catalog, record: BuildRecord, generation: GenerationRecord | None
) -> GenerationRecord | None:
    if generation is None or generation.number == 1:
        return None
    return catalog.generations.get(record.key, generation.number - 1)


def _files(source: str) -> Select[Any]:
    refused_first = case((FILE.state == FileState.REFUSED, 0), else_=1)
    return select(schema.file).where(FILE.source == source).order_by(refused_first, FILE.path)


def _diff(lists: Lists, old: str, new: str) -> PackageDiff:
    return diff.packages(lists.of(old), lists.of(new))


def _source(c: Connection, record: SourceRecord, files: Select[Any]) -> SourceRow:
    by_state = select(FILE.state, func.count()).where(FILE.source == record.name)
    tally = {state: n for state, n in c.execute(by_state.group_by(FILE.state))}  # noqa: C416  # rows are not pairs to mypy
    return SourceRow(
        record=record,
        commit=commit(c, record.name, record.revision),
        understood=tally.get(FileState.UNDERSTOOD, 0),
        ignored=tally.get(FileState.IGNORED, 0),
        refused=tally.get(FileState.REFUSED, 0),
        files=tuple(
            FileOutcome(
                r.path, r.state, EnvKey(r.namespace, r.name) if r.name else None, r.messages
            )
            for r in c.execute(files)
        ),
        events=(),
    )
