"""A repository of our own as a source: read as it is, and as a push would make it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from envwatch.errors import SourceError
from envwatch.git.bare import Bare
from envwatch.git.local import watched
from envwatch.git.mirrors import Mirrors
from envwatch.git.run import GitFailed, Surroundings
from envwatch.model import Snapshot
from envwatch.settings import SourceSettings
from envwatch.sources.git import GitSource, open_git

EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class ManagedSource:
    """Read where it lies: nothing is fetched. The rules of reading are those of any git source."""

    settings: SourceSettings
    repository: Bare
    reader: GitSource

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def group(self) -> str:
        return f"managed {self.name}"

    def fingerprint(self, since: float | None = None) -> str:  # noqa: ARG002  # always as it is now
        return f"{self._tip() or EMPTY}-{self.reader.selection.mark}"

    def snapshot(self, seen: str = "") -> Snapshot:
        tip = seen.partition("-")[0] or self._tip()
        if not tip or tip == EMPTY:
            # nobody can delete the branch by a push: it may be that the folder was lost
            return Snapshot(self.name, "", (), authoritative=False)
        taken = self.at(tip)
        # blobs that this one holds are not read again, neither by a look nor for a push
        self.reader.memory.last = taken
        return taken

    def at(self, revision: str, within: Surroundings | None = None) -> Snapshot:
        """One revision, also of a push that is not taken over yet."""
        last = self.reader.memory.last
        if last is not None and last.revision == revision:
            return last
        try:
            return self.reader.at(self.repository.tree(revision, within))
        except GitFailed as e:
            raise SourceError(f"`{self.repository.path.name}` cannot be read: {e.message}") from e

    def watch_paths(self) -> tuple[Path, ...]:
        return watched(str(self.repository.path))

    def _tip(self) -> str:
        return self.repository.tip(self.settings.branch)


def open_managed(settings: SourceSettings, mirrors: Mirrors) -> ManagedSource:
    repository = Bare(Path(settings.url), settings.timeout)
    return ManagedSource(settings, repository, open_git(settings, mirrors))
