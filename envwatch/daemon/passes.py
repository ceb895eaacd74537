"""One pass without a daemon: over all sources, or over what is queued alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from envwatch.daemon.parts import Parts, assemble
from envwatch.errors import SourceError
from envwatch.model import ENDED, BuildState
from envwatch.settings import Settings
from envwatch.worker import chores
from envwatch.worker.recover import recover

TELLING = 60.0  # seconds that a pass waits until everybody is told


@dataclass(frozen=True, slots=True)
class Pass:
    """What one full pass came to."""

    failed_sources: tuple[str, ...]
    refused_files: tuple[str, ...]
    failed_builds: tuple[int, ...]
    published: tuple[int, ...]

    @property
    def ok(self) -> bool:
        return not (self.failed_sources or self.refused_files or self.failed_builds)


def once(settings: Settings) -> Pass:
    """Look at every source, build what is asked for, and return: for cron and CI."""
    with assemble(settings) as parts:
        parts.executor.start()
        recover(parts.worker)
        before = parts.catalog.builds.newest_id()
        failed = tuple(name for name in _looked_at(parts) if _fails(parts, name))
        _drain(parts)
        parts.writer.flush(TELLING)
        parts.teller.flush(TELLING)
        return _summary(parts, failed, before)


def work_off(settings: Settings) -> None:
    """Do what is queued, with no look at any source, and return."""
    with assemble(settings) as parts:
        parts.executor.start()
        recover(parts.worker)
        _drain(parts)


def _drain(parts: Parts) -> None:
    while parts.worker.run_one() or chores.make_next_archive(parts.worker):
        pass


def _looked_at(parts: Parts) -> Iterator[str]:
    """Every source; the branches of one come up while it is looked at."""
    seen: set[str] = set()
    while left := sorted(parts.roster.names() - seen):
        yield left[0]
        seen.add(left[0])


def _fails(parts: Parts, name: str) -> bool:
    try:
        parts.look(name)
    except SourceError:
        return True
    return False


def _summary(parts: Parts, failed: tuple[str, ...], before: int) -> Pass:
    # a request to merge that cannot be made is no failure of what is there
    previews = {s.name for s in parts.catalog.sources.all() if s.is_request}
    ended = parts.catalog.builds.in_state(*ENDED)
    new = [b for b in ended if b.id > before and b.source not in previews]
    bad = (BuildState.FAILED, BuildState.TIMED_OUT)
    return Pass(
        failed_sources=tuple(name for name in failed if name not in previews),
        refused_files=parts.catalog.sources.refused(),
        failed_builds=tuple(b.id for b in new if b.state in bad),
        published=tuple(b.id for b in new if b.state is BuildState.READY),
    )
