"""One archive from its address to a file here: counted, hashed, tried again when it came broken."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rattler import Client
from rattler.package_streaming import download_to_writer

from envwatch.errors import BuildError, FetchError, NoSpace
from envwatch.fetch.network import mask
from envwatch.model import BuildState, LockedPackage, Progress
from envwatch.redact import redact

logger = logging.getLogger(__name__)

Report = Callable[[Progress], None]

ATTEMPTS = 3
PAUSE = 0.1
BODY_LIMIT = 16 * 2**30
CHUNK = 2**20


class BrokenBody(Exception):
    pass


@dataclass(slots=True)
class Meter:
    """Counts packages and bytes, and tells of them at most five times a second."""

    report: Report
    total: int
    done: int
    bytes_total: int = 0
    bytes_done: int = 0
    told: float = 0.0

    def tell(self, detail: str = "") -> None:
        self.told = time.monotonic()
        total = max(self.bytes_total, self.bytes_done)
        self.report(
            Progress(BuildState.DOWNLOADING, self.done, self.total, self.bytes_done, total, detail)
        )

    def tick(self, detail: str) -> None:
        if time.monotonic() - self.told >= 0.2:
            self.tell(detail)


class Body:
    """Takes the bytes of one archive: counts, hashes and keeps them."""

    def __init__(self, file: FileIO | None, limit: int) -> None:
        self.file = file
        self.limit = limit
        self.size = 0
        self.last = time.monotonic()
        self.sha256 = hashlib.sha256()
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.problem: Exception | None = None

    def write(self, data: bytes) -> int:
        """Called by rattler, from a thread of its own."""
        try:
            self._take(data)
        except (OSError, BrokenBody) as e:
            # rattler tells that writing failed, not why
            self.problem = e
            raise
        return len(data)

    def _take(self, data: bytes) -> None:
        self.last = time.monotonic()
        self.size += len(data)
        if self.size > self.limit:
            raise BrokenBody(f"more than {self.limit} bytes came")
        self.sha256.update(data)
        self.md5.update(data)
        rest = memoryview(data)
        while self.file and rest:
            rest = rest[self.file.write(rest) :]

    def check(self, package: LockedPackage) -> None:
        """Is this the package of the lock?"""
        if package.size and self.size != package.size:
            raise BrokenBody(f"{self.size} of {package.size} bytes came")
        if self.sha256.hexdigest() != package.sha256:
            found = self.sha256.hexdigest()
            raise BrokenBody(f"its sha256 is `{found}`, the lock says `{package.sha256}`")
        if package.md5 and self.md5.hexdigest() != package.md5:
            found = self.md5.hexdigest()
            raise BrokenBody(f"its md5 is `{found}`, the lock says `{package.md5}`")


@dataclass(frozen=True, slots=True)
class Downloader:
    """Gets archives by one client. `stall` is how long no byte may come."""

    client: Client
    meter: Meter
    stall: float

    async def get(self, package: LockedPackage, to: Path) -> Path:
        """Where the verified archive lies: `to`, or where it was if it is on this machine."""
        attempt = 1
        while True:
            counted = self.meter.bytes_done
            try:
                return await self._try(package, to)
            except BrokenBody as e:
                self.meter.bytes_done = min(counted, self.meter.bytes_done)
                if package.url.startswith("file:"):
                    raise failure(package, str(e)) from e
                if attempt == ATTEMPTS:
                    raise failure(package, f"{e}, {ATTEMPTS} times") from e
                logger.warning("%s: %s, trying again", package.file_name, e)
            await asyncio.sleep(PAUSE * 2**attempt)
            attempt += 1

    async def _try(self, package: LockedPackage, to: Path) -> Path:
        parts = urlsplit(package.url)
        limit = package.size or BODY_LIMIT
        if parts.scheme == "file":
            path = Path(unquote(parts.path))
            body = Body(None, limit)
            await asyncio.to_thread(_read, path, body)
            self.meter.bytes_done += body.size
        else:
            path = to
            with FileIO(to, "w") as file:
                body = Body(file, limit)
                await self._download(package, body)
        body.check(package)
        return path

    async def _download(self, package: LockedPackage, body: Body) -> None:
        task = asyncio.ensure_future(download_to_writer(self.client, package.url, body))
        known = 0
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=min(0.2, self.stall))
                self.meter.bytes_done += body.size - known
                known = body.size
                self.meter.tick(package.name)
                if time.monotonic() - body.last > self.stall:
                    raise BrokenBody(f"no byte came for {self.stall:.0f} s")
            await task
        except (RuntimeError, OSError) as e:
            if body.problem:
                raise body.problem from e
            # what came before the body the client has tried again by itself, or it is an answer
            if body.size or "body" in str(e):
                raise BrokenBody(f"the transfer broke off: {e}") from e
            raise failure(package, str(e)) from e
        finally:
            task.cancel()


def _read(path: Path, body: Body) -> None:
    with FileIO(path) as file:
        while data := file.read(CHUNK):
            body.write(data)


def failure(package: LockedPackage, problem: str | OSError) -> BuildError:
    """The error for one package that could not be had, or not be unpacked."""
    full = isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "No space left" in str(problem):
        return NoSpace(f"the disk is full while fetching `{package.file_name}`")
    return FetchError(
        f"package `{package.file_name}` cannot be had from {mask(package.url)}:"
        f" {redact(str(problem))}"
    )
