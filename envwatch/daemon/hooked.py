"""What web hooks need of the daemon: the marks, the tips seen, and a place for what never came."""

from __future__ import annotations

from envwatch.daemon.parts import Parts
from envwatch.receive import Receiver
from envwatch.watch import Expected


def expected(parts: Parts) -> Expected:
    def revision(source: str) -> str:
        record = parts.catalog.sources.get(source)
        return record.revision if record else ""

    return Expected(parts.dirty.mark, revision, parts.catalog.deliveries.missed)


def receiver(parts: Parts, expected: Expected) -> Receiver:
    return Receiver(parts.catalog, parts.settings, expected.wake)
