"""How often somebody may try to sign in, how many at once, and that no answer counts twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from envwatch.errors import Busy
from envwatch.web.tokens import Failures

AT_ONCE = 4  # a provider that does not answer holds no more threads than these
A_MINUTE = 30  # of one address
VALID = 600.0  # seconds from leaving to coming back
_MOST = 10_000


class Attempts:
    def __init__(self) -> None:
        self._begun = Failures(A_MINUTE)
        self._came_back = Failures(A_MINUTE)
        self._asking = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._used: dict[str, float] = {}

    def begin(self, address: str) -> None:
        """Raises Busy."""
        _refuse(self._begun, address)

    def come_back(self, address: str) -> None:
        """Raises Busy."""
        _refuse(self._came_back, address)

    def use(self, state: str) -> bool:
        """Is it the first time that this one comes back?"""
        now = time.monotonic()
        with self._lock:
            self._used = {s: at for s, at in self._used.items() if now - at < VALID}
            if state in self._used or len(self._used) >= _MOST:
                return False
            self._used[state] = now
            return True

    @contextmanager
    def asking(self) -> Iterator[None]:
        """While a provider is asked. Raises Busy."""
        if not self._asking.acquire(blocking=False):
            raise Busy("too many people sign in just now", hint="try again in a moment")
        try:
            yield
        finally:
            self._asking.release()


def _refuse(counted: Failures, address: str) -> None:
    if counted.too_many(address):
        raise Busy("too many tries came from this address", hint="wait for a minute")
