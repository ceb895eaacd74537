"""Tells forges and people what became of commits and environments.

One thread looks what is to be told and writes it down; each forge and notifier that has something
to hear gets a thread of its own for as long as it takes. So none of them holds up another.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime

from envwatch.catalog import Catalog
from envwatch.catalog.recipients import FORGE, NOTIFIER, Recipient, RecipientRecord
from envwatch.errors import NotFound
from envwatch.notifiers import open_forge, open_notifier
from envwatch.redact import redact
from envwatch.settings import NotifierSettings, Settings, SourceSettings
from envwatch.teller.changes import note_turns
from envwatch.teller.delivery import Clock, serve_forge, serve_notifier, utc_now
from envwatch.teller.tips import note_statuses
from envwatch.telling import Letter, Notice, NoticeKind

logger = logging.getLogger(__name__)

IDLE = 30.0  # seconds between two looks while nothing happens
ATTENTIVE = 10.0  # … while something is in work, or waits to be told
SHORTEST = 1.0
CALM = 5.0  # a look costs at most one part in so many of the time
LONGEST_PAUSE = 5.0


class Teller:
    """Makes what forges and notifiers know follow the catalog.

    `followed` are the sources with a tip: each branch is one where a source follows several.
    """

    def __init__(
        self,
        catalog: Catalog,
        settings: Callable[[], Settings],
        clock: Clock = utc_now,
        followed: Callable[[], tuple[SourceSettings, ...]] | None = None,
    ) -> None:
        self._catalog = catalog
        self._followed = followed or (lambda: settings().sources)
        self._settings = settings
        self._clock = clock
        self._seen: tuple[Settings, tuple[SourceSettings, ...]] | None = None
        self._before: frozenset[str] = frozenset()
        self._busy: dict[tuple[str, str], threading.Thread] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def loop(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Look whenever there is news, until told to stop."""
        seen, rest = 0, 0.0
        while not stop.is_set():
            beat()
            news, began = self._catalog.database.news, time.monotonic()
            try:
                # without news there is nothing to see, unless something waits for its time
                rest = self.look() if news != seen or rest < IDLE else IDLE
                seen = news
            except Exception:
                logger.exception("the teller goes on after an error")
                rest = ATTENTIVE
            # a commit for a thousand environments is news a thousand times
            stop.wait(min((time.monotonic() - began) * CALM, LONGEST_PAUSE))
            self._catalog.database.wait(news, rest)
        self._stop.set()

    def look(self) -> float:
        """Write down what is to be told, and begin to tell it; seconds until the next look."""
        settings, sources, now = self._settings(), self._followed(), self._clock()
        self._take_over(settings, sources, now)
        if not settings.notify and not any(s.forge for s in sources):
            return IDLE
        in_work = [note_statuses(self._catalog, settings, s, now) for s in sources]
        note_turns(self._catalog, settings, self._before, now)
        self._before = frozenset(n.name for n in settings.notify)
        waiting = [r for r in self._catalog.recipients.all() if r.waiting]
        for recipient in waiting:
            self._begin(settings, recipient, now)
        if not waiting:
            return ATTENTIVE if any(in_work) else IDLE
        return min(_rest(r, now) for r in waiting)

    def flush(self, timeout: float) -> None:
        """Tell everything that is due now, and return when it is told, or the time is over."""
        end = time.monotonic() + timeout
        self.look()
        while time.monotonic() < end and (threads := self._running()):
            for thread in threads:
                thread.join(max(0.0, end - time.monotonic()))
            self.look()
        if self._running():
            self._stop.set()

    def test(self, name: str) -> str:
        """Send a test to one notifier; what came back. Raises NotFound, or why it cannot be."""
        settings = self._settings()
        notifier = next((n for n in settings.notify if n.name == name), None)
        if notifier is None:
            known = ", ".join(n.name for n in settings.notify) or "none"
            raise NotFound(f"there is no notifier `{name}`", hint=f"known: {known}")
        notice = Notice(
            (NoticeKind.TEST,), "envwatch", self._clock(), "this is a test: all is well"
        )
        letter = Letter(f"evt_{uuid.uuid4().hex}", name, NoticeKind.TEST, notice)
        return open_notifier(notifier, settings.network).send(letter)

    def join(self, timeout: float) -> None:
        """After the loop: let what is being told end."""
        end = time.monotonic() + timeout
        for thread in self._running():
            thread.join(max(0.0, end - time.monotonic()))

    def _running(self) -> tuple[threading.Thread, ...]:
        with self._lock:
            return tuple(self._busy.values())

    def _take_over(
        self, settings: Settings, sources: tuple[SourceSettings, ...], now: datetime
    ) -> None:
        if (settings, sources) == self._seen:
            return
        self._before = self._catalog.recipients.declare(recipients_of(settings, sources))
        self._catalog.recipients.hasten(now)
        self._seen = (settings, sources)

    def _begin(self, settings: Settings, recipient: RecipientRecord, now: datetime) -> None:
        """Start to tell one recipient what is due, unless it is being told already."""
        who = (recipient.role, recipient.name)
        with self._lock:
            if who in self._busy or not self._due(recipient, now):
                return
            name = f"telling {recipient.role} {recipient.name}"
            thread = threading.Thread(
                target=self._tell, args=(settings, who), name=name, daemon=True
            )
            self._busy[who] = thread
        thread.start()

    def _due(self, recipient: RecipientRecord, now: datetime) -> bool:
        if recipient.role == FORGE:
            return (
                self._catalog.statuses.due(recipient.name, now) is not None
                or self._catalog.comments.due(recipient.name, now) is not None
            )
        return self._catalog.notices.due(recipient.name, now) is not None

    def _tell(self, settings: Settings, who: tuple[str, str]) -> None:
        role, name = who
        try:
            if role == FORGE:
                of_source = next(s.forge for s in self._followed() if s.name == name and s.forge)
                forge = open_forge(of_source, settings.network)
                serve_forge(self._catalog, name, forge, self._stop, self._clock)
            else:
                entry = next(n for n in settings.notify if n.name == name)
                notifier = open_notifier(entry, settings.network)
                serve_notifier(self._catalog, name, notifier, self._stop, self._clock)
        except Exception:
            logger.exception("telling %s %s", role, name)
        finally:
            with self._lock:
                self._busy.pop(who, None)
            self._catalog.database.wake()


def recipients_of(settings: Settings, sources: tuple[SourceSettings, ...]) -> list[Recipient]:
    """Everybody whom the config names."""
    forges = [
        Recipient(FORGE, s.name, s.forge.kind, f"{s.forge.api} · {s.forge.repository}")
        for s in sources
        if s.forge
    ]
    return forges + [Recipient(NOTIFIER, n.name, n.kind, _place(n)) for n in settings.notify]


def _place(notifier: NotifierSettings) -> str:
    """Where it is, without what may be secret: the path of an address often is."""
    if notifier.kind == "command":
        return notifier.command[0]
    if notifier.kind == "webhook":
        return redact("/".join(notifier.url.split("/")[:3]))
    return str(notifier.secret_file)


def _rest(recipient: RecipientRecord, now: datetime) -> float:
    """Seconds until something of one recipient may be due."""
    moments = [m for m in (recipient.next_at, recipient.due_at) if m is not None]
    seconds = (max(moments) - now).total_seconds() if moments else 0.0
    return min(max(seconds, SHORTEST), ATTENTIVE)
