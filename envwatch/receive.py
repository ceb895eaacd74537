"""Takes web hooks: believes or refuses them, notes what was decided, and wakes sources."""

from __future__ import annotations

import logging
import os
import secrets as random
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from envwatch import units
from envwatch.catalog import Catalog
from envwatch.catalog.deliveries import NewDelivery
from envwatch.errors import ConfigError
from envwatch.hooks.decision import Decision
from envwatch.hooks.limit import Bucket
from envwatch.hooks.payload import Push, pushes, surely_elsewhere
from envwatch.hooks.sender import Sender, digest, sender
from envwatch.hooks.signature import Signed, problem
from envwatch.settings import Settings, SourceSettings

logger = logging.getLogger(__name__)

MOST_BYTES = 2**20
LONGEST_SECRET = 4096
# a hundred pushes at once and two a second are more than people make
BURST, RATE = 100, 2.0
# of those that are not taken so many are listed, the others only counted
REFUSED_BURST, REFUSED_RATE = 5, 1 / 60
# after a flood the source is looked at once it is over, or at times while it lasts
AFTER_FLOOD = 5.0


class Wake(Protocol):
    """Has a source looked at; `expect` is the commit that it should show then."""

    def __call__(
        self, source: str, *, expect: str = "", quiet: float = 0.0, patient: bool = False
    ) -> None: ...


Work = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender is told; `delivery` is its own name for what it sent."""

    decision: Decision
    delivery: str = ""
    detail: str = ""
    hint: str = ""


# stand in for secrets that a source does not have: who knows none learns nothing from the time
_DECOYS = tuple(random.token_hex(32).encode() for _ in range(8))


@dataclass(frozen=True, slots=True)
class _Target:
    """A source that a delivery concerns, and the commit that it named for it."""

    source: str
    followed: bool
    revision: str = ""


def _at_once(work: Work) -> None:
    work()


class _Limits:
    """What one source may take, and what of its refused deliveries is listed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.taken = Bucket(BURST, RATE, clock)
        self._listed = Bucket(REFUSED_BURST, REFUSED_RATE, clock)
        self._unlisted = 0
        self._lock = threading.Lock()

    def unlisted(self) -> int | None:
        """How many went before this one that is to be listed; None where it is not."""
        with self._lock:
            if not self._listed.take():
                self._unlisted += 1
                return None
            unlisted, self._unlisted = self._unlisted, 0
            return unlisted


