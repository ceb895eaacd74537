"""Package archives: got, verified, extracted, looked at by the gate, kept by their sha256.

`<pkgs>/<sha256>` exists only when all of that is done and on disk; it appears by one rename.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rattler.package_streaming import extract

from envwatch.errors import PackageRefused
from envwatch.fetch.download import Downloader, Meter, Report, failure
from envwatch.fetch.network import client, config, mask
from envwatch.gate import check_package
from envwatch.gate.contents import read_contents
from envwatch.hashing import note_quick
from envwatch.model import LockedPackage, Message
from envwatch.settings import Network

__all__ = [
    "client",
    "config",
    "fetch",
    "heal",
    "mask",
    "normalise",
    "staging",
    "sweep",
    "sync",
    "synced",
]

DOWNLOADS = 8
EXTRACTIONS = 2
# so much may have to be fetched again when the power goes during a long download
SETTLE_EVERY = 512 * 2**20
STAGING = ".tmp-"
SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch(
    packages: Sequence[LockedPackage],
    *,
    pkgs: Path,
    network: Network,
    report: Report,
    link_scripts: bool = False,
    stall: float = 60.0,
) -> tuple[Message, ...]:
    """See to it that every conda package lies in the cache; tell what was noticed in new ones.

    Runs its own event loop. `stall` is how long a download may bring no byte.
    """
    for package in packages:
        if not SHA256.fullmatch(package.sha256):
            raise PackageRefused(
                f"package `{package.file_name}` has no sha256",
                hint="only packages whose content is known beforehand are installed",
            )
    unique = tuple({p.sha256: p for p in packages}.values())
    missing = [p for p in unique if not (pkgs / p.sha256).is_dir()]
    meter = Meter(report, total=len(unique), done=len(unique) - len(missing))
    meter.bytes_total = sum(p.size for p in missing)
    meter.tell()
    if not missing:
        return ()
    pkgs.mkdir(parents=True, exist_ok=True)
    sweep(pkgs)
    with staging(pkgs) as folder:
        downloader = Downloader(client(network), meter, stall)
        work = _Work(pkgs, folder, downloader, link_scripts=link_scripts)
        try:
            return asyncio.run(work.all(missing))
        except BaseExceptionGroup as e:
            # the first failure stopped the others
            raise e.exceptions[0] from None


def sync(root: Path) -> None:
    """Write everything on this filesystem to the disk, and fail if it could not be written."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if libc.syncfs(fd) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"syncfs: {os.strerror(code)}", str(root))
    finally:
        os.close(fd)


@contextmanager
def synced(root: Path) -> Iterator[None]:
    """Everything on this filesystem is on the disk once the block has ended.

    What is there already is written while the block works.
    """
    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(sync, root)
        yield
        # a write that failed is told once: to the first who asks
        begun.result()
    sync(root)


def sweep(pkgs: Path) -> None:
    """Remove what interrupted runs left; what another process works on is locked."""
    for left in pkgs.glob(f"{STAGING}*"):
        try:
            fd = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(fd)


def heal(pkgs: Path, sha256: str) -> bool:
    """Take a package out of the cache if its files are not what they were; prefixes keep theirs."""
    tree = pkgs / sha256
    if not tree.is_dir() or not _damaged(tree):
        return False
    aside = pkgs / f"{STAGING}damaged-{sha256}-{os.getpid()}"
    try:
        tree.rename(aside)
    except OSError:
        # another took it out first, or this process may not
        return False
    shutil.rmtree(aside, ignore_errors=True)
    return True


def _damaged(tree: Path) -> bool:
    try:
        for entry in read_contents(tree).entries:
            if entry.kind == "hardlink" and entry.sha256:
                with (tree / entry.path).open("rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != entry.sha256:
                        return True
    except (OSError, ValueError):
        return True
    return False


@contextmanager
def staging(pkgs: Path) -> Iterator[Path]:
    """A folder of this run alone (0700), locked for as long as it lives."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=STAGING, dir=pkgs))
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # the sweep of another build that begins came between
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            # … or between this and the locking
            if not folder.is_dir():
                continue
            yield folder
            return
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(fd)


def normalise(tree: Path) -> int:
    """Files 0444 or 0555, folders 0755: nobody writes through a hard link. Returns the bytes."""
    size = 0
    tree.chmod(0o755)
    for folder, folders, files in os.walk(tree):
        for name in folders:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755)
        for name in files:
            path = Path(folder, name)
            info = path.lstat()
            if stat.S_ISREG(info.st_mode):
                size += info.st_size
                path.chmod(0o555 if info.st_mode & 0o111 else 0o444)
    return size


@dataclass(slots=True)
class _Work:
    """One run: downloads and extractions side by side, each package on its own."""

    pkgs: Path
    staging: Path
    downloader: Downloader
    link_scripts: bool
    ready: list[Path] = field(default_factory=list)
    ready_size: int = 0
    downloads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(DOWNLOADS))
    extractions: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(EXTRACTIONS))

    async def all(self, packages: Sequence[LockedPackage]) -> tuple[Message, ...]:
        # the largest first: the last to arrive should not be the longest to extract
        ordered = sorted(packages, key=lambda p: -p.size)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.one(p)) for p in ordered]
        await self._settle()
        return tuple(m for task in tasks for m in task.result())

    async def one(self, package: LockedPackage) -> tuple[Message, ...]:
        suffix = ".tar.bz2" if package.url.endswith(".tar.bz2") else ".conda"
        archive = self.staging / f"{package.sha256}{suffix}"
        meter = self.downloader.meter
        try:
            async with self.downloads:
                source = await self.downloader.get(package, archive)
            async with self.extractions:
                found, size = await asyncio.to_thread(self._extract, package, source)
            self.ready.append(self.staging / package.sha256)
            self.ready_size += size
            archive.unlink(missing_ok=True)
            if self.ready_size > SETTLE_EVERY:
                await self._settle()
        except OSError as e:
            raise failure(package, e) from e
        meter.done += 1
        meter.tell(package.name)
        return found

    def _extract(self, package: LockedPackage, archive: Path) -> tuple[tuple[Message, ...], int]:
        tree = self.staging / package.sha256
        try:
            sha256, _ = extract(archive, tree)
        except (OSError, RuntimeError, ValueError) as e:
            # an error of this machine has a number, one of the archive has none
            if isinstance(e, OSError) and e.errno:
                raise
            raise failure(package, f"it cannot be unpacked: {e}") from e
        # a file of this machine may have been changed since it was hashed
        if sha256.hex() != package.sha256:
            raise failure(package, "it changed while it was read")
        found = check_package(tree, package, link_scripts=self.link_scripts)
        # from here on every file can be read, and none can be written
        size = normalise(tree)
        wrong = note_quick(str(tree))
        if wrong:
            raise PackageRefused(
                f"package `{package.file_name}` is refused: its file `{wrong}` is not what the"
                " package says of it",
                hint="ask the channel for a repaired package",
            )
        return found, size

    async def _settle(self) -> None:
        """Put what is ready on the disk, then into its place."""
        ready, self.ready, self.ready_size = self.ready, [], 0
        await asyncio.to_thread(sync, self.pkgs)
        for tree in ready:
            place = self.pkgs / tree.name
            try:
                tree.rename(place)
            except OSError:
                # another build had it first; both made the same
                if not place.is_dir():
                    raise
