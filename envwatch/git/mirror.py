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
from envwatch.git.run import MIB, GitFailed, Surroundings, last_word, run_git
from envwatch.git.tree import Tree
from envwatch.git.urls import address, local_path, shown, transport

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Each commit adds a pack or two. Starting over is cheaper than `git gc`, and never stops half way.
_MAX_PACKS = 50
_NONE = "blob:none"
_SMALL = "blob:limit=128k"
_BRANCH = re.compile(
    r"(?!.*(?:\.\.|//|@\{|/\.|\.lock(?:/|$)|[/.]$))(?![./])[^\x00-\x20\x7f~^:?*\[\\]+"
)
_NO_SUCH_OBJECT = re.compile(
    r"not our ref|unadvertised object|does not allow request", re.IGNORECASE
)

# What git says when a person must act, and what that person can do. `{}` is the address.
_STALLED = (
    (
        r"host key verification failed|host key is known",
        "the host key of `{}` is not known",
        "compare it, and add it to ~/.ssh/known_hosts of the service user",
    ),
    (
        r"authentication failed|could not read [up]|permission denied \(|error: 40[13]|access den",
        "`{}` refuses access",
        "give the service user a deploy key (ssh) or an entry in its ~/.netrc (https)",
    ),
    (
        r"does not appear to be a git repository|repository .*not found|error: 404|not exported",
        "`{}` is not a git repository, or may not be seen",
        "compare the url, and who may read it",
    ),
    (
        r"error: 30\d|redirect",
        "`{}` redirects to another address, which is not followed",
        "write the address that it redirects to",
    ),
    (
        r"ssl certificate|certificate verif|server certificate",
        "the certificate of `{}` is not trusted",
        "add its authority to the certificates of this machine",
    ),
)
_AWAY = re.compile(
    r"could not resolve|couldn't resolve|failed to connect|connection (refused|timed out|reset)|"
    r"network is unreachable|no route to host|too slow|error: (429|5\d\d)|unable to connect",
    re.IGNORECASE,
)


