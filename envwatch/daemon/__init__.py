"""The daemon: threads, schedule, signals. What it consists of is made in `parts`."""

from __future__ import annotations

import logging
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import sdnotify

from envwatch.catalog import Catalog
from envwatch.daemon import hooked
from envwatch.daemon.commands import Commands
from envwatch.daemon.parts import Parts, assemble, reload
from envwatch.daemon.schedule import Schedule
from envwatch.errors import ConfigError, EnvwatchError, SourceError
from envwatch.model import ENDED, BuildState, EnvKey
from envwatch.settings import Settings
from envwatch.store import Store
from envwatch.watch import Watcher
from envwatch.web import create_app
from envwatch.web.context import Context, Health
from envwatch.web.control import create_control
from envwatch.web.git import body_limit
from envwatch.web.server import Server, serve, serve_unix
from envwatch.worker import chores
from envwatch.worker.publish import Reached, nothing
from envwatch.worker.recover import recover

logger = logging.getLogger(__name__)

LATE = 120.0  # seconds without a beat after which a thread counts as stuck
IDLE = 0.5  # seconds between two looks of the thread for chores
TURN = 5.0  # seconds after which the reconciler shows that it is alive
TELLING = 60.0  # seconds that a single pass waits until everybody is told
DRAIN = 10.0  # seconds that builds get to end when the daemon stops

LOOKERS = 4  # threads that look at sources: one host that hangs must not keep the others waiting
NOBODY = "/"  # no source is called so: it only wakes a reconciler

LoadSettings = Callable[[], Settings]


@dataclass(frozen=True, slots=True)
class Running:
    """What somebody who started a daemon in this process may look at and do."""

    address: str
    catalog: Catalog
    store: Store
    stop: Callable[[], None]


Started = Callable[[Running], None]


def ignore(_: Running) -> None:
    """Nobody waits for the daemon."""


@dataclass(slots=True)
class Beats:
    """When each thread last showed that it is alive, on the monotonic clock."""

    _last: dict[str, float] = field(default_factory=dict)

    def beat(self, name: str) -> None:
        self._last[name] = time.monotonic()

    def at(self, name: str, moment: float) -> None:
        self._last[name] = moment

    def stuck(self, late: float = LATE) -> tuple[str, ...]:
        now = time.monotonic()
        return tuple(f"the {n} is stuck" for n, at in self._last.items() if now - at > late)


