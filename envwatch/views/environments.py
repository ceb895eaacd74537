"""Lists of environments: chosen from the board, shown with one query for each thing beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, and_, case, func, select

from envwatch.catalog import rows, schema
from envwatch.catalog.database import Database
from envwatch.catalog.labels import carrying
from envwatch.catalog.records import BuildRecord, EnvironmentRecord, GenerationRecord
from envwatch.catalog.schema import SourceState
from envwatch.catalog.sources import preview_member
from envwatch.model import BuildState, EnvKey, EnvState, GitState
from envwatch.views.board import FAILED, Board, Standing, board, by_name, state_of
from envwatch.views.commits import commits
from envwatch.views.lists import pages_of
from envwatch.views.scope import EVERYTHING, Scope, of_sources
from envwatch.views.values import Counts, EnvRow, Frame, Listing, NamespaceRow

ENV = schema.environment.c
BUILD = schema.build.c
GENERATION = schema.generation.c
HISTORY = 8
PREVIEW = "preview"
TROUBLED = (SourceState.FAILING, SourceState.STALLED, SourceState.EMPTY)


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
    all_of_them = board(database, retired=retired)
    found = chosen(all_of_them.seen(scope), namespace, search)
    if label:
        with database.read() as c:
            labelled = carrying(c, label)
        found = [s for s in found if s.id in labelled]
    living = [s for s in found if not s.preview_of]
    previews = [s for s in found if s.preview_of]
    filtered = previews if state == PREVIEW else [s for s in living if _is_in(s, state)]
    pages, page = pages_of(len(filtered), page, size)
    shown = [s.id for s in filtered[(page - 1) * size : page * size]]
    counts = replace(_counts(living), previews=len(previews))
    return Listing(_rows(database, all_of_them, shown), page, pages, len(filtered), counts)


def chosen(found: Sequence[Standing], namespace: str, search: str) -> list[Standing]:
    """Those of a namespace, empty for any, in which each of the words is found."""
    words = search.casefold().split()
    return [
        s
        for s in found
        if namespace in ("", s.key.namespace) and all(word in s.words for word in words)
    ]


def namespaces(database: Database, scope: Scope = EVERYTHING) -> tuple[NamespaceRow, ...]:
    """Those that have an environment, by name."""
    living = board(database).living(scope)
    count = Counter(s.key.namespace for s in living)
    attention = Counter(s.key.namespace for s in living if s.attention)
    return tuple(NamespaceRow(name, count[name], attention[name]) for name in sorted(count))


def has_namespace(database: Database, name: str, scope: Scope = EVERYTHING) -> bool:
    """Was there ever an environment in it?"""
    query = select(ENV.id).where(ENV.namespace == name, *scope.where()).limit(1)
    with database.read() as c:
        return c.execute(query).first() is not None


def published(database: Database, scope: Scope = EVERYTHING) -> tuple[EnvKey, ...]:
    """Those that can be used now, by name."""
    usable = (s for s in board(database).living(scope) if s.current is not None)
    return tuple(s.key for s in sorted(usable, key=by_name))


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
        size = store_size(c) if scope.everything else None
    return Frame(
        counts=_counts(board(database).living(scope)),
        sources=sources,
        failing=failed or 0,
        looked_at=looked_at,
        store_size=size,
    )


def tally(database: Database) -> tuple[tuple[str, EnvState, int], ...]:
    """How many environments of each namespace are in which state."""
    found = Counter((s.key.namespace, s.state) for s in board(database).living(EVERYTHING))
    return tuple((namespace, state, n) for (namespace, state), n in sorted(found.items()))


def store_size(c: Connection) -> int:
    """Bytes of the prefixes that are kept, each counted once however many generations use it."""
    one_each = (
        select(func.max(GENERATION.own_size).label("size"))
        .where(GENERATION.pruned_at.is_(None))
        .group_by(GENERATION.prefix)
        .subquery()
    )
    return int(c.execute(select(func.coalesce(func.sum(one_each.c.size), 0))).scalar_one())


def _is_in(s: Standing, state: str) -> bool:
    """A word that is none of the filters takes all."""
    if state == "attention":
        return s.attention
    if state == GitState.INVALID.value:
        return s.invalid
    return state not in tuple(EnvState) or s.state == state


def _counts(found: Sequence[Standing]) -> Counts:
    states = Counter(s.state for s in found)
    return Counts(
        **{s.value: states[s] for s in EnvState},
        queued=sum(s.queued for s in found),
        invalid=sum(s.invalid for s in found),
        attention=sum(s.attention for s in found),
    )


def _rows(database: Database, of: Board, ids: Sequence[int]) -> tuple[EnvRow, ...]:
    """What was read of this board once is not read again, but for what runs."""
    missing = [i for i in ids if i not in of.rows]
    read: dict[int, EnvRow] = {}
    if missing:
        with database.read() as c:
            read = dict(zip(missing, env_rows(c, missing), strict=True))
    of.keep(read)
    return tuple(read[i] if i in read else of.rows[i] for i in ids)


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
        env=state_of(
            serving=serving is not None,
            newest=build.state if build else None,
            solved=build.solve_only if build else False,
        ),
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
