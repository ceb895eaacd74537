"""Watches the file system through watchdog, as far as inotify can be trusted."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from watchdog.events import (
    DirAttribEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver, ObservedWatch
from watchdog.observers.inotify import InotifyEmitter
from watchdog.observers.inotify_c import InotifyEvent, InotifyFD

from envwatch.settings import SourceKind
from envwatch.sources import Looked
from envwatch.watch.dirty import Mark

logger = logging.getLogger(__name__)

# A ref changes by one rename, which is the last of a push: it needs no time to come to rest.
_QUIET_GIT = 0.005
_EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileModifiedEvent,
    FileClosedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    FileAttribEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
    DirAttribEvent,
]
_SILENT = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "lustre",
    "virtiofs",
    "vboxsf",
)
_SYSCTL = (
    "raise it by `sysctl fs.inotify.max_user_watches=1048576`; until then a rescan finds changes"
)


@dataclass(frozen=True, slots=True)
class _Spot:
    """A folder to watch. Another folder at the same path (`identity`) is another spot."""

    path: Path
    recursive: bool
    identity: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Interest:
    """What one source wants to hear of a spot: all that matters to its kind, or one path."""

    source: str
    kind: SourceKind
    only: str = ""

    def concerns(self, path: str, *, folder: bool) -> bool:
        if self.only:
            return path == self.only
        if self.kind is not SourceKind.DIRECTORY:
            return not path.endswith(".lock")
        if "/.git/" in path or path.endswith("/.git"):
            return False
        return folder or path.endswith((".yml", ".yaml"))


class _Inotify(InotifyFD):
    """Tells of an overflow, which watchdog keeps to itself."""

    def __init__(self, overflowed: Callable[[], None]) -> None:
        super().__init__()
        self._overflowed = overflowed

    def handle_event(self, event: InotifyEvent) -> None:
        super().handle_event(event)
        if event.is_queue_overflow:
            self._overflowed()

    def watches(self) -> int:
        """How many folders the kernel really watches."""
        text = Path(f"/proc/self/fdinfo/{self._inotify_fd}").read_text(encoding="ascii")
        return text.count("inotify wd:")


class _Observer(BaseObserver):
    def __init__(self, overflowed: Callable[[], None]) -> None:
        self.inotify = _Inotify(overflowed)
        self.inotify.start()
        super().__init__(InotifyEmitter, inotify_fd=self.inotify)

    def on_thread_stop(self) -> None:
        super().on_thread_stop()
        self.inotify.stop()
        self.inotify.join()

    def lives(self) -> bool:
        return (
            self.is_alive() and self.inotify.is_alive() and all(e.is_alive() for e in self.emitters)
        )


class _Handler(FileSystemEventHandler):
    """Marks, and nothing else. An exception here would end the thread of all handlers."""

    def __init__(self, interests: frozenset[_Interest], mark: Mark, quiet: float) -> None:
        self.interests = interests
        self._mark = mark
        self._quiet = quiet

    def dispatch(self, event: FileSystemEvent) -> None:
        try:
            paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
            for i in self.interests:
                if any(i.concerns(path, folder=event.is_directory) for path in paths):
                    git = i.kind is not SourceKind.DIRECTORY
                    self._mark(i.source, quiet=min(self._quiet, _QUIET_GIT) if git else self._quiet)
        except Exception:
            logger.exception("an event of the file system was lost")


class Eyes:
    """Keeps the watches of the file system in step with the sources and with what lies on disk."""

    def __init__(self, mark: Mark, quiet: float, overflowed: Callable[[], None]) -> None:
        self._mark = mark
        self._quiet = quiet
        self._overflowed = overflowed
        self._observer: _Observer | None = None
        self._watched: dict[_Spot, tuple[_Handler, ObservedWatch]] = {}
        self._told: set[str] = set()

    def check(self, sources: Iterable[Looked]) -> None:
        """Watch what should be watched now; whatever comes new into view is marked."""
        wanted = _wanted(sources)
        for spot in self._watched.keys() - wanted.keys():
            self._unwatch(spot)
        if self._observer is not None and not self._observer.lives():
            logger.warning("the watch of the file system had ended, it starts again")
            self.close()
        for spot, interests in wanted.items():
            new = interests
            if spot in self._watched:
                handler, _ = self._watched[spot]
                # a source that came since did not hear of what has changed since it was looked at
                new = interests - handler.interests
                handler.interests = interests
            elif not self._watch(spot, interests):
                continue
            for interest in new:
                self._mark(interest.source, quiet=self._quiet)

    def close(self) -> None:
        self._watched.clear()
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None

    def count(self) -> None:
        """Warn when the kernel watches fewer folders than there are."""
        if self._observer is None:
            return
        folders = {identity for spot in self._watched for identity in _folders(spot)}
        watched = self._observer.inotify.watches()
        if watched < len(folders):
            text = f"{watched} of {len(folders)} folders are watched, the kernel allows no more"
            self._tell("watches", f"{text}: {_SYSCTL}")

    def _watch(self, spot: _Spot, interests: frozenset[_Interest]) -> bool:
        silent = silent_filesystem(spot.path)
        if silent:
            self._tell(
                str(spot.path), f"`{spot.path}` is on {silent}, which tells no changes: polled"
            )
            return False
        handler = _Handler(interests, self._mark, self._quiet)
        try:
            if self._observer is None:
                self._observer = _Observer(self._overflowed)
                self._observer.start()
            watch = self._observer.schedule(
                handler, str(spot.path), recursive=spot.recursive, event_filter=_EVENTS
            )
        except OSError as e:
            self._tell(str(spot.path), f"`{spot.path}` cannot be watched: {e.strerror}: {_SYSCTL}")
            return False
        self._watched[spot] = (handler, watch)
        return True

    def _unwatch(self, spot: _Spot) -> None:
        _, watch = self._watched.pop(spot)
        if self._observer is not None:
            self._observer.unschedule(watch)

    def _tell(self, about: str, text: str) -> None:
        """Once, not at each turn."""
        if about not in self._told:
            self._told.add(about)
            logger.warning("%s", text)


def _wanted(sources: Iterable[Looked]) -> dict[_Spot, frozenset[_Interest]]:
    """The spots to watch, with all that each one is watched for."""
    wanted: dict[_Spot, frozenset[_Interest]] = {}
    for source in sources:
        kind = source.settings.kind
        for path in source.watch_paths():
            spots = (
                (_spot(path, recursive=True), _Interest(source.name, kind)),
                # The folder above tells when the path is made, replaced, or a link is switched.
                (_spot(path.parent, recursive=False), _Interest(source.name, kind, _named(path))),
            )
            for spot, interest in spots:
                if spot is not None:
                    wanted[spot] = wanted.get(spot, frozenset()) | {interest}
    return wanted


def _named(path: Path) -> str:
    return str(path.parent.resolve() / path.name)


def _spot(path: Path, *, recursive: bool) -> _Spot | None:
    try:
        resolved = path.resolve(strict=True)
        state = resolved.stat()
    except OSError:
        return None
    return _Spot(resolved, recursive, (state.st_dev, state.st_ino)) if resolved.is_dir() else None


def _folders(spot: _Spot) -> Iterable[tuple[int, int]]:
    yield spot.identity
    if spot.recursive:
        for folder, names, _ in os.walk(spot.path):
            for name in names:
                with suppress(FileNotFoundError):
                    state = (Path(folder) / name).lstat()
                    yield state.st_dev, state.st_ino


def silent_filesystem(path: Path, mounts: str | None = None) -> str:
    """The type of the file system where it is one on which inotify sees nothing, or nothing."""
    text = Path("/proc/self/mountinfo").read_text(errors="replace") if mounts is None else mounts
    best, found = "", ""
    for line in text.splitlines():
        fields, _, rest = line.partition(" - ")
        mount = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), fields.split(" ")[4])
        below = path == Path(mount) or Path(mount) in path.parents
        if below and len(mount) >= len(best):
            best, found = mount, rest.split(" ")[0]
    return found if found in _SILENT or found.startswith("fuse") else ""
