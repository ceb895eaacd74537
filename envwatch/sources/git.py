"""A branch, tag or commit of a repository as a source: read from a mirror, never a work tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from envwatch.git.local import watched
from envwatch.git.mirror import Mirror
from envwatch.git.mirrors import Mirrors
from envwatch.git.refs import Refs, Tip, check, resolve, wanted
from envwatch.git.tree import LINK, SUBMODULE, Entry, Tree
from envwatch.git.urls import check_url, shown
from envwatch.model import Message, Snapshot, SourceFile
from envwatch.settings import SourceSettings
from envwatch.sources import files
from envwatch.sources.files import Selection, selection

_LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(slots=True)
class _Memory:
    """What was seen last: the tip that a fingerprint names, and the snapshot that it gave.

    The snapshot answers again for its revision, and its blobs are not read twice.
    """

    tip: Tip | None = None
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

    @property
    def group(self) -> str:
        return self.mirror.path.name

    def fingerprint(self, since: float | None = None) -> str:
        tip = self.tip(since)
        return f"{tip.target}-{self.selection.mark}"

    def snapshot(self, seen: str = "") -> Snapshot:
        tip = self.memory.tip
        if tip is None or seen.partition("-")[0] != tip.target:
            tip = self.tip()
        last = self.memory.last
        if last is None or last.revision != tip.revision or last.ref != tip.ref:
            last = self.mirror.read(tip, self._snapshot, self.settings.verify)
            self.memory.last = last
        return last

    def watch_paths(self) -> tuple[Path, ...]:
        return watched(self.settings.url)

    def tip(self, since: float | None = None) -> Tip:
        """What is followed now. A commit that was given by its id is not asked for."""
        fixed = bool(self.settings.commit)
        offered = Refs({}) if fixed else self.mirror.remote.refs(since)
        self.memory.tip = resolve(self.settings, offered, shown(self.settings.url))
        return self.memory.tip

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
        return Snapshot(
            self.name,
            tree.revision,
            taken,
            commit=commit,
            messages=tuple(messages),
            ref=tree.tip.ref,
        )

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
    if data.startswith(_LFS):
        return files.unread(entry.path, entry.oid, "the file is kept by Git LFS, which is not read")
    return SourceFile(entry.path, entry.oid, data)


def _refusal(entry: Entry) -> str:
    """Why an entry is not read, or nothing."""
    if entry.mode == LINK:
        return "the file is a symbolic link, and links in a repository are not followed"
    if entry.mode == SUBMODULE:
        return "this is a submodule, and submodules are not fetched"
    return files.strange_name(entry.path)


def open_git(settings: SourceSettings, mirrors: Mirrors) -> GitSource:
    check_url(settings.url)
    check(settings)
    mirror = mirrors.of(settings.url, settings.credentials, settings.timeout)
    mirror.remote.want(wanted(settings))
    return GitSource(settings, selection(settings), mirror)
