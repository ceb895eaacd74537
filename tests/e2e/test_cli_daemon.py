"""The command line beside a real daemon, and as the daemon itself."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from repos import GitRepo
from running import Running, cli, text
from waiting import wait_for

from envwatch.demo import MARKER

FILE = "demo/environment.yml"


@pytest.fixture
def serving(running: Running) -> Running:
    """demo #1 is published, the daemon runs."""
    running.start()
    running.wait_current(1)
    return running


@pytest.fixture
def slow(make_running: Callable[..., Running], repo: GitRepo) -> Running:
    """A source that is looked at when a person asks."""
    source = {"name": "team", "git": repo.url, "namespace": "analyst", "interval": "1h"}
    return make_running(source)


def test_sync_wait_ends_when_the_commit_is_live(serving: Running, repo: GitRepo) -> None:
    repo.commit({FILE: text("tiny=2.0")})
    cli(serving, "source", "sync", "--wait")
    assert (serving.link() / "share/tiny/version").read_text() == "2.0"


def test_a_person_at_a_terminal_sees_how_far_a_build_is(serving: Running) -> None:
    ours, theirs = os.openpty()
    rebuild = ("env", "rebuild", "analyst/demo", "--wait", "-c", serving.config)
    command = (sys.executable, "-m", "envwatch", *rebuild)
    with subprocess.Popen(command, stderr=theirs, stdout=theirs) as process:
        os.close(theirs)
        shown = b"".join(iter(lambda: read_terminal(ours), b"")).decode()
        os.close(ours)
    assert process.returncode == 0, shown
    assert re.search(r"build \d+ of analyst/demo: \w+", shown)
    assert "━" in shown


def read_terminal(handle: int) -> bytes:
    """What came next; nothing when the other side is closed, which a terminal calls an error."""
    try:
        return os.read(handle, 4096)
    except OSError:
        return b""


def test_sync_wait_ends_with_1_and_the_line_that_is_wrong(slow: Running, repo: GitRepo) -> None:
    slow.start()
    slow.wait_current(1)
    repo.commit({FILE: text("tinny")})
    done = cli(slow, "source", "sync", "team", "--wait", check=1)
    assert f"\n{FILE}:3:5: no channel has a package `tinny`" in done.stderr


def test_plan_solves_and_changes_nothing(
    make_running: Callable[..., Running], tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "demo.yml").write_text(text("tiny=1.0"))
    source = {"name": "team", "directory": str(folder), "namespace": "analyst", "interval": "1h"}
    # files that are still being written are left alone: here, until the test is over
    running = make_running(source, watch={"quiet_period": "10m"})
    running.start()
    running.wait_current(1)
    (folder / "demo.yml").write_text(text("tiny=2.0"))
    (folder / "new.yml").write_text(text("native", name="new"))
    before = running.builds()
    lines = cli(running, "plan").stdout.splitlines()
    assert "  analyst/demo would be built anew (demo.yml, against #1)" in lines
    assert "    ↑ tiny 1.0 → 2.0" in lines
    assert any(line.startswith("    + native ") for line in lines)
    assert running.builds() == before
    assert list((running.root / "tmp").glob("plan-*")) == []


def test_plan_without_a_daemon_solves_too(slow: Running, repo: GitRepo) -> None:
    slow.write_config()
    done = cli(slow, "plan", "team", "--json")
    proposal = json.loads(done.stdout)[0]["proposals"][0]
    assert (proposal["move"], proposal["diff"]["added"][0]["name"]) == ("new", "tiny")
    repo.commit({FILE: text("tinny")})
    assert f"{FILE}:3:5: " in cli(slow, "plan", check=1).stdout


def test_rebuild_and_update_wait_for_their_builds(serving: Running) -> None:
    assert "ready as #2" in cli(serving, "env", "rebuild", "analyst/demo", "--wait").stderr
    assert "ready as #3" in cli(serving, "env", "update", "analyst/demo", "--wait").stderr


def test_hold_and_release_move_the_link_of_a_running_daemon(
    serving: Running, repo: GitRepo
) -> None:
    first = serving.link().resolve()
    cli(serving, "env", "hold", "analyst/demo")
    repo.commit({FILE: text("tiny=2.0")})
    cli(serving, "source", "sync", "--wait")
    assert serving.link().resolve() == first
    assert "held at #1, #2 ready" in cli(serving, "env", "list").stdout
    cli(serving, "env", "release", "analyst/demo")
    assert serving.link().resolve() != first


