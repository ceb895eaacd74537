"""The log of a build, printed as far as it is written, and followed until the build is over."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from envwatch.catalog import Catalog
from envwatch.cli.output import safe, say
from envwatch.cli.waiting import looks, outcome
from envwatch.model import BuildState
from envwatch.store import Store

BLOCK = 2**16


class Tail:
    """Remembers how much of a file was printed. A line is printed when it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    @property
    def there(self) -> bool:
        return self._path.is_file()

    def print(self, *, last: bool = True) -> None:
        """What is new; with `last` also a line that has no end."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                while block := file.read(BLOCK):
                    self._offset += len(block)
                    self._take(block)
        except FileNotFoundError:
            return
        if last and self._rest:
            self._take(b"\n")

    def follow(self, catalog: Catalog, store: Store, build_id: int) -> int:
        """Print until the build is over; 0 if it was published, else 1."""
        for build in looks(catalog, store, build_id):
            self.print(last=build.state.over)
        say(outcome(build))
        return 0 if build.state is BuildState.READY else 1

    def _take(self, block: bytes) -> None:
        *lines, self._rest = (self._rest + block).split(b"\n")
        for line in lines:
            click.echo(_shown(line.decode(errors="replace")))


def _shown(line: str) -> str:
    # what a package prints must not command the terminal; in a file it is wanted as it is
    return safe(line.expandtabs()) if sys.stdout.isatty() else line
