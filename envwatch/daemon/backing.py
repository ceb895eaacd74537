"""`envwatch backup`: one file from which a root is made again, taken while a daemon runs.

The catalog is copied first, as it is at one moment; what it tells of has been on disk by then.
Repositories come after it: what was pushed in between is found by the next look.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from envwatch.catalog import read_catalog
from envwatch.catalog.database import copy_database
from envwatch.daemon.manifest import (
    CATALOG,
    CONFIG,
    MANIFEST,
    MEMBER,
    NAME,
    VERSION,
    Entry,
    Manifest,
    packing,
)
from envwatch.errors import BackupError, NotFound
from envwatch.git.bare import GC_LIMIT, Bare
from envwatch.settings import Settings
from envwatch.store import Store, sync_folder

LOCK = "lock"  # of a build: what is in it is nothing


@dataclass(frozen=True, slots=True)
class BackedUp:
    """`size` is that of the file; `missing` are files that the config names, kept by others."""

    file: Path
    size: int
    files: int
    missing: tuple[str, ...]


def back_up(settings: Settings, target: Path, *, artifacts: bool = False) -> BackedUp:
    """Write a backup beside `target`, then rename it. Raises BackupError, NotFound."""
    store = Store(settings.root)
    store.check_whole()
    if not store.catalog.exists():
        raise NotFound(f"{store.root}: there is no catalog yet, so there is nothing to keep")
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with tempfile.TemporaryDirectory(dir=store.root / "tmp", prefix="backup-") as tmp:
            os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            manifest = _pack(settings, store, Path(tmp), beside, artifacts=artifacts)
        _sync(beside)
        beside.replace(target)
        sync_folder(target.parent)
    except OSError as e:
        raise BackupError(f"{target}: cannot be written: {e.strerror or e}") from e
    finally:
        beside.unlink(missing_ok=True)
    return BackedUp(target, target.stat().st_size, len(manifest.entries), manifest.missing)


def _pack(
    settings: Settings, store: Store, tmp: Path, target: Path, *, artifacts: bool
) -> Manifest:
    manifest = Manifest(
        version=VERSION,
        envwatch=version("envwatch"),
        made_at=datetime.now(UTC),
        root=str(store.root),
        artifacts=artifacts,
        missing=tuple(sorted(_named_files(settings))),
        entries=(),
    )
    with packing(target) as tar:
        files = _files(settings, store, tmp, artifacts=artifacts)
        entries = tuple(_add(tar, name, path) for name, path in files)
        manifest = replace(manifest, entries=entries)
        data = MANIFEST.dump_json(manifest, indent=1)
        tar.addfile(_info(NAME, len(data)), io.BytesIO(data))
    return manifest


def _files(
    settings: Settings, store: Store, tmp: Path, *, artifacts: bool
) -> Iterator[tuple[str, Path]]:
    """Each file with its name in the backup, in an order that keeps them consistent."""
    copy = tmp / CATALOG
    copy_database(store.catalog, copy)
    with closing(read_catalog(copy)) as catalog:
        newest = catalog.builds.newest_id()
    yield CATALOG, copy
    if settings.path is not None:
        yield CONFIG, settings.path
    for build in range(1, newest + 1):
        yield from _of_build(store, build)
    yield from _repositories(store, tmp)
    if artifacts:
        for path in _plain((store.root / "artifacts").rglob("*")):
            yield str(path.relative_to(store.root)), path


def _of_build(store: Store, build: int) -> Iterator[tuple[str, Path]]:
    if store.log(build).is_file():
        yield f"logs/{build}.log", store.log(build)
    for path in _plain(store.record(build).glob("*")):
        if path.name != LOCK:
            yield f"records/{build}/{path.name}", path


def _repositories(store: Store, tmp: Path) -> Iterator[tuple[str, Path]]:
    for repository in sorted(store.managed.glob("*.git")):
        bundle = tmp / f"{repository.stem}.bundle"
        if _bundled(Bare(repository), bundle):
            yield f"managed/{bundle.name}", bundle
            bundle.unlink()


def _plain(paths: Iterable[Path]) -> list[Path]:
    """Files, and none that is still being written."""
    return sorted(
        p for p in paths if p.is_file() and not p.is_symlink() and not p.name.startswith(".")
    )


def _bundled(bare: Bare, target: Path) -> bool:
    """All that a repository holds, as git sees it at one moment; False where it is empty."""
    if not bare.run("for-each-ref", "--count=1").strip():
        return False
    bare.run("bundle", "create", "--quiet", str(target), "--all", timeout=GC_LIMIT)
    return True


def _add(tar: tarfile.TarFile, name: str, path: Path) -> Entry:
    """As long as it is now: a log may go on growing."""
    if not MEMBER.fullmatch(name):
        raise BackupError(f"{path}: has no place in a backup")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        reader = _Hashing(file)
        tar.addfile(_info(name, size), reader)  # type: ignore[arg-type]  # it only reads
    return Entry(name, size, reader.digest.hexdigest())


def _info(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info


class _Hashing:
    """A file that knows the sum of what was read of it."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        block = self._file.read(size)
        self.digest.update(block)
        return block


def _named_files(value: Any) -> Iterator[str]:
    """Files that the config names: secrets, keys, authorities. They are kept by their owner."""
    if isinstance(value, Path):
        yield str(value)
    elif isinstance(value, tuple):
        for item in value:
            yield from _named_files(item)
    elif is_dataclass(value):
        for field in fields(value):
            if field.name not in ("root", "path", "directory"):
                yield from _named_files(getattr(value, field.name))


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
