"""The log of a build, printed as far as it is written, and followed until the build is over."""

from __future__ import annotations

import sys

import click

from envwatch.catalog.records import BuildRecord
from envwatch.cli.house import House
from envwatch.cli.output import safe, say
from envwatch.cli.waiting import looks, outcome
from envwatch.model import BuildState


class Tail:
    """Remembers how much of a log was printed. A line is printed when it is whole."""

    def __init__(self, house: House, build: BuildRecord) -> None:
        self.build = build
        self._house = house
        self._offset = 0
        self._rest = b""

    def print(self, *, last: bool = True) -> bool:
        """What is new; with `last` also a line that has no end. False where there is no log."""
        while block := self._house.log(self.build, self._offset):
            self._offset += len(block)
            self._take(block)
        if last and self._rest:
            self._take(b"\n")
        return block is not None

    def follow(self) -> int:
        """Print until the build is over; 0 if it was published, else 1."""
        for build in looks(self._house, self.build.id):
            self.build = build
            self.print(last=build.state.over)
        say(outcome(self.build))
        return 0 if self.build.state is BuildState.READY else 1

    def _take(self, block: bytes) -> None:
        *lines, self._rest = (self._rest + block).split(b"\n")
        for line in lines:
            click.echo(_shown(line.decode(errors="replace")))


def _shown(line: str) -> str:
    # what a package prints must not command the terminal; in a file it is wanted as it is
    return safe(line.expandtabs()) if sys.stdout.isatty() else line
