"""What web hooks need of the daemon: the marks, the tips seen, and a place for what never came."""

from __future__ import annotations

from envwatch.daemon.parts import Parts, marker
from envwatch.receive import Receiver
from envwatch.watch import Expected


def expected(parts: Parts) -> Expected:
    def revision(source: str) -> str:
        """The tip that was seen last; of a source with several branches all of them."""
        records = parts.catalog.sources.all()
        return " ".join(r.revision for r in records if source in (r.name, r.family))

    def missed(source: str, commit: str) -> None:
        # without a branch in the config a hook may have told of any: that is nothing to note
        if any(s.name == source and s.branch for s in parts.settings().sources):
            parts.catalog.deliveries.missed(source, commit)

    return Expected(marker(parts.roster, parts.dirty), revision, missed)


def receiver(parts: Parts, expected: Expected) -> Receiver:
    return Receiver(parts.catalog, parts.settings, expected.wake)
