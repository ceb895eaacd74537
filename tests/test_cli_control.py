"""The client of the control socket, on the real server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from envwatch.cli.control import answers, call, caller
from envwatch.errors import Conflict, DaemonAway, EnvwatchError, NotFound, SourceStalled
from envwatch.web.control import create_control
from envwatch.web.server import Server, serve_unix

Verb = Callable[[Mapping[str, Any]], dict[str, Any]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Answers on the control socket of a root; the root."""
    servers: list[Server] = []

    def start(verb: Verb, root: Path = tmp_path) -> Path:
        app = create_control(lambda name, arguments: {"verb": name, **verb(arguments)})
        servers.append(serve_unix(app, root / "control.sock"))
        return root

    yield start
    for server in servers:
        server.stop()


def raising(error: Exception) -> Verb:
    def verb(_: Mapping[str, Any]) -> dict[str, Any]:
        raise error

    return verb


def test_arguments_go_there_and_the_answer_comes_back(serve: Callable[..., Path]) -> None:
    root = serve(lambda arguments: {"heard": arguments})
    answer = call(root, "hold", {"environment": "a/b", "generation": None}, 20)
    assert answer == {"verb": "hold", "heard": {"environment": "a/b", "generation": None}}


@pytest.mark.parametrize("kind", [NotFound, Conflict, SourceStalled])
def test_an_error_comes_back_as_what_it_was(
    serve: Callable[..., Path], kind: type[EnvwatchError]
) -> None:
    root = serve(raising(kind("there is no `x`", hint="look again")))
    with pytest.raises(kind) as caught:
        call(root, "hold", {}, 20)
    assert (caught.value.message, caught.value.hint) == ("there is no `x`", "look again")


def test_a_fault_of_the_daemon_points_to_its_log(serve: Callable[..., Path]) -> None:
    root = serve(raising(RuntimeError("boom")))
    with pytest.raises(EnvwatchError, match="status 500") as caught:
        call(root, "hold", {}, 20)
    assert "boom" not in str(caught.value)


def test_a_root_with_a_long_path_is_reached(serve: Callable[..., Path], tmp_path: Path) -> None:
    root = tmp_path / ("r" * 120)
    root.mkdir()
    serve(lambda _: {}, root)
    assert call(root, "sync", {}, 20) == {"verb": "sync"}
    assert answers(root)


def test_no_socket_means_no_daemon(tmp_path: Path) -> None:
    assert not answers(tmp_path)
    with pytest.raises(DaemonAway):
        call(tmp_path, "sync", {}, 20)


def test_a_socket_that_a_killed_daemon_left_means_no_daemon(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "control.sock"))
    assert (tmp_path / "control.sock").exists()
    assert not answers(tmp_path)


def test_an_answer_that_does_not_come_is_an_error_and_not_awaited_for_ever(
    serve: Callable[..., Path],
) -> None:
    done = threading.Event()

    def verb(_: Mapping[str, Any]) -> dict[str, Any]:
        done.wait(20)
        return {}

    root = serve(verb)
    try:
        with pytest.raises(EnvwatchError, match="did not answer") as caught:
            call(root, "verify", {}, 0.2)
        assert not isinstance(caught.value, DaemonAway)
    finally:
        done.set()


def test_the_person_behind_sudo_is_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    unprivileged = caller()
    monkeypatch.setenv("SUDO_USER", "ada")
    assert (caller(), unprivileged != "ada") == ("ada", True)
