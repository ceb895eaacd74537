"""Makes branches of repositories hold the locks of what is built from them.

One thread looks what is to be written; each source that has something gets a thread of its own
for as long as it takes, so that a remote that does not answer holds up no other.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from envwatch.backoff import backoff
from envwatch.catalog import Catalog
from envwatch.catalog.writebacks import LockRow, WriteBackRecord
from envwatch.errors import Conflict, EnvwatchError
from envwatch.git.mirror import Mirror
from envwatch.git.mirrors import Mirrors
from envwatch.settings import SourceSettings, WriteBack
from envwatch.sources import Source
from envwatch.sources.git import GitSource
from envwatch.sources.managed import ManagedSource
from envwatch.writeback.branch import Brought, bring, lock_files

logger = logging.getLogger(__name__)

IDLE = 30.0  # seconds between two looks while nothing happens
SHORTEST = 1.0
STALLED = 300.0  # seconds until what needs a person is tried again
BUILDING = "waits until what is being built is built"
LOOKED = "waits until the source is looked at"

Writable = GitSource | ManagedSource


class Writer:
    """Writes locks back. What it does is read off the catalog anew each time."""

    def __init__(
        self,
        catalog: Catalog,
        sources: Callable[[], tuple[Source, ...]],
        mirrors: Path,
        record: Callable[[int], Path],
    ) -> None:
        self._catalog = catalog
        self._sources = sources
        self._mirrors = Mirrors(mirrors)
        self._record = record
        self._seen: tuple[SourceSettings, ...] | None = None
        self._busy: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    def loop(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Look whenever there is news, until told to stop."""
        while not stop.is_set():
            beat()
            news, rest = self._catalog.database.news, IDLE
            try:
                rest = self.look()
            except Exception:
                logger.exception("writing locks back goes on after an error")
            self._catalog.database.wait(news, rest)
            stop.wait(min(SHORTEST, rest))

    def look(self) -> float:
        """Begin to write what is to be written; seconds until the next look."""
        sources = self._writable()
        if not self._take_over(tuple(s.settings for s in sources)):
            return IDLE
        now = datetime.now(UTC)
        return min((self._tend(source, now) for source in sources), default=IDLE)

    def flush(self, timeout: float) -> None:
        """Write everything that is due now, and return when it is written or the time is over."""
        end = time.monotonic() + timeout
        self.look()
        while time.monotonic() < end and self._running():
            self.join(end - time.monotonic())
            self.look()

    def join(self, timeout: float) -> None:
        """Let what is being written end."""
        end = time.monotonic() + timeout
        for thread in self._running():
            thread.join(max(0.0, end - time.monotonic()))

    def _running(self) -> tuple[threading.Thread, ...]:
        with self._lock:
            return tuple(self._busy.values())

    def _writable(self) -> tuple[Writable, ...]:
        kinds = (GitSource, ManagedSource)
        return tuple(
            s for s in self._sources() if isinstance(s, kinds) and s.settings.write_back is not None
        )

    def _take_over(self, settings: tuple[SourceSettings, ...]) -> bool:
        """Are there any? Those of another config are declared."""
        if settings != self._seen:
            self._catalog.writebacks.declare([s.name for s in settings])
            self._seen = settings
        return bool(settings)

    def _tend(self, source: Writable, now: datetime) -> float:
        """Begin with one source, if it is its time; seconds until that may be."""
        record = self._catalog.writebacks.get(source.name)
        if record is None:
            return IDLE
        if record.next_at is not None and record.next_at > now:
            return max(SHORTEST, (record.next_at - now).total_seconds())
        work = self._work(source, record)
        if work is None:
            return IDLE
        with self._lock:
            if source.name in self._busy:
                return SHORTEST
            name = f"writing locks of {source.name}"
            thread = threading.Thread(target=self._write, args=work, name=name, daemon=True)
            self._busy[source.name] = thread
        thread.start()
        return IDLE

    def _work(
        self, source: Writable, record: WriteBackRecord
    ) -> tuple[Writable, WriteBackRecord, str, tuple[LockRow, ...], str] | None:
        known = self._catalog.sources.get(source.name)
        if known is None or not known.revision:
            return None
        locks = self._catalog.writebacks.locks(source.name)
        done = _identity(known.revision, locks, source.settings.write_back)
        if record.done == done:
            return None
        if self._catalog.writebacks.is_busy(source.name):
            # one commit for all of them, and not one for each
            self._catalog.writebacks.wait(source.name, BUILDING)
            return None
        return source, record, known.revision, locks, done

    # ------------------------------------------------------------ one source

    def _write(
        self,
        source: Writable,
        record: WriteBackRecord,
        revision: str,
        rows: tuple[LockRow, ...],
        done: str,
    ) -> None:
        try:
            self._bring(source, record, revision, rows, done)
        except (EnvwatchError, OSError) as e:
            self._failed(source.name, record, e)
        except Exception as e:
            logger.exception("locks of source %s", source.name)
            self._failed(source.name, record, e)
        finally:
            with self._lock:
                self._busy.pop(source.name, None)
            self._catalog.database.wake()

    def _bring(
        self,
        source: Writable,
        record: WriteBackRecord,
        revision: str,
        rows: tuple[LockRow, ...],
        done: str,
    ) -> None:
        wanted = source.settings.write_back or WriteBack()
        locks, said = lock_files(rows, self._record)
        for message in said:
            logger.warning("source %s: %s", source.name, message)
        brought = bring(
            source, wanted, lambda: self._mirror(source), locks, (revision, record.revision)
        )
        if brought is None:
            self._catalog.writebacks.wait(source.name, LOOKED)
        elif not brought.written:
            self._catalog.writebacks.done(source.name, done)
        else:
            self._keep(source.name, wanted, brought, done)

    def _keep(self, source: str, wanted: WriteBack, brought: Brought, done: str) -> None:
        count = brought.written
        text = (
            f"{count} lock{'s' if count != 1 else ''} on `{wanted.branch}`: "
            f"{brought.revision[:12]} for {brought.base[:12]}"
        )
        logger.info("source %s: %s", source, text)
        commit = (brought.revision, brought.base)
        self._catalog.writebacks.written(source, done, commit, count, text)

    def _mirror(self, source: Writable) -> Mirror:
        """The source's own where it has the same key: then both wait for each other."""
        settings = source.settings
        wanted = settings.write_back or WriteBack()
        return self._mirrors.of(settings.url, wanted.credentials, settings.timeout)

    def _failed(self, source: str, record: WriteBackRecord, error: Exception) -> None:
        logger.warning("locks of source %s are not written: %s", source, error)
        message, hint, stalled = f"a fault: {error}", "", False
        if isinstance(error, EnvwatchError):
            message, hint = error.message, error.hint
            stalled = isinstance(error, Conflict) or not error.retry
        wait = STALLED if stalled else backoff(record.failures)
        self._catalog.writebacks.failed(source, message, hint, stalled=stalled, wait=wait)


def _identity(revision: str, locks: tuple[LockRow, ...], wanted: WriteBack | None) -> str:
    """Names what there is to write: as long as it is the same, nothing is asked of a remote."""
    facts = (revision, [(k.path, k.build_id) for k in locks], wanted)
    return hashlib.sha256(repr(facts).encode()).hexdigest()
