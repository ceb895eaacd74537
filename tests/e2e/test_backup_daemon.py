"""A backup of a running daemon, restored elsewhere: the same environments from the same locks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from repos import GitRepo
from running import DEMO, Running, cli, text

from envwatch.catalog.schema import Reason
from envwatch.git.bare import Bare
from envwatch.model import BuildState, EnvKey

PEOPLE = EnvKey("people", "mine")


def test_a_backup_of_a_running_daemon_is_the_same_elsewhere(
    make_running: Callable[..., Running], repo: GitRepo, channel: Path
) -> None:
    git = {"name": "team", "git": str(repo.path), "namespace": "analyst", "interval": "1s"}
    sources = [{**git, "branch": "main"}, {"name": "people", "managed": True}]
    old = make_running(*sources)
    old.start()
    old.wait_current(1)
    repo.commit({"demo/environment.yml": text("tiny=2.0")}, "second")
    old.wait_current(2)
    add(old, "first")
    old.wait_current(1, PEOPLE)
    # a commit arrives while the backup is made
    repo.commit({"demo/environment.yml": text("tiny=1.1")}, "third")
    target = old.folder / "backup.tar.zst"
    cli(old, "backup", target)
    before = [g.lock_digest for g in old.generations()[:2]]
    old.stop()

    (old.folder / "new").mkdir()
    new = Running(old.folder / "new", channel, sources)
    new.write_config()
    assert "to be made again" in cli(new, "restore", target).stderr
    cli(new, "once")
    assert [g.lock_digest for g in new.generations()[:2]] == before
    assert (new.link(PEOPLE) / "share/tiny/version").read_text() == "1.0"
    assert (new.link() / "share/tiny/version").read_text() == "1.1"
    assert new.link().resolve().is_relative_to(new.root)
    again = [b for key in (DEMO, PEOPLE) for b in new.builds(key) if b.reason is Reason.RESTORED]
    assert [b.state for b in again] == [BuildState.READY] * 2
    told = Bare(new.store.managed / "people.git").run("log", "--format=%s", "main")
    assert told == b"first\n"


def add(running: Running, message: str) -> None:
    file = running.folder / "mine.yml"
    file.write_text(text("tiny=1.0", name="mine"))
    cli(running, "env", "create", "people/mine", "--file", file, "--message", message)
