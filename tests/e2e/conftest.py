"""Real daemon processes on throw-away roots."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from repos import GitRepo, make_repo

sys.path.insert(0, str(Path(__file__).parent))

from running import Running, starter, text


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
