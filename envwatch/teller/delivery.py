"""Sends what is due to one forge or notifier, and notes what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event

from envwatch.backoff import backoff
from envwatch.catalog import Catalog
from envwatch.catalog.recipients import FORGE, NOTIFIER, Trouble
from envwatch.commenting import marker_in
from envwatch.errors import NotifyError, NotifyRefused, NotifyStalled
from envwatch.notifiers import Forge, Notifier

logger = logging.getLogger(__name__)

GIVE_UP = timedelta(days=3)

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


def serve_forge(catalog: Catalog, source: str, forge: Forge, stop: Event, clock: Clock) -> None:
    """Until nothing is due, or the forge has to be left alone."""
    while not stop.is_set() and (record := catalog.statuses.due(source, clock())) is not None:
        revision, status = record.revision, record.status
        error = _attempt(lambda: forge.tell(revision, status))  # noqa: B023  # called at once
        if error is None:
            catalog.statuses.told(record, clock())
            continue
        known = catalog.sources.get(source)
        # a commit that a force-push took away must not hold up the one that is there now
        older = known is not None and known.revision != revision
        refused = isinstance(error, NotifyRefused) or (older and isinstance(error, NotifyStalled))
        failures = record.attempts if refused else catalog.recipients.failures(FORGE, source)
        trouble = trouble_of(error, failures, record.wanted_at, clock(), refused=refused)
        catalog.statuses.failed(record, trouble, clock())
        _log(f"the forge of source {source}", trouble)
        if not refused:
            return
    if not stop.is_set():
        _serve_comment(catalog, source, forge, clock)


def _serve_comment(catalog: Catalog, source: str, forge: Forge, clock: Clock) -> None:
    """One request to merge has one comment. Where it may not be written, statuses still are."""
    record = catalog.comments.due(source, clock())
    if record is None:
        return
    mark = marker_in(record.text)

    def say() -> None:
        name = forge.say(record.number, record.text, mark, record.name)
        catalog.comments.told(record, name, clock())

    error = _attempt(say)
    if error is None:
        return
    trouble = trouble_of(error, record.attempts, record.wanted_at, clock(), refused=True)
    catalog.comments.failed(record, trouble, clock())
    _log(f"the comment in request {record.number} of source {source}", trouble)


def serve_notifier(
    catalog: Catalog, name: str, notifier: Notifier, stop: Event, clock: Clock
) -> None:
    """Until nothing is due, or the notifier has to be left alone."""
    while not stop.is_set() and (record := catalog.notices.due(name, clock())) is not None:
        letter = record.letter
        error = _attempt(lambda: notifier.send(letter))  # noqa: B023  # called at once
        if error is None:
            catalog.notices.told(record, clock())
            continue
        refused = isinstance(error, NotifyRefused)
        failures = record.attempts if refused else catalog.recipients.failures(NOTIFIER, name)
        trouble = trouble_of(error, failures, record.created_at, clock(), refused=refused)
        catalog.notices.failed(record, trouble, clock())
        _log(f"notifier {name}", trouble)
        if not refused:
            return


def _attempt(work: Callable[[], object]) -> NotifyError | None:
    """Why it failed. A fault of ours is one too: tried at once, it would be tried for ever."""
    try:
        work()
    except NotifyError as e:
        return e
    except Exception as e:
        logger.exception("telling failed")
        return NotifyError(f"a fault in envwatch: {type(e).__name__}", hint="its log says more")
    return None


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


def _log(who: str, trouble: Trouble) -> None:
    text = f"{trouble.message} ({trouble.hint})" if trouble.hint else trouble.message
    what = "given up" if trouble.over else "tried again later"
    logger.warning("%s could not be told, %s: %s", who, what, text)
