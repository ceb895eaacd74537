"""The names that wait for a look: when each is due, and how long after an error."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

# What never comes to rest is looked at all the same.
_LONGEST_QUIET = 10.0
_FIRST_RETRY = 1.0
_LAST_RETRY = 600.0


class Mark(Protocol):
    """Says that a source may have changed; see `Dirty.mark`."""

    def __call__(self, name: str, *, quiet: float = 0.0, patient: bool = False) -> None: ...


@dataclass(slots=True)
class _Waiting:
    """One name. `due` is None when there is nothing to do; `first` is when it was marked."""

    due: float | None = None
    first: float = 0.0
    since: float = 0.0
    patient: bool = False
    busy: bool = False
    failures: int = 0


class Dirty:
    """The names to look at. Many marks are one look, and no name is looked at twice at a time."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._clock = clock
        self._uniform = uniform
        self._names: dict[str, _Waiting] = {}
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """How many names wait or are being looked at; those that back off are among them."""
        with self._changed:
            return sum(w.busy or w.due is not None for w in self._names.values())

    def mark(self, name: str, *, quiet: float = 0.0, patient: bool = False) -> None:
        """Ask for a look once nothing has been marked for `quiet` seconds.

        A patient mark (a poll) hastens nothing: neither a name that comes to rest, nor one that
        waits after an error. Any other mark means news, and ends such a wait.
        """
        with self._changed:
            now = self._clock()
            waiting = self._names.setdefault(name, _Waiting())
            waiting.since = now
            if waiting.due is not None and patient:
                return
            if waiting.due is None or waiting.patient:
                waiting.first = now
            latest = waiting.first + _LONGEST_QUIET
            waiting.due = min(now + quiet, max(now, latest))
            waiting.patient = patient
            self._changed.notify_all()

    def take(self, timeout: float, *, sound: bool = False) -> str | None:
        """The name that is due longest; nothing when none is before the time is over.

        `sound` leaves out those whose last look failed: a thread that takes only the others is
        never held up by a host that is known to hang.
        """
        with self._changed:
            end = self._clock() + timeout
            while True:
                now = self._clock()
                first, name = min(self._due(sound=sound), default=(end, ""))
                if name and first <= now:
                    self._names[name].due = None
                    self._names[name].busy = True
                    return name
                if now >= end:
                    return None
                self._changed.wait(min(first, end) - now)

    def since(self, name: str) -> float:
        """When a name was marked last: a look must see all that had changed by then."""
        with self._changed:
            waiting = self._names.get(name)
            return waiting.since if waiting else self._clock()

    def rest(self, name: str) -> float | None:
        """In how many seconds a name is due; None where nothing waits."""
        with self._changed:
            waiting = self._names.get(name)
            due = waiting.due if waiting else None
            return None if due is None else max(0.0, due - self._clock())

    def _due(self, *, sound: bool) -> list[tuple[float, str]]:
        return [
            (waiting.due, name)
            for name, waiting in self._names.items()
            if waiting.due is not None and not waiting.busy and not (sound and waiting.failures)
        ]

    def done(self, name: str, error: bool) -> None:
        """The look is over. After an error the next comes by itself, each time later."""
        with self._changed:
            waiting = self._names.setdefault(name, _Waiting())
            waiting.busy = False
            waiting.failures = waiting.failures + 1 if error else 0
            if error and (waiting.due is None or waiting.patient):
                longest = min(_LAST_RETRY, _FIRST_RETRY * 2 ** min(waiting.failures, 20))
                waiting.due = self._clock() + self._uniform(_FIRST_RETRY, longest)
                # whatever is learned of its repository from now on is news for it
                waiting.since = self._clock()
                waiting.patient = True
            self._changed.notify_all()
