"""Lists, filters, searches and look-ups by a person with 50 roles, beside the same with login off.

Run by hand: `python tests/bench/bench_people.py [SECONDS]`. 500 environments in 100 namespaces,
10 000 builds, 100 000 packages; 8 clients, each question another one than the last. The server is
a process of its own. Each kind is asked twice: as people do, who ask again and again for what has
not changed, and with a build row that changes before each question, so that nothing which was
made for an earlier one is of use. Prints for each requests per second, the median and the 99th
percentile, and the ratio to the same with login off; asserts no time.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from years import (
    BUILDS,
    ENVIRONMENTS,
    PHASES,
    ask,
    at_once,
    connected,
    fill,
    opened,
    served,
)

from envwatch.access import Identity
from envwatch.catalog import Catalog, schema
from envwatch.config.people_fill import OPEN
from envwatch.model import BuildState, Manager, Progress
from envwatch.settings import AccessSettings, Grant, Role, Settings

NAMESPACES = 100
ROLES = 50
PACKAGES = 200  # in each environment
NAMES = 2000  # each is in a tenth of the environments
STATES = ("ready", "failed", "building")
SESSION = "envwatch_session"  # its name where pages are not served by https

KINDS: dict[str, Callable[[int], str]] = {
    "list, page": lambda n: f"/?page={n % 10 + 1}",
    "list, JSON": lambda n: f"/index.json?page={n % 10 + 1}",
    "list, API": lambda n: f"/api/v1/environment/?page={n % 10 + 1}&size=50",
    "filter": lambda n: f"/index.json?state={STATES[n % 3]}&page={n % 5 + 1}",
    "search": lambda n: f"/index.json?q=environment-{n * 7 % ENVIRONMENTS:03}",
    "package": lambda n: f"/packages.json?name={_name(n * 7)}",
    "package, API": lambda n: f"/api/v1/environment/?packages={_name(n * 7)}",
    "builds": lambda n: f"/builds.json?page={n % 30 + 1}",
}


def packages(catalog: Catalog) -> None:
    with catalog.database.write() as c:
        for i in range(ENVIRONMENTS):
            c.execute(insert(schema.package), [_package(i, k) for k in range(PACKAGES)])


def _name(n: int) -> str:
    return f"library-{n % NAMES:04}"


def _package(environment: int, k: int) -> dict[str, Any]:
    version = f"{1 + (environment + k) % 5}.{k % 7}.0"
    return {
        "lock_digest": f"lock-{environment}", "manager": Manager.CONDA,
        "name": _name(environment + 10 * k), "version": version, "build": "h0_0",
        "channel": "https://conda.anaconda.org/conda-forge", "size": 10**6, "license": "BSD",
        "url": "", "sha256": "", "requested": k < 5, "depends": "",
    }  # fmt: skip


def people(catalog: Catalog) -> str:
    """`ada` has a role in half of the namespaces, some by her groups; the secret of her session."""
    for i in range(ROLES):
        whose = {"user": "ada"} if i % 2 else {"group": f"group-{i}"}
        catalog.bindings.grant(Grant(f"team-{2 * i:02}/*", list(Role)[i % 3]), **whose, by="host")
    groups = tuple(f"group-{i}" for i in range(0, ROLES, 2))
    catalog.people.seen(Identity("ada", groups), "oidc")
    return catalog.people.open_session("ada", 36_000)


def server(root: Path, told: Any, off: Any, changing: Any, stop: Event) -> None:
    catalog = opened(root)
    fill(catalog, NAMESPACES)
    packages(catalog)
    secret = people(catalog)
    public = Settings(root, access=AccessSettings(anonymous=OPEN))
    closed = Settings(root, access=AccessSettings())
    with served(root, lambda: public if off.value else closed, catalog) as port:
        told.put((port, secret))
        done = 0
        while not stop.wait(0.002 if changing.value else 0.1):
            if changing.value:
                done += 1
                progress = Progress(BuildState.DOWNLOADING, done, 1_000_000)
                catalog.builds.beat(BUILDS, progress, PHASES[:1])
    catalog.close()


def measure(port: int, path: Callable[[int], str], headers: str, seconds: float) -> list[float]:
    end = time.monotonic() + seconds

    def client(number: int) -> list[float]:
        times = []
        with connected(port) as connection:
            n = number * 1009
            while time.monotonic() < end:
                took, _ = ask(connection, path(n), headers)
                times.append(took)
                n += 1
        return times

    return sorted(t for each in at_once(client) for t in each)


def check(port: int, secret: str) -> None:
    """The person does see what they have roles for."""
    with connected(port) as connection:
        _, body = ask(connection, "/index.json", f"Cookie: {SESSION}={secret}\r\n")
    assert b"team-" in body, "nobody is signed in"


def row(name: str, off: list[float], on: list[float], seconds: float) -> str:
    at = [f"{times[int(len(times) * p)] * 1000:.1f}" for times in (off, on) for p in (0.5, 0.99)]
    ratio = len(on) / len(off)
    rates = f"{len(off) / seconds:.0f} | {len(on) / seconds:.0f}"
    return f"| {name} | {rates} | {ratio:.2f} | {at[0]} / {at[1]} | {at[2]} / {at[3]} |"


def main(seconds: float) -> None:
    spawn = multiprocessing.get_context("spawn")
    off, changing, stop, told = (
        spawn.Value("i", 0), spawn.Value("i", 0), spawn.Event(), spawn.Queue()
    )  # fmt: skip
    print(f"{datetime.now(UTC):%Y-%m-%d}, {seconds:.0f} s each")
    with tempfile.TemporaryDirectory() as folder:
        serving = spawn.Process(target=server, args=(Path(folder), told, off, changing, stop))
        serving.start()
        port, secret = told.get()
        for changing.value, how in ((0, "nothing changes"), (1, "all changes always")):
            print(
                f"\n{how}\n\n| asked | per second, login off | on | ratio "
                "| off, p50 / p99 ms | on, p50 / p99 ms |\n|---|---|---|---|---|---|"
            )
            for name, path in KINDS.items():
                off.value = 1
                public = measure(port, path, "", seconds)
                off.value = 0
                check(port, secret)
                mine = measure(port, path, f"Cookie: {SESSION}={secret}\r\n", seconds)
                print(row(name, public, mine, seconds), flush=True)
        stop.set()
        serving.join()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0)
