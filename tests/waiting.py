"""Wait for a condition instead of sleeping for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(predicate: Callable[[], T], timeout: float = 30.0, what: str = "") -> T:
    """The first true answer of the predicate; fails when none comes in time."""
    end = time.monotonic() + timeout
    pause = 0.001
    while not (answer := predicate()):
        if time.monotonic() > end:
            name = what or getattr(predicate, "__name__", repr(predicate))
            raise AssertionError(f"waited {timeout:g} s in vain for {name}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
    return answer
