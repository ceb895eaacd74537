"""Real daemon processes on throw-away roots."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from repos import GitRepo, make_repo

sys.path.insert(0, str(Path(__file__).parent))

from far import Far, token
from running import Running, starter, text
from waiting import wait_for

NUMBERS = count(1)


@pytest.fixture(scope="session", autouse=True)
def forking(home: Path) -> Iterator[None]:
    """The process that daemons are forked from ends with the last test."""
    yield
    if starter.cache_info().currsize:
        starter().close()


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    repo = make_repo(tmp_path / "environments")
    repo.commit({"demo/environment.yml": text("tiny=1.0")}, "first")
    return repo


@pytest.fixture
def make_running(tmp_path: Path, channel: Path) -> Iterator[Callable[..., Running]]:
    made: list[Running] = []

    def make(*sources: dict[str, object], **more: object) -> Running:
        running = Running(tmp_path, channel, list(sources), more)
        made.append(running)
        return running

    yield make
    for running in made:
        if running.process is not None:
            running.kill()


@pytest.fixture
def running(make_running: Callable[..., Running], repo: GitRepo) -> Running:
    """A daemon's place with one git source, not started yet."""
    return make_running(
        {
            "name": "team",
            "git": str(repo.path),
            "branch": "main",
            "namespace": "analyst",
            "interval": "1s",
        }
    )


@pytest.fixture(scope="session")
def server(channel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One daemon with a managed source for all that ask it from afar: nobody is let in unknown."""
    source = {"name": "people", "managed": True, "interval": "1h"}
    closed = {"access": {"anonymous": {}}}
    running = Running(tmp_path_factory.mktemp("server"), channel, [source], closed)
    try:
        running.start(wait=False)
        wait_for(running.answers, 120, "the page")
        yield running
    finally:
        running.kill()


@pytest.fixture
def far(server: Running, tmp_path: Path) -> Far:
    """Each test has environments and a token of its own there, and a home of its own here.

    So many edits by one token in a minute would be too many.
    """
    name = f"boss-{next(NUMBERS)}"
    secret = token(server, name, "--namespaces", "*", "--role", "admin")
    return Far(server, tmp_path, secret, name)
