"""Artifacts as files below `<root>/artifacts`, for the daemon's eyes only."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from envwatch.errors import NotFound, StorageError
from envwatch.storage.keys import check_key

WRITABLE = 0o222
TEMPORARY = ".part-"


@dataclass(frozen=True, slots=True)
class FilesystemStorage:
    folder: Path

    def put(self, key: str, path: Path) -> None:
        target = self._file(key)
        with _told(key):
            _make_folder(target.parent, self.folder)
            beside = target.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
            try:
                _link_or_copy(path, beside)
                _sync(beside)
                beside.replace(target)
            finally:
                # Still there after a failure, and where both are links to one file: replace
                # then does nothing.
                beside.unlink(missing_ok=True)
            _sync(target.parent)

    def open(self, key: str) -> BinaryIO:
        with _told(key):
            return self._file(key).open("rb")

    def path(self, key: str) -> Path:
        path = self._file(key)
        if not path.is_file():
            raise _missing(key)
        return path

    def size(self, key: str) -> int:
        with _told(key):
            return self._file(key).stat().st_size

    def delete(self, key: str) -> None:
        path = self._file(key)
        with _told(key):
            path.unlink(missing_ok=True)
            for folder in list(path.parents)[: len(Path(key).parents) - 1]:
                if not _remove_empty(folder):
                    break

    def list(self, prefix: str = "") -> tuple[str, ...]:
        keys = (str(p.relative_to(self.folder)) for p in self.folder.glob("*/*/*/*"))
        return tuple(sorted(k for k in keys if k.startswith(prefix) and f"/{TEMPORARY}" not in k))

    def exists(self, key: str) -> bool:
        return self._file(key).is_file()

    def _file(self, key: str) -> Path:
        return self.folder / check_key(key)


def open_storage(root: Path) -> FilesystemStorage:
    """The artifacts of a root; what a killed `put` left behind is removed."""
    folder = root / "artifacts"
    with _told(str(folder)):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in folder.glob(f"*/*/*/{TEMPORARY}*"):
            left.unlink(missing_ok=True)
    return FilesystemStorage(folder)


def _make_folder(folder: Path, top: Path) -> None:
    """Each new folder is synced into the one above: a file that is safe must also be found."""
    if folder == top or folder.is_dir():
        return
    _make_folder(folder.parent, top)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync(folder.parent)


def _link_or_copy(source: Path, target: Path) -> None:
    """A file that is read-only is final, and costs nothing to link; any other might yet change."""
    if not source.stat().st_mode & WRITABLE:
        try:
            target.hardlink_to(source)
        except OSError as e:
            if e.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP):
                raise
        else:
            return
    shutil.copyfile(source, target)
    target.chmod(0o400)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError as e:
        if e.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise
        return e.errno == errno.ENOENT
    return True


def _missing(key: str) -> NotFound:
    return NotFound(f"there is no artifact `{key}`")


@contextmanager
def _told(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as e:
        if e.filename is not None and not str(e.filename).endswith(key):
            raise StorageError(f"artifact `{key}`: {e.strerror}: {e.filename}") from e
        raise _missing(key) from e
    except OSError as e:
        raise StorageError(f"artifact `{key}`: {e.strerror}: {e.filename}") from e
