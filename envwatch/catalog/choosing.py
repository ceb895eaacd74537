"""Which generation of an environment is current."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select, update

from envwatch.catalog import rows, schema
from envwatch.digests import BARE_PART, of_text

ENV = schema.environment.c
GENERATION = schema.generation.c


def choose(c: Connection, environment_id: int, now: datetime) -> None:
    """Current is the newest ask that is ready, unless a person holds another."""
    env = rows.environment(c.execute(rows.environments.where(ENV.id == environment_id)).one())
    if env.held and env.current is not None:
        return
    best = c.execute(
        select(GENERATION.number)
        .where(
            GENERATION.environment_id == environment_id,
            GENERATION.pruned_at.is_(None),
            ~GENERATION.candidate,
        )
        .order_by(GENERATION.ask.desc(), GENERATION.number.desc())
        .limit(1)
    ).scalar()
    if best is not None:
        make_current(c, environment_id, best, now)


def make_current(c: Connection, environment_id: int, number: int, now: datetime) -> None:
    of_env = GENERATION.environment_id == environment_id
    c.execute(
        update(schema.generation)
        .where(of_env, GENERATION.number != number, GENERATION.ceased_at.is_(None))
        .values(ceased_at=now)
    )
    c.execute(
        update(schema.generation).where(of_env, GENERATION.number == number).values(ceased_at=None)
    )
    c.execute(
        update(schema.environment)
        .where(ENV.id == environment_id)
        .values(current=number, changed_at=now)
    )


def adopt(c: Connection, environment_id: int, digest: str, lock_text: str, now: datetime) -> None:
    """Generations with the very lock that git holds now count as made for what is asked now.

    So the lock that was written back and merged builds nothing, a candidate is taken by merging
    its lock, and a reverted lock brings back the generation that it is of.
    """
    adopted = c.execute(
        update(schema.generation)
        .where(
            GENERATION.environment_id == environment_id,
            GENERATION.lock_file_digest == of_text(lock_text),
            func.substr(GENERATION.asked_digest, 1, BARE_PART) == digest[:BARE_PART],
        )
        .values(asked_digest=digest, candidate=False)
    ).rowcount
    if adopted:
        choose(c, environment_id, now)
