"""Serves an app by waitress, in a thread of its own, with an end that harms no request."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from waitress import wasyncore
from waitress.server import create_server
from werkzeug.middleware.proxy_fix import ProxyFix

from envwatch.errors import ConfigError
from envwatch.settings import WebSettings
from envwatch.web.bodies import BODY, Limit, channel_class, small
from envwatch.web.mounted import Mounted, path_of

App = Callable[..., Any]

CONNECTIONS = 2000
# a connection may be silent for so long; waitress looks after them at the second interval
SILENCE = 15
LOOK_AFTER = 5
HEADER = 32 * 2**10
GRACE = 5
CONTROL_THREADS = 4


class Server:
    """A running server; `address` is where it really listens (port 0 takes a free one)."""

    def __init__(self, server: Any, sockets: dict[int, Any], address: str) -> None:
        self.address = address
        self._server = server
        self._map = sockets
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"web {address}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Requests that are being answered have some seconds to end. May be called twice."""
        self._stopping.set()
        if self._thread.is_alive():
            # it wakes the loop, which may be asleep
            self._server.trigger.pull_trigger()
            self._thread.join(2 * GRACE)

    def _run(self) -> None:
        while not self._stopping.is_set():
            wasyncore.loop(timeout=1, use_poll=True, map=self._map, count=1)
        # by the thread that owns the sockets: closed by another they would fail under its hands
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=GRACE)
        wasyncore.loop(timeout=0.05, use_poll=True, map=self._map, count=2)
        wasyncore.close_all(self._map)


def serve(app: App, settings: WebSettings, limit: Limit = small) -> Server:
    """Listen as `settings` say and answer. Raises ConfigError where the address cannot be had.

    `limit` says how large the body of a request may be.
    """
    bound = _bind(settings.host, settings.port)
    if below := path_of(settings.url):
        mounted = Mounted(app, below)
        app, limit = mounted, mounted.limit(limit)
    if settings.proxy_hops:
        hops = settings.proxy_hops
        app = ProxyFix(app, x_for=hops, x_proto=hops, x_host=hops, x_prefix=hops)
    host, port = bound.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    proxied = settings.proxy_hops > 0
    return _started(app, bound, address, threads=settings.threads, proxied=proxied, limit=limit)


def serve_unix(app: App, path: Path) -> Server:
    """Answer on a unix socket that only its owner (and root) can reach."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.unlink(missing_ok=True)
        _bind_in_folder(bound, beside)
        beside.chmod(0o600)
        # an old socket of a daemon that was killed is replaced, and nobody meets a wider mode
        beside.replace(path)
    except OSError as e:
        bound.close()
        raise ConfigError(
            f"cannot listen on `{path}`: {e.strerror}",
            hint="the root must be a folder of this user",
        ) from e
    return _started(app, bound, str(path), threads=CONTROL_THREADS, proxied=False)


def _bind_in_folder(bound: socket.socket, path: Path) -> None:
    """Through the open folder: the address of a socket holds 107 bytes, a path many more."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        bound.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def _bind(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, place = found[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as e:
        raise ConfigError(f"web.listen: `{host}:{port}`: {e.strerror}") from e
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
    except OSError as e:
        bound.close()
        raise ConfigError(
            f"web.listen: cannot listen on `{host}:{port}`: {e.strerror}",
            hint="another program may listen there already: choose another port in `web.listen`",
        ) from e
    return bound


def _started(
    app: App,
    bound: socket.socket,
    address: str,
    *,
    threads: int,
    proxied: bool,
    limit: Limit = small,
) -> Server:
    sockets: dict[int, Any] = {}
    with contextlib.ExitStack() as on_error:
        on_error.callback(bound.close)
        made = create_server(
            app,
            map=sockets,
            sockets=[bound],
            threads=threads,
            connection_limit=CONNECTIONS,
            channel_timeout=SILENCE,
            cleanup_interval=LOOK_AFTER,
            max_request_body_size=BODY,
            max_request_header_size=HEADER,
            clear_untrusted_proxy_headers=not proxied,
            ident="envwatch",
        )
        made.channel_class = channel_class(limit)
        on_error.pop_all()
    server = Server(made, sockets, address)
    server.start()
    return server
