"""Waiting for builds: what a person sees meanwhile, and what it came to."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from envwatch.catalog.records import BuildRecord
from envwatch.cli.house import House
from envwatch.cli.output import safe, say
from envwatch.cli.words import failure_line, number
from envwatch.errors import DaemonAway, EnvwatchError
from envwatch.model import BuildState, Progress

ALIVE = 10  # looks between two questions whether the daemon is still there


class Show(Protocol):
    """Changes what a person sees; without a total nobody knows how much is left."""

    def __call__(self, text: str, done: int = 0, total: int = 0) -> None: ...


@contextmanager
def busy(text: str) -> Iterator[Show]:
    """A bar with a text on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield _unseen
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(safe(text), total=None)

        def show(text: str, done: int = 0, total: int = 0) -> None:
            # `update` takes None for "as it was"
            bar.tasks[0].total = total or None
            bar.update(task, description=safe(text), completed=done)

        yield show


def wait_for_builds(house: House, ids: Sequence[int]) -> bool:
    """Wait until these builds are over and say how each ended; were all of them published?

    Raises DaemonAway when nobody is left to build them.
    """
    with busy(f"{len(ids)} builds") as show:
        ended = [wait_for_build(house, i, show) for i in ids]
    for build in ended:
        say(outcome(build))
    return all(b.state is BuildState.READY for b in ended)


def wait_for_build(
    house: House, build_id: int, show: Show, end: float | None = None
) -> BuildRecord:
    for build in looks(house, build_id, end):
        progress = build.progress or Progress(build.state)
        text = f"build {build.id} of {build.key}: {build.state}{_packages(progress)}"
        # bytes move more evenly than packages, where they are known
        if progress.bytes_total:
            show(text, progress.bytes_done, progress.bytes_total)
        else:
            show(text, progress.done, progress.total)
    return build


def looks(house: House, build_id: int, end: float | None = None) -> Iterator[BuildRecord]:
    """A build again and again, the last time when it is over.

    Raises DaemonAway, and EnvwatchError where it is not over by the `end`.
    """
    turn = 0
    while True:
        build = house.record(build_id)
        yield build
        if build.state.over:
            return
        if turn % ALIVE == 0 and not house.works():
            raise DaemonAway(
                f"build {build.id} of {build.key} is {build.state}, and no daemon runs",
                hint="`envwatch run` or `envwatch once` goes on with it",
            )
        if end is not None and time.monotonic() > end:
            raise EnvwatchError(f"build {build.id} of {build.key} is still {build.state}")
        turn += 1
        time.sleep(house.pace)


def outcome(build: BuildRecord) -> str:
    """How a build ended, the reason on a line of its own: `file:line: message (hint)`."""
    if build.state is BuildState.READY:
        return safe(f"build {build.id} of {build.key}: ready as {number(build.generation)}")
    told = safe(f"build {build.id} of {build.key}: {build.state}")
    return f"{told}\n{safe(failure_line(build.failure, build.path))}" if build.failure else told


def _packages(progress: Progress) -> str:
    return f", {progress.done} of {progress.total} packages" if progress.total else ""


def _unseen(text: str, done: int = 0, total: int = 0) -> None:
    """Nobody looks."""