class Daemon:
    """One running envwatch. `run` returns when it was told to stop."""

    def __init__(self, parts: Parts, load: LoadSettings) -> None:
        self._parts = parts
        self._load = load
        self._stop = threading.Event()
        self._reload = threading.Event()
        self._first_pass = threading.Event()
        self._chores: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._schedule = Schedule(parts.catalog, self._chores.put)
        settings = parts.settings()
        self._watcher = Watcher(
            parts.roster.all,
            parts.dirty.mark,
            quiet=settings.quiet_period,
            resync=settings.resync,
            # APScheduler waits by the wall clock: after a jump it must count anew
            jumped=lambda _: self._schedule.load(parts.settings()),
        )
        self._expected = hooked.expected(parts)
        self._beats = Beats()
        self._unseen: set[str] = set()
        self._threads: list[threading.Thread] = []
        self._notifier = sdnotify.SystemdNotifier()

    def run(self, *, started: Started = ignore) -> None:
        """Serve until `stop`. `started` is called once the page answers."""
        parts = self._parts
        parts.executor.start()
        recover(parts.worker)
        servers = self._servers()
        self._start_threads()
        try:
            address = parts.settings().web.address
            logger.info("serving %s, root %s", address, parts.store.root)
            self._notifier.notify(f"READY=1\nSTATUS=serving {address}")
            started(Running(address, parts.catalog, parts.store, self.stop))
            self._tend()
        finally:
            self._notifier.notify("STOPPING=1")
            self._end(servers)

    def stop(self) -> None:
        self._stop.set()

    def reload(self) -> None:
        self._reload.set()

    def health(self) -> Health:
        self._beats.at("watcher", self._watcher.beat)
        stuck = self._beats.stuck()
        dead = tuple(f"the {t.name} thread died" for t in self._threads if not t.is_alive())
        waiting = () if self._first_pass.is_set() else ("the first pass over all sources runs",)
        return Health(
            not stuck and not dead, not (stuck or dead or waiting), stuck + dead + waiting
        )

    # ------------------------------------------------------------ threads

    def _servers(self) -> tuple[Server, Server]:
        parts = self._parts
        context = Context(
            catalog=parts.catalog,
            settings=parts.settings(),
            storage=parts.publisher.storage,
            log_path=parts.store.log,
            health=self.health,
            ask_archive=self._ask_archive,
            started_at=datetime.now(UTC),
            hooks=hooked.receiver(parts, self._expected),
            next_look=self._next_look,
            git=parts.pushes,
        )
        limit = body_limit(parts.catalog, parts.settings())
        page = serve(create_app(context), parts.settings().web, limit)
        control = create_control(Commands(parts).run)
        return page, serve_unix(control, parts.store.control)

    def _next_look(self, source: str) -> datetime | None:
        """When a source is looked at, at the latest: its poll, or the try after an error."""
        found = self._parts.roster.get(source)
        waits = self._parts.dirty.rest(source)
        if found is not None and waits is None:
            waits = self._watcher.next_poll(found.group)
        return None if waits is None else datetime.now(UTC) + timedelta(seconds=waits)

    def _ask_archive(self, key: EnvKey, number: int) -> None:
        self._parts.operations.ask_archive(key, number)

    def _start_threads(self) -> None:
        parts = self._parts
        for source in parts.roster.names():
            parts.dirty.mark(source)
        self._unseen = parts.roster.names()
        self._watcher.start()
        self._schedule.start(parts.settings())
        for number in range(LOOKERS):
            # half of them are never held up by a repository that is known not to answer
            sound = number % 2 == 0
            name = f"reconciler {number + 1}"
            self._start(name, partial(self._reconcile, name, sound=sound))
        self._start("chores", self._do_chores)
        self._start("teller", self._do_tell)
        self._start("writer", self._do_write)
        for number in range(parts.settings().parallel):
            self._start(f"builder {number + 1}", lambda: parts.worker.loop(self._stop))

    def _start(self, name: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _reconcile(self, beat: str, *, sound: bool) -> None:
        dirty = self._parts.dirty
        while not self._stop.is_set():
            self._beats.beat(beat)
            if not self._unseen:
                self._first_pass.set()
            name = dirty.take(self._expected.turn(TURN), sound=sound)
            if name is None or name.startswith(NOBODY):
                continue
            dirty.done(name, error=self._look(name))
            self._expected.looked(name)
            self._unseen.discard(name)

    def _look(self, name: str) -> bool:
        """Reconcile one source; did it fail?"""
        try:
            plan = self._parts.look(name, since=self._parts.dirty.since(name))
            if plan is not None:
                # a repository may have asked for other times
                self._schedule.follow(self._parts.settings())
        except SourceError:
            return True
        except Exception:
            logger.exception("source %s", name)
            return True
        return False

    def _do_tell(self) -> None:
        self._parts.teller.loop(self._stop, lambda: self._beats.beat("teller"))

    def _do_write(self) -> None:
        self._parts.writer.loop(self._stop, lambda: self._beats.beat("writer"))

    def _do_chores(self) -> None:
        seen = 0
        while not self._stop.is_set():
            news = self._parts.catalog.database.news
            try:
                # asked again only when there is news: an idle daemon asks nothing
                if news != seen and chores.make_next_archive(self._parts.worker):
                    continue
                seen = news
                name = self._chores.get(timeout=IDLE)
            except queue.Empty:
                continue
            except Exception:
                logger.exception("an archive could not be made")
                self._stop.wait(IDLE)
                continue
            self._chore(name)

    def _chore(self, name: str) -> None:
        logger.info("%s begins", name)
        try:
            run_chore(self._parts, name)
            self._parts.catalog.ran(name)
        except Exception:
            logger.exception("%s", name)

    # ------------------------------------------------------------ main thread

    def _tend(self) -> None:
        """Keep systemd's watchdog content and take over a changed config."""
        while not self._stop.wait(1.0):
            if self._reload.is_set():
                self._reload.clear()
                self._take_over()
            if self.health().alive:
                self._notifier.notify("WATCHDOG=1")

    def _take_over(self) -> None:
        self._notifier.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            settings = self._load()
            reload(self._parts, settings)
            self._watcher.renew()
            self._schedule.load(self._parts.settings())
            logger.info("the config was read again")
        except (ConfigError, EnvwatchError) as e:
            logger.error("the config was not taken over, the old one stays: %s", e)
        self._notifier.notify("READY=1")

    def _end(self, servers: tuple[Server, Server]) -> None:
        logger.info("stopping")
        self._stop.set()
        self._parts.catalog.database.wake()
        for number in range(LOOKERS):
            self._parts.dirty.mark(f"{NOBODY}{number}")
        for server in servers:
            server.stop()
        self._watcher.stop()
        self._schedule.stop()
        # what still runs is queued again at the next start: nothing of it was promised yet
        self._parts.executor.stop()
        deadline = time.monotonic() + DRAIN
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._parts.teller.join(max(0.0, deadline - time.monotonic()))
        self._parts.writer.join(max(0.0, deadline - time.monotonic()))


def run_chore(parts: Parts, name: str) -> None:
    """One piece of calendar work, by its name."""
    kind, _, namespace = name.partition(":")
    if kind == "retention":
        chores.prune(parts.worker)
    elif kind == "verify":
        kept = [g for g in parts.catalog.generations.all() if g.pruned_at is None]
        chores.verify(parts.worker, kept)
    elif kind == "retry-stalled":
        chores.retry_stalled(parts.worker)
    elif kind == "update":
        chores.update_namespace(parts.worker, namespace)
    elif kind == "update-one":
        chores.update_environment(parts.worker, namespace)


def run(
    settings: Settings,
    load: LoadSettings,
    *,
    started: Started = ignore,
    reached: Reached = nothing,
) -> None:
    """Run the daemon in the foreground: SIGTERM and SIGINT stop it, SIGHUP reads the config."""
    with assemble(settings, reached=reached) as parts:
        daemon = Daemon(parts, load)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: daemon.stop())
        signal.signal(signal.SIGHUP, lambda *_: daemon.reload())
        daemon.run(started=started)