@dataclass(slots=True)
class Receiver:
    """One for the daemon. `settings` are those in force, `clock` never goes back."""

    catalog: Catalog
    settings: Callable[[], Settings]
    wake: Wake
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], datetime] = lambda: datetime.now(UTC)
    _limits: dict[str, _Limits] = field(default_factory=dict)
    _counted: Counter[Decision] = field(default_factory=Counter)
    _unreadable: set[Path] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def knows(self, name: str) -> bool:
        """Does a source of this name take web hooks?"""
        return self._source(name) is not None

    def counted(self) -> tuple[tuple[Decision, int], ...]:
        """How many deliveries came to what, since the daemon started."""
        with self._lock:
            return tuple((decision, self._counted[decision]) for decision in Decision)

    def too_large(
        self, name: str, headers: Mapping[str, str], later: Callable[[Work], object] = _at_once
    ) -> Answer:
        """A body that was not read to its end."""
        sent, reason = sender(headers), f"it is larger than {units.size(MOST_BYTES)}"
        self._refuse(self._source(name), sent, Decision.TOO_LARGE, reason, later)
        return Answer(Decision.TOO_LARGE, sent.id, reason, _HINTS[Decision.TOO_LARGE])

    def receive(
        self,
        name: str,
        headers: Mapping[str, str],
        body: bytes,
        later: Callable[[Work], object] = _at_once,
    ) -> Answer:
        """Decide on a delivery and wake what it concerns. Names of headers are in lower case.

        Who knows no secret is not told whether there is such a source: what is noted of theirs is
        handed to `later`, to be done behind the answer.
        """
        source, sent = self._source(name), sender(headers)
        known = self._secrets(source) if source else ()
        wrong = problem(Signed(headers, body), self._padded(known), self.wall().timestamp())
        if source is None or not known or wrong:
            decision = Decision.REFUSED if known else Decision.UNCHECKED
            reason = wrong if known else "no secret could be read"
            self._refuse(source, sent, decision, reason, later)
            return Answer(Decision.REFUSED, sent.id, wrong, _HINTS[Decision.REFUSED])
        if not self._limit(name).taken.take():
            self._wake(self._targets(source, ()), quiet=AFTER_FLOOD)
            reason = "too many came at once"
            self._refuse(source, sent, Decision.FLOODED, reason, later)
            return Answer(Decision.FLOODED, sent.id, reason, _HINTS[Decision.FLOODED])
        return self._take(source, sent, pushes(body), digest(sent, body))

    def _padded(self, known: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """As many for each source, and for one that is none."""
        most = max((len(s.hook_secrets) for s in self.settings().sources), default=0)
        return (*known, *_DECOYS[: max(1, most) - len(known)])

    def _source(self, name: str) -> SourceSettings | None:
        sources = self.settings().sources
        return next((s for s in sources if s.name == name and s.hook_secrets), None)

    def _secrets(self, source: SourceSettings) -> tuple[bytes, ...]:
        """Those that can be read now: the others do not make these worthless."""
        found: list[bytes] = []
        for file in source.hook_secrets:
            try:
                found.append(read_secret(file))
                self._unreadable.discard(file)
            except ConfigError as e:
                if file not in self._unreadable:
                    logger.error("hook for %s: %s", source.name, e)
                self._unreadable.add(file)
        return tuple(found)

    def _take(
        self, source: SourceSettings, sent: Sender, named: tuple[Push, ...], same: str
    ) -> Answer:
        targets = self._targets(source, named)
        decision = Decision.PING if sent.ping else _decided(targets)
        push = _most_telling(source, named)
        new = NewDelivery(
            source.name, self.wall(), sent.forge, sent.event, sent.id, same, decision,
            push.ref, push.revision,
        )  # fmt: skip
        if not self.catalog.deliveries.take(new):
            return self._told(Answer(Decision.SEEN, sent.id))
        if not sent.ping:
            self._wake(targets)
        what = " ".join(word for word in (decision, push.ref, push.revision[:12]) if word)
        logger.info("hook for %s from %s: %s", source.name, sent.forge, what)
        return self._told(Answer(decision, sent.id))

    def _targets(self, source: SourceSettings, named: tuple[Push, ...]) -> tuple[_Target, ...]:
        """Every source that reads the same repository: a push to it concerns them all."""
        return tuple(
            _target(each, named) for each in self.settings().sources if each.url == source.url
        )

    def _wake(self, targets: tuple[_Target, ...], *, quiet: float = 0.0) -> None:
        """The one place that wakes. Another branch counts as a poll, for we may be mistaken."""
        for target in targets:
            if target.followed:
                self.wake(target.source, expect=target.revision, quiet=quiet)
            else:
                self.wake(target.source, patient=True)

    def _refuse(
        self,
        source: SourceSettings | None,
        sent: Sender,
        decision: Decision,
        reason: str,
        later: Callable[[Work], object],
    ) -> None:
        """Count it, and have it noted if there is such a source."""
        self._count(decision if source else Decision.NO_HOOK)
        if source is not None:
            later(partial(self._note, source, sent, decision, reason))

    def _note(self, source: SourceSettings, sent: Sender, decision: Decision, reason: str) -> None:
        """A flood of these costs a hash each, and neither disk nor lines of the log."""
        unlisted = self._limit(source.name).unlisted()
        if unlisted is not None:
            new = NewDelivery(
                source.name, self.wall(), sent.forge, sent.event, sent.id, "", decision,
                reason=reason,
            )  # fmt: skip
            self.catalog.deliveries.refuse(new, unlisted=unlisted)
            logger.warning("hook for %s: %s: %s", source.name, decision, reason)

    def _limit(self, name: str) -> _Limits:
        with self._lock:
            return self._limits.setdefault(name, _Limits(self.clock))

    def _told(self, answer: Answer) -> Answer:
        self._count(answer.decision)
        return answer

    def _count(self, decision: Decision) -> None:
        with self._lock:
            self._counted[decision] += 1


_HINTS = {
    Decision.REFUSED: "compare the address at the forge with the name of the source, and the"
    " secret with its `hook.secret_files`; the log of the daemon says more",
    Decision.TOO_LARGE: "let the forge send pushes alone",
    Decision.FLOODED: "nothing is lost: the source is looked at once the flood is over",
}


def _target(source: SourceSettings, named: tuple[Push, ...]) -> _Target:
    if source.base:
        # a push to any branch may be one to a request
        return _Target(source.name, followed=True)
    mine = [push for push in named if not surely_elsewhere(source.branch, push.ref)]
    revision = mine[0].revision if mine else ""
    return _Target(source.name, bool(mine) or not named, revision)


def _decided(targets: tuple[_Target, ...]) -> Decision:
    return Decision.WOKEN if any(t.followed for t in targets) else Decision.ELSEWHERE


def _most_telling(source: SourceSettings, named: tuple[Push, ...]) -> Push:
    """What is shown of a push to several refs: the one that the source follows, or the first."""
    mine = (push for push in named if not surely_elsewhere(source.branch, push.ref))
    return next(mine, named[0] if named else Push())


def read_secret(file: Path) -> bytes:
    """What the file holds now, without the end of its line. Raises ConfigError."""
    try:
        # not to wait for ever where somebody has put a pipe
        opened = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(opened, "rb") as f:
            plain = stat.S_ISREG(os.fstat(opened).st_mode)
            secret = f.read(LONGEST_SECRET + 1).rstrip(b"\r\n") if plain else b""
    except OSError as e:
        raise ConfigError(f"`{file}` cannot be read: {e.strerror}") from e
    # with an empty one anybody could sign
    if not secret or len(secret) > LONGEST_SECRET:
        raise ConfigError(f"`{file}` holds no secret", hint="write `openssl rand -hex 32` into it")
    return secret
