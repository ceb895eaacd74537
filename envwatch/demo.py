"""`envwatch demo`: a throw-away root, repository and channel, and the real daemon on them."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from envwatch import config, daemon
from envwatch.daemon import Running
from envwatch.errors import ConfigError, EnvwatchError
from envwatch.git.making import make_repository
from envwatch.model import EnvKey
from envwatch.views import environments
from envwatch.views.values import EnvRow

logger = logging.getLogger(__name__)

KEY = EnvKey("analyst", "hello")
MARKER = "envwatch.demo"
CHANNEL_LIMIT = 600  # seconds for making the channel
LOOK = 0.1  # seconds between two looks at what the daemon has done

LOCAL_FILE = """\
# Change this file and commit it: envwatch builds what you commit.
name: hello
description: The environment of the demo
dependencies:
  - python
  - rich
  - click
  # - flask
variables:
  GREETING: hello from envwatch
"""

PUBLIC_FILE = """\
# Change this file and commit it: envwatch builds what you commit.
name: hello
description: The environment of the demo
dependencies:
  - python
  - numpy
  - ipykernel
  # - pandas
variables:
  GREETING: hello from envwatch
"""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of one demo."""

    top: Path

    @property
    def root(self) -> Path:
        return self.top / "root"

    @property
    def repository(self) -> Path:
        return self.top / "environments"

    @property
    def file(self) -> Path:
        return self.repository / KEY.name / "environment.yml"

    @property
    def channel(self) -> Path:
        return self.top / "channel"

    @property
    def config(self) -> Path:
        return self.top / "config.yaml"


def run(top: Path, *, port: int | None, channel: str, once: bool, say: Say) -> int:
    """Make the demo in `top` and run it; the exit code. A demo that is there goes on."""
    place = Place(top.resolve())
    _prepare(place, say)
    chosen = channel or _make_channel(place, say)
    _make_repository(place, chosen_locally=not channel, say=say)
    _write_config(place, chosen, port or _free_port((8080, 0) if port is None else (0,)))
    teller = _Teller(place, say, once=once)
    settings = config.load(place.config)
    daemon.run(settings, lambda: config.load(place.config), started=teller.start)
    return teller.code


def _prepare(place: Place, say: Say) -> None:
    if place.top.exists() and any(place.top.iterdir()) and not (place.top / MARKER).exists():
        raise ConfigError(
            f"`{place.top}` is not empty, and not a demo",
            hint="name another folder with `--dir`",
        )
    place.top.mkdir(parents=True, exist_ok=True)
    (place.top / MARKER).write_text("A demo of envwatch; delete the folder when you are done.\n")
    say(f"everything of this demo is in {place.top}; delete that folder when you are done")


def _make_channel(place: Place, say: Say) -> str:
    """A real channel out of the running Python and what is installed beside it."""
    if not (place.channel / "noarch" / "repodata.json").exists():
        began = time.monotonic()
        command = (sys.executable, "-m", "envwatch.channel", str(place.channel), "--demo")
        made = subprocess.run(
            command, capture_output=True, text=True, timeout=CHANNEL_LIMIT, check=False
        )
        if made.returncode:
            raise EnvwatchError(
                f"the local channel could not be made: {made.stderr.strip()[-500:]}",
                hint="use a channel that exists: `--channel conda-forge`",
            )
        packages = len(list(place.channel.rglob("*.conda")))
        took = time.monotonic() - began
        say(f"made a conda channel of {packages} packages from this Python, in {took:.1f} s")
    return place.channel.as_uri()


def _make_repository(place: Place, *, chosen_locally: bool, say: Say) -> None:
    if (place.repository / ".git").exists():
        return
    name = str(place.file.relative_to(place.repository))
    make_repository(
        place.repository,
        {name: LOCAL_FILE if chosen_locally else PUBLIC_FILE},
        author="envwatch demo",
        email="demo@envwatch.invalid",
    )
    say(f"made a git repository with one environment file: {place.file}")


def _write_config(place: Place, channel: str, port: int) -> None:
    content = {
        "root": "root",
        "sources": [
            {
                "name": "demo",
                "git": str(place.repository),
                "branch": "main",
                "namespace": KEY.namespace,
                "interval": "2s",
            }
        ],
        "channels": {"default": [channel], "allowed": [channel]},
        "web": {"listen": f"127.0.0.1:{port}"},
    }
    place.config.write_text(yaml.safe_dump(content, sort_keys=False))


def _free_port(choices: tuple[int, ...]) -> int:
    """The first of these ports at which nobody listens; 0 stands for any."""
    for wanted in choices:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            return int(s.getsockname()[1])
    raise EnvwatchError("there is no free port on 127.0.0.1")


class _Teller:
    """Watches the catalog from a thread of its own and says what happens."""

    def __init__(self, place: Place, say: Say, *, once: bool) -> None:
        self._place = place
        self._say = say
        self._once = once
        self._told: set[tuple[object, ...]] = set()
        self.code = 1 if once else 0

    def start(self, running: Running) -> None:
        self._say(f"the page is at {running.address}/")
        threading.Thread(target=self._watch, args=(running,), daemon=True).start()

    def _watch(self, running: Running) -> None:
        while True:
            news = running.catalog.database.news
            rows = environments.listing(running.catalog.database).rows
            for row in rows:
                self._tell(running, row)
            if self._once and rows and self._over(rows[0]):
                running.stop()
                return
            running.catalog.database.wait(news, 1.0)
            time.sleep(LOOK)

    def _over(self, row: EnvRow) -> bool:
        if row.invalid is not None or row.failure is not None:
            return True
        if row.current is not None and row.build_state is not None and row.build_state.over:
            self.code = 0
            return True
        return False

    def _tell(self, running: Running, row: EnvRow) -> None:
        state = (row.key, row.build_id, row.current, row.failure, row.invalid)
        if state in self._told or (row.build_state is not None and not row.build_state.over):
            return
        self._told.add(state)
        if row.invalid is not None:
            self._say(f"{row.key}: {row.invalid}")
        elif row.failure is not None:
            self._say(f"{row.key}: build #{row.build_id} failed: {row.failure.message}")
            self._say(f"  the log: {running.address}/{row.key}/builds/{row.build_id}")
        elif row.current is not None:
            self._published(running, row)

    def _published(self, running: Running, row: EnvRow) -> None:
        link = running.store.link(row.key)
        self._say(f"{row.key} #{row.current} is live: {running.address}/{row.key}/")
        if row.current != 1:
            return
        file = os.path.relpath(self._place.file)
        repository = os.path.relpath(self._place.repository)
        self._say(f"  the link that people use: {link}")
        self._say(f"""  try it:  {link}/bin/python -c "import sys; print(sys.prefix)\"""")
        if not self._once:
            self._say("what to do next, in another terminal:")
            self._say(f"  edit     {file}   (take the # away before the last dependency)")
            self._say(f"""  commit   git -C {repository} commit -am "One more package\"""")
            self._say(f"  watch    {running.address}/")
            self._say("Ctrl-C ends the demo")
