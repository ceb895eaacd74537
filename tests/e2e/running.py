"""A real daemon process for tests: started, asked, killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from waiting import wait_for

from envwatch.catalog import Catalog, open_catalog
from envwatch.catalog.records import BuildRecord, GenerationRecord
from envwatch.model import EnvKey
from envwatch.store import Store

FORKING = Path(__file__).with_name("forking.py")
DEMO = EnvKey("analyst", "demo")


def free_port() -> int:
    with closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def text(*dependencies: str, name: str = "demo", extra: str = "") -> str:
    listed = "".join(f"  - {d}\n" for d in dependencies)
    return f"name: {name}\ndependencies:\n{listed}{extra}"


class Starter:
    """The process that daemons and commands are forked from."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            (sys.executable, FORKING), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, **order: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(order)}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


@cache
def starter() -> Starter:
    """One for all tests of a process."""
    return Starter()


class Forked:
    """A program that was forked, with the words of `subprocess.Popen`."""

    def __init__(self, program: str, *arguments: object, out: Path, err: Path) -> None:
        self.pid: int = starter().ask(
            program=program,
            arguments=[str(argument) for argument in arguments],
            environment=os.environ | {"PYTHONPATH": str(FORKING.parent)},
            out=str(out),
            err=str(err),
        )
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            self._code = starter().ask(pid=self.pid)
        return self._code

    def wait(self, timeout: float = 60) -> int:
        wait_for(lambda: self.poll() is not None, timeout, f"the end of {self.pid}")
        assert self._code is not None
        return self._code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


@dataclass
class Running:
    """One root with its config; the daemon on it may come and go."""

    folder: Path
    channel: Path
    sources: list[dict[str, Any]]
    more: Mapping[str, Any] = field(default_factory=dict)
    process: Forked | None = None
    port: int = field(default_factory=free_port)

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def log(self) -> Path:
        return self.folder / "daemon.log"

    @property
    def store(self) -> Store:
        return Store(self.root)

    def write_config(self) -> None:
        content = {
            "root": str(self.root),
            "sources": self.sources,
            "channels": {"default": [self.channel.as_uri()], "allowed": [self.channel.as_uri()]},
            "web": {"listen": f"127.0.0.1:{self.port}"},
            **self.more,
        }
        self.config.write_text(json.dumps(content, indent=1))

    def start(self, point: str = "", *, wait: bool = True) -> None:
        self.write_config()
        self.log.touch()
        self.process = Forked("daemon", self.config, point, out=self.log, err=self.log)
        if wait:
            wait_for(self.answers, what=f"the page, see {self.log.read_text()[-2000:]}")

    def answers(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"the daemon ended: {self.log.read_text()[-3000:]}")
        try:
            return self.get("/healthz")[0] == 200
        except OSError:
            return False

    def get(self, path: str) -> tuple[int, bytes]:
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read()

    def page(self, path: str) -> Any:
        return json.loads(self.get(path)[1])

    def wait_dead(self) -> None:
        """Until the daemon has killed itself."""
        assert self.process is not None
        assert self.process.wait(timeout=60) == -signal.SIGKILL, self.log.read_text()[-3000:]
        self.process = None

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self) -> int:
        if self.process is None:
            return 0
        self.process.terminate()
        code = self.process.wait(timeout=30)
        self.process = None
        return code

    def catalog(self) -> Catalog:
        return open_catalog(self.root / "catalog.sqlite")

    def builds(self, key: EnvKey = DEMO) -> tuple[BuildRecord, ...]:
        """Oldest first."""
        with closing(self.catalog()) as catalog:
            known = {e.key: e for e in catalog.generations.environments(retired=True)}
            return tuple(reversed(catalog.builds.of(known[key].id))) if key in known else ()

    def generations(self, key: EnvKey = DEMO) -> tuple[GenerationRecord, ...]:
        """Oldest first."""
        with closing(self.catalog()) as catalog:
            env = catalog.generations.environment(key)
            return tuple(reversed(catalog.generations.of(env.id)))

    def wait_current(self, number: int, key: EnvKey = DEMO) -> Path:
        """Until this generation is current and the link leads to it; its prefix."""

        def there() -> Path | None:
            with closing(self.catalog()) as catalog:
                envs = {e.key: e for e in catalog.generations.environments()}
                if key not in envs or envs[key].current != number:
                    return None
                prefix = catalog.generations.get(key, number).prefix
            return prefix if self.store.pointed(key) == prefix else None

        return wait_for(there, 60, f"{key} #{number}: {self.log.read_text()[-3000:]}")

    def link(self, key: EnvKey = DEMO) -> Path:
        return self.store.link(key)


def cli(running: Running, *arguments: object, check: int = 0) -> subprocess.CompletedProcess[str]:
    """One command beside a daemon, in a process of its own."""
    out, err = (running.folder / f"command.{name}" for name in ("out", "err"))
    for file in (out, err):
        file.write_text("")
    process = Forked("envwatch", "-c", running.config, *arguments, out=out, err=err)
    try:
        code = process.wait(120)
    finally:
        process.kill()
    done = subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())
    assert code == check, done.stdout + done.stderr
    return done


@contextmanager
def ended(running: Running) -> Iterator[Running]:
    """No daemon outlives what it was started for."""
    try:
        yield running
    finally:
        if running.process is not None:
            running.kill()


@dataclass(frozen=True)
class Kept:
    """A stopped daemon's folder as it was at one moment."""

    folder: Path
    running: Running

    def put_back(self, aside: Path) -> Running:
        """What became of the folder is moved away; the copy lies where each path says it is."""
        self.running.folder.rename(aside)
        _copy(self.folder, self.running.folder)
        return replace(self.running, sources=list(self.running.sources))


def keep(running: Running, folder: Path) -> Kept:
    """All that lies in the folder of a daemon that does not run now."""
    assert running.process is None
    # the children of a daemon that was killed die a moment after it
    wait_for(lambda: not _is_open(running.folder), what=f"the last process in {running.folder}")
    _copy(running.folder, folder)
    return Kept(folder, running)


def _is_open(folder: Path) -> bool:
    """Has any process a file open there?"""
    return any(link.is_relative_to(folder) for link in _open_files())


def _open_files() -> Iterator[Path]:
    """Processes and files come and go while they are looked at."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            for link in list((process / "fd").iterdir()):
                with suppress(OSError):
                    yield link.readlink()


def _copy(source: Path, target: Path) -> None:
    """With hard links and the socket, which Python's own copies know nothing of."""
    subprocess.run(("cp", "-a", source, target), check=True, timeout=60)
