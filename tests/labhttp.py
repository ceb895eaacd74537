"""A small HTTP server on 127.0.0.1 for tests: serves a folder, and misbehaves where told to.

    with LabServer(channel, auth=Bearer("s3cret"), faults=Faults(fail=2)) as server:
        ... server.url ... server.log

`server.misbehave(Faults(…))` exchanges the faults while it runs. Patterns are regular expressions
that are searched for in the path; an empty one matches nothing, but as `fail_match` it matches all.
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import unquote, urlsplit

BLOCK = 2**15


@dataclass(frozen=True)
class Request:
    """One line of the log."""

    method: str
    path: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Faults:
    """What goes wrong.

    `fail` the first that many requests whose path has `fail_match`, with `status` · `latency`
    seconds before each answer · `bandwidth` in bytes per second · `truncate` bodies half way ·
    `corrupt` one byte in the middle · `hide` files (404) · `hang` with the answer until the end.
    """

    fail: int = 0
    fail_match: str = ""
    status: int = 503
    latency: float = 0.0
    bandwidth: int = 0
    truncate: str = ""
    corrupt: str = ""
    hide: str = ""
    hang: str = ""


class Auth(Protocol):
    """Who may read. Returns the path within the folder, or None for nobody."""

    challenge: str

    def admit(self, path: str, headers: Mapping[str, str], /) -> str | None: ...


@dataclass(frozen=True)
class Bearer:
    token: str
    challenge: str = "Bearer"

    def admit(self, path: str, headers: Mapping[str, str], /) -> str | None:
        return path if headers.get("authorization") == f"Bearer {self.token}" else None


@dataclass(frozen=True)
class Basic:
    user: str
    password: str
    challenge: str = 'Basic realm="lab"'

    def admit(self, path: str, headers: Mapping[str, str], /) -> str | None:
        secret = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return path if headers.get("authorization") == f"Basic {secret}" else None


@dataclass(frozen=True)
class TokenPath:
    """The way of conda: `/t/TOKEN/` before the path."""

    token: str
    challenge: str = "token"

    def admit(self, path: str, _headers: Mapping[str, str], /) -> str | None:
        start = f"/t/{self.token}/"
        return f"/{path.removeprefix(start)}" if path.startswith(start) else None


class LabServer:
    def __init__(
        self, root: Path, *, auth: Auth | None = None, faults: Faults | None = None
    ) -> None:
        self.root = root
        self.auth = auth
        self.faults = faults or Faults()
        self.log: list[Request] = []
        self._failed = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        # A hanging answer must not hold up the end.
        self._server.block_on_close = False
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def misbehave(self, faults: Faults) -> None:
        with self._lock:
            self.faults, self._failed = faults, 0

    def paths(self, status: int = 0) -> list[str]:
        """The paths asked for so far, of one status or of all."""
        return [r.path for r in tuple(self.log) if status in (0, r.status)]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # ------------------------------------------------------------ for the handler

    def must_fail(self, path: str) -> bool:
        with self._lock:
            if self._failed >= self.faults.fail or not re.search(self.faults.fail_match, path):
                return False
            self._failed += 1
            return True

    def pause(self, path: str) -> None:
        if self.faults.hang and re.search(self.faults.hang, path):
            self._ended.wait()
        self._ended.wait(self.faults.latency)

    def find(self, path: str) -> Path | None:
        file = (self.root / path.lstrip("/")).resolve()
        hidden = self.faults.hide and re.search(self.faults.hide, path)
        inside = file.is_relative_to(self.root.resolve())
        return file if file.is_file() and inside and not hidden else None


def _handler(server: LabServer) -> type[BaseHTTPRequestHandler]:
    return type("Handler", (_Handler,), {"lab": server})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lab: LabServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the name in the base class
        """Silence: the log is a list."""

    def do_GET(self) -> None:
        lab, path = self.lab, unquote(urlsplit(self.path).path)
        lab.pause(path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        inner = lab.auth.admit(path, headers) if lab.auth else path
        if lab.auth and inner is None:
            self._answer(401, b"who are you", {"WWW-Authenticate": lab.auth.challenge})
        elif lab.must_fail(path):
            self._answer(lab.faults.status, b"sorry")
        elif file := lab.find(inner or path):
            self._file(path, file, headers)
        else:
            self._answer(404, b"not here")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _file(self, path: str, file: Path, asked: Mapping[str, str]) -> None:
        data, state = file.read_bytes(), file.stat()
        etag = f'"{state.st_mtime_ns:x}-{state.st_size:x}"'
        modified = formatdate(state.st_mtime, usegmt=True)
        headers = {"ETag": etag, "Last-Modified": modified, "Accept-Ranges": "bytes"}
        if asked.get("if-none-match") == etag:
            self._answer(304, b"", headers)
            return
        if self.lab.faults.corrupt and re.search(self.lab.faults.corrupt, path):
            data = _corrupted(data)
        found = byte_range(asked.get("range", ""), len(data))
        if found is None:
            self._answer(200, data, headers)
            return
        start, end = found
        if start >= end:
            self._answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        self._answer(206, data[start:end], headers)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        asked = {name.lower(): value for name, value in self.headers.items()}
        self.lab.log.append(Request(self.command, self.path, status, asked))
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self._send(body, whole=not self._cut())

    def _cut(self) -> bool:
        pattern = self.lab.faults.truncate
        return bool(pattern and re.search(pattern, self.path))

    def _send(self, body: bytes, *, whole: bool) -> None:
        if not whole:
            body, self.close_connection = body[: len(body) // 2], True
        try:
            for start in range(0, len(body), BLOCK):
                self.wfile.write(body[start : start + BLOCK])
                if self.lab.faults.bandwidth:
                    time.sleep(BLOCK / self.lab.faults.bandwidth)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """The half-open range of a `Range` header, None for the whole."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header)
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return max(size - int(last), 0), size
    return int(first), min(int(last) + 1 if last else size, size)


def _corrupted(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]
