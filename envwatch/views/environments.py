"""Lists of environments: one query for the page, one for each thing shown beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, exists, func, or_, select

from envwatch.catalog import rows, schema
from envwatch.catalog.database import Database
from envwatch.catalog.labels import carries
from envwatch.catalog.records import BuildRecord, EnvironmentRecord, GenerationRecord
from envwatch.catalog.schema import SourceState
from envwatch.catalog.sources import preview_member
from envwatch.model import RUNNING, BuildState, EnvKey, EnvState, GitState
from envwatch.views.commits import commits
from envwatch.views.scope import EVERYTHING, Scope, of_sources
from envwatch.views.values import Counts, EnvRow, Frame, Listing, NamespaceRow

ENV = schema.environment.c
BUILD = schema.build.c
GENERATION = schema.generation.c
HISTORY = 8
FAILED = (BuildState.FAILED, BuildState.TIMED_OUT)
ACTIVE = (BuildState.QUEUED, *RUNNING)
# the environments that people work with: previews have a list of their own
_LIVING: list[ColumnElement[bool]] = [ENV.retired_at.is_(None), ENV.preview_of == ""]
PREVIEW = "preview"
TROUBLED = (SourceState.FAILING, SourceState.STALLED, SourceState.EMPTY)

# The newest build of each environment decides, with what is current, in which state it is. Looked
# up for each environment: what it costs does not grow with the builds of years.
_each = schema.build.alias("each")
_latest = schema.build.alias("latest")
_joined = schema.environment.outerjoin(
    _latest,
    _latest.c.id
    == select(func.max(_each.c.id)).where(_each.c.environment_id == ENV.id).scalar_subquery(),
)

# after a restore, as long as its files are not made again
_absent = exists().where(
    GENERATION.environment_id == ENV.id,
    GENERATION.number == ENV.current,
    GENERATION.pruned_at.is_not(None),
)
state_of: ColumnElement[str] = case(
    (_latest.c.state.in_(ACTIVE), EnvState.BUILDING.value),
    (_latest.c.state.in_(FAILED), EnvState.FAILED.value),
    (ENV.solve_only & (_latest.c.state == BuildState.READY), EnvState.SOLVED.value),
    (or_(ENV.current.is_(None), _absent), EnvState.MISSING.value),
    else_=EnvState.READY.value,
)


_damaged = exists().where(
    GENERATION.environment_id == ENV.id,
    GENERATION.number == ENV.current,
    GENERATION.damaged != "",
)
needs_attention: ColumnElement[bool] = or_(
    state_of == EnvState.FAILED.value, ENV.invalid.is_not(None), _damaged
)


def listing(  # noqa: PLR0913  # each filter of the page is one
    database: Database,
    *,
    namespace: str = "",
    search: str = "",
    state: str = "",
    label: str = "",
    retired: bool = False,
    page: int = 1,
    size: int = 50,
    scope: Scope = EVERYTHING,
) -> Listing:
    """One page of environments, those that need attention first, then the newest change."""
    where = _where(namespace, search, retired=retired)
    where += [carries(label)] if label else []
    where += scope.where()
    of_previews = [*where, ENV.preview_of != ""]
    where.append(ENV.preview_of == "")
    filtered = of_previews if state == PREVIEW else [*where, *_state_filter(state)]
    with database.read() as c:
        counts = replace(_counts(c, where), previews=_count(c, of_previews))
        total = _count(c, filtered) if state else counts.environments
        pages = max(1, -(-total // size))
        page = min(max(1, page), pages)
        ids = c.execute(
            select(ENV.id)
            .select_from(_joined)
            .where(*filtered)
            .order_by(_urgency(), ENV.changed_at.desc(), ENV.id)
            .limit(size)
            .offset((page - 1) * size)
        ).scalars()
        found = env_rows(c, tuple(ids))
    return Listing(found, page, pages, total, counts)


def namespaces(database: Database, scope: Scope = EVERYTHING) -> tuple[NamespaceRow, ...]:
    """Those that have an environment, by name."""
    attention = case((needs_attention, 1), else_=0)
    query = (
        select(ENV.namespace, func.count(), func.sum(attention))
        .select_from(_joined)
        .where(*_LIVING, *scope.where())
        .group_by(ENV.namespace)
        .order_by(ENV.namespace)
    )
    with database.read() as c:
        return tuple(NamespaceRow(*row) for row in c.execute(query))


def has_namespace(database: Database, name: str, scope: Scope = EVERYTHING) -> bool:
    """Was there ever an environment in it?"""
    query = select(ENV.id).where(ENV.namespace == name, *scope.where()).limit(1)
    with database.read() as c:
        return c.execute(query).first() is not None


def published(database: Database, scope: Scope = EVERYTHING) -> tuple[EnvKey, ...]:
    """Those that can be used now, by name."""
    query = select(ENV.namespace, ENV.name).where(*_LIVING, ENV.current.is_not(None))
    with database.read() as c:
        found = c.execute(query.where(*scope.where()).order_by(ENV.namespace, ENV.name))
        return tuple(EnvKey(r.namespace, r.name) for r in found)


def frame(database: Database, scope: Scope = EVERYTHING) -> Frame:
    """What every page says of the whole."""
    SOURCE = schema.source.c  # noqa: N806  # the columns, as above
    failing = case((SOURCE.state.in_(TROUBLED), 1), else_=0)
    with database.read() as c:
        sources, failed, looked_at = c.execute(
            select(func.count(), func.sum(failing), func.min(SOURCE.looked_at)).where(
                SOURCE.removed_at.is_(None), ~preview_member, *of_sources(c, scope)
            )
        ).one()
        return Frame(
            counts=_counts(c, [*_LIVING, *scope.where()]),
            sources=sources,
            failing=failed or 0,
            looked_at=looked_at,
            store_size=store_size(c) if scope.everything else None,
        )


def tally(c: Connection) -> tuple[tuple[str, EnvState, int], ...]:
    """How many environments of each namespace are in which state."""
    query = (
        select(ENV.namespace, state_of, func.count())
        .select_from(_joined)
        .where(*_LIVING)
        .group_by(ENV.namespace, state_of)
        .order_by(ENV.namespace, state_of)
    )
    return tuple((namespace, EnvState(state), n) for namespace, state, n in c.execute(query))


def _count(c: Connection, where: Sequence[ColumnElement[bool]]) -> int:
    return c.execute(select(func.count()).select_from(_joined).where(*where)).scalar_one()


def store_size(c: Connection) -> int:
    """Bytes of the prefixes that are kept, each counted once however many generations use it."""
    one_each = (
        select(func.max(GENERATION.own_size).label("size"))
        .where(GENERATION.pruned_at.is_(None))
        .group_by(GENERATION.prefix)
        .subquery()
    )
    return int(c.execute(select(func.coalesce(func.sum(one_each.c.size), 0))).scalar_one())


def _where(namespace: str, search: str, *, retired: bool) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [
        ENV.retired_at.is_not(None) if retired else ENV.retired_at.is_(None)
    ]
    if namespace:
        where.append(ENV.namespace == namespace)
    where.extend(
        or_(
            (ENV.namespace + "/" + ENV.name).icontains(word, autoescape=True),
            ENV.description.icontains(word, autoescape=True),
        )
        for word in search.split()
    )
    return where


def _state_filter(state: str) -> list[ColumnElement[bool]]:
    if state == "attention":
        return [needs_attention]
    if state == GitState.INVALID.value:
        return [ENV.invalid.is_not(None)]
    return [state_of == state] if state in tuple(EnvState) else []


def _urgency() -> ColumnElement[int]:
    return case((needs_attention, 0), (state_of == EnvState.BUILDING.value, 1), else_=2)


def _counts(c: Connection, where: Sequence[ColumnElement[bool]]) -> Counts:
    by_state = (
        select(
            state_of,
            func.count(),
            func.sum(case((ENV.invalid.is_not(None), 1), else_=0)),
            func.sum(case((needs_attention, 1), else_=0)),
        )
        .select_from(_joined)
        .where(*where)
        .group_by(state_of)
    )
    found = [tuple(r) for r in c.execute(by_state)]
    states = {r[0]: r[1] for r in found}
    queued = c.execute(
        select(func.count())
        .select_from(schema.build.join(schema.environment))
        .where(BUILD.state == BuildState.QUEUED, *where)
    ).scalar_one()
    return Counts(
        **{s.value: states.get(s.value, 0) for s in EnvState},
        queued=queued,
        invalid=sum(r[2] for r in found),
        attention=sum(r[3] for r in found),
    )


def env_rows(c: Connection, ids: Sequence[int]) -> tuple[EnvRow, ...]:
    """The rows of these environments, in the order of `ids`."""
    if not ids:
        return ()
    found = {r.id: rows.environment(r) for r in c.execute(rows.environments.where(ENV.id.in_(ids)))}
    newest = _newest_builds(c, ids)
    published = _published(c, ids)
    histories = _histories(c, ids)
    known = commits(c, {(e.source, e.revision) for e in found.values()})
    return tuple(
        replace(
            _env_row(found[i], newest.get(i), published.get(i, {}), histories.get(i, ())),
            commit=known.get((found[i].source, found[i].revision)),
        )
        for i in ids
    )


def env_row(c: Connection, key: EnvKey) -> EnvRow | None:
    found = c.execute(
        select(ENV.id).where(ENV.namespace == key.namespace, ENV.name == key.name)
    ).scalar()
    return None if found is None else env_rows(c, (found,))[0]


def _newest_builds(c: Connection, ids: Sequence[int]) -> dict[int, BuildRecord]:
    newest = select(func.max(BUILD.id)).where(BUILD.environment_id.in_(ids))
    query = rows.builds.where(BUILD.id.in_(newest.group_by(BUILD.environment_id)))
    return {r.environment_id: rows.build(r) for r in c.execute(query)}


def _published(c: Connection, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """For each environment its current generation and the number of its newest."""
    current = rows.generations.where(
        and_(GENERATION.environment_id.in_(ids), GENERATION.number == ENV.current)
    )
    out: dict[int, dict[str, Any]] = {}
    for r in c.execute(current):
        out[r.environment_id] = {"current": rows.generation(r)}
    newest = (
        select(GENERATION.environment_id, func.max(GENERATION.number))
        .where(GENERATION.environment_id.in_(ids))
        .group_by(GENERATION.environment_id)
    )
    for environment_id, number in c.execute(newest):
        out.setdefault(environment_id, {})["newest"] = number
    waiting = newest.join(schema.environment, ENV.id == GENERATION.environment_id).where(
        GENERATION.candidate, GENERATION.pruned_at.is_(None), GENERATION.number > ENV.current
    )
    for environment_id, number in c.execute(waiting):
        out[environment_id]["candidate"] = number
    return out


def _histories(c: Connection, ids: Sequence[int]) -> dict[int, tuple[BuildState, ...]]:
    rank = func.row_number().over(partition_by=BUILD.environment_id, order_by=BUILD.id.desc())
    ranked = (
        select(BUILD.environment_id, BUILD.id, BUILD.state, rank.label("rank"))
        .where(BUILD.environment_id.in_(ids))
        .subquery()
    )
    query = (
        select(ranked.c.environment_id, ranked.c.state)
        .where(ranked.c.rank <= HISTORY)
        .order_by(ranked.c.environment_id, ranked.c.id)
    )
    out: dict[int, tuple[BuildState, ...]] = {}
    for environment_id, state in c.execute(query):
        out[environment_id] = (*out.get(environment_id, ()), state)
    return out


def _env_row(
    env: EnvironmentRecord,
    build: BuildRecord | None,
    published: dict[str, Any],
    history: tuple[BuildState, ...],
) -> EnvRow:
    current: GenerationRecord | None = published.get("current")
    serving = env.current if current and current.pruned_at is None else None
    return EnvRow(
        key=env.key,
        git=_git_state(env, current, build),
        env=_env_state(serving, build),
        current=serving,
        newest=published.get("newest"),
        held=env.held and serving is not None,
        size=current.size if current else 0,
        changed_at=env.changed_at,
        description=env.description,
        source=env.source,
        path=env.path,
        revision=env.revision,
        build_id=build.id if build else None,
        build_state=build.state if build else None,
        progress=build.progress if build else None,
        started_at=build.started_at if build else None,
        failure=build.failure if build and build.state in FAILED else None,
        invalid=env.invalid,
        history=history,
        retired_at=env.retired_at,
        damaged=current.damaged if current else "",
        labels=env.wishes.labels if env.wishes else (),
        candidate=published.get("candidate"),
        offer=env.offer,
        preview_of=env.preview_of,
        solve_only=env.solve_only,
    )


def _git_state(
    env: EnvironmentRecord, current: GenerationRecord | None, build: BuildRecord | None
) -> GitState:
    if env.invalid is not None:
        return GitState.INVALID
    if env.solve_only and build is not None and build.asked_digest == env.asked_digest:
        return GitState.IN_SYNC if build.state is BuildState.READY else GitState.BEHIND
    if current is not None and current.asked_digest == env.asked_digest:
        return GitState.IN_SYNC
    return GitState.BEHIND


def _env_state(serving: int | None, build: BuildRecord | None) -> EnvState:
    if build is not None and build.state in ACTIVE:
        return EnvState.BUILDING
    if build is not None and build.state in FAILED:
        return EnvState.FAILED
    if build is not None and build.solve_only and build.state is BuildState.READY:
        return EnvState.SOLVED
    return EnvState.READY if serving is not None else EnvState.MISSING
