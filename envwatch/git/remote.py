"""One repository as it is reached from here: what it offers now, and why it cannot be reached."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from envwatch.errors import SourceError, SourceStalled
from envwatch.git import refs
from envwatch.git.refs import HEADS, TAGS, Refs
from envwatch.git.run import MIB, GitFailed, Surroundings, last_word, run_git
from envwatch.git.urls import address, local_path, shown, transport
from envwatch.settings import NO_CREDENTIALS, Credentials

# What git says when a person must act, and what that person can do. `{}` is the address.
_STALLED = (
    (
        r"no user exists for uid",
        "ssh does not know the user that runs envwatch, and does not ask `{}`",
        "give its uid a name in /etc/passwd",
    ),
    (
        r"host key verification failed|host key is known",
        "the host key of `{}` is not known",
        "compare it, and add it to the file that `credentials.known_hosts` names",
    ),
    (
        r"authentication failed|could not read [up]|permission denied \(|error: 40[13]|access den",
        "`{}` refuses access",
        "name a key or a token that may read it in `credentials`",
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
        "name the file of its authority in `ca_file`",
    ),
)
_AWAY = re.compile(
    r"could not resolve|couldn't resolve|failed to connect|connection (refused|timed out|reset)|"
    r"network is unreachable|no route to host|too slow|error: (429|5\d\d)|unable to connect",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of one question, and when it was put (monotonic)."""

    asked_at: float
    refs: Refs | None = None
    error: SourceError | None = None


class Remote:
    """One address with its credentials, shared by all sources that follow something of it."""

    def __init__(
        self, folder: Path, url: str, timeout: float, credentials: Credentials = NO_CREDENTIALS
    ) -> None:
        self.url = url
        self.timeout = timeout
        self._surroundings = Surroundings(folder, transport(url), credentials)
        self._patterns: set[str] = set()
        self._lock = threading.Lock()
        self._last: _Answer | None = None

    def want(self, patterns: tuple[str, ...]) -> None:
        """What one more source is interested in, so that one question serves all of them."""
        with self._lock:
            self._patterns.update(patterns)
            self._last = None

    def refs(self, since: float | None = None) -> Refs:
        """What the repository offers, asked at `since` (monotonic) or later; now when not given.

        An error is an answer too: a host that hangs is not asked by each of its sources.
        """
        asked = time.monotonic()
        with self._lock:
            last = self._last
            if last is None or last.asked_at < (asked if since is None else since):
                last = self._last = self._ask()
        if last.refs is None:
            raise last.error or SourceError(f"`{shown(self.url)}` gave no answer")
        return last.refs

    def run(
        self,
        *arguments: str,
        data: bytes = b"",
        limit: int = 16 * MIB,
        fd: int | None = None,
        watch: Callable[[], None] | None = None,
    ) -> tuple[bytes, str]:
        """Git with what this address needs; what it wrote, and what it said."""
        # Git keeps the lock with us: should the daemon die, its successor waits for this child.
        fds = () if fd is None else (fd,)
        try:
            return run_git(
                self._surroundings,
                arguments,
                timeout=self.timeout,
                data=data,
                limit=limit,
                pass_fds=fds,
                watch=watch,
            )
        except OSError as e:
            folder = self._surroundings.folder
            raise SourceError(f"the mirrors in `{folder}` cannot be used: {e.strerror}") from e

    def prepare(self) -> None:
        """Make the folder in which git runs."""
        self._surroundings.prepare()

    def _ask(self) -> _Answer:
        asked = time.monotonic()
        try:
            return _Answer(asked, refs=self._list())
        except SourceError as e:
            return _Answer(asked, error=e)

    def _list(self) -> Refs:
        local = local_path(self.url)
        if local is not None and not local.exists():
            raise SourceError(f"`{local}` is not there")
        patterns = sorted(self._patterns)
        try:
            answer, _ = self.run("ls-remote", *_kinds(patterns), "--", address(self.url), *patterns)
        except GitFailed as e:
            raise explain(e, self.url) from e
        return refs.parse(answer)


def _kinds(patterns: list[str]) -> tuple[str, ...]:
    """What the server may leave out, where all patterns are of one kind or two."""
    kinds = {"--heads": HEADS, "--tags": TAGS}
    used = tuple(flag for flag, top in kinds.items() if any(p.startswith(top) for p in patterns))
    return used if patterns and all(p.startswith((HEADS, TAGS)) for p in patterns) else ()


def is_away(error: GitFailed) -> bool:
    """Was it the way to the repository that failed, and not what lies on this disk?"""
    return _AWAY.search(error.text) is not None


def explain(error: GitFailed, url: str) -> SourceError:
    """What git said, as a person needs it."""
    for pattern, message, hint in _STALLED:
        if re.search(pattern, error.text, re.IGNORECASE):
            return SourceStalled(message.format(shown(url)), hint=hint)
    return SourceError(f"`{shown(url)}` cannot be reached: {last_word(error.text)}")
