"""The catalog as numbers, for `/metrics`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Float, Select, case, cast, func, select

from envwatch.catalog import Catalog, schema
from envwatch.catalog.recipients import recipients
from envwatch.model import RUNNING, BuildState
from envwatch.views.environments import store_size, tally
from envwatch.views.values import Figures, PhaseTimes

ENV = schema.environment.c
BUILD = schema.build.c
GENERATION = schema.generation.c
BUCKETS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)


def figures(catalog: Catalog) -> Figures:
    sources, locks = catalog.sources.all(), catalog.writebacks.all()
    states = tally(catalog.database)
    invalid = (
        select(ENV.namespace, func.count())
        .where(ENV.invalid.is_not(None), ENV.retired_at.is_(None), ENV.preview_of == "")
        .group_by(ENV.namespace)
    )
    held = select(func.count()).where(ENV.held, ENV.retired_at.is_(None))
    builds = select(BUILD.state, func.count()).group_by(BUILD.state)
    oldest = select(func.min(BUILD.queued_at)).where(BUILD.state == BuildState.QUEUED)
    archives = select(GENERATION.archive, func.count()).group_by(GENERATION.archive)
    with catalog.database.read() as c:
        generations, pruned, damaged = c.execute(_kept()).one()
        return Figures(
            environments=states,
            invalid=tuple((namespace, n) for namespace, n in c.execute(invalid)),
            held=c.execute(held).scalar_one(),
            builds=tuple((state, n) for state, n in c.execute(builds)),
            phases=tuple(_phases(c)),
            oldest_queued=c.execute(oldest).scalar(),
            sources=sources,
            store_size=store_size(c),
            generations=generations,
            pruned=pruned or 0,
            damaged=damaged or 0,
            archives=tuple((state, n) for state, n in c.execute(archives)),
            recipients=recipients(c),
            locks=locks,
        )


def _kept() -> Select[*tuple[Any, ...]]:
    pruned = GENERATION.pruned_at.is_not(None)
    return select(
        func.count(),
        func.sum(case((pruned, 1), else_=0)),
        func.sum(case((~pruned & (GENERATION.damaged != ""), 1), else_=0)),
    ).select_from(schema.generation)


def _phases(c: Connection) -> Iterable[PhaseTimes]:
    """Counted by the database: ten thousand builds would be as many JSON texts to read."""
    phase = func.json_each(BUILD.phases).table_valued("value").alias("phase")
    name = func.json_extract(phase.c.value, "$.state")
    took = cast(func.json_extract(phase.c.value, "$.seconds"), Float)
    counts = [func.sum(case((took <= limit, 1), else_=0)) for limit in BUCKETS]
    query = (
        select(name, func.count(), func.sum(took), *counts)
        .select_from(schema.build)
        .join(phase, schema.build.c.id.is_not(None))
        .where(BUILD.state.not_in((BuildState.QUEUED, *RUNNING)))
        .group_by(name)
        .order_by(name)
    )
    for phase_name, count, total, *at_most in c.execute(query):
        yield PhaseTimes(phase_name, tuple(zip(BUCKETS, at_most, strict=True)), count, total)
