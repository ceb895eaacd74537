"""What web hooks need of the daemon: the marks, the tips seen, and a place for what never came."""

from __future__ import annotations

from envwatch.daemon.parts import Parts
from envwatch.receive import Receiver
from envwatch.watch import Expected


def expected(parts: Parts) -> Expected:
    def revision(source: str) -> str:
        record = parts.catalog.sources.get(source)
        return record.revision if record else ""

    def missed(source: str, commit: str) -> None:
        # without a branch in the config a hook may have told of any: that is nothing to note
        if any(s.name == source and s.branch for s in parts.settings().sources):
            parts.catalog.deliveries.missed(source, commit)

    return Expected(parts.dirty.mark, revision, missed)


def receiver(parts: Parts, expected: Expected) -> Receiver:
    return Receiver(parts.catalog, parts.settings, expected.wake)
