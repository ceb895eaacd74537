"""A managed source with the whole daemon: from `git push` to a live environment, and kills."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from managed_helpers import Done, git, served, settings_for
from repos import GitRepo, make_repo
from running import Running, cli, text
from waiting import wait_for

from envwatch.git.bare import Bare
from envwatch.model import EnvKey

KEY = EnvKey("people", "demo")
FILE = "demo/environment.yml"
STUCK = Path(__file__).with_name("stuck_server.py")


@pytest.fixture
def people(make_running: Callable[..., Running]) -> Running:
    """A daemon with a managed source, running."""
    running = make_running({"name": "people", "managed": True, "interval": "1h"})
    running.start()
    return running


@pytest.fixture
def clone(people: Running, tmp_path: Path) -> GitRepo:
    """Ada's clone, with the token that the command line gave her."""
    token = cli(people, "token", "create", "ada", "--namespaces", "people").stdout.strip()
    url = f"http://ada:{token}@127.0.0.1:{people.port}/git/people.git"
    done = git(tmp_path, "clone", "--quiet", url, "ada")
    assert done.code == 0, done.told
    repo = GitRepo(tmp_path / "ada")
    repo.git("checkout", "--quiet", "-B", "main")
    return repo


def push(repo: GitRepo, content: str) -> Done:
    repo.commit({FILE: content})
    return git(repo.path, "push", "--quiet", "origin", "main")


def test_clone_edit_push_ends_live(people: Running, clone: GitRepo) -> None:
    done = push(clone, text("tiny=1.0"))
    url = f"http://127.0.0.1:{people.port}/people/demo/"
    assert done.remote == [f"people/demo: will be solved and built: {url}"]
    people.wait_current(1, KEY)
    assert push(clone, text("tiny=2.0")).code == 0
    prefix = people.wait_current(2, KEY)
    assert (prefix / "share/tiny/version").read_text() == "2.0"
    assert people.generations(KEY)[1].revision == clone.head


def test_a_broken_push_leaves_what_is_live(people: Running, clone: GitRepo) -> None:
    push(clone, text("tiny=1.0"))
    prefix = people.wait_current(1, KEY)
    done = push(clone, "name: demo\ndependencies: tiny\n")
    assert done.code == 1
    assert f"{FILE}:2:15: `dependencies` must be a list" in done.told
    assert people.link(KEY).resolve() == prefix
    assert people.page("/source.json?name=people")["source"]["refused"] == 0


def test_an_edit_on_the_command_line_ends_live(people: Running, tmp_path: Path) -> None:
    file = tmp_path / "new.yml"
    file.write_text(text("tiny=1.0"))
    made = cli(people, "env", "create", "people/demo", "--file", file, "--wait")
    assert "ready as #1" in made.stderr
    file.write_text(text("tiny=2.0"))
    cli(people, "env", "edit", "people/demo", "--file", file, "--wait")
    assert (people.link(KEY) / "share/tiny/version").read_text() == "2.0"
    cli(people, "env", "delete", "people/demo", "--wait")
    assert not people.link(KEY).exists()


def test_the_page_of_the_source_says_what_to_clone(people: Running) -> None:
    source = people.page("/source.json?name=people")["source"]["record"]
    assert source["place"] == f"http://127.0.0.1:{people.port}/git/people.git"
    wait_for(lambda: b"git clone" in people.get("/sources")[1], what="the line to copy")


def test_what_was_pushed_outlives_a_kill_at_once(people: Running, clone: GitRepo) -> None:
    assert push(clone, text("tiny=1.0")).code == 0
    people.kill()
    people.start()
    people.wait_current(1, KEY)


def test_a_managed_source_may_join_by_a_reload(
    make_running: Callable[..., Running], repo: GitRepo
) -> None:
    running = make_running({"name": "team", "git": str(repo.path), "namespace": "analyst"})
    running.start()
    running.sources.append({"name": "people", "managed": True})
    running.write_config()
    assert running.process is not None
    running.process.send_signal(1)
    wait_for(lambda: "the config was read again" in running.log.read_text(), what="the reload")
    url = f"http://127.0.0.1:{running.port}/git/people.git"
    assert git(running.folder, "ls-remote", url).code == 0


# ---------------------------------------------------------------- kill -9 in the middle


@contextmanager
def stuck_server(folder: Path, point: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        (sys.executable, STUCK, folder / "root", point),
        env=os.environ | {"PYTHONPATH": str(STUCK.parent.parent)},
    )
    try:
        wait_for((folder / "ready").exists, 120, "the server")
        yield process
    finally:
        process.kill()
        process.wait()


def push_into_a_kill(folder: Path, point: str) -> GitRepo:
    """Push to a server that is killed while it judges, or just after the refs have moved."""
    repo = make_repo(folder / "ada")
    repo.commit({FILE: text("python")})
    with stuck_server(folder, point) as process:
        url = (folder / "address").read_text()
        pushing = threading.Thread(target=git, args=(repo.path, "push", url, "main"))
        pushing.start()
        wait_for((folder / "stuck").exists, 120, "the point")
        process.kill()
        pushing.join(60)
        assert not pushing.is_alive()
    return repo


def is_settled(bare: Bare) -> bool:
    """Git has noticed that nobody answers, and has cleared away what it held back."""
    return not list(bare.path.glob("objects/tmp_objdir-*"))


@pytest.mark.parametrize(("point", "moved"), [("before", False), ("after", True)])
def test_a_kill_during_a_push_leaves_the_repository_whole(
    tmp_path: Path, point: str, moved: bool
) -> None:
    repo = push_into_a_kill(tmp_path, point)
    bare = Bare(tmp_path / "root" / "managed" / "people.git")
    wait_for(lambda: is_settled(bare), what="the end of git")
    assert bare.tip("main") == (repo.head if moved else "")
    bare.run("fsck", "--strict")
    with served(settings_for(tmp_path / "root")) as lab:
        assert git(repo.path, "push", lab.url(lab.token("next")), "main").code == 0
        lab.parts.look("people")
        assert lab.tip() == repo.head
        assert lab.parts.catalog.generations.environment(KEY).revision == repo.head
