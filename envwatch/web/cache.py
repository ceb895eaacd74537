"""Answers kept as long as the catalog does not change; each is made by one request at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

# all pages of a busy hour fit; a crawler that asks for every page cannot fill the memory
SIZE = 24 * 2**20
EACH = 100  # bytes of a small object, roughly


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished body; `etag` is that of its content."""

    body: bytes
    media_type: str
    etag: str


@dataclass(frozen=True, slots=True)
class _Kept:
    version: int
    answer: Answer


@dataclass(slots=True)
class _Flight:
    """One answer in the making: what it will show is at least `version`."""

    version: int
    done: threading.Event = field(default_factory=threading.Event)
    answer: Answer | None = None


class Cache:
    """Never gives an answer older than the version at the moment of asking."""

    def __init__(self, version: Callable[[], int], size: int = SIZE) -> None:
        self._version = version
        self._size = size
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._flights: dict[Hashable, _Flight] = {}
        self._bytes = 0

    def get(self, key: Hashable, make: Callable[[], Answer]) -> Answer:
        """The kept answer, that of a request which makes it right now, or a new one."""
        wanted = self._version()
        while True:
            with self._lock:
                kept = self._kept.get(key)
                if kept is not None and kept.version >= wanted:
                    self._kept.move_to_end(key)
                    return kept.answer
                flight = self._flights.get(key)
                if flight is None:
                    mine = self._flights[key] = _Flight(self._version())
                    break
            flight.done.wait()
            if flight.version >= wanted and flight.answer is not None:
                return flight.answer
        return self._make(key, mine, make)

    def _make(self, key: Hashable, flight: _Flight, make: Callable[[], Answer]) -> Answer:
        try:
            answer = flight.answer = make()
            with self._lock:
                self._keep(key, _Kept(flight.version, answer))
            return answer
        finally:
            with self._lock:
                del self._flights[key]
            flight.done.set()

    def _keep(self, key: Hashable, kept: _Kept) -> None:
        old = self._kept.pop(key, None)
        self._bytes += _weight(key, kept) - (_weight(key, old) if old else 0)
        self._kept[key] = kept
        while self._bytes > self._size and self._kept:
            left, gone = self._kept.popitem(last=False)
            self._bytes -= _weight(left, gone)


def _weight(key: Hashable, kept: _Kept) -> int:
    """Bytes, roughly: a key holds the whole address that somebody asked for."""
    return len(kept.answer.body) + _length(key)


def _length(key: Hashable) -> int:
    if isinstance(key, (tuple, frozenset)):
        return EACH + sum(map(_length, key))
    return EACH + (len(key) if isinstance(key, str) else 0)
