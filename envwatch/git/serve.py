"""Serves managed repositories: git's own programs for one request of smart HTTP each.

The request comes as a file and the answer is a file: no thread waits for a slow client while git
runs, nothing large is in memory, and git cannot stop because nobody reads what it says.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from envwatch.errors import Busy, SourceError
from envwatch.git.bare import Bare
from envwatch.git.hooks import Hooks, Pipes, pipes
from envwatch.git.run import last_word

TIMEOUT = 600.0  # seconds for one request
PATIENCE = 5.0  # seconds that a request waits for its turn
OUTPUT_LIMIT = 2 * 2**30
LOOK = 0.2  # seconds between two looks at how much git has said
_PROTOCOL = re.compile(r"[a-z0-9=:.-]{1,100}")
_KEPT = ("PATH", "TMPDIR")


class Service(StrEnum):
    UPLOAD = "git-upload-pack"
    RECEIVE = "git-receive-pack"


class Turns:
    """How many requests run git at a time. A few more wait; the rest are told to come again."""

    def __init__(self, running: int, waiting: int) -> None:
        self._running = threading.BoundedSemaphore(running)
        self._all = threading.BoundedSemaphore(running + waiting)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Raises Busy."""
        if not self._all.acquire(blocking=False):
            raise _busy()
        try:
            if not self._running.acquire(timeout=PATIENCE):
                raise _busy()
            try:
                yield
            finally:
                self._running.release()
        finally:
            self._all.release()


@dataclass(frozen=True, slots=True)
class Server:
    """Answers for every managed repository. `scratch` is where answers lie until they are sent."""

    hooks: Path
    scratch: Path
    max_push: int
    timeout: float = TIMEOUT
    turns: Turns = field(default_factory=lambda: Turns(4, 4))

    def advertise(self, repository: Bare, service: Service, protocol: str) -> IO[bytes]:
        """What there is to fetch, or where a push would start from."""
        named = service is Service.RECEIVE or "version=2" not in protocol
        head = f"{len(service) + 15:04x}# service={service}\n0000".encode() if named else b""
        options = ("--stateless-rpc", "--advertise-refs")
        return self._run(repository, service, options, protocol, head=head)

    def answer(
        self,
        repository: Bare,
        service: Service,
        protocol: str,
        body: IO[bytes],
        hooks: Hooks | None = None,
    ) -> IO[bytes]:
        """What git says to a request. A push needs hooks: without them it is refused."""
        options = ("--stateless-rpc",)
        return self._run(repository, service, options, protocol, body=body, hooks=hooks)

    def _run(
        self,
        repository: Bare,
        service: Service,
        options: tuple[str, ...],
        protocol: str,
        *,
        head: bytes = b"",
        body: IO[bytes] | None = None,
        hooks: Hooks | None = None,
    ) -> IO[bytes]:
        repository.surroundings.prepare()
        command = ("git", *self._config(), service.removeprefix("git-"), *options)
        with ExitStack() as on_error, self.turns.turn(), self._scratch() as errors:
            out = on_error.enter_context(self._scratch())
            out.write(head)
            out.flush()
            with pipes() if hooks else nullcontext() as talk:
                process = subprocess.Popen(
                    (*command, str(repository.path)),
                    stdin=body or subprocess.DEVNULL,
                    stdout=out,
                    stderr=errors,
                    env=_environment(repository, protocol, talk),
                    start_new_session=True,
                    pass_fds=talk.theirs if talk else (),
                )
                try:
                    self._see_through(process, out, talk, hooks)
                finally:
                    _end(process)
            _check(process, out, errors)
            on_error.pop_all()
        out.seek(0)
        return out

    def _see_through(
        self,
        process: subprocess.Popen[bytes],
        out: IO[bytes],
        talk: Pipes | None,
        hooks: Hooks | None,
    ) -> None:
        deadline = time.monotonic() + self.timeout
        try:
            if talk is not None and hooks is not None:
                talk.started()
                talk.converse(hooks, deadline)
            _wait(process, out, deadline)
        except TimeoutError:
            raise SourceError(f"git did not end within {self.timeout:g} s") from None

    def _config(self) -> tuple[str, ...]:
        settings = (f"core.hooksPath={self.hooks}", f"receive.maxInputSize={self.max_push}")
        return tuple(part for setting in settings for part in ("-c", setting))

    def _scratch(self) -> IO[bytes]:
        return TemporaryFile(dir=self.scratch)


def _environment(repository: Bare, protocol: str, talk: Pipes | None) -> dict[str, str]:
    """Nothing of the daemon's own but where programs are."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    version = {"GIT_PROTOCOL": protocol} if _PROTOCOL.fullmatch(protocol) else {}
    asked = talk.variables() if talk else {}
    return kept | repository.surroundings.variables() | version | asked


def _wait(process: subprocess.Popen[bytes], out: IO[bytes], deadline: float) -> None:
    """Until git has ended. Raises TimeoutError, and SourceError where it says too much."""
    while not _ended(process):
        if time.monotonic() > deadline:
            raise TimeoutError
        if os.fstat(out.fileno()).st_size > OUTPUT_LIMIT:
            raise SourceError(f"git answered with more than {OUTPUT_LIMIT} bytes")


def _ended(process: subprocess.Popen[bytes]) -> bool:
    with suppress(subprocess.TimeoutExpired):
        process.wait(LOOK)
    return process.returncode is not None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Git and its hooks are gone."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _check(process: subprocess.Popen[bytes], out: IO[bytes], errors: IO[bytes]) -> None:
    """Git mostly says in its answer what is wrong; else what it said besides is the reason."""
    if process.returncode and not os.fstat(out.fileno()).st_size:
        errors.seek(0)
        raise SourceError(f"git refuses: {last_word(errors.read(2**16).decode(errors='replace'))}")


def _busy() -> Busy:
    return Busy("too many clones and pushes are under way", hint="try again in a moment")
