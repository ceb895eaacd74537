"""How often somebody may ask for what costs: solves, builds, commits."""

from __future__ import annotations

import threading
import time
from collections import deque

WINDOW = 60.0  # seconds
MOST = 30  # in a window
_PEOPLE = 1000


class Costly:
    """Counts for each person; the oldest are forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = {}

    def too_many(self, who: str, most: int = MOST) -> bool:
        """Count one more, unless there were too many already."""
        now = time.monotonic()
        with self._lock:
            if len(self._times) > _PEOPLE:
                self._times.pop(next(iter(self._times)))
            times = self._times.setdefault(who, deque())
            while times and now - times[0] >= WINDOW:
                times.popleft()
            if len(times) >= most:
                return True
            times.append(now)
            return False
