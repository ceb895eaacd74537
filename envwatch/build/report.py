"""Tells the daemon how far a job is, and keeps how long each phase took."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from pydantic import TypeAdapter

from envwatch.model import BuildState, Message, Phase, Progress

logger = logging.getLogger(__name__)

NEWS = TypeAdapter(tuple[Progress, tuple[Phase, ...]])
INTERVAL = 0.1  # seconds between two messages within a phase


class Report:
    """Progress of one job. Calls may come from any thread."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._phases: list[Phase] = []
        self._state: BuildState | None = None
        self._began = time.monotonic()
        self._sent = 0.0
        self._messages: list[Message] = []

    @property
    def messages(self) -> tuple[Message, ...]:
        return tuple(dict.fromkeys(self._messages))

    def tell(self, messages: Iterable[Message]) -> None:
        """Remarks for the page, and for the log."""
        for message in messages:
            logger.warning("%s", message)
            self._messages.append(message)

    @contextmanager
    def phase(self, state: BuildState, what: str) -> Iterator[None]:
        """One phase: it is announced, and measured even when it fails."""
        self.begin(state)
        logger.info("── %s: %s", state, what)
        try:
            yield
        finally:
            self.end()

    def begin(self, state: BuildState) -> None:
        self._state, self._began = state, time.monotonic()
        self(Progress(state), always=True)

    def end(self) -> None:
        if self._state is not None:
            seconds = time.monotonic() - self._began
            self._phases.append(Phase(self._state, round(seconds, 3)))
            logger.info("   %s took %.2f s", self._state, seconds)
        self._state = None

    def finish(self) -> tuple[Phase, ...]:
        """All phases, an open one included."""
        self.end()
        return tuple(self._phases)

    def __call__(self, progress: Progress, *, always: bool = False) -> None:
        now = time.monotonic()
        if not always and now - self._sent < INTERVAL and progress.done != progress.total:
            return
        self._sent = now
        try:
            self._send(NEWS.dump_json((progress, tuple(self._phases))))
        except OSError:
            # the daemon is gone; the life line ends this process
            return
