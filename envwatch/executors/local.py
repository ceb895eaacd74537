"""Runs each job in a child of a fork server that has the heavy libraries imported already."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from envwatch.executors import Beat, Ending, Outcome
from envwatch.executors.child import enter
from envwatch.model import BuildState, Job, Phase, Progress, Result
from envwatch.settings import BuildLimits
from envwatch.units import size

logger = logging.getLogger(__name__)

JOB = TypeAdapter(Job)
RESULT = TypeAdapter(Result)
NEWS = TypeAdapter(tuple[Progress, tuple[Phase, ...]])
RECORD = "result.json"
TICK = 0.2  # seconds between two looks at limits and at whether to stop
BEAT = 0.5  # seconds between two notes of progress in the same state


class LocalExecutor:
    """Children on this machine. `module` is the name of the module that does the work."""

    def __init__(self, module: str = "envwatch.build") -> None:
        self._module = module
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._running: set[ForkServerProcess] = set()
        self._lock = threading.Lock()

    def start(self) -> None:
        _keep_main_out()
        self._context.set_forkserver_preload([self._module])
        # the server imports for a second or two; nobody needs to wait for it before the first job
        threading.Thread(target=self._warm_up, name="fork server", daemon=True).start()

    def run(self, job: Job, *, log: Path, limits: BuildLimits, beat: Beat) -> Outcome:
        job.folders.record.mkdir(parents=True, exist_ok=True)
        (job.folders.record / RECORD).unlink(missing_ok=True)
        log.touch(mode=0o600)
        with self._child(job, log) as (process, messages):
            watched = _Watched(process, messages, log, limits, beat)
            stopped = watched.until_over()
        if stopped is not None:
            return stopped
        return _outcome(job, process.exitcode)

    def _warm_up(self) -> None:
        # the server starts with its first child; this one does nothing
        first = self._context.Process(target=_nothing, daemon=True)
        first.start()
        first.join()

    def stop(self) -> None:
        with self._lock:
            for process in self._running:
                _kill(process)

    @contextlib.contextmanager
    def _child(self, job: Job, log: Path) -> Iterator[tuple[ForkServerProcess, Connection]]:
        messages, its_messages = self._context.Pipe(duplex=False)
        its_life, life = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=enter,
            args=(self._module, JOB.dump_json(job).decode(), str(log), its_messages, its_life),
            daemon=True,
        )
        process.start()
        its_messages.close()
        its_life.close()
        with self._lock:
            self._running.add(process)
        try:
            yield process, messages
        finally:
            _kill(process)
            process.join()
            with self._lock:
                self._running.discard(process)
            life.close()
            messages.close()


@dataclass(slots=True)
class _Watched:
    """One running child: its news, its limits, and whether somebody wants it to stop."""

    process: ForkServerProcess
    messages: Connection
    log: Path
    limits: BuildLimits
    beat: Beat
    started: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)
    beaten: float = 0.0
    state: BuildState | None = None
    logged: int = 0

    def until_over(self) -> Outcome | None:
        """None when the child ended by itself, else why it is to be killed."""
        while True:
            wait([self.messages, self.process.sentinel], timeout=TICK)
            news = self._news()
            stop = self._tell(news)
            if stop is not None:
                return Outcome(Ending.STOPPED, stop=stop)
            if not self.process.is_alive():
                self._tell(self._news(), always=True)
                return None
            passed = self._limit()
            if passed:
                return Outcome(Ending.LIMIT, detail=passed)

    def _news(self) -> tuple[Progress, tuple[Phase, ...]] | None:
        newest = None
        try:
            while self.messages.poll():
                newest = self.messages.recv_bytes(1 << 20)
                self.heard = time.monotonic()
        except (EOFError, OSError):
            # the child closed its end: wait for its exit without spinning
            self.process.join(TICK)
        try:
            return NEWS.validate_json(newest) if newest else None
        except ValidationError:
            logger.warning("a build child sent a message that cannot be read")
            return None

    def _tell(
        self, news: tuple[Progress, tuple[Phase, ...]] | None, *, always: bool = False
    ) -> BuildState | None:
        if news is None:
            return self.beat(None, ())
        progress, phases = news
        now = time.monotonic()
        if not always and progress.state is self.state and now - self.beaten < BEAT:
            return self.beat(None, ())
        self.state, self.beaten = progress.state, now
        return self.beat(progress, phases)

    def _limit(self) -> str:
        """Which limit was passed, in words for the person who wrote the environment."""
        now = time.monotonic()
        logged = self.log.stat().st_size
        if logged != self.logged:
            self.logged, self.heard = logged, now
        limits = self.limits
        if limits.timeout and now - self.started > limits.timeout:
            return f"it took longer than {limits.timeout:.0f} s (`builds.timeout`)"
        if limits.silence and now - self.heard > limits.silence:
            return f"it said nothing for {limits.silence:.0f} s (`builds.silence`)"
        if limits.log_size and logged > limits.log_size:
            return f"its log grew beyond {size(limits.log_size)} (`builds.log_size`)"
        if limits.memory and family_memory(self.process.pid or 0) > limits.memory:
            return f"it used more than {size(limits.memory)} of memory (`builds.memory`)"
        return ""


def _outcome(job: Job, code: int | None) -> Outcome:
    """What the record says; the exit code is only for the message when there is none."""
    try:
        return Outcome(Ending.RESULT, RESULT.validate_json(record_text(job.folders.record)))
    except (OSError, ValidationError):
        signal_name = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return Outcome(Ending.DIED, detail=f"the build process ended by {signal_name}")


def record_text(folder: Path) -> bytes:
    return (folder / RECORD).read_bytes()


def family_memory(pid: int) -> int:
    """Resident bytes of a process and all that it started, shared pages counted in part."""
    process = Path("/proc") / str(pid)
    try:
        total = _proportional(process)
        children = [
            int(child)
            for task in (process / "task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return 0
    return total + sum(family_memory(child) for child in children)


def _proportional(process: Path) -> int:
    for line in (process / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _kill(process: ForkServerProcess) -> None:
    """The child and all that it started; it leads a process group of its own."""
    if process.pid is None:
        return
    # before setsid the child is still in the fork server's group, which must live on
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.exitcode is None:
        process.kill()


def _keep_main_out() -> None:
    """Children begin by importing the main module of their owner, which may be any script.

    They leave out what looks like the main module of a package.
    """
    main = sys.modules["__main__"]
    if not getattr(main.__spec__, "name", "").endswith(".__main__"):
        main.__spec__ = ModuleSpec("envwatch.__main__", None)


def _nothing() -> None:
    """The work of the child that starts the fork server."""
