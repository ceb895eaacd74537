"""How each environment stands: what lists are filtered, counted and ordered by.

All of them are read at once, and every list, filter and search is served from that until more
than a detail is written to the catalog.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Row, and_, func, select

from envwatch.catalog import schema
from envwatch.catalog.database import Database
from envwatch.model import RUNNING, BuildState, EnvKey, EnvState
from envwatch.views.scope import EVERYTHING, Scope
from envwatch.views.values import EnvRow

ENV = schema.environment.c
BUILD = schema.build.c
GENERATION = schema.generation.c
FAILED = (BuildState.FAILED, BuildState.TIMED_OUT)
ACTIVE = (BuildState.QUEUED, *RUNNING)
MOST_SCOPES = 512  # of people with rights of their own: what each may see is kept until a change


@dataclass(frozen=True, slots=True)
class Standing:
    """One environment: `words` is what a search looks through, `newest` how its last build is.

    One that runs may be further by now. `lock` is the digest of what is in use, `build` the build
    which made that, else the last one.
    """

    id: int
    key: EnvKey
    description: str
    source: str
    path: str
    revision: str
    words: str
    state: EnvState
    newest: BuildState | None
    current: int | None
    held: bool
    lock: str
    build: int | None
    queued: int
    invalid: bool
    damaged: bool
    changed_at: datetime
    preview_of: str

    @property
    def attention(self) -> bool:
        """Should a person look at it?"""
        return self.state is EnvState.FAILED or self.invalid or self.damaged


class Board:
    """All of them: what needs attention first, then the newest change.

    `rows` are those that were shown since, by their numbers, but for what is being built; `locks`
    are the digests of all that is in use.
    """

    def __init__(self, found: Sequence[Standing]) -> None:
        self._all = tuple(sorted(found, key=_order))
        self._seen: dict[Scope, tuple[Standing, ...]] = {}
        self.rows: dict[int, EnvRow] = {}
        self.locks = frozenset(s.lock for s in found if s.lock)

    def seen(self, scope: Scope) -> tuple[Standing, ...]:
        if scope.everything:
            return self._all
        seen = self._seen.get(scope)
        if seen is None:
            if len(self._seen) >= MOST_SCOPES:
                self._seen.clear()
            seen = tuple(s for s in self._all if scope.shows(s.key, s.preview_of))
            self._seen[scope] = seen
        return seen

    def living(self, scope: Scope) -> tuple[Standing, ...]:
        """Those that people work with: previews have a list of their own."""
        return tuple(s for s in self.seen(scope) if not s.preview_of)

    def keep(self, rows: Mapping[int, EnvRow]) -> None:
        """For whoever asks next. What runs gets further, and the board stays as it is."""
        self.rows |= {i: row for i, row in rows.items() if not set(RUNNING) & {*row.history}}


def board(database: Database, *, retired: bool = False) -> Board:
    """The environments that are there, or those that were."""
    if not database.alone:
        return _read(database, retired=retired)
    with _one_at_a_time:
        changes, (of, found) = database.changes, _kept(database, retired=retired)
        if found is None or of != changes:
            found = _read(database, retired=retired)
            _boards[database][retired] = (changes, found)
        return found


def build_of(database: Database, environment_id: int) -> int | None:
    """The build of what is in use, else the newest; None for what is not there."""
    found = board(database).seen(EVERYTHING)
    return next((s.build for s in found if s.id == environment_id), None)


def by_name(s: Standing) -> tuple[str, str]:
    return s.key.namespace, s.key.name


def state_of(*, serving: bool, newest: BuildState | None, solved: bool) -> EnvState:
    """The newest build decides, with what is in use. `solved`: it was to solve, not to install."""
    if newest in ACTIVE:
        return EnvState.BUILDING
    if newest in FAILED:
        return EnvState.FAILED
    if solved and newest is BuildState.READY:
        return EnvState.SOLVED
    return EnvState.READY if serving else EnvState.MISSING


_one_at_a_time = threading.Lock()
_boards: WeakKeyDictionary[Database, dict[bool, tuple[int, Board]]] = WeakKeyDictionary()


def _kept(database: Database, *, retired: bool) -> tuple[int, Board | None]:
    return _boards.setdefault(database, {}).get(retired, (0, None))


def _read(database: Database, *, retired: bool) -> Board:
    with database.read() as c:
        return Board(tuple(_standings(c, retired=retired)))


def _standings(c: Connection, *, retired: bool) -> Iterator[Standing]:
    """The newest build is looked up for each: what that costs does not grow with the years."""
    each, latest = schema.build.alias("each"), schema.build.alias("latest")
    newest = select(func.max(each.c.id)).where(each.c.environment_id == ENV.id).scalar_subquery()
    current = and_(GENERATION.environment_id == ENV.id, GENERATION.number == ENV.current)
    query = (
        select(
            ENV.id, ENV.namespace, ENV.name, ENV.description, ENV.current, ENV.changed_at,
            ENV.preview_of, ENV.invalid.is_not(None).label("invalid"), ENV.held,
            ENV.source, ENV.path, ENV.revision,
            latest.c.id.label("last"), latest.c.state, latest.c.solve_only,
            GENERATION.lock_digest, GENERATION.build_id, GENERATION.damaged, GENERATION.pruned_at,
        )
        .select_from(schema.environment)
        .outerjoin(latest, latest.c.id == newest)
        .outerjoin(schema.generation, current)
        .where(ENV.retired_at.is_not(None) if retired else ENV.retired_at.is_(None))
    )  # fmt: skip
    waiting = select(BUILD.environment_id, func.count()).where(BUILD.state == BuildState.QUEUED)
    queued = {r[0]: r[1] for r in c.execute(waiting.group_by(BUILD.environment_id))}
    for r in c.execute(query):
        yield _standing(r, queued.get(r.id, 0))


def _standing(r: Row[tuple[object, ...]], queued: int) -> Standing:
    serving = r.lock_digest is not None and r.pruned_at is None
    return Standing(
        id=r.id,
        key=EnvKey(r.namespace, r.name),
        description=r.description,
        source=r.source,
        path=r.path,
        revision=r.revision,
        words=f"{r.namespace}/{r.name}\n{r.description}".casefold(),
        state=state_of(serving=serving, newest=r.state, solved=bool(r.solve_only)),
        newest=r.state,
        current=r.current,
        held=r.held,
        lock=r.lock_digest or "",
        build=r.last if r.build_id is None else r.build_id,
        queued=queued,
        invalid=r.invalid,
        damaged=bool(r.damaged),
        changed_at=r.changed_at,
        preview_of=r.preview_of,
    )


def _order(s: Standing) -> tuple[bool, bool, float, int]:
    building = s.state is EnvState.BUILDING
    return (not s.attention, not building, -s.changed_at.timestamp(), s.id)
