"""Asks the daemon over its control socket to change something; without a daemon does it here."""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path
from typing import Any

from envwatch.cli.faults import error_of
from envwatch.cli.house import SOON
from envwatch.cli.reading import check_owner, login_name
from envwatch.daemon.commands import Commands
from envwatch.daemon.parts import assemble
from envwatch.errors import DaemonAway, EnvwatchError, NotFound, RootInUse
from envwatch.settings import Settings
from envwatch.store import Store

Answer = dict[str, Any]

SOCKET = "control.sock"
CONNECTING = 10.0  # seconds: the socket is on this machine


def ask(settings: Settings, verb: str, *, timeout: float = SOON, **arguments: Any) -> Answer:
    """Have a verb done, by the daemon or where none runs by this process; its answer."""
    check_owner(settings.root)
    try:
        return call(settings.root, verb, arguments, timeout)
    except DaemonAway:
        return _here(settings, verb, arguments)


def caller() -> str:
    """Who asks, for the history: the person behind `sudo`, where it says so."""
    return os.environ.get("SUDO_USER") or login_name(os.getuid())


def answers(root: Path) -> bool:
    """Does a daemon answer on this root?"""
    try:
        connection = _Connection(root, CONNECTING)
        connection.connect()
    except DaemonAway:
        return False
    connection.close()
    return True


def call(root: Path, verb: str, arguments: Answer, timeout: float) -> Answer:
    """The daemon's answer. Raises DaemonAway where none listens, else the daemon's own error."""
    connection = _Connection(root, timeout)
    body = json.dumps(arguments).encode()
    connection.connect()
    try:
        connection.request("POST", f"/{verb}", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
    except TimeoutError as e:
        raise EnvwatchError(
            f"`{verb}`: the daemon did not answer within {timeout:.0f} s",
            hint="it may still be at work: see its log",
        ) from e
    except (OSError, http.client.HTTPException) as e:
        raise EnvwatchError(
            f"`{verb}`: the daemon ended before it answered: {e}", hint="see its log"
        ) from e
    finally:
        connection.close()
    return _answer(verb, response.status, text)


class _Connection(http.client.HTTPConnection):
    """HTTP over the control socket of a root."""

    def __init__(self, root: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._root = root

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CONNECTING)
        try:
            folder = os.open(self._root, os.O_PATH | os.O_DIRECTORY)
            try:
                # through the open folder: the address of a socket holds 107 bytes
                self.sock.connect(f"/proc/self/fd/{folder}/{SOCKET}")
            finally:
                os.close(folder)
        except OSError as e:
            self.sock.close()
            raise DaemonAway(f"{self._root}: no daemon answers: {e.strerror}") from e
        self.sock.settimeout(self.timeout)


def _answer(verb: str, status: int, text: bytes) -> Answer:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise EnvwatchError(
            f"`{verb}`: the daemon failed with status {status}", hint="its log says why"
        )
    if status == http.client.OK:
        return answer
    raise error_of(
        str(answer.get("error")), str(answer.get("message")), str(answer.get("hint") or "")
    )


def _here(settings: Settings, verb: str, arguments: Answer) -> Answer:
    # root may ask a daemon, but the files that it would make here could not be changed by one
    check_owner(settings.root, superuser=False)
    if not settings.root.exists() and not settings.sources:
        raise NotFound(
            f"{settings.root}: there is no envwatch here",
            hint="name the config with `-c`, or the folder with `--root`",
        )
    try:
        with assemble(settings) as parts:
            return Commands(parts).run(verb, arguments)
    except RootInUse as e:
        if not Store(settings.root).control.exists():
            raise
        raise DaemonAway(
            f"{e.message}, and does not answer", hint="it may be starting or ending: try again"
        ) from e
