"""Which generations of one environment may go. Pure: facts and a policy in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from envwatch.settings import Retention


@dataclass(frozen=True, slots=True)
class GenerationFacts:
    """What decides over one generation.

    `ceased_at` is when it last stopped being current; `None` where it never was, or still is.
    `held` is the generation that a person holds the environment at.
    """

    number: int
    prefix_id: str
    published_at: datetime
    ceased_at: datetime | None = None
    current: bool = False
    pinned: bool = False
    labels: tuple[str, ...] = ()
    held: bool = False


@dataclass(frozen=True, slots=True)
class Expired:
    """Generations that may go, and the prefixes that nothing kept needs any more."""

    generations: tuple[int, ...] = ()
    prefixes: tuple[str, ...] = ()


def expired(
    generations: Sequence[GenerationFacts],
    policy: Retention,
    *,
    now: datetime,
    in_use: frozenset[str] = frozenset(),
) -> Expired:
    """What may go now. `in_use` are the ids of prefixes in which a process was seen."""
    kept = {number for number, _ in explain(generations, policy, now=now, in_use=in_use)}
    gone = [g for g in generations if g.number not in kept]
    needed = {g.prefix_id for g in generations if g.number in kept} | in_use
    return Expired(
        tuple(sorted(g.number for g in gone)),
        tuple(sorted({g.prefix_id for g in gone} - needed)),
    )


def explain(
    generations: Sequence[GenerationFacts],
    policy: Retention,
    *,
    now: datetime,
    in_use: frozenset[str] = frozenset(),
) -> tuple[tuple[int, str], ...]:
    """Each generation that stays, with the first reason why, newest first."""
    newest_first = sorted(generations, key=lambda g: g.number, reverse=True)
    # A clock that was set back makes every age wrong, so nothing is old.
    if any(moment > now for g in generations for moment in _moments(g)):
        return tuple((g.number, "the clock is behind the newest generation") for g in newest_first)
    reasons = (
        (g.number, _reason(g, rank, policy, now, in_use)) for rank, g in enumerate(newest_first)
    )
    return tuple((number, reason) for number, reason in reasons if reason)


def _moments(generation: GenerationFacts) -> tuple[datetime, ...]:
    ceased = generation.ceased_at
    return (generation.published_at, ceased) if ceased else (generation.published_at,)


def _reason(
    generation: GenerationFacts,
    rank: int,
    policy: Retention,
    now: datetime,
    in_use: frozenset[str],
) -> str:
    """Why it stays; empty when it may go."""
    by_policy = _reason_of_policy(generation, rank, policy, now)
    reasons = (
        (generation.current, "current"),
        (generation.held, "held"),
        (generation.pinned, "pinned"),
        (bool(generation.labels), f"labelled {', '.join(generation.labels)}"),
        (bool(by_policy), by_policy),
        (generation.prefix_id in in_use, "in use by a process"),
    )
    return next((text for holds, text in reasons if holds), "")


def _reason_of_policy(
    generation: GenerationFacts, rank: int, policy: Retention, now: datetime
) -> str:
    if rank < policy.keep_last:
        return f"one of the last {policy.keep_last}"
    if now - generation.published_at < timedelta(days=policy.keep_days):
        return f"younger than {policy.keep_days:g} days"
    ceased = generation.ceased_at
    if ceased and now - ceased < timedelta(seconds=policy.grace):
        return f"was current until {ceased:%Y-%m-%d %H:%M} UTC"
    return ""
