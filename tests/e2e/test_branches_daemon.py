"""Several branches of one repository, followed by a real daemon."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from repos import GitRepo
from running import Running, text
from waiting import wait_for

from envwatch.model import EnvKey

FILE = "demo/environment.yml"
RELEASE = EnvKey("analyst-release-1.2", "demo")


@pytest.fixture
def running(make_running: Callable[..., Running], repo: GitRepo) -> Running:
    branches = {"main": "analyst", "release/*": "analyst-{branch}"}
    return make_running(
        {"name": "team", "git": str(repo.path), "namespace": "analyst", "branches": branches}
    )


def version(link: Path) -> str:
    return (link / "share/tiny/version").read_text()


def test_a_branch_lives_and_dies_and_lives_again(running: Running, repo: GitRepo) -> None:
    repo.git("checkout", "-q", "-b", "release/1.2")
    repo.commit({FILE: text("tiny=2.0")})
    repo.git("checkout", "-q", "main")
    running.start()
    running.wait_current(1)
    prefix = running.wait_current(1, RELEASE)
    assert (version(running.link()), version(running.link(RELEASE))) == ("1.0", "2.0")
    repo.git("branch", "-m", "release/1.2", "elsewhere")
    wait_for(lambda: not os.path.lexists(running.link(RELEASE)), 60, "the link to go")
    assert version(prefix) == "2.0", "what was published is kept"
    repo.git("branch", "-m", "elsewhere", "release/1.2")
    wait_for(lambda: os.path.lexists(running.link(RELEASE)), 60, "the link to come back")
    assert len(running.builds(RELEASE)) == 1, "nothing is built again"
    assert running.stop() == 0


def test_a_commit_on_one_branch_moves_no_other(running: Running, repo: GitRepo) -> None:
    repo.git("branch", "release/1.2")
    running.start()
    running.wait_current(1)
    running.wait_current(1, RELEASE)
    repo.commit({FILE: text("tiny=2.0")})
    running.wait_current(2)
    assert version(running.link(RELEASE)) == "1.0"
    assert len(running.builds(RELEASE)) == 1
    assert running.stop() == 0
