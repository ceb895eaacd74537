"""From a Nebari config to an environment that works: import, then one pass."""

from __future__ import annotations

from collections.abc import Callable

from running import Running, cli

from envwatch.model import EnvKey

NEBARI = "environments:\n  x.yaml: {name: stats, channels: [], dependencies: [tiny=1.0]}\n"


def test_what_was_imported_is_built_by_one_pass(make_running: Callable[..., Running]) -> None:
    running = make_running({"name": "people", "managed": True})
    running.write_config()
    file = running.folder / "nebari-config.yaml"
    file.write_text(NEBARI)
    cli(running, "import", file, "--into", "people")
    assert "1 published" in cli(running, "once").stderr
    link = running.link(EnvKey("people", "stats"))
    assert (link / "share/tiny/version").read_text() == "1.0"
