"""Where environment files come from: directories and repositories, behind one protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from envwatch.git.mirrors import Mirrors
from envwatch.model import Snapshot
from envwatch.settings import SourceKind, SourceSettings
from envwatch.sources.directory import open_directory
from envwatch.sources.family import Family, open_family
from envwatch.sources.git import open_git
from envwatch.sources.managed import open_managed
from envwatch.sources.previews import Requests


class Source(Protocol):
    """One place of environment files. Errors are `SourceError` and `SourceStalled`."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> SourceSettings: ...

    @property
    def group(self) -> str:
        """Sources of one group change together: one look tells whether any of them did."""
        ...

    def snapshot(self, seen: str = "") -> Snapshot:
        """All environment files as they are now; `seen` is a fingerprint that was just taken."""
        ...

    def fingerprint(self, since: float | None = None) -> str:
        """Cheaper than a snapshot: as long as it stays the same, so does the snapshot.

        It knows all that changed until `since` (monotonic), or until now.
        """
        ...

    def watch_paths(self) -> tuple[Path, ...]:
        """What changes on this machine when the source does; nothing for a remote one."""
        ...


# what a look is taken at: a family has members instead of files
Looked = Source | Family


def open_looked(settings: SourceSettings, *, mirrors: Mirrors, requests: Requests) -> Looked:
    """A source of the config, which may be a family. Raises as `open_source`."""
    if settings.is_family:
        return open_family(settings, mirrors, requests)
    return open_source(settings, mirrors=mirrors)


def open_source(settings: SourceSettings, *, mirrors: Mirrors) -> Source:
    """Make a source; nothing is read yet. An address that is refused is a `SourceStalled`."""
    if settings.kind is SourceKind.GIT:
        return open_git(settings, mirrors)
    if settings.kind is SourceKind.MANAGED:
        return open_managed(settings, mirrors)
    return open_directory(settings)
