"""So much at once and so much in the long run."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Bucket:
    """Holds `size` tokens at most, and gets `rate` new ones a second."""

    def __init__(self, size: float, rate: float, clock: Callable[[], float]) -> None:
        self._size = size
        self._rate = rate
        self._clock = clock
        self._tokens = size
        self._at = clock()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Is there a token? It is used up."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._size, self._tokens + (now - self._at) * self._rate)
            self._at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True
