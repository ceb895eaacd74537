"""A bare copy of what one revision needs: a cache, thrown away when anything is wrong with it."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from envwatch.errors import SourceError, SourceStalled
from envwatch.git import signature
from envwatch.git.refs import Tip
from envwatch.git.remote import Remote, explain, is_away
from envwatch.git.run import MIB, GitFailed
from envwatch.git.tree import Tree
from envwatch.git.urls import address, shown
from envwatch.settings import NO_VERIFY, Verify

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Each commit adds a pack or two. Starting over is cheaper than `git gc`, and never stops half way.
_MAX_PACKS = 50
# A server without filters gives all files of a commit. Environment files never need so much.
MAX_SIZE = 2048 * MIB
_NONE = "blob:none"
_SMALL = "blob:limit=128k"
_NO_SUCH_OBJECT = re.compile(
    r"not our ref|unadvertised object|does not allow request", re.IGNORECASE
)


class Mirror:
    """What is kept of one repository. `read` is the way in."""

    def __init__(self, path: Path, remote: Remote, max_size: int = MAX_SIZE) -> None:
        self.path = path
        self.remote = remote
        self.max_size = max_size
        # Some servers give no single blobs: then all of them are fetched with the commit.
        self._partial = True

    def read(self, tip: Tip, use: Callable[[Tree], T], verify: Verify = NO_VERIFY) -> T:
        """Fetch a commit and use it while the mirror is locked.

        The remote has just answered, so a failure is taken for one of the mirror: it is thrown
        away and made anew, once. This heals each left-over lock and each broken file alike.
        """
        with self._on_disk(), self._locked() as fd:
            try:
                return use(self._fetch(tip, verify, fd))
            except GitFailed as e:
                if is_away(e):
                    raise explain(e, self.remote.url) from e
                logger.warning("mirror of %s starts over: %s", shown(self.remote.url), e)
            self._discard()
            try:
                return use(self._fetch(tip, verify, fd))
            except GitFailed as e:
                raise self._cannot(tip, e) from e

    def _cannot(self, tip: Tip, error: GitFailed) -> SourceError:
        place = shown(self.remote.url)
        if not tip.ref and _NO_SUCH_OBJECT.search(error.text):
            return SourceStalled(
                f"`{place}` does not give the commit `{tip.revision}`",
                hint="compare `commit`; some servers give only what a branch or tag names",
            )
        return SourceError(f"`{place}` cannot be fetched: {error.message}")

    def _fetch(self, tip: Tip, verify: Verify, fd: int) -> Tree:
        packs = len(list(self.path.glob("objects/pack/*.pack")))
        if packs > _MAX_PACKS or self._size() > self.max_size // 2:
            self._discard()
        if not self.path.exists():
            kind = "sha256" if len(tip.revision) == 64 else "sha1"
            made = ("--quiet", "--bare", "--template=", f"--object-format={kind}", str(self.path))
            self.remote.run("init", *made, fd=fd)
        # A ref of our own for each of theirs: no name can collide with another one here.
        ref = f"refs/envwatch/{_short(tip.ref or tip.revision)}"
        # The small files of a change come with it, and save the second request. At first that
        # would be the small files of the whole repository.
        choice = _SMALL if (self.path / ref).exists() else _NONE
        place = address(self.remote.url)
        self._fetch_into(fd, choice, "--depth=1", "--", place, f"+{tip.target}:{ref}")
        return Tree(tip, self._reader(fd), self._blob_fetcher(fd), self._signer(tip, verify, fd))

    def _fetch_into(
        self, fd: int, choice: str, *arguments: str, config: tuple[str, ...] = (), data: bytes = b""
    ) -> None:
        partial = (f"--filter={choice}",) if self._partial else ()
        quiet = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
        _, said = self.remote.run(
            f"--git-dir={self.path}",
            *config,
            "fetch",
            *quiet,
            *partial,
            *arguments,
            data=data,
            fd=fd,
            watch=self._check_size,
        )
        self._check_size()
        if "filtering not recognized" in said:
            self._partial = False

    def _check_size(self) -> None:
        """While git fetches: what comes is not more than environment files can need."""
        if self._size() > self.max_size:
            raise SourceStalled(
                f"`{shown(self.remote.url)}` gives more than {self.max_size // MIB} MiB",
                hint="use a repository of its own for environment files, or a server with filters",
            )

    def _size(self) -> int:
        size = 0
        for file in self.path.glob("objects/pack/*"):
            with suppress(FileNotFoundError):
                size += file.stat().st_size
        return size

    def _blob_fetcher(self, fd: int) -> Callable[[Iterable[str]], None]:
        def fetch(oids: Iterable[str]) -> None:
            if not self._partial:
                return
            data = "".join(f"{oid}\n" for oid in oids).encode()
            # One request for all. With the default negotiation each would be asked for alone.
            config = ("-c", "fetch.negotiationAlgorithm=noop")
            place = address(self.remote.url)
            try:
                self._fetch_into(fd, _NONE, "--stdin", "--", place, config=config, data=data)
            except GitFailed as e:
                self._partial = _NO_SUCH_OBJECT.search(e.text) is None
                raise

        return fetch

    def _reader(self, fd: int) -> Callable[..., bytes]:
        def run(*arguments: str, data: bytes = b"", limit: int = 16 * MIB) -> bytes:
            inside = (f"--git-dir={self.path}", *arguments)
            return self.remote.run(*inside, data=data, limit=limit, fd=fd)[0]

        return run

    def _signer(self, tip: Tip, verify: Verify, fd: int) -> Callable[[], str]:
        def say(*arguments: str) -> str:
            return self.remote.run(f"--git-dir={self.path}", *arguments, fd=fd)[1]

        return lambda: signature.signer(tip, verify, say, self.path.parent)

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            raise SourceError(f"the mirror `{self.path}` cannot be used: {e.strerror}") from e

    @contextmanager
    def _locked(self) -> Iterator[int]:
        self.remote.prepare()
        path = self.path.with_name(f"{self.path.name}.lock")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            end = time.monotonic() + self.remote.timeout
            while not _try_lock(fd):
                if time.monotonic() > end:
                    raise SourceError(
                        f"the mirror of `{shown(self.remote.url)}` is in use by another process"
                    )
                time.sleep(0.05)
            yield fd
        finally:
            os.close(fd)

    def _discard(self) -> None:
        """Out of the way by one rename, whatever lies there; then removed, with older remains."""
        trash = self.path.with_name(f"{self.path.name}.trash-{secrets.token_hex(4)}")
        with suppress(FileNotFoundError):
            self.path.rename(trash)
        for old in self.path.parent.glob(f"{self.path.name}.trash-*"):
            remove(old)


def remove(path: Path) -> None:
    """Whatever lies there is gone, as far as it can be."""
    shutil.rmtree(path, ignore_errors=True)
    if not path.is_dir():
        path.unlink(missing_ok=True)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
