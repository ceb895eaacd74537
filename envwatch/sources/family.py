"""A source that is several: one for each branch, or for each request to merge."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from envwatch.git.local import watched
from envwatch.git.mirrors import Mirrors
from envwatch.git.refs import check, wanted
from envwatch.git.remote import Remote
from envwatch.git.urls import check_url
from envwatch.settings import SourceSettings
from envwatch.sources import branches, previews
from envwatch.sources.branches import Gathered
from envwatch.sources.previews import Requests


@dataclass(frozen=True, slots=True)
class Family:
    """It has no files of its own, and a member for each ref: they come and go with the refs."""

    settings: SourceSettings
    remote: Remote
    group: str
    requests: Requests

    @property
    def name(self) -> str:
        return self.settings.name

    def gather(self, since: float | None = None) -> Gathered:
        """The sources that it is now. Raises SourceError, SourceStalled."""
        refs = self.remote.refs(since)
        if self.settings.base:
            return previews.gather(self.settings, refs, self.requests)
        return branches.gather(self.settings, refs)

    def watch_paths(self) -> tuple[Path, ...]:
        return watched(self.settings.url)


def open_family(settings: SourceSettings, mirrors: Mirrors, requests: Requests) -> Family:
    check_url(settings.url)
    check(settings)
    mirror = mirrors.of(settings.url, settings.credentials, settings.timeout)
    mirror.remote.want(wanted(settings))
    return Family(settings, mirror.remote, mirror.path.name, requests)
