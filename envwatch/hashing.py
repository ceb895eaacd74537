"""Are files what they should be? A package when it is unpacked, a prefix when it is made.

Every file of a package is compared with the sha256 that the package says once, when it is new;
then its BLAKE3 is noted, which has the same strength and takes a quarter of the time to compare.

Also a program of its own, that imports little: two processes hash twice as fast as two threads.
It reads one line of JSON, `[work, prefix]`. Each piece of work is `[tree, record]`: the name of a
record of the prefix, and the package in the cache that its files are linked from, or nothing.
Who does which piece is decided by a pipe of tickets, four bytes each. Without a prefix the
program hashes the trees, and reads the prefix from a second line once it is made.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Protocol, Self

from blake3 import blake3

CHUNK = 2**18
META = "conda-meta"
PATHS = "info/paths.json"
QUICK = "info/blake3.json"
SKIPPED = ("softlink", "directory")
RECORD = ".dist-info/RECORD"
UNREADABLE = (OSError, ValueError, KeyError, TypeError, RecursionError)
# Ahead of the linker only what it leaves idle is used.
NICE = 10

# One file on this disk, whatever its names: device, inode, size, time of the last change.
Identity = tuple[int, int, int, int]
# The sha256 of files that were hashed a moment ago.
Known = Mapping[Identity, str]
# The BLAKE3 of files of a package, by their sha256.
Quick = Mapping[str, str]


class Hash(Protocol):
    """What sha256 and blake3 have in common."""

    def update(self, data: bytes, /) -> Self | None: ...
    def hexdigest(self) -> str: ...


class Found:
    """What came of some records.

    `faults` are (record, path, what is wrong), `packages` are (label, sha256) of each record,
    `distributions` are the folders of Python distributions that they list.
    """

    def __init__(
        self,
        faults: Iterable[Iterable[str]] = (),
        packages: Iterable[Iterable[str]] = (),
        distributions: Iterable[str] = (),
    ) -> None:
        self.faults = [(record, path, text) for record, path, text in faults]
        self.packages = [(label, digest) for label, digest in packages]
        self.distributions = list(distributions)

    def add(self, other: Found) -> None:
        self.faults += other.faults
        self.packages += other.packages
        self.distributions += other.distributions


def record_names(prefix: str) -> list[str]:
    """The records, those with the most files first."""
    with os.scandir(f"{prefix}/{META}") as found:
        sizes = [(-e.stat().st_size, e.name) for e in found if e.name.endswith(".json")]
    return [name for _, name in sorted(sizes)]


def numbers(tickets: int) -> Iterator[int]:
    """The pieces of work that are left for this process."""
    while ticket := os.read(tickets, 4):
        yield int.from_bytes(ticket, "little")


def check_records(prefix: str, names: Iterable[str], known: Known, *, quick: bool = False) -> Found:
    """Compare every file of these records with what they say of it.

    `quick` lets the hashes count that were noted in the cache: for a prefix that was just linked
    from it. Years later the record alone decides.
    """
    top = os.open(prefix, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    found = Found()
    try:
        for name in names:
            try:
                _check_record(top, name, known, found, quick=quick)
            except UNREADABLE as e:
                found.faults.append((name, "", f"cannot be read: {e}"))
    finally:
        os.close(top)
    return found


def _check_record(top: int, name: str, known: Known, found: Found, *, quick: bool) -> None:
    with os.fdopen(os.open(f"{META}/{name}", os.O_RDONLY, dir_fd=top), "rb") as file:
        data = json.load(file)
    label = f"{data['name']}-{data['version']}-{data['build']}"
    found.packages.append((label, data.get("sha256") or ""))
    noted = read_quick(data.get("extracted_package_dir") or "") if quick else {}
    for entry in data["paths_data"]["paths"]:
        path: str = entry["_path"]
        if fault := check_entry(top, entry, known, noted):
            found.faults.append((name, path, fault))
        if path.endswith(RECORD):
            found.distributions.append(path.split("/")[-2])


def check_entry(top: int, entry: dict[str, Any], known: Known, quick: Quick) -> str:
    """What is wrong with one file of a record, nothing if it is right."""
    path = entry["_path"]
    kind = entry["path_type"]
    try:
        if kind in SKIPPED:
            info = os.stat(path, dir_fd=top, follow_symlinks=False)
            right = stat.S_ISLNK(info.st_mode) if kind == "softlink" else stat.S_ISDIR(info.st_mode)
            return "" if right else "is not a link or folder any more"
        wanted = entry.get("sha256_in_prefix") or entry.get("sha256")
        if not wanted:
            return "has no hash in its record"
        if known and _is_known(os.stat(path, dir_fd=top, follow_symlinks=False), wanted, known):
            return ""
        return _check_file(top, path, wanted, quick.get(wanted))
    except FileNotFoundError:
        return "is missing"
    except OSError as e:
        return f"cannot be read: {e.strerror}"


def _is_known(info: os.stat_result, wanted: str, known: Known) -> bool:
    sealed = stat.S_ISREG(info.st_mode) and not info.st_mode & 0o022
    return sealed and known.get(_identity(info)) == wanted


def _identity(info: os.stat_result) -> Identity:
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns


def _check_file(top: int, path: str, wanted: str, quick: str | None) -> str:
    fd = _open(top, path)
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            return "is not a regular file"
        if info.st_mode & 0o022:
            return "can be written by others"
        return "" if _is_right(fd, wanted, quick) else "is not what was installed"
    finally:
        os.close(fd)


def _is_right(fd: int, wanted: str, quick: str | None) -> bool:
    """Has the open file this sha256? What was noted may be damaged, so it never says no."""
    if quick and _hash(fd, blake3()) == quick:
        return True
    os.lseek(fd, 0, os.SEEK_SET)
    return _hash(fd, sha256()) == wanted


def _open(top: int, path: str) -> int:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return os.open(path, flags, dir_fd=top)


def _hash(fd: int, *hashes: Hash) -> str:
    """The digest by the first of the hashes; all are fed."""
    while data := os.read(fd, CHUNK):
        for each in hashes:
            each.update(data)
        # most files are small: one call for each
        if len(data) < CHUNK:
            break
    return hashes[0].hexdigest()


# ---------------------------------------------------------------- packages


def note_quick(tree: str) -> str:
    """Compare a new package with what it says, and note quicker hashes of its files.

    Returns the path of a file that is not what the package says, or nothing. A file that the
    package gives no hash for is taken as it is.
    """
    top = os.open(tree, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # whatever a package brings under this name, a link to somewhere above all
        with contextlib.suppress(FileNotFoundError):
            os.unlink(QUICK, dir_fd=top)
        try:
            entries = _entries(top)
        except FileNotFoundError:
            # from before there was a paths.json: such files are compared by their sha256
            return ""
        quick: dict[str, str] = {}
        for entry in entries:
            slow, fast = _both(top, entry["_path"])
            if (entry.get("sha256") or slow) != slow:
                path: str = entry["_path"]
                return path
            quick[slow] = fast
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(QUICK, flags, 0o444, dir_fd=top), "w", encoding="ascii") as file:
            json.dump(quick, file)
    finally:
        os.close(top)
    return ""


def _both(top: int, path: str) -> tuple[str, str]:
    fd = _open(top, path)
    try:
        slow, fast = sha256(), blake3()
        return _hash(fd, slow, fast), fast.hexdigest()
    finally:
        os.close(fd)


def read_quick(tree: str) -> Quick:
    """What `note_quick` noted; nothing for packages that were unpacked before it was there."""
    if not tree:
        return {}
    try:
        with open(f"{tree}/{QUICK}", encoding="ascii") as file:  # noqa: PTH123 — imports little
            noted = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _entries(top: int) -> Iterator[dict[str, Any]]:
    """The files of a package that are linked as they are, or rewritten."""
    with os.fdopen(os.open(PATHS, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=top), "rb") as file:
        paths = json.load(file)["paths"]
    return (entry for entry in paths if entry["path_type"] not in SKIPPED)


# ---------------------------------------------------------------- the program


def hash_tree(tree: str, known: dict[Identity, str]) -> None:
    """Make known the files of a package in the cache that a prefix will share."""
    # what is not known here is hashed in the prefix, where a fault is told
    with contextlib.suppress(*UNREADABLE):
        top = os.open(tree, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _hash_files(top, read_quick(tree), known)
        finally:
            os.close(top)


def _hash_files(top: int, quick: Quick, known: dict[Identity, str]) -> None:
    for entry in _entries(top):
        # what names the prefix is rewritten, and so is no file of the cache any more
        if entry.get("prefix_placeholder"):
            continue
        wanted = entry.get("sha256") or ""
        fd = _open(top, entry["_path"])
        try:
            info = os.fstat(fd)
            if _is_right(fd, wanted, quick.get(wanted)):
                known[_identity(info)] = wanted
        finally:
            os.close(fd)


def help_out(tickets: int) -> Found:
    """What the program does."""
    work, prefix = json.loads(sys.stdin.readline())
    if prefix:
        return check_records(prefix, (work[n][1] for n in numbers(tickets)), {})
    os.nice(NICE)
    known: dict[Identity, str] = {}
    records = []
    for n in numbers(tickets):
        tree, record = work[n]
        hash_tree(tree, known)
        records.append(record)
    line = sys.stdin.readline()
    return check_records(json.loads(line), records, known, quick=True) if line else Found()


def main() -> None:
    """Take tickets from the file descriptor in the first argument."""
    gc.disable()
    json.dump(vars(help_out(int(sys.argv[1]))), sys.stdout)
