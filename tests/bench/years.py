"""A catalog as years of use would leave it, served by a process, and clients that ask it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from envwatch.catalog import Catalog, open_catalog, schema
from envwatch.catalog.schema import Mode, Reason
from envwatch.model import BuildState, Phase
from envwatch.receive import Receiver
from envwatch.settings import Settings, WebSettings
from envwatch.storage.filesystem import open_storage
from envwatch.web import Context, Health, create_app, serve

ENVIRONMENTS = 500
BUILDS = 10_000
CLIENTS = 8
PHASES = tuple(Phase(s, 3.0) for s in (BuildState.SOLVING, BuildState.DOWNLOADING))


def fill(catalog: Catalog, namespaces: int = 25) -> None:
    """Rows as years of use would leave them; the last build runs."""
    now = datetime.now(UTC)
    environments = [_environment(i, now, namespaces) for i in range(ENVIRONMENTS)]
    with catalog.database.write() as c:
        c.execute(insert(schema.spec).values(id=1, digest="s", text="name: x\n", messages=()))
        c.execute(insert(schema.environment), environments)
        c.execute(insert(schema.build), [_build(i, now) for i in range(BUILDS)])
        ended = range(BUILDS - 1)
        made = [_generation(i, now) for i in ended if i % 11]
        c.execute(insert(schema.generation), made)


def _environment(i: int, now: datetime, namespaces: int) -> dict[str, Any]:
    return {
        "id": i + 1, "namespace": f"team-{i % namespaces:02}", "name": f"environment-{i:03}",
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
        "reason": Reason.COMMIT, "revision": f"{i:040}", "lock_digest": f"lock-{i % ENVIRONMENTS}",
        "prefix_digest": "p", "prefix": f"/srv/{i}", "size": 2**31, "own_size": 2**22,
        "published_at": now, "kernels": (),
    }  # fmt: skip


@contextmanager
def served(root: Path, settings: Callable[[], Settings], catalog: Catalog) -> Iterator[int]:
    """The port at which its pages are."""
    context = Context(
        catalog=catalog,
        current=settings,
        storage=open_storage(root),
        log_path=lambda build_id: root / f"{build_id}.log",
        health=lambda: Health(alive=True, ready=True),
        ask_archive=lambda _key, _number: None,
        started_at=datetime.now(UTC),
        next_look=lambda _: None,
        hooks=Receiver(catalog, settings, lambda _source, **_how: None),
    )
    running = serve(create_app(context), WebSettings(port=0))
    try:
        yield int(running.address.rpartition(":")[2])
    finally:
        running.stop()


def opened(root: Path) -> Catalog:
    return open_catalog(root / "catalog.sqlite")


def at_once(client: Callable[[int], Any]) -> list[Any]:
    """What each of the clients came to, all of them at the same time."""
    found: list[Any] = []
    threads = [threading.Thread(target=lambda n=n: found.append(client(n))) for n in range(CLIENTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return found


def ask(connection: socket.socket, path: str, headers: str = "") -> tuple[float, bytes]:
    """The seconds that a whole answer took, and its body."""
    begun = time.perf_counter()
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
    body = answer(connection)
    return time.perf_counter() - begun, body


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


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
