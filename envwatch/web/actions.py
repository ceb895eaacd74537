"""What the API may ask for beyond reading; the daemon hands in who does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from envwatch.catalog.records import BuildRecord, EnvironmentRecord
from envwatch.diff import PackageDiff
from envwatch.edit import Edit, Edited, FileText
from envwatch.model import EnvKey, Failure, Message, Package, PackageQuery


@dataclass(frozen=True, slots=True)
class Planned:
    """What an environment file would come to: solved, with nothing of it done.

    `move` is a word: new, changed, reverted, same, refused. `diff` is against the generation
    `against`, where there is one; `packages` are all that it would have. `messages` are by line.
    """

    move: str
    key: EnvKey | None = None
    against: int | None = None
    diff: PackageDiff | None = None
    failure: Failure | None = None
    messages: tuple[Message, ...] = ()
    packages: tuple[Package, ...] = ()

    @property
    def download(self) -> int:
        """Bytes of all its packages, as they are downloaded where none is known yet."""
        return sum(p.size or 0 for p in self.packages)


class Actions(Protocol):
    """Rights are asked before; `by` is who asked."""

    def rebuild(self, key: EnvKey, *, by: str, generation: int | None = None) -> BuildRecord: ...

    def update(self, key: EnvKey, *, by: str) -> BuildRecord: ...

    def cancel(self, build_id: int, *, by: str) -> BuildRecord: ...

    def activate(self, key: EnvKey, number: int, *, by: str) -> EnvironmentRecord: ...

    def hold(self, key: EnvKey, number: int | None, *, by: str) -> EnvironmentRecord: ...

    def release(self, key: EnvKey, *, by: str) -> EnvironmentRecord: ...

    def pin(self, key: EnvKey, number: int, *, pinned: bool) -> None: ...

    def drop(self, key: EnvKey, number: int) -> None:
        """Delete the files of a generation, if retention lets them go. Raises Conflict."""

    def make_own_namespace(self, name: str) -> bool:
        """The namespace of somebody's own name, with a repository; was there none before?"""

    def sync(self, source: str) -> None: ...

    def make_namespace(self, name: str, *, by: str) -> None:
        """With a managed repository of its own. Raises Conflict."""

    def file(self, key: EnvKey) -> FileText: ...

    def edit(self, wanted: Edit) -> Edited:
        """One commit, and a look at its source: what it asks for is queued when this returns."""

    def plan(self, namespace: str, text: str, path: str = "") -> Planned:
        """`path` is where the file would lie."""

    def read(self, namespace: str, text: str, path: str = "") -> tuple[Message, ...]:
        """What is said of a file before anything is solved, by line: at once."""

    def search(self, namespace: str, query: PackageQuery) -> tuple[Package, ...]:
        """What the channels of a namespace have. Raises Conflict, Busy."""

    def solve(self, namespace: str, text: str) -> tuple[Package, ...]:
        """Raises SpecError, Conflict where it cannot be solved."""
