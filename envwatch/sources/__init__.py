"""Where environment files come from: directories and repositories, behind one protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from envwatch.model import Snapshot
from envwatch.settings import SourceKind, SourceSettings
from envwatch.sources.directory import open_directory
from envwatch.sources.git import open_git
from envwatch.sources.managed import open_managed


class Source(Protocol):
    """One place of environment files. Errors are `SourceError` and `SourceStalled`."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> SourceSettings: ...

    def snapshot(self, seen: str = "") -> Snapshot:
        """All environment files as they are now; `seen` is a fingerprint that was just taken."""
        ...

    def fingerprint(self) -> str:
        """Cheaper than a snapshot: as long as it stays the same, so does the snapshot."""
        ...

    def watch_paths(self) -> tuple[Path, ...]:
        """What changes on this machine when the source does; nothing for a remote one."""
        ...


def open_source(settings: SourceSettings, *, mirrors: Path) -> Source:
    """Make a source; nothing is read yet. An address that is refused is a `SourceStalled`."""
    if settings.kind is SourceKind.GIT:
        return open_git(settings, mirrors)
    if settings.kind is SourceKind.MANAGED:
        return open_managed(settings, mirrors)
    return open_directory(settings)
