"""A real daemon process for tests: started, asked, killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waiting import wait_for

from envwatch.catalog import Catalog, open_catalog
from envwatch.catalog.records import BuildRecord, GenerationRecord
from envwatch.model import EnvKey
from envwatch.store import Store

CRASHING = Path(__file__).with_name("crash_daemon.py")
DEMO = EnvKey("analyst", "demo")


def free_port() -> int:
    with closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def text(*dependencies: str, name: str = "demo", extra: str = "") -> str:
    listed = "".join(f"  - {d}\n" for d in dependencies)
    return f"name: {name}\ndependencies:\n{listed}{extra}"


@dataclass
class Running:
    """One root with its config; the daemon on it may come and go."""

    folder: Path
    channel: Path
    sources: list[dict[str, Any]]
    more: Mapping[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
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
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                (sys.executable, CRASHING, self.config, point),
                stderr=log,
                stdout=log,
                env=os.environ | {"PYTHONPATH": str(CRASHING.parent)},
            )
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
