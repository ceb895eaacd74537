"""What a backup holds, and how it is read: one compressed tar, its manifest last.

A backup counts only when every byte of it was compared with the manifest.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, BinaryIO, cast

import zstandard
from pydantic import TypeAdapter, ValidationError

from envwatch.errors import BackupError

NAME = "manifest.json"
CATALOG = "catalog.sqlite"
CONFIG = "config.yaml"
VERSION = 1
BLOCK = 2**17
LARGEST = 256 * 2**20  # bytes of a manifest
# a file has one name, and no name leads out of the root
MEMBER = re.compile(
    r"catalog\.sqlite|config\.yaml|managed/[^/]+\.bundle|records/\d+/[^/]+|logs/\d+\.log"
    r"|artifacts(/[^/]+){2,6}"
)


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """`missing` are the files that the config names and that are not in the backup: secrets."""

    version: int
    envwatch: str
    made_at: datetime
    root: str
    artifacts: bool
    missing: tuple[str, ...]
    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        return sum(e.size for e in self.entries)

    def under(self, folder: str) -> tuple[Entry, ...]:
        return tuple(e for e in self.entries if e.name.startswith(f"{folder}/"))


MANIFEST = TypeAdapter(Manifest)
Keep = Callable[[str, Iterator[bytes]], None]


def verify(source: Path) -> Manifest:
    """Read all of it and compare. Raises BackupError."""
    return _read(source, lambda _, blocks: _exhaust(blocks))


def unpack(source: Path, known: Manifest, keep: Keep) -> None:
    """Hand each file to `keep`. Raises BackupError, also where it is not what was verified."""
    if _read(source, keep) != known:
        raise BackupError(f"{source}: was changed while it was read")


def _read(source: Path, keep: Keep) -> Manifest:
    try:
        with source.open("rb") as raw:
            stream = _Frame(raw)
            found, manifest = _members(stream, keep)
            stream.drain()
    except (tarfile.TarError, zstandard.ZstdError, ValidationError, EOFError, ValueError) as e:
        raise _damaged(source, str(e).splitlines()[0] if str(e) else "it ends too early") from e
    except OSError as e:
        raise BackupError(f"{source}: cannot be read: {e.strerror or e}") from e
    if manifest is None:
        raise _damaged(source, "it has no manifest")
    if manifest.version != VERSION:
        raise BackupError(
            f"{source}: was made by envwatch {manifest.envwatch}, in another form",
            hint="restore it with the envwatch that made it",
        )
    if tuple(found) != manifest.entries:
        raise _damaged(source, "its files are not those of its manifest")
    return manifest


def _members(stream: _Frame, keep: Keep) -> tuple[list[Entry], Manifest | None]:
    found: list[Entry] = []
    manifest = None
    # tarfile only reads of it
    with tarfile.open(fileobj=cast("BinaryIO", stream), mode="r|", bufsize=BLOCK) as tar:
        for member in tar:
            opened = tar.extractfile(member) if member.isreg() else None
            if opened is None or manifest is not None:
                raise ValueError(f"`{member.name[:200]}` has no place in it")
            if member.name == NAME:
                manifest = MANIFEST.validate_json(opened.read(LARGEST))
                continue
            if not MEMBER.fullmatch(member.name) or {".", ".."} & set(member.name.split("/")):
                raise ValueError(f"`{member.name[:200]!a}` has no place in it")
            digest = hashlib.sha256()
            keep(member.name, _hashed(opened, digest.update))
            found.append(Entry(member.name, member.size, digest.hexdigest()))
    return found, manifest


def _hashed(file: IO[bytes], update: Callable[[bytes], object]) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        update(block)
        yield block


def _exhaust(blocks: Iterator[bytes]) -> None:
    for _ in blocks:
        pass


def _damaged(source: Path, why: str) -> BackupError:
    return BackupError(
        f"{source}: the backup is damaged: {why}", hint="nothing was written; take another one"
    )


class _Frame:
    """One zstd frame as a file to read. An end that comes too early is an error, not an end."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._rest = b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size and not self._frame.eof:
            block = self._raw.read(BLOCK)
            if not block:
                raise EOFError("it ends too early")
            self._rest += self._frame.decompress(block)
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def drain(self) -> None:
        """Up to the last byte: the sum of the whole frame comes last."""
        while self.read(BLOCK):
            pass
        if self._frame.unused_data or self._raw.read(1):
            raise ValueError("something was put behind it")


@contextmanager
def packing(target: Path) -> Iterator[tarfile.TarFile]:
    """A new backup beside `target`, which takes its place when it is whole and on disk."""
    compressor = zstandard.ZstdCompressor(level=6, threads=-1, write_checksum=True)
    with (
        target.open("wb") as raw,
        compressor.stream_writer(raw, closefd=False) as packed,
        tarfile.open(fileobj=packed, mode="w|", bufsize=BLOCK) as tar,
    ):
        yield tar
