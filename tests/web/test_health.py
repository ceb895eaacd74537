"""What watchdogs and balancers are told, and how the server holds out."""

from __future__ import annotations

import http.client
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import Flask, request
from waiting import wait_for
from web_helpers import Stand

from envwatch.errors import ConfigError
from envwatch.settings import WebSettings
from envwatch.web import Health, Server, serve, serve_unix


@pytest.fixture
def serving() -> Iterator[Callable[..., Server]]:
    """Servers that are stopped at the end."""
    with ExitStack() as stack:

        def start(app: Flask, **settings: object) -> Server:
            server = serve(app, WebSettings(**{"port": 0, **settings}))
            stack.callback(server.stop)
            return server

        yield start


def place(server: Server) -> tuple[str, int]:
    host, _, port = server.address.removeprefix("http://").rpartition(":")
    return host, int(port)


def get(server: Server, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*place(server), timeout=20)
    connection.request("GET", path, headers=headers or {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


# ---------------------------------------------------------------- health


def test_a_healthy_daemon_is_alive_and_ready(empty: Stand) -> None:
    assert empty.text("/healthz") == "alive\n"
    assert empty.text("/readyz") == "ready\n"


def test_a_daemon_that_still_starts_is_alive_and_not_ready(empty: Stand) -> None:
    empty.health = Health(alive=True, ready=False, reasons=("the first pass runs",))
    assert empty.text("/healthz") == "alive\n"
    assert empty.text("/readyz", 503) == "not ready\nthe first pass runs\n"


def test_a_stuck_daemon_is_not_alive(empty: Stand) -> None:
    empty.health = Health(alive=False, ready=False, reasons=("the reconciler has not beaten",))
    assert "the reconciler has not beaten" in empty.text("/healthz", 503)


def test_health_is_never_kept_by_anybody(empty: Stand) -> None:
    assert empty.client.get("/healthz").headers["Cache-Control"] == "no-store"


# ---------------------------------------------------------------- the server


def test_the_pages_are_served(empty: Stand, serving: Callable[..., Server]) -> None:
    status, body = get(serving(empty.app), "/")
    assert (status, body[:15]) == (200, b"<!doctype html>")


def test_an_address_in_use_is_named(empty: Stand, serving: Callable[..., Server]) -> None:
    _, port = place(serving(empty.app))
    with pytest.raises(ConfigError, match=f"cannot listen on `127.0.0.1:{port}`: Address already"):
        serve(empty.app, WebSettings(port=port))


def test_a_stopped_server_frees_its_address(empty: Stand, serving: Callable[..., Server]) -> None:
    server = serving(empty.app)
    _, port = place(server)
    server.stop()
    assert not server.alive
    assert get(serving(empty.app, port=port), "/healthz")[0] == 200


def test_a_stop_lets_the_request_end_that_is_being_answered(
    serving: Callable[..., Server],
) -> None:
    app, begun, gate = Flask("slow"), threading.Event(), threading.Event()

    @app.get("/")
    def slow() -> str:
        begun.set()
        gate.wait(20)
        return "whole"

    server, answers = serving(app), []
    client = threading.Thread(target=lambda: answers.append(get(server, "/")))
    client.start()
    begun.wait(20)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    gate.set()
    client.join(20)
    stopping.join(20)
    assert answers == [(200, b"whole")]


def test_idle_connections_do_not_keep_others_out(
    empty: Stand, serving: Callable[..., Server]
) -> None:
    server = serving(empty.app, threads=2)
    with ExitStack() as stack:
        for _ in range(300):
            idle = stack.enter_context(socket.create_connection(place(server), timeout=20))
            idle.sendall(b"GET / HTTP/1.1\r\n")
        assert get(server, "/healthz")[0] == 200


def test_a_big_body_is_refused(empty: Stand, serving: Callable[..., Server]) -> None:
    with socket.create_connection(place(serving(empty.app)), timeout=20) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n")
        client.sendall(b"x" * 100)
        assert b" 413 " in client.recv(200)


def echo() -> Flask:
    app = Flask("echo")
    app.add_url_rule("/", view_func=lambda: f"{request.remote_addr} {request.script_root}")
    return app


def test_forwarded_headers_are_ignored_where_no_proxy_is_named(
    serving: Callable[..., Server],
) -> None:
    headers = {"X-Forwarded-For": "10.9.9.9", "X-Forwarded-Prefix": "/x"}
    assert get(serving(echo()), "/", headers)[1] == b"127.0.0.1 "


def test_forwarded_headers_of_a_named_proxy_are_believed(serving: Callable[..., Server]) -> None:
    headers = {"X-Forwarded-For": "10.9.9.9", "X-Forwarded-Prefix": "/x"}
    assert get(serving(echo(), proxy_hops=1), "/", headers)[1] == b"10.9.9.9 /x"


def over_unix(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(path))
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        parts = []
        while part := client.recv(4096):
            parts.append(part)
    return b"".join(parts)


def test_the_control_socket_is_its_owners_alone(empty: Stand, tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    server = serve_unix(empty.app, path)
    try:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert over_unix(path).endswith(b"alive\n")
    finally:
        server.stop()


def test_a_socket_left_by_a_killed_daemon_is_replaced(empty: Stand, tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = serve_unix(empty.app, path)
    try:
        assert over_unix(path).endswith(b"alive\n")
    finally:
        server.stop()


def test_a_stopped_server_leaves_no_thread_and_no_file_open(empty: Stand) -> None:
    def busy() -> tuple[int, int]:
        return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))

    before = busy()
    server = serve(empty.app, WebSettings(port=0))
    get(server, "/healthz")
    server.stop()
    wait_for(lambda: busy() == before, what="threads and files to be gone")
