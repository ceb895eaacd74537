"""A real daemon process: commits become environments, and nothing else moves them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from repos import GitRepo
from running import DEMO, Running, text
from waiting import wait_for

from envwatch.catalog.schema import Mode, Reason
from envwatch.model import BuildState, EnvKey

FILE = "demo/environment.yml"


def version(link: Path) -> str:
    return (link / "share/tiny/version").read_text()


def settled(running: Running, revision: str) -> None:
    """Until the daemon has seen a commit and nothing is left to do."""

    def done() -> bool:
        source = running.page("/sources.json")[0]["record"]
        idle = all(b.state.over for b in running.builds())
        return source["revision"] == revision and idle

    wait_for(done, 60, f"{revision}: {running.log.read_text()[-2000:]}")


def test_a_commit_becomes_live(running: Running, repo: GitRepo) -> None:
    running.start()
    prefix = running.wait_current(1)
    assert version(running.link()) == "1.0"
    repo.commit({FILE: text("tiny=2.0")})
    assert running.wait_current(2) != prefix
    assert version(running.link()) == "2.0"
    assert version(prefix) == "1.0", "a published prefix never changes"
    assert running.stop() == 0


def test_comments_and_order_cause_no_build(running: Running, repo: GitRepo) -> None:
    repo.commit({FILE: text("tiny=1.0", "native")})
    running.start()
    running.wait_current(1)
    settled(running, repo.commit({FILE: "# reordered\n" + text("native", "tiny=1.0")}))
    assert len(running.builds()) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda t, channels: t + f"channels: [{channels[1]}, {channels[0]}]\n",
        lambda t, _: t + "variables: {GREETING: hello}\n",
    ],
    ids=["channel order", "variables only"],
)
def test_what_changes_the_environment_makes_a_generation(
    make_running: Callable[..., Running],
    repo: GitRepo,
    channel: Path,
    second_channel: Path,
    change: Callable[[str, list[str]], str],
) -> None:
    channels = [channel.as_uri(), second_channel.as_uri()]
    source = {"name": "team", "git": str(repo.path), "namespace": "analyst", "interval": "1s"}
    running = make_running(source, channels={"default": channels, "allowed": channels})
    repo.commit({FILE: text("tiny")})
    running.start()
    running.wait_current(1)
    repo.commit({FILE: change(text("tiny"), channels)})
    running.wait_current(2)


def test_channel_order_decides_where_a_package_comes_from(
    make_running: Callable[..., Running], repo: GitRepo, channel: Path, second_channel: Path
) -> None:
    channels = [channel.as_uri(), second_channel.as_uri()]
    source = {"name": "team", "git": str(repo.path), "namespace": "analyst", "interval": "1s"}
    running = make_running(source, channels={"default": channels, "allowed": channels})
    repo.commit({FILE: text("tiny")})
    running.start()
    running.wait_current(1)
    assert version(running.link()) == "2.0"
    repo.commit({FILE: text("tiny") + f"channels: [{channels[1]}, {channels[0]}]\n"})
    running.wait_current(2)
    assert version(running.link()) == "9.0"


def test_a_lock_beside_the_file_is_installed_as_it_is(running: Running, repo: GitRepo) -> None:
    repo.commit({FILE: text("tiny")})
    running.start()
    running.wait_current(1)
    assert version(running.link()) == "2.0"
    own = running.store.record(1) / "conda-lock.yml"
    older = running.folder / "older.yml"
    # the text of our own lock would be taken for the one that was written back
    older.write_text(f"{own.read_text()}# by somebody else\n")
    repo.commit({"demo/conda-lock.yml": older.read_text()}, "a lock")
    running.wait_current(2)
    assert not json.loads((running.store.record(2) / "result.json").read_text())["solved"]


def test_a_revert_brings_the_old_lock_and_prefix_back_without_a_solve(
    running: Running, repo: GitRepo
) -> None:
    running.start()
    first = running.wait_current(1)
    repo.commit({FILE: text("tiny=2.0")})
    running.wait_current(2)
    repo.git("revert", "--no-edit", "HEAD")
    assert running.wait_current(3) == first
    build = running.builds()[-1]
    assert (build.mode, build.reason, build.phases) == (Mode.REUSE, Reason.REVERT, ())
    assert "nothing to solve" in running.store.log(build.id).read_text()


def test_a_force_push_and_a_reset_to_an_older_commit_are_followed(
    running: Running, repo: GitRepo
) -> None:
    running.start()
    running.wait_current(1)
    first = repo.head
    repo.commit({FILE: text("tiny=1.1")})
    running.wait_current(2)
    repo.git("checkout", "--quiet", "--orphan", "other")
    repo.commit({FILE: text("tiny=2.0")}, "another history")
    repo.git("branch", "--force", "main", "other")
    running.wait_current(3)
    assert version(running.link()) == "2.0"
    repo.git("branch", "--force", "main", first)
    running.wait_current(4)
    assert version(running.link()) == "1.0"


def test_a_broken_file_keeps_serving_and_harms_nobody(running: Running, repo: GitRepo) -> None:
    running.start()
    running.wait_current(1)
    other = EnvKey("analyst", "other")
    revision = repo.commit(
        {FILE: "name: demo\ndependencies: tiny\n", "other.yml": text("tiny", name="other")}
    )
    running.wait_current(1, other)
    settled(running, revision)
    assert version(running.link()) == "1.0"
    row = running.page("/analyst/demo/index.json")["row"]
    assert (row["git"], row["invalid"]["line"]) == ("invalid", 2)


def test_an_unsatisfiable_file_keeps_serving_and_names_its_line(
    running: Running, repo: GitRepo
) -> None:
    running.start()
    running.wait_current(1)
    repo.commit({FILE: text("tiny=1.0", "tinyy")})
    failed = wait_for(lambda: [b for b in running.builds() if b.state is BuildState.FAILED], 60)
    assert failed[0].failure is not None
    assert failed[0].failure.line == 4
    assert "tiny" in f"{failed[0].failure.message} {failed[0].failure.hint}"
    assert version(running.link()) == "1.0"


def test_a_second_file_of_one_name_is_refused(running: Running, repo: GitRepo) -> None:
    running.start()
    running.wait_current(1)
    settled(running, repo.commit({"again.yml": text("tiny=2.0")}))
    assert version(running.link()) == "1.0"
    files = running.page("/sources.json")[0]["files"]
    assert {f["path"]: f["state"] for f in files}["again.yml"] == "refused"


def test_a_deleted_file_retires_and_its_return_restores(running: Running, repo: GitRepo) -> None:
    running.start()
    prefix = running.wait_current(1)
    repo.commit({FILE: None, "keep.yml": text("tiny", name="keep")})
    wait_for(lambda: not running.link().is_symlink(), 60)
    assert prefix.is_dir(), "history and files stay"
    repo.commit({FILE: text("tiny=1.0")})
    assert running.wait_current(1) == prefix
    assert len(running.builds()) == 1


def test_a_commit_that_leaves_no_file_retires_everything(running: Running, repo: GitRepo) -> None:
    running.start()
    running.wait_current(1)
    repo.commit({FILE: None})
    wait_for(lambda: not running.link().is_symlink(), 60)


@pytest.mark.parametrize("how", ["emptied", "gone"])
def test_an_emptied_or_missing_directory_retires_nothing(
    make_running: Callable[..., Running], tmp_path: Path, how: str
) -> None:
    folder = tmp_path / "folder"
    (folder / "demo").mkdir(parents=True)
    (folder / FILE).write_text(text("tiny=1.0"))
    running = make_running(
        {"name": "local", "directory": str(folder), "namespace": "analyst", "interval": "1s"}
    )
    running.start()
    running.wait_current(1)
    shutil.rmtree(folder)
    if how == "emptied":
        folder.mkdir()
    wait_for(lambda: running.page("/sources.json")[0]["record"]["state"] != "ok", 60)
    assert version(running.link()) == "1.0"
    (folder / "demo").mkdir(parents=True)
    (folder / FILE).write_text(text("tiny=2.0"))
    running.wait_current(2)


def test_a_file_in_a_directory_is_seen_when_it_changes(
    make_running: Callable[..., Running], tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "demo.yml").write_text(text("tiny=1.0"))
    running = make_running({"name": "local", "directory": str(folder), "namespace": "analyst"})
    running.start()
    running.wait_current(1)
    (folder / "demo.yml").write_text(text("tiny=2.0"))
    running.wait_current(2)


def test_a_second_daemon_is_refused_with_the_pid(running: Running) -> None:
    running.start()
    first = running.process
    assert first is not None
    running.start(wait=False)
    second = running.process
    assert second is not None
    assert second.wait(timeout=30) != 0
    assert str(first.pid) in running.log.read_text()
    running.process = first


def test_sighup_takes_over_a_new_config_and_keeps_the_old_one_when_it_is_bad(
    running: Running, repo: GitRepo, tmp_path: Path
) -> None:
    running.start()
    running.wait_current(1)
    assert running.process is not None
    running.more = {"sorces": []}
    running.write_config()
    running.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "sorces" in running.log.read_text(), 30)
    running.more = {}
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "new.yml").write_text(text("tiny", name="new"))
    running.sources.append({"name": "more", "directory": str(folder), "namespace": "others"})
    running.write_config()
    running.process.send_signal(signal.SIGHUP)
    running.wait_current(1, EnvKey("others", "new"))
    assert repo.head


def test_a_newer_commit_stops_what_is_still_queued(running: Running, repo: GitRepo) -> None:
    running.start()
    running.wait_current(1)
    for number in range(5):
        repo.commit({FILE: text("tiny=1.1", extra=f"variables: {{N: '{number}'}}\n")})
    settled(running, repo.head)
    wait_for(lambda: '"4"' in variables(running), 60)


def variables(running: Running) -> str:
    return (running.link() / "conda-meta/state").read_text()


def test_the_log_and_the_artifacts_are_served(running: Running) -> None:
    running.start()
    running.wait_current(1)
    assert b"checking" in running.get("/analyst/demo/builds/1/log.txt")[1]
    wait_for(lambda: running.generations()[0].id, 10)
    wait_for(lambda: artifact_there(running, "SHA256SUMS"), 10)
    assert b"tiny" in running.get("/analyst/demo/1/conda-lock.yml")[1]


def artifact_there(running: Running, name: str) -> bool:
    try:
        return running.get(f"/analyst/demo/1/{name}")[0] == 200
    except OSError:
        return False


def test_sigterm_in_the_middle_of_a_build_is_clean_and_the_next_start_goes_on(
    running: Running, repo: GitRepo
) -> None:
    repo.commit({FILE: text("python", "rich")})
    running.start()
    wait_for(lambda: any(b.state.running for b in running.builds()), 30)
    assert running.stop() == 0
    running.start()
    running.wait_current(1)
    code = "import rich, sys; print(sys.prefix)"
    shown = subprocess.run(
        (running.link() / "bin/python", "-c", code), capture_output=True, text=True, check=True,
        env={"PATH": os.environ["PATH"]}, timeout=60,
    )  # fmt: skip
    assert shown.stdout.strip()
    assert DEMO.name == "demo"
    assert time.monotonic() > 0


def test_a_namespace_adds_packages_also_where_a_lock_lacks_them(
    make_running: Callable[..., Running], repo: GitRepo
) -> None:
    running = make_running(
        {"name": "team", "git": str(repo.path), "namespace": "analyst", "interval": "1s"}
    )
    running.start()
    running.wait_current(1)
    lock = (running.store.record(1) / "conda-lock.yml").read_text()
    assert running.stop() == 0
    running.more = {"packages": {"included": ["activate-demo"]}}
    repo.commit({"demo/conda-lock.yml": f"# as it was\n{lock}"}, "a lock")
    running.start()
    prefix = running.wait_current(2)
    assert list((prefix / "conda-meta").glob("activate-demo-*.json"))
    told = running.page("/analyst/demo/index.json")["spec_messages"]
    assert "was added by the policy of `analyst`" in told[0]["text"]
    said = running.page("/analyst/demo/builds/2.json")["build"]["messages"]
    assert "the policy of the namespace adds `activate-demo`" in said[0]["text"]
    assert running.stop() == 0


def test_a_lock_is_held_to_the_versions_of_its_namespace(
    make_running: Callable[..., Running], repo: GitRepo
) -> None:
    repo.commit({FILE: text("tiny")})
    running = make_running(
        {"name": "team", "git": str(repo.path), "namespace": "analyst", "interval": "1s"}
    )
    running.start()
    prefix = running.wait_current(1)
    assert list((prefix / "conda-meta").glob("tiny-2.0-*.json"))
    lock = (running.store.record(1) / "conda-lock.yml").read_text()
    assert running.stop() == 0
    running.more = {"packages": {"constrained": ["tiny <2"]}}
    repo.commit({"demo/conda-lock.yml": f"# as it was\n{lock}"}, "a lock")
    running.start()
    prefix = running.wait_current(2)
    assert list((prefix / "conda-meta").glob("tiny-1.1-*.json"))
    said = running.page("/analyst/demo/builds/2.json")["build"]["messages"]
    assert "it has `tiny` 2.0, and the policy of the namespace holds it to `tiny <2`" in str(said)
    assert running.stop() == 0