def test_damage_is_found_and_repaired_elsewhere(serving: Running) -> None:
    assert "none damaged" in cli(serving, "verify").stderr
    prefix = serving.link().resolve()
    file = prefix / "share/tiny/version"
    # a new file: the old one is shared with the cache
    file.unlink()
    file.write_text("bad")
    done = cli(serving, "verify", "analyst/demo", check=1)
    assert "analyst/demo#1" in done.stdout
    cli(serving, "repair", "--wait")
    assert serving.link().resolve() != prefix
    assert (serving.link() / "share/tiny/version").read_text() == "1.0"


def test_a_log_is_followed_to_its_end(serving: Running) -> None:
    queued = json.loads(cli(serving, "env", "rebuild", "analyst/demo", "--json").stdout)
    done = cli(serving, "build", "log", queued["build"], "--follow")
    assert "── checking" in done.stdout
    assert f"build {queued['build']} of analyst/demo: ready as #2" in done.stderr


def test_an_archive_is_waited_for(serving: Running) -> None:
    done = cli(serving, "env", "archive", "analyst/demo", "--wait")
    assert done.stderr == "analyst/demo #1: the archive is ready\n"


def test_rebuild_index_is_refused_while_a_daemon_runs_and_brings_all_back_after(
    serving: Running,
) -> None:
    assert "holds this root" in cli(serving, "rebuild-index", check=1).stderr
    before = cli(serving, "env", "show", "analyst/demo").stdout
    serving.stop()
    (serving.root / "catalog.sqlite").unlink()
    cli(serving, "rebuild-index")
    prefix = serving.link().resolve()
    serving.start()
    assert serving.wait_current(1) == prefix
    assert cli(serving, "env", "show", "analyst/demo").stdout == before


def test_rebuild_wait_without_a_daemon_builds_it(slow: Running) -> None:
    slow.write_config()
    assert cli(slow, "once").stderr.splitlines()[-1] == "1 published"
    assert cli(slow, "once").stderr.splitlines()[-1] == "nothing to do"
    assert "ready as #2" in cli(slow, "env", "rebuild", "analyst/demo", "--wait").stderr


def test_once_ends_with_1_when_a_build_failed(slow: Running, repo: GitRepo) -> None:
    repo.commit({FILE: text("tinny")})
    slow.write_config()
    done = cli(slow, "once", check=1)
    assert "build 1 failed: see `envwatch build show 1`" in done.stderr


@pytest.fixture
def run(slow: Running) -> Iterator[subprocess.Popen[str]]:
    """`envwatch run -c CONFIG`."""
    slow.write_config()
    slow.log.touch()
    command = (sys.executable, "-m", "envwatch", "run", "-c", str(slow.config))
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def test_run_serves_and_ends_well_on_sigterm(slow: Running, run: subprocess.Popen[str]) -> None:
    wait_for(lambda: slow.answers() or run.poll() is not None, 60, "the page")
    slow.wait_current(1)
    run.send_signal(signal.SIGTERM)
    _, log = run.communicate(timeout=30)
    assert (run.returncode, "event=stopping" in log) == (0, True)


def test_a_second_run_ends_with_1_and_names_the_first(
    slow: Running, run: subprocess.Popen[str]
) -> None:
    wait_for(lambda: slow.answers() or run.poll() is not None, 60, "the page")
    assert f"the daemon with pid {run.pid} holds this root" in cli(slow, "run", check=1).stderr


def test_demo_once_publishes_and_may_be_run_again(tmp_path: Path, channel: Path) -> None:
    place = tmp_path / "demo"
    place.mkdir()
    (place / MARKER).touch()
    (place / "channel").symlink_to(channel)
    command = (sys.executable, "-m", "envwatch", "demo", "--once", "--dir", "demo", "--port", "0")
    for _ in range(2):
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert "analyst/hello #1 is live" in done.stderr
    python = place / "root/envs/analyst/analyst-hello/bin/python"
    assert subprocess.run((python, "-c", "import rich"), check=False, timeout=60).returncode == 0


def test_demo_refuses_a_folder_with_other_things(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    command = (sys.executable, "-m", "envwatch", "demo", "--once", "--dir", str(tmp_path))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, [p.name for p in tmp_path.iterdir()]) == (78, ["precious"])
