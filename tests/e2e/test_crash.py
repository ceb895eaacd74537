"""kill -9 at every state of a build and every step of publishing, and again while recovering."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from pip_index import serve_index
from repos import GitRepo, make_repo
from running import Kept, Running, ended, keep, text
from waiting import wait_for

from envwatch.model import RUNNING, BuildState
from envwatch.worker.publish import Step

FILE = "demo/environment.yml"
# what a build goes through, and what every publication does; pip needs an index: see below
STATES = [s.value for s in RUNNING if s is not BuildState.PIP]
STEPS = [s.value for s in Step if s is not Step.RECOVERING]
RECOVERY_POINTS = 6


def version(link: Path) -> str:
    return (link / "share/tiny/version").read_text()


def nothing_is_left(running: Running) -> bool:
    """The store holds what the catalog says, and no half-made thing."""
    kept = {g.prefix for g in running.generations() if g.pruned_at is None}
    return (
        set(running.store.prefixes()) == kept
        and not list((running.root / "tmp").iterdir())
        and not [p for p in (running.root / "envs/analyst").iterdir() if p.name.startswith(".")]
        and all(b.state.over for b in running.builds())
    )


def check_promises(running: Running) -> None:
    """After a restart the newest commit is live once, whole, and everything else is swept."""
    final = wait_for(partial(settled_at, running, "2.0"), 60, running.log.read_text()[-3000:])
    assert final == 2, "exactly one more generation"
    wait_for(lambda: nothing_is_left(running), 20, str(list(running.root.glob("*/*"))))
    wait_for((running.root / "artifacts/analyst/demo/2/SHA256SUMS").exists, 20)
    assert running.stop() == 0


def settled_at(running: Running, wanted: str) -> int | None:
    if version(running.link()) != wanted or not all(b.state.over for b in running.builds()):
        return None
    return running.generations()[-1].number


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, channel: Path) -> Kept:
    """A daemon has published `tiny=1.0`, and was stopped with a newer commit waiting."""
    folder = tmp_path_factory.mktemp("crash") / "place"
    repo = make_repo(folder / "environments")
    repo.commit({FILE: text("tiny=1.0")}, "first")
    source = {"name": "team", "git": str(repo.path), "branch": "main", "namespace": "analyst"}
    running = Running(folder, channel, [{**source, "interval": "1s"}])
    with ended(running):
        running.start()
        running.wait_current(1)
        wait_for((running.root / "artifacts/analyst/demo/1/SHA256SUMS").exists)
        assert running.stop() == 0
    repo.commit({FILE: text("tiny=2.0")})
    return keep(running, folder.with_name("published"))


@pytest.fixture(scope="module", params=[*STATES, *STEPS])
def killed(request: pytest.FixtureRequest, published: Kept) -> Kept:
    """What a kill at one point has left; made again where other tests came between."""
    before = Path(tempfile.mkdtemp(prefix=f"{request.param}-", dir=published.folder.parent))
    with ended(published.put_back(before)) as running:
        kill_at(running, request.param)
    return keep(running, before.with_name(f"{before.name}-killed"))


@pytest.fixture
def left(killed: Kept, tmp_path: Path) -> Iterator[Running]:
    """The place of one test after a kill; the daemon does not run."""
    with ended(killed.put_back(tmp_path / "aside")) as running:
        yield running


@pytest.fixture
def serving_pip(published: Kept, tmp_path: Path) -> Iterator[Running]:
    """As published, where the newer commit has a pip section."""
    place = published.put_back(tmp_path / "aside")
    with ended(place) as running, serve_index(tmp_path / "index") as index:
        index.wheel("thing")
        running.more = {"pip": {"index": index.url}}
        repo = GitRepo(running.folder / "environments")
        repo.commit({FILE: text("tiny=2.0", "python", extra="  - pip:\n    - thing\n")})
        yield running


def test_killed_at_a_point_it_goes_on(left: Running) -> None:
    left.start()
    check_promises(left)


def test_killed_again_at_each_point_of_recovery_it_goes_on(left: Running) -> None:
    kill_in_recovery(left)
    check_promises(left)


def test_killed_while_pip_packages_are_installed_it_goes_on(serving_pip: Running) -> None:
    kill_at(serving_pip, BuildState.PIP)
    serving_pip.start()
    check_promises(serving_pip)
    code = "import thing; print(thing.x)"
    command = (serving_pip.link() / "bin/python", "-c", code)
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"1\n"


def test_killed_again_after_pip_it_goes_on(serving_pip: Running) -> None:
    kill_at(serving_pip, BuildState.PIP)
    kill_in_recovery(serving_pip)
    check_promises(serving_pip)


def kill_at(running: Running, point: str) -> None:
    running.start(point, wait=False)
    running.wait_dead()
    assert version(running.link()) in ("1.0", "2.0"), "the link always leads to a whole prefix"


def kill_in_recovery(running: Running) -> None:
    """At its first point, at its second, and so on until one recovery is over before its trap."""
    for number in range(RECOVERY_POINTS):
        running.start(f"recovery:{number}", wait=False)
        if not died(running):
            break
        assert version(running.link()) in ("1.0", "2.0")
    if running.process is None:
        running.start()


def died(running: Running) -> bool:
    """Did the trap spring, or was the recovery over before it?"""
    process = running.process
    assert process is not None

    def decided() -> str:
        if process.poll() is not None:
            return "dead"
        try:
            return "alive" if running.get("/readyz")[0] == 200 else ""
        except OSError:
            return ""

    if wait_for(decided, 60) == "dead":
        running.wait_dead()
        return True
    return False


def test_the_first_publication_of_all_survives_a_kill(running: Running) -> None:
    running.start(Step.CATALOGUED.value, wait=False)
    running.wait_dead()
    assert not running.link().exists()
    running.start()
    running.wait_current(1)


def test_a_killed_child_is_a_failed_build_that_is_tried_again(
    make_running: Callable[..., Running], repo: GitRepo
) -> None:
    running = make_running({"name": "team", "git": str(repo.path), "namespace": "analyst"})
    repo.commit({FILE: text("python", "rich")})
    running.start()
    child = wait_for(lambda: child_of(running), 60)
    os.kill(child, 9)
    failed = wait_for(lambda: [b for b in running.builds() if b.state is BuildState.FAILED], 30)
    assert failed[0].failure is not None
    assert "signal 9" in failed[0].failure.message
    assert failed[0].retry_at is not None


def child_of(running: Running) -> int | None:
    """The process that builds: it holds the lock beside its record."""
    for build in running.builds():
        inode = running.store.record(build.id) / "lock"
        if not build.state.running or not inode.exists():
            continue
        number = inode.stat().st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            if line.split()[5].endswith(f":{number}") and "->" not in line:
                return int(line.split()[4])
    return None
