"""From a Nebari config to an environment that works: import, then one pass."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from running import Running

from envwatch.model import EnvKey

NEBARI = "environments:\n  x.yaml: {name: stats, channels: [], dependencies: [tiny=1.0]}\n"


def cli(running: Running, *args: object) -> str:
    command = (sys.executable, "-m", "envwatch", "-c", str(running.config), *map(str, args))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_what_was_imported_is_built_by_one_pass(make_running: Callable[..., Running]) -> None:
    running = make_running({"name": "people", "managed": True})
    running.write_config()
    file = running.folder / "nebari-config.yaml"
    file.write_text(NEBARI)
    cli(running, "import", file, "--into", "people")
    assert "1 published" in cli(running, "once")
    link = running.link(EnvKey("people", "stats"))
    assert (link / "share/tiny/version").read_text() == "1.0"
