"""Cron text as Debian's cron reads it, in UTC: is it one, and how often is it due?"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice, pairwise

from cronsim import CronSim, CronSimError

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
}
OFF = ("", "off", "never")
LONGEST = 100
LOOKED_AT = 32  # due times that are compared with each other


def fields(text: str) -> str:
    """Cron text as the five fields that cronsim reads; it does not know `@daily`."""
    return ALIASES.get(text.strip().lower(), text.strip())


def problem(text: str) -> str:
    """What is wrong with cron text, empty where nothing is."""
    try:
        # cronsim calls itself for each comma: long text would overflow the stack
        next(_times(text))
    except CronSimError:
        return "is not a time in cron's words"
    except StopIteration:
        return "is a time that never comes"
    return ""


def shortest_gap(text: str) -> float:
    """Seconds between two due times, where they follow each other fastest."""
    times = list(islice(_times(text), LOOKED_AT))
    return min(((b - a).total_seconds() for a, b in pairwise(times)), default=float("inf"))


def _times(text: str) -> CronSim:
    return CronSim(fields(text)[:LONGEST], datetime(2024, 1, 1, tzinfo=UTC))
