"""A directory as a source: read from the top each time, and only what changed is opened."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from envwatch.errors import SourceError
from envwatch.model import Level, Message, Snapshot, SourceFile
from envwatch.settings import SourceSettings
from envwatch.sources import files
from envwatch.sources.files import Selection, selection

# A file that was written this short ago may still be written to, and a second write can leave its
# size and times as they are.
_SETTLE = 0.3
_ROUNDS = 5
# An edit that leaves the stat as it was (a write through a mapping) is found this much later.
_READ_AGAIN = 600.0
# A git command that died leaves its lock behind; no living one holds it that long.
_GIT_PATIENCE = 10.0
_ENTRIES = 200_000
_DEPTH = 64
_TOTAL = 128 * 2**20
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_Key = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """A file that counts; `folder` is an open descriptor, valid while the walk stands there."""

    path: str
    name: str
    folder: int
    stat: os.stat_result


@dataclass(slots=True)
class _Memory:
    """What was read before, by path, with the state in which it was."""

    known: dict[str, tuple[_Key, SourceFile]] = field(default_factory=dict)
    epoch: int = 0


@dataclass(slots=True)
class _Walk:
    """One pass over the folders.

    `unread` tells of folders that could not be looked into, `notes` of those that are left out.
    """

    selection: Selection
    unread: list[Message] = field(default_factory=list)
    notes: list[Message] = field(default_factory=list)
    entries: int = 0
    count: int = 0

    def files(self, folder: int, prefix: str = "", depth: int = 0) -> Generator[_Found]:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda e: e.name)
        self._count(len(entries))
        paths = {prefix + e.name: e for e in entries if not e.is_dir(follow_symlinks=False)}
        for path in sorted(self.selection.choose(paths)):
            self.count += 1
            self.selection.check_count(self.count)
            found = _found(path, paths[path].name, folder)
            if found:
                yield found
        for entry in entries:
            path = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                if self._enters(path, entry.name, depth):
                    yield from self._below(folder, entry.name, path, depth)
            elif entry.is_symlink() and self._misses(path):
                self.notes.append(files.missing_folder(path, "a symbolic link"))

    def _enters(self, path: str, name: str, depth: int) -> bool:
        return name != ".git" and depth < _DEPTH and self.selection.globs.enters(path)

    def _misses(self, path: str) -> bool:
        return self.selection.globs.needs(path) and not self.selection.takes(path)

    def _below(self, folder: int, name: str, path: str, depth: int) -> Generator[_Found]:
        try:
            below = os.open(name, _OPEN | os.O_DIRECTORY, dir_fd=folder)
        except FileNotFoundError:
            return
        except OSError as e:
            text = f"the folder cannot be read: {e.strerror}"
            self.unread.append(Message(Level.ERROR, text, path=files.shown(path)))
            return
        try:
            yield from self.files(below, f"{path}/", depth + 1)
        finally:
            os.close(below)

    def _count(self, entries: int) -> None:
        self.entries += entries
        if self.entries > _ENTRIES:
            raise SourceError(
                f"the directory holds more than {_ENTRIES} entries",
                hint="watch a smaller directory, or narrow `include`",
            )


@dataclass(frozen=True, slots=True)
class DirectorySource:
    settings: SourceSettings
    selection: Selection
    directory: Path
    clock: Callable[[], float] = time.monotonic
    started: float = field(default_factory=time.monotonic)
    memory: _Memory = field(default_factory=_Memory, compare=False)

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def group(self) -> str:
        return self.name

    def watch_paths(self) -> tuple[Path, ...]:
        return (self.directory,)

    def fingerprint(self, since: float | None = None) -> str:  # noqa: ARG002  # always as it is now
        digest = hashlib.sha256(f"{self.selection.mark} {self._epoch()}".encode())
        walk = _Walk(self.selection)
        root = self._open()
        try:
            for found in walk.files(root):
                digest.update(repr((found.path, found.stat.st_mode, _key(found.stat))).encode())
        finally:
            os.close(root)
        digest.update(repr(walk.unread).encode())
        return digest.hexdigest()

    def snapshot(self, seen: str = "") -> Snapshot:  # noqa: ARG002 — files change unasked
        """Waits, for a second or so at most, until no file is freshly written."""
        _check_git_idle(self.directory)
        for _ in range(_ROUNDS):
            walk, found, fresh = self._pass()
            if not fresh:
                break
            time.sleep(_SETTLE)
        kept = tuple(_unsettled(f) if f.path in fresh else f for f in found)
        return Snapshot(
            self.name,
            _revision(kept),
            kept,
            authoritative=bool(kept) and not walk.unread,
            messages=(*walk.unread, *walk.notes),
        )

    def _pass(self) -> tuple[_Walk, list[SourceFile], set[str]]:
        """All files, and the paths of those that may still be written to."""
        known, self.memory.known = self._known(), {}
        walk = _Walk(self.selection)
        read: list[SourceFile] = []
        fresh = set()
        total = 0
        root = self._open()
        try:
            with closing(walk.files(root)) as walking:
                for found in walking:
                    file = self._file(found, known)
                    read.append(file)
                    total += len(file.data or b"")
                    self._check_total(total)
                    if _is_fresh(found.stat):
                        fresh.add(file.path)
                    elif file.data is not None:
                        self.memory.known[found.path] = (_key(found.stat), file)
        finally:
            os.close(root)
        return walk, read, fresh

    def _check_total(self, size: int) -> None:
        if size > _TOTAL:
            raise SourceError(
                f"the files that match `include` hold more than {_TOTAL // 2**20} MiB",
                hint="narrow `include`",
            )

    def _known(self) -> dict[str, tuple[_Key, SourceFile]]:
        epoch = self._epoch()
        if epoch == self.memory.epoch:
            return self.memory.known
        self.memory.epoch = epoch
        return {}

    def _epoch(self) -> int:
        return int((self.clock() - self.started) / _READ_AGAIN)

    def _file(self, found: _Found, known: dict[str, tuple[_Key, SourceFile]]) -> SourceFile:
        key, file = known.get(found.path, ((), None))
        if file is not None and key == _key(found.stat):
            return file
        refusal = _refusal(found)
        return files.unread(found.path, "", refusal) if refusal else _read(found)

    def _open(self) -> int:
        """The directory, through the links that lead to it now."""
        try:
            return os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as e:
            raise SourceError(
                f"the directory `{self.directory}` cannot be read: {e.strerror}",
                hint="compare `directory`; is it mounted?",
            ) from e


def _found(path: str, name: str, folder: int) -> _Found | None:
    """A file as it is now, or nothing where it has just gone."""
    try:
        return _Found(path, name, folder, os.stat(name, dir_fd=folder, follow_symlinks=False))
    except FileNotFoundError:
        return None


def _key(state: os.stat_result) -> _Key:
    """Equal keys mean equal content, unless a write went through a mapping."""
    return (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def _is_fresh(state: os.stat_result) -> bool:
    now = time.time()
    return any(abs(now - at) < _SETTLE for at in (state.st_mtime, state.st_ctime))


def _refusal(found: _Found) -> str:
    """Why a file is not opened, or nothing."""
    if stat.S_ISLNK(found.stat.st_mode):
        return "the file is a symbolic link, and links are not followed"
    if not stat.S_ISREG(found.stat.st_mode):
        return "this is not a regular file"
    return files.strange_name(found.path)


def _read(found: _Found) -> SourceFile:
    limit = files.limit_of(found.path)
    if found.stat.st_size > limit:
        return files.too_large(found.path, "")
    try:
        fd = os.open(found.name, _OPEN, dir_fd=found.folder)
        with os.fdopen(fd, "rb") as opened:
            before = os.fstat(fd)
            data = opened.read(limit + 1) if stat.S_ISREG(before.st_mode) else b""
            after = os.fstat(fd)
    except OSError as e:
        return files.unread(found.path, "", f"the file cannot be read: {e.strerror}")
    # The state before the file was opened counts too: it is what the next pass compares.
    if len({_key(state) for state in (found.stat, before, after)}) > 1:
        return _unsettled(SourceFile(found.path, "", None))
    return SourceFile(found.path, hashlib.sha256(data).hexdigest(), data)


def _unsettled(file: SourceFile) -> SourceFile:
    text = "the file is still being written"
    return file if file.problem else files.unread(file.path, "", text, hint="it is read again soon")


def _revision(kept: tuple[SourceFile, ...]) -> str:
    listed = repr([(file.path, file.content) for file in kept])
    return hashlib.sha256(listed.encode()).hexdigest()[:12]


def _check_git_idle(directory: Path) -> None:
    """While git writes a work tree, half of its files are old and half of them are new."""
    for folder in (directory.resolve(), *directory.resolve().parents):
        if not (folder / ".git").is_dir():
            continue
        try:
            age = time.time() - (folder / ".git" / "index.lock").lstat().st_mtime
        except OSError:
            return
        if abs(age) < _GIT_PATIENCE:
            raise SourceError(f"a git command is at work in `{folder}`")
        return


def open_directory(settings: SourceSettings) -> DirectorySource:
    if settings.directory is None:
        raise SourceError(f"source `{settings.name}` names no directory")
    return DirectorySource(settings, selection(settings), settings.directory)
