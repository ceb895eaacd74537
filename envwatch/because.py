"""Why a package is there: the shortest way to it from what a file asks for. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from envwatch.model import Package


def because(packages: Sequence[Package]) -> dict[str, tuple[str, ...]]:
    """For each package, by name, the names on the way to it: the first is asked for.

    What is asked for has an empty way, and so has what nothing leads to: a lock of somebody else
    may not say what depends on what.
    """
    known = {p.name.lower(): p for p in packages}
    ways: dict[str, tuple[str, ...]] = {}
    waiting = deque(sorted(name for name, p in known.items() if p.requested))
    ways.update(dict.fromkeys(waiting, ()))
    while waiting:
        name = waiting.popleft()
        for below in known[name].depends:
            if below in known and below not in ways:
                ways[below] = (*ways[name], known[name].name)
                waiting.append(below)
    return {p.name: ways.get(p.name.lower(), ()) for p in packages}
