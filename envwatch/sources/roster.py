"""Which sources there are now: those of the config, and the members of those that are families."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from envwatch.git.mirrors import Mirrors
from envwatch.settings import SourceSettings
from envwatch.sources import Looked, Source, open_looked, open_source
from envwatch.sources.family import Family
from envwatch.sources.previews import Requests, nobody


class Roster:
    """The sources by name. `writing` is held by whoever takes over what a source said."""

    def __init__(
        self, settings: Iterable[SourceSettings], mirrors: Mirrors, requests: Requests = nobody
    ) -> None:
        self.writing = threading.RLock()
        self._mirrors = mirrors
        self._requests = requests
        self._sources = self._opened(settings, mirrors)

    def get(self, name: str) -> Looked | None:
        return self._sources.get(name)

    def all(self) -> tuple[Looked, ...]:
        return tuple(self._sources.values())

    def followed(self) -> tuple[SourceSettings, ...]:
        """The sources that have files: each member in the place of its family."""
        return tuple(s.settings for s in self.readable())

    def readable(self) -> tuple[Source, ...]:
        """The sources that have files."""
        return tuple(s for s in self.all() if not isinstance(s, Family))

    def names(self) -> set[str]:
        return set(self._sources)

    def beside(self, name: str) -> tuple[str, ...]:
        """A source and all that follow the same repository with the same key."""
        one = self._sources.get(name)
        return tuple(s.name for s in self.all() if one is not None and s.group == one.group)

    def previews_of(self, name: str) -> tuple[str, ...]:
        """The sources that are requests to change this one."""
        found = (s.settings for s in self.readable())
        return tuple(s.name for s in found if s.base == name)

    def replace(self, settings: Iterable[SourceSettings], mirrors: Mirrors) -> None:
        """Go on with the sources of another config; nothing of theirs is remembered."""
        opened = self._opened(settings, mirrors)
        with self.writing:
            self._mirrors = mirrors
            self._sources = opened

    def join(self, settings: SourceSettings) -> None:
        """One more, beside those that there are."""
        opened = self._opened([settings], self._mirrors)
        with self.writing:
            self._sources = self._sources | opened

    def take_in(self, family: Family, members: Sequence[SourceSettings]) -> tuple[str, ...]:
        """Make these the members of a family; the names of those that are new or changed."""
        with self.writing:
            kept = {s.name: s for s in self.all() if s.settings.family != family.name}
            new = []
            for member in members:
                present = self._sources.get(member.name)
                if present is None or present.settings != member:
                    present = open_source(member, mirrors=self._mirrors)
                    new.append(member.name)
                kept[member.name] = present
            self._sources = kept
            return tuple(new)

    def _opened(self, settings: Iterable[SourceSettings], mirrors: Mirrors) -> dict[str, Looked]:
        return {s.name: open_looked(s, mirrors=mirrors, requests=self._requests) for s in settings}
