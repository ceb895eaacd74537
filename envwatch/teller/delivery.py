"""Sends what is due to one forge or notifier, and notes what came of it."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event

from envwatch.catalog import Catalog
from envwatch.catalog.recipients import FORGE, NOTIFIER, Trouble
from envwatch.errors import NotifyError, NotifyRefused, NotifyStalled
from envwatch.notifiers import Forge, Notifier

logger = logging.getLogger(__name__)

LONGEST_BACKOFF = 1024.0  # seconds
GIVE_UP = timedelta(days=3)

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


def serve_forge(catalog: Catalog, source: str, forge: Forge, stop: Event, clock: Clock) -> None:
    """Until nothing is due, or the forge has to be left alone."""
    while not stop.is_set() and (record := catalog.statuses.due(source, clock())) is not None:
        try:
            forge.tell(record.revision, record.status)
        except NotifyError as e:
            known = catalog.sources.get(source)
            # a commit that a force-push took away must not hold up the one that is there now
            older = known is not None and known.revision != record.revision
            refused = isinstance(e, NotifyRefused) or (older and isinstance(e, NotifyStalled))
            failures = record.attempts if refused else catalog.recipients.failures(FORGE, source)
            trouble = trouble_of(e, failures, record.wanted_at, clock(), refused=refused)
            catalog.statuses.failed(record, trouble, clock())
            _log(f"the forge of source {source}", trouble)
            if not refused:
                return
        else:
            catalog.statuses.told(record, clock())


def serve_notifier(
    catalog: Catalog, name: str, notifier: Notifier, stop: Event, clock: Clock
) -> None:
    """Until nothing is due, or the notifier has to be left alone."""
    while not stop.is_set() and (record := catalog.notices.due(name, clock())) is not None:
        try:
            notifier.send(record.letter)
        except NotifyError as e:
            refused = isinstance(e, NotifyRefused)
            failures = record.attempts if refused else catalog.recipients.failures(NOTIFIER, name)
            trouble = trouble_of(e, failures, record.created_at, clock(), refused=refused)
            catalog.notices.failed(record, trouble, clock())
            _log(f"notifier {name}", trouble)
            if not refused:
                return
        else:
            catalog.notices.told(record, clock())


def trouble_of(
    error: NotifyError, failures: int, since: datetime, now: datetime, *, refused: bool
) -> Trouble:
    """`failures` is how often in a row it went wrong before."""
    return Trouble(
        message=error.message,
        hint=error.hint,
        next_at=now + timedelta(seconds=max(error.wait, backoff(failures))),
        stalled=isinstance(error, NotifyStalled) and not refused,
        refused=refused,
        over=now - since > GIVE_UP,
    )


def backoff(failures: int) -> float:
    """Seconds: full jitter, so that many who failed together do not come back together."""
    longest = min(LONGEST_BACKOFF, 2.0 ** min(failures + 1, 20))
    return random.uniform(1.0, longest)  # noqa: S311  # nothing secret


def _log(who: str, trouble: Trouble) -> None:
    text = f"{trouble.message} ({trouble.hint})" if trouble.hint else trouble.message
    what = "given up" if trouble.over else "tried again later"
    logger.warning("%s could not be told, %s: %s", who, what, text)
