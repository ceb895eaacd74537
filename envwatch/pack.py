"""A finished prefix → one relocatable archive, by conda-pack's knowledge of what must be rewritten.

conda-pack says which files there are and how each finds its prefix; the archive itself is our own
writer, for it must be the same bytes each time, and quick. Unpacked anywhere, `bin/activate` and
then `conda-unpack` make it run.

Three things differ from the prefix. `conda-meta/frozen` is left out: what is unpacked elsewhere
belongs to the person who unpacked it, and may be changed. Byte code is put in where it does not
depend on the place. And the variables of the environment are exported by a script in `activate.d`,
since conda-pack's `bin/activate` does not look at `conda-meta/state`.
"""

from __future__ import annotations

import errno
import io
import json
import logging
import mmap
import os
import struct
import tarfile
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import zstandard
from conda_pack import CondaEnv, CondaPackException, File
from conda_pack.core import Packer

from envwatch.errors import CheckError, InstallError, NoSpace, NotFound
from envwatch.model import BuildState, Progress
from envwatch.shell import unset_script, variables_script

logger = logging.getLogger(__name__)

Report = Callable[[Progress], None]

EPOCH = 315532800  # 1980: tar warns of older files, and zip knows none
LEVEL_ZSTD = 3
LEVEL_GZIP = 6
BLOCK = 2**20
WINDOW = 2**15
REPORT_EVERY = 250  # files
UNCHECKED_HASH = struct.pack("<I", 1)  # flags in a .pyc: valid whatever the source's time is
# conda sets the variables before it runs the scripts; they are run in the order of their names.
EXPORT_SCRIPT = "etc/conda/activate.d/00-envwatch-variables.sh"
UNSET_SCRIPT = "etc/conda/deactivate.d/99-envwatch-variables.sh"
LEFT_OUT = frozenset({"conda-meta/frozen", EXPORT_SCRIPT, UNSET_SCRIPT})


class Sink(Protocol):
    """A file to write to, as far as tarfile needs one."""

    def write(self, data: bytes, /) -> int: ...
    def close(self) -> None: ...


def pack(prefix: Path, target: Path, *, format: str, report: Report) -> None:  # noqa: A002  # the word that people use for it
    """Write `prefix` as an archive at `target`: `format` is `tar.zst` or `tar.gz`.

    `target` appears whole or not at all, read-only. The same prefix gives the same bytes.
    """
    if format not in SINKS:
        raise NotFound(
            f"there is no archive format `{format}`", hint=f"use {' or '.join(sorted(SINKS))}"
        )
    prefix = prefix.resolve()
    with _told(prefix):
        files = _chosen(prefix)
        with _whole(target) as raw, closing(SINKS[format](raw)) as sink:
            _write(prefix, files, sink, report)
    logger.info("packed %d files into %s: %d bytes", len(files), target, target.stat().st_size)


def _write(prefix: Path, files: list[File], sink: Sink, report: Report) -> None:
    with tarfile.open(fileobj=sink, mode="w|", bufsize=BLOCK) as stream:  # type: ignore[call-overload]  # asks for more than it uses
        tar = _Tar(stream, prefix)
        packer = Packer(str(prefix), tar)
        needle = os.fsencode(prefix)
        for done, file in enumerate(files):
            if done % REPORT_EVERY == 0:
                report(Progress(BuildState.READY, done, len(files), tar.written, detail="archive"))
            # conda-pack reads such a file whole, be it gigabytes, and notes each text for
            # rewriting; nearly none of them names the prefix.
            if file.file_mode == "unknown" and not _mentions(file.source, needle):
                tar.add(file.source, file.target)
            else:
                packer.add(file)
        for target, text in _variable_scripts(prefix):
            tar.add_data(target, text.encode(), 0o644)
        packer.finish()
    report(Progress(BuildState.READY, len(files), len(files), tar.written, detail="archive"))


# ---------------------------------------------------------------- what goes in


def _chosen(prefix: Path) -> list[File]:
    env = CondaEnv.from_prefix(str(prefix), on_missing_cache="raise")
    files = [f for f in _without_doubles(prefix, env.files) if not _unwanted(f)]
    files += _byte_code(prefix, {f.target for f in files})
    return sorted(files, key=lambda f: str(f.target))


def _unwanted(file: File) -> bool:
    """Byte code that no package brought is looked at one by one, below."""
    made_here = not file.is_conda and file.target.endswith(".pyc")
    return made_here or file.target in LEFT_OUT


def _without_doubles(prefix: Path, files: list[File]) -> list[File]:
    """Where two packages bring one path, keep the file of the package that was given it."""
    count = Counter(f.target for f in files)
    if len(count) == len(files):
        return files
    owner = dict(_owners(prefix))
    return [
        f for f in files if count[f.target] == 1 or f.source.startswith(f"{owner.get(f.target)}/")
    ]


def _owners(prefix: Path) -> Iterator[tuple[str, str]]:
    for record in sorted((prefix / "conda-meta").glob("*.json")):
        facts = json.loads(record.read_bytes())
        for path in facts["files"]:
            yield path, facts["link"]["source"]


def _byte_code(prefix: Path, known: set[str]) -> Iterator[File]:
    """The byte code made in this prefix, where it is good at any place.

    A module that names its prefix is rewritten on unpacking, and its byte code would not follow.
    """
    needle = os.fsencode(prefix)
    for path in prefix.glob("lib/python*/**/__pycache__/*.pyc"):
        target = str(path.relative_to(prefix))
        if target not in known and _timeless(path) and not _mentions(str(path), needle):
            yield File(str(path), target, is_conda=False, file_mode=None, prefix_placeholder=None)


def _timeless(path: Path) -> bool:
    with path.open("rb") as f:
        return f.read(8)[4:] == UNCHECKED_HASH


