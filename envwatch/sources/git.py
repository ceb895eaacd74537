"""A branch of a git repository as a source: read from a mirror, never from a work tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from envwatch.git.local import watched
from envwatch.git.mirror import Mirror, full_ref, mirror_path
from envwatch.git.tree import LINK, SUBMODULE, Entry, Tree
from envwatch.git.urls import check_url
from envwatch.model import Message, Snapshot, SourceFile
from envwatch.settings import SourceSettings
from envwatch.sources import files
from envwatch.sources.files import Selection, selection


@dataclass(slots=True)
class _Memory:
    """The last snapshot: it answers again for its revision, and its blobs are not read twice."""

    last: Snapshot | None = None

    def blobs(self) -> dict[str, bytes]:
        known = self.last.files if self.last else ()
        return {file.content: file.data for file in known if file.data is not None}


@dataclass(frozen=True, slots=True)
class GitSource:
    settings: SourceSettings
    selection: Selection
    mirror: Mirror
    memory: _Memory = field(default_factory=_Memory, compare=False)

    @property
    def name(self) -> str:
        return self.settings.name

    def fingerprint(self) -> str:
        return f"{self.mirror.tip(self.settings.branch)}-{self.selection.mark}"

    def snapshot(self, seen: str = "") -> Snapshot:
        tip = seen.partition("-")[0] or self.mirror.tip(self.settings.branch)
        last = self.memory.last
        if last is None or last.revision != tip:
            last = self.mirror.read(self.settings.branch, tip, self._snapshot)
            self.memory.last = last
        return last

    def watch_paths(self) -> tuple[Path, ...]:
        return watched(self.settings.url)

    def at(self, tree: Tree) -> Snapshot:
        """What one revision holds, wherever it was read from."""
        return self._snapshot(tree)

    def _snapshot(self, tree: Tree) -> Snapshot:
        entries, messages = self._candidates(tree)
        chosen = [entries[path] for path in sorted(self.selection.choose(entries))]
        known = self.memory.blobs()
        commit, read = tree.read(_wanted(chosen, known))
        blobs = known | read
        taken = tuple(_file(entry, blobs.get(entry.oid)) for entry in chosen)
        return Snapshot(self.name, tree.revision, taken, commit=commit, messages=tuple(messages))

    def _candidates(self, tree: Tree) -> tuple[dict[str, Entry], list[Message]]:
        """The few of many entries that can matter, and no more of them than the limit says."""
        entries: dict[str, Entry] = {}
        messages = []
        count = 0
        for entry in tree.entries():
            if self.selection.takes(entry.path):
                count += 1
                self.selection.check_count(count)
                entries.setdefault(entry.path, entry)
            elif files.is_lock(entry.path):
                entries.setdefault(entry.path, entry)
            elif entry.mode in (LINK, SUBMODULE) and self.selection.globs.needs(entry.path):
                kind = "a symbolic link" if entry.mode == LINK else "a submodule"
                messages.append(files.missing_folder(entry.path, kind))
        return entries, messages


def _wanted(entries: list[Entry], known: Mapping[str, bytes]) -> dict[str, int]:
    """The blobs that must be read, each with the size up to which it is."""
    wanted: dict[str, int] = {}
    for entry in entries:
        if not _refusal(entry) and entry.oid not in known:
            wanted[entry.oid] = max(files.limit_of(entry.path), wanted.get(entry.oid, 0))
    return wanted


def _file(entry: Entry, data: bytes | None) -> SourceFile:
    refusal = _refusal(entry)
    if refusal:
        return files.unread(entry.path, entry.oid, refusal)
    if data is None or len(data) > files.limit_of(entry.path):
        return files.too_large(entry.path, entry.oid)
    return SourceFile(entry.path, entry.oid, data)


def _refusal(entry: Entry) -> str:
    """Why an entry is not read, or nothing."""
    if entry.mode == LINK:
        return "the file is a symbolic link, and links in a repository are not followed"
    if entry.mode == SUBMODULE:
        return "this is a submodule, and submodules are not fetched"
    return files.strange_name(entry.path)


def open_git(settings: SourceSettings, mirrors: Path) -> GitSource:
    check_url(settings.url)
    full_ref(settings.branch)
    path = mirror_path(mirrors, settings.url)
    mirror = Mirror(path, settings.url, settings.timeout)
    return GitSource(settings, selection(settings), mirror)
