"""Waiting for builds: what a person sees meanwhile, and what it came to."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from envwatch.catalog import Catalog
from envwatch.catalog.records import BuildRecord
from envwatch.cli.control import answers
from envwatch.cli.output import safe, say
from envwatch.cli.words import failure_line, number
from envwatch.errors import DaemonAway
from envwatch.model import BuildState, Progress
from envwatch.store import Store

LOOK = 0.2  # seconds between two looks into the catalog
ALIVE = 10  # looks between two questions whether the daemon is still there

Show = Callable[[str], None]


@contextmanager
def busy(text: str) -> Iterator[Show]:
    """A spinner with a text on a terminal, nothing elsewhere; `yield`s what changes the text."""
    if not sys.stderr.isatty():
        yield _unseen
        return
    with Console(stderr=True).status(Text(text)) as status:
        yield lambda new: status.update(Text(safe(new)))


def wait_for_builds(catalog: Catalog, store: Store, ids: Sequence[int]) -> bool:
    """Wait until these builds are over and say how each ended; were all of them published?

    Raises DaemonAway when nobody is left to build them.
    """
    with busy(f"{len(ids)} builds") as show:
        ended = [wait_for_build(catalog, store, i, show) for i in ids]
    for build in ended:
        say(outcome(build))
    return all(b.state is BuildState.READY for b in ended)


def wait_for_build(catalog: Catalog, store: Store, build_id: int, show: Show) -> BuildRecord:
    for build in looks(catalog, store, build_id):
        show(f"build {build.id} of {build.key}: {build.state}{_done(build.progress)}")
    return build


def looks(catalog: Catalog, store: Store, build_id: int) -> Iterator[BuildRecord]:
    """A build again and again, the last time when it is over. Raises DaemonAway."""
    turn = 0
    while True:
        build = catalog.builds.get(build_id)
        yield build
        if build.state.over:
            return
        if turn % ALIVE == 0 and not answers(store.root):
            raise DaemonAway(
                f"build {build.id} of {build.key} is {build.state}, and no daemon runs",
                hint="`envwatch run` or `envwatch once` goes on with it",
            )
        turn += 1
        time.sleep(LOOK)


def outcome(build: BuildRecord) -> str:
    """How a build ended, the reason on a line of its own: `file:line: message (hint)`."""
    if build.state is BuildState.READY:
        return safe(f"build {build.id} of {build.key}: ready as {number(build.generation)}")
    told = safe(f"build {build.id} of {build.key}: {build.state}")
    return f"{told}\n{safe(failure_line(build.failure, build.path))}" if build.failure else told


def _done(progress: Progress | None) -> str:
    if progress is None or not progress.total:
        return ""
    return f" {progress.done}/{progress.total}"


def _unseen(_: str) -> None:
    """Nobody looks."""
