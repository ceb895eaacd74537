"""The folders under the root: prefixes, links, records, logs; sizes, what is in use, removal."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from envwatch.entries import valid_name
from envwatch.errors import ConfigError, Conflict, RootInUse
from envwatch.model import EnvKey, Folders

logger = logging.getLogger(__name__)

MARKER = "envwatch.root"
RESTORING = "restoring"  # is there as long as a restore has not brought everything back
LONGEST_PREFIX = 200  # bytes: conda binaries hold 255 for the prefix, and files lie below it
PRIVATE = ("pkgs", "pyc", "uv", "repodata", "tmp", "mirrors", "managed", "artifacts", "logs",
           "records", "trash")  # fmt: skip
PUBLIC = ("envs", "jupyter", "builds")


@dataclass(frozen=True, slots=True)
class Space:
    """Of the filesystem under the root, in bytes."""

    total: int
    free: int


class Store:
    """All paths below one root. Makes, points and removes; decides nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root

    # ------------------------------------------------------------ the folders

    def prepare(self) -> None:
        """Make the folders. A folder that holds other things is refused. Raises ConfigError."""
        marker = self.root / MARKER
        ours = marker.exists() or self.restoring.exists()
        if self.root.is_dir() and not ours and any(self.root.iterdir()):
            raise ConfigError(
                f"root: `{self.root}` is not empty and not a root of envwatch",
                hint="name an empty folder",
            )
        self.root.mkdir(parents=True, exist_ok=True)
        marker.write_text("This folder is kept by envwatch; what is in it may be removed by it.\n")
        for name in PUBLIC:
            _folder(self.root / name, 0o755)
        for name in PRIVATE:
            _folder(self.root / name, 0o700)

    @property
    def restoring(self) -> Path:
        return self.root / RESTORING

    def check_whole(self) -> None:
        """Raises Conflict where a restore was stopped half-way."""
        if self.restoring.exists():
            raise Conflict(
                f"{self.root}: a restore of this root did not end",
                hint="run `envwatch restore` again: it starts over",
            )

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Be the only daemon of this root. Raises RootInUse, which names the other's pid."""
        path = self.root / "lock"
        with path.open("a+", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                pid = file.read().strip() or "unknown"
                raise RootInUse(
                    f"{self.root}: the daemon with pid {pid} holds this root",
                    hint="stop it first, or give this one another `root`",
                ) from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def held(self) -> bool:
        """Does a daemon hold this root now?"""
        try:
            with (self.root / "lock").open("a", encoding="ascii") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    @property
    def catalog(self) -> Path:
        return self.root / "catalog.sqlite"

    @property
    def control(self) -> Path:
        return self.root / "control.sock"

    @property
    def mirrors(self) -> Path:
        return self.root / "mirrors"

    @property
    def managed(self) -> Path:
        """The bare repositories that people push to."""
        return self.root / "managed"

    def log(self, build_id: int) -> Path:
        return self.root / "logs" / f"{build_id}.log"

    def record(self, build_id: int) -> Path:
        """The folder of a build's durable record and the files made beside it."""
        return self.root / "records" / str(build_id)

    def prefix(self, build_id: int, digest: str) -> Path:
        return self.root / "builds" / f"{build_id}-{digest[:8]}"

    def folders(self, build_id: int, digest: str, namespace: str) -> Folders:
        """Where the child of one build may read and write. Raises Conflict for an odd namespace."""
        if namespace and not valid_name(namespace):
            # a folder of its name is made, and may be written by what runs there
            raise Conflict(f"{namespace[:80]!a} cannot be the name of a namespace")
        return Folders(
            prefix=self.prefix(build_id, digest),
            record=self.record(build_id),
            tmp=self.root / "tmp" / str(build_id),
            pkgs=self.root / "pkgs",
            pyc=self.root / "pyc",
            uv=self.root / "uv" / namespace,
            repodata=self.root / "repodata",
        )

    def aside(self, tmp: Path, namespace: str) -> Folders:
        """… of a job of which nothing is kept."""
        usual = self.folders(0, "", namespace)
        return replace(usual, prefix=tmp / "none", record=tmp, tmp=tmp)

    # ------------------------------------------------------------ links

    def link(self, key: EnvKey) -> Path:
        return self.root / "envs" / key.namespace / key.label

    def pointed(self, key: EnvKey) -> Path | None:
        """Where the link points now."""
        try:
            target = self.link(key).readlink()
        except OSError:
            return None
        return Path(os.path.normpath(self.link(key).parent / target))

    def point(self, key: EnvKey, prefix: Path, *, mode: int = 0o755, group: str = "") -> bool:
        """Make the link lead to `prefix` by one rename, synced to disk; was it changed?"""
        link = self.link(key)
        self._private_folder(link.parent, mode, group)
        if self.pointed(key) == prefix:
            return False
        target = os.path.relpath(prefix, link.parent)
        temporary = link.with_name(f".{link.name}.{uuid.uuid4().hex}")
        temporary.symlink_to(target)
        temporary.replace(link)
        sync_folder(link.parent)
        return True

    def unpoint(self, key: EnvKey) -> bool:
        """Take the link away, if it is there."""
        try:
            self.link(key).unlink()
        except FileNotFoundError:
            return False
        sync_folder(self.link(key).parent)
        return True

    def links(self) -> Iterator[tuple[EnvKey, Path]]:
        """Every link there is, left-over temporary ones apart, which are removed."""
        for folder in sorted((self.root / "envs").iterdir()):
            if not folder.is_dir():
                continue
            for link in sorted(folder.iterdir()):
                if link.name.startswith("."):
                    link.unlink(missing_ok=True)
                elif link.name.startswith(f"{folder.name}-"):
                    yield EnvKey(folder.name, link.name.removeprefix(f"{folder.name}-")), link

    def shelter(self, prefix: Path, *, mode: int, group: str) -> None:
        """Give a prefix the group and mode of its namespace; its inside needs no change."""
        self._private_folder(prefix, mode, group)

    def _private_folder(self, folder: Path, mode: int, group: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if group:
            shutil.chown(folder, group=group)
        if folder.stat().st_mode & 0o7777 != mode:
            folder.chmod(mode)

    # ------------------------------------------------------------ prefixes

    def prefixes(self) -> Iterator[Path]:
        yield from sorted((self.root / "builds").iterdir())

    def discard(self, path: Path) -> None:
        """Move a folder to the trash at once; `empty_trash` deletes it. Never leaves the root."""
        if path.parent.parent != self.root or path.is_symlink() or not path.exists():
            return
        path.rename(self.root / "trash" / f"{path.parent.name}-{path.name}-{uuid.uuid4().hex}")

    def clear(self, path: Path) -> None:
        """Delete a folder of `tmp` or of the trash, whatever its modes."""
        if path.parent not in (self.root / "tmp", self.root / "trash"):
            return
        if path.is_dir() and not path.is_symlink():
            _writable(path)
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def empty_trash(self) -> None:
        for path in (self.root / "trash").iterdir():
            self.clear(path)

    def space(self) -> Space:
        s = os.statvfs(self.root)
        return Space(s.f_frsize * s.f_blocks, s.f_frsize * s.f_bavail)

    def in_use(self, prefixes: Iterable[Path]) -> frozenset[Path]:
        """Those prefixes that a process has open, runs from, stands in or names.

        Only processes that this one may look at are seen; the grace of the retention is for the
        others.
        """
        wanted = {f"{p}/".encode(): p for p in prefixes}
        marks = (self.root / "builds").as_posix().encode()
        used: set[Path] = set()
        for process in Path("/proc").iterdir():
            if not process.name.isdigit() or not wanted:
                continue
            seen = _traces(process)
            if marks in seen:
                used |= {
                    p for text, p in wanted.items() if text in seen or text[:-1] + b"\0" in seen
                }
        return frozenset(used)


def _traces(process: Path) -> bytes:
    """All that tells where a process lives, as one text."""
    parts: list[bytes] = []
    for link in ("exe", "cwd"):
        try:
            parts.append(os.fsencode((process / link).readlink()) + b"/\0")
        except OSError:
            continue
    for name in ("cmdline", "maps"):
        try:
            parts.append((process / name).read_bytes() + b"\0")
        except OSError:
            continue
    return b"".join(parts)


def _folder(path: Path, mode: int) -> None:
    path.mkdir(exist_ok=True)
    if path.stat().st_mode & 0o777 != mode:
        path.chmod(mode)


def _writable(path: Path) -> None:
    for folder, _, _ in os.walk(path):
        if not os.access(folder, os.W_OK):
            Path(folder).chmod(0o700)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_durably(path: Path, data: bytes) -> None:
    """The whole file or none of it, on disk when this returns."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)
