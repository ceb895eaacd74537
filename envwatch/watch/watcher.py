"""The loop that polls each source at its interval and watches those on this machine."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable

from envwatch.settings import SourceKind
from envwatch.sources import Looked
from envwatch.watch.dirty import Mark
from envwatch.watch.eyes import Eyes

logger = logging.getLogger(__name__)

_TICK = 1.0
_RESCAN = 30.0
_JITTER = 0.1
# A clock that is kept by NTP moves less than this at a time.
_JUMP = 5.0


class Watcher:
    """Polls each source at its interval, watches those on this machine, and marks what may differ.

    `jumped` is told by how many seconds the wall clock was set: calendar schedules depend on it.
    """

    def __init__(
        self,
        sources: Callable[[], Iterable[Looked]],
        mark: Mark,
        *,
        quiet: float = 0.5,
        resync: float = 600.0,
        jumped: Callable[[float], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._sources = sources
        self._mark = mark
        self._resync = resync
        self._jumped = jumped
        self._clock = clock
        self._wall = wall
        self._eyes = Eyes(mark, quiet, self._overflowed)
        self._polls: dict[str, float] = {}
        self._next_round = clock()
        self._drift = wall() - clock()
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.beat = clock()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when all threads have ended."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._eyes.close()

    def renew(self) -> None:
        """The config was read again: all sources are looked at."""
        self._mark_all()
        self._wake.set()

    def next_poll(self, group: str) -> float | None:
        """In how many seconds a group of sources is looked at, whatever is noticed."""
        due = self._polls.get(group)
        return None if due is None else max(0.0, due - self._clock())

    def tick(self) -> None:
        """One turn of the loop."""
        now = self._clock()
        sources = tuple(self._sources())
        self._check_clock(now)
        # First the watches and then the looks: no change falls between them.
        self._eyes.check(sources)
        if now >= self._next_round:
            self._mark_all(patient=bool(self._polls))
            self._next_round = now + _jittered(self._resync)
            self._eyes.count()
        self._poll(now, sources)
        self.beat = now

    def _run(self) -> None:
        while not self._stopping:
            try:
                self.tick()
            except Exception:
                logger.exception("a turn of the watcher failed, the next one follows")
            self._wake.wait(_TICK)
            self._wake.clear()

    def _poll(self, now: float, sources: tuple[Looked, ...]) -> None:
        """One question serves all sources of a group, so they are marked together."""
        groups: dict[str, list[Looked]] = {}
        for source in sources:
            groups.setdefault(source.group, []).append(source)
        due = {group: self._polls.get(group, now) for group in groups}
        for group, members in groups.items():
            if due[group] <= now:
                for source in members:
                    self._mark(source.name, patient=True)
                due[group] = now + _jittered(min(map(_interval, members)))
        self._polls = due

    def _check_clock(self, now: float) -> None:
        drift = self._wall() - now
        jump, self._drift = drift - self._drift, drift
        if abs(jump) > _JUMP:
            logger.warning("the clock was set by %+.0f s, all sources are looked at", jump)
            self._mark_all()
            self._jumped(jump)

    def _overflowed(self) -> None:
        logger.warning("events of the file system were lost, all sources are looked at")
        self._mark_all()

    def _mark_all(self, *, patient: bool = False) -> None:
        for source in self._sources():
            self._mark(source.name, patient=patient)


def _interval(source: Looked) -> float:
    settings = source.settings
    directory = settings.kind is SourceKind.DIRECTORY
    return min(settings.interval, _RESCAN) if directory else settings.interval


def _jittered(seconds: float) -> float:
    """Many sources of one interval do not stay in step."""
    return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # nothing secret
