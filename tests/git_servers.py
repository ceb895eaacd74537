"""Servers of git repositories: https with a password, ssh with a key, and git's own daemon."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme
from needs import lack, need_user
from waiting import wait_for

from envwatch.settings import Credentials

USER = "deploy"
PASSWORD = "s3cret-t0ken"  # of a server that lives as long as its test

# What a server's git sees: nothing of the person who tests.
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


@dataclass
class Served:
    """One repository over one transport. `requests` are those that https answered."""

    url: str
    credentials: Credentials
    requests: list[str] = field(default_factory=list)
    folder: Path = Path()


# ---------------------------------------------------------------- https


class _Handler(BaseHTTPRequestHandler):
    """`git http-backend` behind a password. `server.password` may change."""

    server: Any

    def log_message(self, *_: object) -> None:
        """Nothing: tests read `requests`."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        given = self.headers.get("Authorization", "")
        wanted = base64.b64encode(f"{USER}:{self.server.password}".encode()).decode()
        self.server.requests.append(self.path)
        if given != f"Basic {wanted}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._backend()

    def _backend(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        variables = {
            **ENVIRONMENT,
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "CONTENT_LENGTH": str(len(body)),
        }
        done = subprocess.run(
            ("git", "http-backend"), input=body, env=variables, capture_output=True, check=False
        )
        head, _, text = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@contextmanager
def https_server(repository: Path, folder: Path) -> Iterator[tuple[Served, Any]]:
    """The repository over TLS, by an authority of its own, for one user; and the server."""
    authority = trustme.CA()
    folder.mkdir(parents=True, exist_ok=True)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    (folder / "password").write_text(f"{PASSWORD}\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    server.folder, server.password, server.requests = repository.parent, PASSWORD, []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    url = f"https://127.0.0.1:{server.server_port}/{repository.name}"
    given = Credentials(user=USER, password_file=folder / "password", ca_file=folder / "ca.pem")
    yield Served(url, given, server.requests, folder), server
    server.shutdown()
    server.server_close()
    thread.join()


# ---------------------------------------------------------------- ssh

_SSHD = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
PidFile none
LogLevel ERROR
SetEnv GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
"""


@contextmanager
def ssh_server(repository: Path, folder: Path) -> Iterator[Served]:
    """The repository by a real sshd, for one key of the user who tests."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        lack("the program `sshd` is not there")
    user = need_user()
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("host_key", "key", "other_key"):
        subprocess.run(
            ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name), check=True
        )
    (folder / "authorized_keys").write_bytes((folder / "key.pub").read_bytes())
    port = free_port()
    (folder / "known_hosts").write_text(
        f"[127.0.0.1]:{port} {(folder / 'host_key.pub').read_text()}"
    )
    (folder / "sshd_config").write_text(_SSHD.format(port=port, folder=folder))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            (str(program), "-D", "-e", "-f", folder / "sshd_config"), stdout=log, stderr=log
        )
    try:
        wait_for(lambda: answers(port), what="sshd")
        given = Credentials(ssh_key=folder / "key", known_hosts=folder / "known_hosts")
        yield Served(f"ssh://{user}@127.0.0.1:{port}{repository}", given, folder=folder)
    finally:
        server.terminate()
        server.wait(10)


# ---------------------------------------------------------------- git


@contextmanager
def git_daemon(repository: Path) -> Iterator[Served]:
    """The repository over git's own protocol, which knows no password."""
    port = free_port()
    options = ("--reuseaddr", "--export-all", "--listen=127.0.0.1", f"--port={port}")
    base = repository.parent
    command = ("git", "daemon", *options, f"--base-path={base}", str(base))
    # git itself forks the real server, so the whole group must end
    server = subprocess.Popen(
        command, env=ENVIRONMENT, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_for(lambda: answers(port), what="git daemon")
        yield Served(f"git://127.0.0.1:{port}/{repository.name}", Credentials())
    finally:
        os.killpg(server.pid, 15)
        server.wait()
