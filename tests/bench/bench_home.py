"""The home page under load: 500 environments, 10 000 builds, one build row changing each second.

Run by hand: `python tests/bench/bench_home.py [SECONDS]`. The server and its clients are processes
of their own; every answer is a whole 200, and none may be older than the last change before it
was asked for. Prints requests per second and the times of the slowest; asserts no time.
"""

from __future__ import annotations

import multiprocessing
import socket
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from envwatch.catalog import Catalog, open_catalog, schema
from envwatch.catalog.schema import Mode, Reason
from envwatch.config.people_fill import OPEN
from envwatch.model import BuildState, Phase, Progress
from envwatch.receive import Receiver
from envwatch.settings import AccessSettings, Settings, WebSettings
from envwatch.storage.filesystem import open_storage
from envwatch.web import Context, Health, create_app, serve

ENVIRONMENTS = 500
BUILDS = 10_000
CLIENTS = 8
CHANGE_EVERY = 1.0
MARK = b" of 1000000"  # what the page says of the build that changes
PHASES = tuple(Phase(s, 3.0) for s in (BuildState.SOLVING, BuildState.DOWNLOADING))


def fill(catalog: Catalog) -> None:
    """Rows as years of use would leave them; the last build runs."""
    now = datetime.now(UTC)
    with catalog.database.write() as c:
        c.execute(insert(schema.spec).values(id=1, digest="s", text="name: x\n", messages=()))
        c.execute(insert(schema.environment), [_environment(i, now) for i in range(ENVIRONMENTS)])
        c.execute(insert(schema.build), [_build(i, now) for i in range(BUILDS)])
        ended = range(BUILDS - 1)
        made = [_generation(i, now) for i in ended if i % 11]
        c.execute(insert(schema.generation), made)


def _environment(i: int, now: datetime) -> dict[str, Any]:
    return {
        "id": i + 1, "namespace": f"team-{i % 25:02}", "name": f"environment-{i:03}",
        "source": "team", "path": f"envs/{i}.yml", "description": "plots for the report",
        "asked_digest": f"d{i}", "ask": 1, "spec_id": 1, "revision": f"{i:040}",
        "asked_at": now, "created_at": now, "changed_at": now - timedelta(minutes=i),
        "current": BUILDS // ENVIRONMENTS - 1,
    }  # fmt: skip


def _build(i: int, now: datetime) -> dict[str, Any]:
    at = now - timedelta(minutes=BUILDS - i)
    last = i == BUILDS - 1
    state = BuildState.DOWNLOADING if last else BuildState.READY if i % 11 else BuildState.FAILED
    return {
        "id": i + 1, "environment_id": i % ENVIRONMENTS + 1, "spec_id": 1,
        "asked_digest": f"d{i}", "ask": 1, "mode": Mode.SOLVE, "reason": Reason.COMMIT,
        "source": "team", "path": "x.yml", "revision": f"{i:040}", "state": state,
        "queued_at": at, "started_at": at, "ended_at": None if last else at,
        "phases": PHASES, "messages": (),
    }  # fmt: skip


def _generation(i: int, now: datetime) -> dict[str, Any]:
    return {
        "environment_id": i % ENVIRONMENTS + 1, "number": i // ENVIRONMENTS + 1,
        "build_id": i + 1, "spec_id": 1, "asked_digest": f"d{i}", "ask": 1,
        "reason": Reason.COMMIT, "revision": f"{i:040}", "lock_digest": "l",
        "prefix_digest": "p", "prefix": f"/srv/{i}", "size": 2**31, "own_size": 2**22,
        "published_at": now, "kernels": (),
    }  # fmt: skip


# ---------------------------------------------------------------- the two processes


def server(root: Path, port: Any, changes: Any, stop: Event) -> None:
    catalog = open_catalog(root / "catalog.sqlite")
    fill(catalog)
    context = Context(
        catalog=catalog,
        current=lambda: Settings(root, access=AccessSettings(anonymous=OPEN)),
        storage=open_storage(root),
        log_path=lambda build_id: root / f"{build_id}.log",
        health=lambda: Health(alive=True, ready=True),
        ask_archive=lambda _key, _number: None,
        started_at=datetime.now(UTC),
        next_look=lambda _: None,
        hooks=Receiver(catalog, lambda: Settings(root), lambda _source, **_how: None),
    )
    running = serve(create_app(context), WebSettings(port=0))
    change(catalog, changes)
    port.value = int(running.address.rpartition(":")[2])
    while not stop.wait(CHANGE_EVERY):
        change(catalog, changes)
    running.stop()
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
    found: list[tuple[list[float], int, int]] = []

    def run() -> None:
        found.append(client(port, changes, end))

    threads = [threading.Thread(target=run) for _ in range(CLIENTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    times = sorted(t for each, _, _ in found for t in each)
    told.put((times, sum(stale for _, stale, _ in found), found[0][2]))


def client(port: int, changes: Any, end: float) -> tuple[list[float], int, int]:
    """The seconds of each answer, how many were too old, and how long the last one was."""
    times, stale, length = [], 0, 0
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while time.monotonic() < end:
            least = changes.value
            begun = time.perf_counter()
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            body = answer(connection)
            times.append(time.perf_counter() - begun)
            shown = body[: body.index(MARK)].rpartition(b">")[2]
            stale += int(shown) < least
            length = len(body)
    return times, stale, length


def answer(connection: socket.socket) -> bytes:
    data = connection.recv(2**17)
    while b"\r\n\r\n" not in data:
        data += connection.recv(2**17)
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    parts, have = [body], len(body)
    while have < length:
        parts.append(connection.recv(2**18))
        have += len(parts[-1])
    return b"".join(parts)


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
