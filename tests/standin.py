"""Stand-ins on 127.0.0.1 for a forge and for the receiver of a web hook: real HTTP, in a thread."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "s3cret-token-of-the-forge"
PREFIX = {"github": "/api/v3", "gitlab": "/api/v4", "gitea": "/api/v1"}
AUTHORIZATION = {
    "github": ("authorization", f"Bearer {TOKEN}"),
    "gitlab": ("private-token", TOKEN),
    "gitea": ("authorization", f"token {TOKEN}"),
}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    status: int = 201
    body: Any = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class StandIn:
    """Answers as told, and keeps what came. `down` and `up` as a machine that is restarted."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.fault: Callable[[Request], Answer | None] = lambda _: None
        self._port = 0
        self._connections: set[socket.socket] = set()
        self._server: ThreadingHTTPServer | None = None
        self.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def up(self, certificate: Path | None = None) -> None:
        """With a certificate (its key beside it) over TLS."""
        handler = type("Handler", (_Handler,), {"stand": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), handler)
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate, certificate.with_name("key.pem"))
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    def down(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in tuple(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._connections.clear()

    def joined(self, connection: socket.socket) -> None:
        self._connections.add(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, t: TracebackType | None
    ) -> None:
        self.down()

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        return self.fault(request) or self.good(request)

    def good(self, _: Request) -> Answer:
        return Answer(204)


class Forge(StandIn):
    """Takes statuses as a forge of its kind does: only these paths, only this token."""

    def __init__(self, kind: str, repository: str = "data/environments") -> None:
        super().__init__()
        self.kind = kind
        self.repository = repository
        self.history: list[tuple[str, str, str, str]] = []
        self.open: dict[int, tuple[str, str]] = {}
        self.comments: dict[int, dict[int, str]] = {}

    @property
    def api(self) -> str:
        return self.url + PREFIX[self.kind]

    def good(self, request: Request) -> Answer:
        name, wanted = AUTHORIZATION[self.kind]
        if request.headers.get(name) != wanted:
            return Answer(401, {"message": "401 Unauthorized"})
        if (answer := self._of_request(request)) is not None:
            return answer
        if request.method == "GET" and self.kind == "gitlab":
            return self._listed(request)
        start = f"{self._project()}/statuses/"
        if request.method != "POST" or not request.path.startswith(start):
            return Answer(404, {"message": "404 Project Not Found"})
        return self._post(request.path.removeprefix(start), request.json)

    def _of_request(self, request: Request) -> Answer | None:
        """Requests to merge that are open (number: title, target), and the comments in each."""
        path, _, query = request.path.partition("?")
        rest = path.removeprefix(f"{self._project()}/")
        listed = "merge_requests" if self.kind == "gitlab" else "pulls"
        if rest == listed:
            return Answer(200, self._requests() if "page=1" in query.split("&") else [])
        thread, note = ("merge_requests", "notes") if self.kind == "gitlab" else (
            "issues", "comments")  # fmt: skip
        if found := re.fullmatch(rf"{thread}/(\d+)/{note}", rest):
            return self._comment(request, int(found[1]), "page=1" in query.split("&"))
        one = (
            r"merge_requests/\d+/notes/(\d+)" if self.kind == "gitlab" else r"issues/comments/(\d+)"
        )
        if found := re.fullmatch(one, rest):
            return self._change(int(found[1]), request)
        return None

    def _requests(self) -> list[dict[str, Any]]:
        if self.kind == "gitlab":
            return [
                {"iid": n, "title": title, "target_branch": target, "author": {"username": "ada"},
                 "web_url": f"https://git.example.org/{n}"}
                for n, (title, target) in self.open.items()
            ]  # fmt: skip
        return [
            {"number": n, "title": title, "base": {"ref": target}, "user": {"login": "ada"},
             "html_url": f"https://git.example.org/{n}"}
            for n, (title, target) in self.open.items()
        ]  # fmt: skip

    def _comment(self, request: Request, number: int, first: bool) -> Answer:
        if number not in self.open:
            return Answer(404, {"message": "404 Not found"})
        thread = self.comments.setdefault(number, {})
        if request.method == "GET":
            listed = [{"id": i, "body": body} for i, body in thread.items()]
            return Answer(200, listed if first else [])
        thread[made := sum(map(len, self.comments.values())) + 1] = request.json["body"]
        return Answer(201, {"id": made})

    def _change(self, comment: int, request: Request) -> Answer:
        for thread in self.comments.values():
            if comment in thread and request.method == (
                "PUT" if self.kind == "gitlab" else "PATCH"
            ):
                thread[comment] = request.json["body"]
                return Answer(200, {"id": comment})
        return Answer(404, {"message": "404 Not found"})

    def _project(self) -> str:
        if self.kind == "gitlab":
            return f"{PREFIX['gitlab']}/projects/{self.repository.replace('/', '%2F')}"
        return f"{PREFIX[self.kind]}/repos/{self.repository}"

    def _post(self, revision: str, body: Any) -> Answer:
        context = body["name" if self.kind == "gitlab" else "context"]
        state, text = body["state"], body.get("description", "")
        if self.kind == "github" and len(text) > 140:
            return Answer(422, {"message": "description is too long (maximum is 140 characters)"})
        if self.kind == "gitlab" and self.states(revision).get(context) == state == "running":
            text = 'Cannot transition status via :run from :running (Reason(s): Status "run")'
            return Answer(400, {"message": text})
        self.history.append((revision, context, state, text))
        return Answer(201, {"id": len(self.history)})

    def _listed(self, request: Request) -> Answer:
        parts = urlsplit(request.path)
        revision = unquote(parts.path).split("/")[-2]
        (name,) = parse_qs(parts.query)["name"]
        state = self.states(revision).get(name)
        return Answer(200, [{"name": name, "status": state}] if state else [])

    def states(self, revision: str) -> dict[str, str]:
        """The last state of each context of a commit."""
        return {c: state for r, c, state, _ in self.history if r == revision}

    def texts(self, revision: str) -> dict[str, str]:
        return {c: text for r, c, _, text in self.history if r == revision}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet: head and body apart would wait for an acknowledgement
    stand: StandIn

    def setup(self) -> None:
        super().setup()
        self.stand.joined(self.connection)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the name in the base class
        """Silence: the requests are a list."""

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, self.rfile.read(size))
        answer = self.stand.answer(request)
        body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(body.encode())
            self.wfile.flush()

    def do_GET(self) -> None:
        self.do_POST()

    def do_PATCH(self) -> None:
        self.do_POST()

    def do_PUT(self) -> None:
        self.do_POST()
