"""The home page under load: 500 environments, 10 000 builds, one build row changing each second.

Run by hand: `python tests/bench/bench_home.py [SECONDS]`. The server and its clients are processes
of their own; every answer is a whole 200, and none may be older than the last change before it
was asked for. Prints requests per second and the times of the slowest; asserts no time.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from years import BUILDS, PHASES, ask, at_once, connected, fill, opened, served

from envwatch.catalog import Catalog
from envwatch.config.people_fill import OPEN
from envwatch.model import BuildState, Progress
from envwatch.settings import AccessSettings, Settings

CHANGE_EVERY = 1.0
MARK = b" of 1000000"  # what the page says of the build that changes


def server(root: Path, port: Any, changes: Any, stop: Event) -> None:
    catalog = opened(root)
    fill(catalog)
    settings = Settings(root, access=AccessSettings(anonymous=OPEN))
    with served(root, lambda: settings, catalog) as at:
        change(catalog, changes)
        port.value = at
        while not stop.wait(CHANGE_EVERY):
            change(catalog, changes)
    catalog.close()


def change(catalog: Catalog, changes: Any) -> None:
    """The running build moves on; `changes` follows once the catalog has it."""
    done = changes.value + 1
    progress = Progress(BuildState.DOWNLOADING, done, 1_000_000)
    catalog.builds.beat(BUILDS, progress, PHASES[:1])
    changes.value = done


def clients(port: int, changes: Any, seconds: float, told: Any) -> None:
    """Each on one connection, one request after the other."""
    end = time.monotonic() + seconds
    found = at_once(lambda _: client(port, changes, end))
    times = sorted(t for each, _, _ in found for t in each)
    told.put((times, sum(stale for _, stale, _ in found), found[0][2]))


def client(port: int, changes: Any, end: float) -> tuple[list[float], int, int]:
    """The seconds of each answer, how many were too old, and how long the last one was."""
    times, stale, length = [], 0, 0
    with connected(port) as connection:
        while time.monotonic() < end:
            least = changes.value
            took, body = ask(connection, "/")
            times.append(took)
            shown = body[: body.index(MARK)].rpartition(b">")[2]
            stale += int(shown) < least
            length = len(body)
    return times, stale, length


def main(seconds: float) -> None:
    spawn = multiprocessing.get_context("spawn")
    port, changes, stop, told = (
        spawn.Value("i", 0), spawn.Value("i", 0), spawn.Event(), spawn.Queue()
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        serving = spawn.Process(target=server, args=(Path(folder), port, changes, stop))
        serving.start()
        while not port.value:
            time.sleep(0.05)
        asking = spawn.Process(target=clients, args=(port.value, changes, seconds, told))
        asking.start()
        times, stale, length = told.get()
        asking.join()
        stop.set()
        serving.join()
    at = [times[int(len(times) * part)] * 1000 for part in (0.5, 0.99)]
    print(f"answers      {len(times)} of {length} bytes, {stale} older than the catalog")
    print(f"per second   {len(times) / seconds:.0f}")
    print(f"p50, p99     {at[0]:.1f} ms, {at[1]:.1f} ms, slowest {times[-1] * 1000:.1f} ms")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