class Mirror:
    """One repository as seen from here. `read` is the way in; `tip` alone asks what is new."""

    def __init__(self, path: Path, url: str, timeout: float) -> None:
        self.path = path
        self.url = url
        self.timeout = timeout
        self._surroundings = Surroundings(path.parent, transport(url))
        # Some servers give no single blobs: then all of them are fetched with the commit.
        self._partial = True

    def tip(self, branch: str) -> str:
        """The commit at the top of a branch now; an empty branch is the one that HEAD names."""
        local = local_path(self.url)
        if local is not None and not local.exists():
            raise SourceError(f"`{local}` is not there")
        ref = full_ref(branch)
        try:
            with self._on_disk():
                out, _ = self._git("ls-remote", "--", address(self.url), ref, f"{ref}^{{}}")
        except GitFailed as e:
            raise explain(e, self.url) from e
        # Git matches from the end (`main` also finds `a/main`), so the whole name is compared here.
        lines = out.decode(errors="replace").split("\n")
        tips = {name: oid for oid, _, name in (line.partition("\t") for line in lines)}
        tip = tips.get(f"{ref}^{{}}") or tips.get(ref)
        if tip is None:
            raise self._no_branch(branch)
        return tip

    def read(self, branch: str, tip: str, use: Callable[[Tree], T]) -> T:
        """Fetch a commit and use it while the mirror is locked.

        The remote has just answered, so a failure is taken for one of the mirror: it is thrown
        away and made anew, once. This heals each left-over lock and each broken file alike.
        """
        with self._on_disk(), self._locked() as fd:
            try:
                return use(self._fetch(branch, tip, fd))
            except GitFailed as e:
                if _AWAY.search(e.text):
                    raise explain(e, self.url) from e
                logger.warning("mirror of %s starts over: %s", shown(self.url), e)
            self._discard()
            try:
                return use(self._fetch(branch, tip, fd))
            except GitFailed as e:
                raise SourceError(f"`{shown(self.url)}` cannot be fetched: {e.message}") from e

    def _fetch(self, branch: str, tip: str, fd: int) -> Tree:
        if len(list(self.path.glob("objects/pack/*.pack"))) > _MAX_PACKS:
            self._discard()
        if not self.path.exists():
            kind = "sha256" if len(tip) == 64 else "sha1"
            self._git(
                "init",
                "--quiet",
                "--bare",
                "--template=",
                f"--object-format={kind}",
                str(self.path),
            )
        # A ref of our own per branch: no name of the remote can collide with another one here.
        ref = f"refs/envwatch/{_short(branch)}"
        # The small files of a change come with it, and save the second request. At first that
        # would be the small files of the whole repository.
        choice = _SMALL if (self.path / ref).exists() else _NONE
        self._fetch_into(fd, choice, "--depth=1", "--", address(self.url), f"+{tip}:{ref}")
        return Tree(tip, self._reader(fd), self._blob_fetcher(fd))

    def _fetch_into(
        self, fd: int, choice: str, *arguments: str, config: tuple[str, ...] = (), data: bytes = b""
    ) -> None:
        partial = (f"--filter={choice}",) if self._partial else ()
        quiet = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
        _, said = self._git(
            f"--git-dir={self.path}",
            *config,
            "fetch",
            *quiet,
            *partial,
            *arguments,
            data=data,
            fd=fd,
        )
        if "filtering not recognized" in said:
            self._partial = False

    def _blob_fetcher(self, fd: int) -> Callable[[Iterable[str]], None]:
        def fetch(oids: Iterable[str]) -> None:
            if not self._partial:
                return
            data = "".join(f"{oid}\n" for oid in oids).encode()
            # One request for all. With the default negotiation each would be asked for alone.
            config = ("-c", "fetch.negotiationAlgorithm=noop")
            try:
                self._fetch_into(
                    fd, _NONE, "--stdin", "--", address(self.url), config=config, data=data
                )
            except GitFailed as e:
                self._partial = _NO_SUCH_OBJECT.search(e.text) is None
                raise

        return fetch

    def _reader(self, fd: int) -> Callable[..., bytes]:
        def run(*arguments: str, data: bytes = b"", limit: int = 16 * MIB) -> bytes:
            return self._git(f"--git-dir={self.path}", *arguments, data=data, limit=limit, fd=fd)[0]

        return run

    def _git(
        self, *arguments: str, data: bytes = b"", limit: int = 16 * MIB, fd: int | None = None
    ) -> tuple[bytes, str]:
        # Git keeps the lock with us: should the daemon die, its successor waits for this child.
        fds = () if fd is None else (fd,)
        return run_git(
            self._surroundings,
            arguments,
            timeout=self.timeout,
            data=data,
            limit=limit,
            pass_fds=fds,
        )

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            raise SourceError(f"the mirror `{self.path}` cannot be used: {e.strerror}") from e

    @contextmanager
    def _locked(self) -> Iterator[int]:
        self._surroundings.prepare()
        path = self.path.with_name(f"{self.path.name}.lock")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            end = time.monotonic() + self.timeout
            while not _try_lock(fd):
                if time.monotonic() > end:
                    raise SourceError(
                        f"the mirror of `{shown(self.url)}` is in use by another process"
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
            shutil.rmtree(old, ignore_errors=True)
            if not old.is_dir():
                old.unlink(missing_ok=True)

    def _no_branch(self, branch: str) -> SourceStalled:
        if branch:
            text, hint = (
                f"`{shown(self.url)}` has no branch `{branch}`",
                "compare `branch`, or push it",
            )
        else:
            text, hint = f"`{shown(self.url)}` has no commit yet", "push a first commit"
        return SourceStalled(text, hint=hint)


def full_ref(branch: str) -> str:
    """`refs/heads/<branch>`; a name that starts with `refs/` is taken as it is."""
    if not branch:
        return "HEAD"
    if not _BRANCH.fullmatch(branch):
        raise SourceStalled(f"{branch!a} is not the name of a branch", hint="compare `branch`")
    return branch if branch.startswith("refs/") else f"refs/heads/{branch}"


def explain(error: GitFailed, url: str) -> SourceError:
    """What git said, as a person needs it."""
    for pattern, message, hint in _STALLED:
        if re.search(pattern, error.text, re.IGNORECASE):
            return SourceStalled(message.format(shown(url)), hint=hint)
    return SourceError(f"`{shown(url)}` cannot be reached: {last_word(error.text)}")


def mirror_path(folder: Path, url: str) -> Path:
    """Where the mirror of an address lies; sources of one address share it."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(shown(url)).name.removesuffix(".git")).strip("-")
    return folder / f"{name[:40]}-{_short(url)}.git"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