@dataclass(frozen=True, slots=True)
class Pass:
    """What one full pass came to."""

    failed_sources: tuple[str, ...]
    refused_files: tuple[str, ...]
    failed_builds: tuple[int, ...]
    published: tuple[int, ...]

    @property
    def ok(self) -> bool:
        return not (self.failed_sources or self.refused_files or self.failed_builds)


def once(settings: Settings) -> Pass:
    """Look at every source, build what is asked for, and return: for cron and CI."""
    with assemble(settings) as parts:
        parts.executor.start()
        recover(parts.worker)
        before = parts.catalog.builds.newest_id()
        failed = tuple(name for name in _looked_at(parts) if _fails(parts, name))
        _drain(parts)
        parts.writer.flush(TELLING)
        parts.teller.flush(TELLING)
        return _summary(parts, failed, before)


def work_off(settings: Settings) -> None:
    """Do what is queued, with no look at any source, and return."""
    with assemble(settings) as parts:
        parts.executor.start()
        recover(parts.worker)
        _drain(parts)


def _drain(parts: Parts) -> None:
    while parts.worker.run_one() or chores.make_next_archive(parts.worker):
        pass


def _looked_at(parts: Parts) -> Iterator[str]:
    """Every source; the branches of one come up while it is looked at."""
    seen: set[str] = set()
    while left := sorted(parts.roster.names() - seen):
        yield left[0]
        seen.add(left[0])


def _fails(parts: Parts, name: str) -> bool:
    try:
        parts.look(name)
    except SourceError:
        return True
    return False


def _summary(parts: Parts, failed: tuple[str, ...], before: int) -> Pass:
    # a request to merge that cannot be made is no failure of what is there
    previews = {s.name for s in parts.catalog.sources.all() if s.is_request}
    ended = parts.catalog.builds.in_state(*ENDED)
    new = [b for b in ended if b.id > before and b.source not in previews]
    bad = (BuildState.FAILED, BuildState.TIMED_OUT)
    return Pass(
        failed_sources=tuple(name for name in failed if name not in previews),
        refused_files=parts.catalog.sources.refused(),
        failed_builds=tuple(b.id for b in new if b.state in bad),
        published=tuple(b.id for b in new if b.state is BuildState.READY),
    )