def _mentions(path: str, needle: bytes) -> bool:
    if not Path(path).is_file() or Path(path).is_symlink() or not Path(path).stat().st_size:
        return False
    with Path(path).open("rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(needle) >= 0


def _variable_scripts(prefix: Path) -> Iterator[tuple[str, str]]:
    state = prefix / "conda-meta" / "state"
    facts = json.loads(state.read_bytes()) if state.exists() else {}
    variables = tuple((str(k), str(v)) for k, v in facts.get("env_vars", {}).items())
    if variables:
        yield EXPORT_SCRIPT, variables_script(variables)
        yield UNSET_SCRIPT, unset_script(variables)


# ---------------------------------------------------------------- how it is written


class _Tar:
    """What conda-pack writes to. Owner, time and mode do not depend on the machine."""

    def __init__(self, stream: tarfile.TarFile, prefix: Path) -> None:
        self._stream = stream
        self._prefix = prefix
        self.written = 0

    def add(self, source: str, target: str) -> None:
        path = Path(source)
        if path.is_symlink():
            entry = self._entry(target, 0o777, tarfile.SYMTYPE)
            entry.linkname = self._inside(os.readlink(path), target)  # noqa: PTH115  # as it is written
            self._stream.addfile(entry)
        elif path.is_dir():
            self._stream.addfile(self._entry(target, 0o755, tarfile.DIRTYPE))
        else:
            with path.open("rb") as f:
                status = os.fstat(f.fileno())
                entry = self._entry(target, status.st_mode, tarfile.REGTYPE, status.st_size)
                self._stream.addfile(entry, f)

    def add_bytes(self, source: str, data: bytes, target: str) -> None:
        self.add_data(target, data, Path(source).stat().st_mode)

    def add_data(self, target: str, data: bytes, mode: int) -> None:
        entry = self._entry(target, mode, tarfile.REGTYPE, len(data))
        self._stream.addfile(entry, io.BytesIO(data))

    def _entry(self, target: str, mode: int, kind: bytes, size: int = 0) -> tarfile.TarInfo:
        entry = tarfile.TarInfo(str(target))
        # Packages are kept read-only; conda-unpack must be able to write what it rewrites.
        entry.mode = mode if kind == tarfile.SYMTYPE else 0o755 if mode & 0o111 else 0o644
        entry.mtime = EPOCH
        entry.type = kind
        entry.size = size
        self.written += size
        return entry

    def _inside(self, link: str, target: str) -> str:
        """A link that names the prefix is made relative, or it would lead back to it."""
        if not Path(link).is_relative_to(self._prefix):
            return link
        inside = Path(link).relative_to(self._prefix)
        return os.path.relpath(inside, Path(target).parent)


class _Gzip:
    """One gzip stream whose blocks are deflated in threads; the bytes do not depend on how many.

    Each block starts with the window of the one before, as one thread would have had it.
    """

    def __init__(self, raw: BinaryIO, threads: int) -> None:
        self._raw = raw
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="gzip")
        self._pending: deque[Future[bytes]] = deque()
        self._ahead = 2 * threads
        self._buffer = bytearray()
        self._window = b""
        self._crc = 0
        self._size = 0
        raw.write(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03")  # deflate, no name, no time, Unix

    def write(self, data: bytes, /) -> int:
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        self._buffer += data
        while len(self._buffer) >= BLOCK:
            self._start(bytes(self._buffer[:BLOCK]))
            del self._buffer[:BLOCK]
        return len(data)

    def close(self) -> None:
        self._start(bytes(self._buffer))
        self._finish(0)
        self._pool.shutdown()
        self._raw.write(b"\x03\x00")  # an empty last block ends the stream
        self._raw.write(struct.pack("<II", self._crc, self._size & 0xFFFFFFFF))

    def _start(self, block: bytes) -> None:
        self._pending.append(self._pool.submit(_deflate, block, self._window))
        self._window = block[-WINDOW:]
        self._finish(self._ahead)

    def _finish(self, left: int) -> None:
        while len(self._pending) > left:
            self._raw.write(self._pending.popleft().result())


def _deflate(block: bytes, window: bytes) -> bytes:
    deflater = zlib.compressobj(LEVEL_GZIP, wbits=-15, memLevel=9, zdict=window)
    return deflater.compress(block) + deflater.flush(zlib.Z_SYNC_FLUSH)


def _threads() -> int:
    """At least two: zstd with workers writes the same bytes however many there are."""
    return max(2, min(4, len(os.sched_getaffinity(0))))


def _zstd(raw: BinaryIO) -> Sink:
    compressor = zstandard.ZstdCompressor(level=LEVEL_ZSTD, threads=_threads(), write_checksum=True)
    return compressor.stream_writer(raw, closefd=False)


def _gzip(raw: BinaryIO) -> Sink:
    return _Gzip(raw, _threads())


SINKS: dict[str, Callable[[BinaryIO], Sink]] = {"tar.zst": _zstd, "tar.gz": _gzip}


@contextmanager
def _whole(target: Path) -> Iterator[BinaryIO]:
    beside = target.with_name(f".{target.name}.part")
    try:
        with beside.open("wb") as raw:
            yield raw
            raw.flush()
            os.fchmod(raw.fileno(), 0o444)
            os.fsync(raw.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _told(prefix: Path) -> Iterator[None]:
    """Errors of conda-pack and of the disk, as those of a job."""
    try:
        yield
    except CondaPackException as e:
        raise CheckError(
            f"{prefix}: cannot be packed: {e}", hint="rebuild the environment, then pack it"
        ) from e
    except OSError as e:
        if e.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(f"{prefix}: no space is left for its archive") from e
        raise InstallError(f"{prefix}: cannot be packed: {e}") from e
