"""How long to leave somebody alone who did not answer."""

from __future__ import annotations

import random

LONGEST_BACKOFF = 1024.0  # seconds


def backoff(failures: int) -> float:
    """Seconds: full jitter, so that many who failed together do not come back together."""
    longest = min(LONGEST_BACKOFF, 2.0 ** min(failures + 1, 20))
    return random.uniform(1.0, longest)  # noqa: S311  # nothing secret
