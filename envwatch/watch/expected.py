"""Commits that a web hook named and that the remote does not show yet: looked for again and again.

A forge may send the hook before its servers show the push. The look that follows at once then finds
the old tip, and without this the commit would wait for the next poll.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from envwatch.watch.dirty import Mark

logger = logging.getLogger(__name__)

# seconds between two looks, each twice the one before, and seconds after which it is given up
FIRST = 1.0
LONGEST = 60.0


@dataclass(slots=True)
class _Awaited:
    """`before` is the tip when the hook came; `due` is None until a look has ended in vain."""

    revision: str
    before: str
    end: float
    pause: float = FIRST
    due: float | None = None


class Expected:
    """`revision` tells the tip that was seen last, `missed` is told of what never came."""

    def __init__(
        self,
        mark: Mark,
        revision: Callable[[str], str],
        missed: Callable[[str, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mark = mark
        self._revision = revision
        self._missed = missed
        self._clock = clock
        self._awaited: dict[str, _Awaited] = {}
        self._lock = threading.Lock()

    def wake(
        self, source: str, *, expect: str = "", quiet: float = 0.0, patient: bool = False
    ) -> None:
        """Have a source looked at, until it shows the commit `expect` or another new one."""
        if expect:
            before = self._revision(source)
            with self._lock:
                self._awaited[source] = _Awaited(expect, before, self._clock() + LONGEST)
        self._mark(source, quiet=quiet, patient=patient)

    def looked(self, source: str) -> None:
        """A look has ended: is there anything new? Else there will be another."""
        if source not in self._awaited:
            return
        revision = self._revision(source)
        with self._lock:
            awaited = self._awaited.get(source)
            if awaited is None:
                return
            now = self._clock()
            found = revision == awaited.revision or revision != awaited.before
            if found or now >= awaited.end:
                del self._awaited[source]
            else:
                awaited.due = min(now + awaited.pause, awaited.end)
                awaited.pause *= 2
        if not found and now >= awaited.end:
            logger.info("source %s: %s did not show", source, awaited.revision[:12])
            self._missed(source, awaited.revision)

    def turn(self, longest: float) -> float:
        """Mark what is due now; for how many seconds nothing else will be, `longest` at most."""
        with self._lock:
            now = self._clock()
            due = [s for s, a in self._awaited.items() if a.due is not None and a.due <= now]
            for source in due:
                self._awaited[source].due = None
            waits = [a.due - now for a in self._awaited.values() if a.due is not None]
        for source in due:
            # like a poll: it shall not end the wait after an error
            self._mark(source, patient=True)
        return min([longest, *waits])
