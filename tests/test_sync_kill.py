"""kill -9 while a repository is fetched: nothing that is left over is in the way.

ENVWATCH_KILLS says how often; the usual run takes a few, a long one 200.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from git_helpers import SPEC, Repo, new_repo

from envwatch.git.mirrors import Mirrors
from envwatch.settings import SourceKind, SourceSettings
from envwatch.sources import open_source

KILLS = int(os.environ.get("ENVWATCH_KILLS", "16"))
SLOWEST = 0.3  # seconds after which a child is killed at the latest; one pass takes about 0.1

FOLLOW = """
import sys
from pathlib import Path
from envwatch.git.mirrors import Mirrors
from envwatch.settings import SourceKind, SourceSettings
from envwatch.sources import open_source
settings = SourceSettings("team", SourceKind.GIT, "x", url=sys.argv[1], branch="main")
print("ready", flush=True)
while True:
    open_source(settings, mirrors=Mirrors(Path(sys.argv[2]))).snapshot()
"""


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = new_repo(tmp_path / "work")
    repo.commit({f"envs/{n}.yml": SPEC for n in range(20)})
    return repo


def follow_and_die(repo: Repo, mirrors: Path, seconds: float) -> None:
    """Commits arrive while a process follows them, until it is killed; its git is not."""
    child = subprocess.Popen(
        (sys.executable, "-c", FOLLOW, repo.url, str(mirrors)), stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    killer = threading.Timer(seconds, child.kill)
    killer.start()
    number = 0
    while child.poll() is None:
        repo.commit({"envs/0.yml": f"{SPEC}# {number} {seconds}\n"})
        number += 1
    killer.join()
    child.stdout.close()
    child.wait()


def test_no_kill_leaves_anything_in_the_way(tmp_path: Path, repo: Repo) -> None:
    mirrors = tmp_path / "mirrors"
    settings = SourceSettings("team", SourceKind.GIT, "x", url=repo.url, branch="main")
    for seed in range(KILLS):
        follow_and_die(repo, mirrors, random.Random(seed).uniform(0, SLOWEST))  # noqa: S311  # the same moments in each run
        revision = repo.commit({"envs/1.yml": f"{SPEC}# after {seed}\n"})
        taken = open_source(settings, mirrors=Mirrors(mirrors)).snapshot()
        files = {file.path: file.data for file in taken.files}
        assert taken.revision == revision, seed
        assert files["envs/1.yml"] == f"{SPEC}# after {seed}\n".encode(), seed
        assert len(files) == 20
