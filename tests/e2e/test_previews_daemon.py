"""Requests to merge, previewed by a real daemon: what each would change, and nothing else done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from repos import GitRepo
from running import Running, text
from standin import TOKEN, Forge
from waiting import wait_for

from envwatch.model import EnvKey

FILE = "demo/environment.yml"
PREVIEW = EnvKey("analyst", "demo-pr-7")
CONTEXT = "envwatch/preview"


@pytest.fixture
def forge() -> Iterator[Forge]:
    with Forge("gitea") as made:
        yield made


@pytest.fixture
def previewing(
    make_running: Callable[..., Running], repo: GitRepo, forge: Forge, tmp_path: Path
) -> Callable[..., Running]:
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    statuses = {"kind": "gitea", "token_file": "token", "api": forge.api}

    def make(**previews: Any) -> Running:
        return make_running(
            {
                "name": "team",
                "git": str(repo.path),
                "branch": "main",
                "namespace": "analyst",
                "interval": "1s",
                "forge": {**statuses, "repository": forge.repository},
                "previews": previews,
            }
        )

    return make


def request(repo: GitRepo, forge: Forge, number: int, content: dict[str, str | None]) -> str:
    """Open a request, or push to one; the commit that it is at."""
    repo.git("checkout", "-q", "-B", f"change-{number}", "main")
    made = repo.commit(content, "a change")
    repo.git("update-ref", f"refs/pull/{number}/head", made)
    repo.git("checkout", "-q", "main")
    forge.open[number] = ("a newer tiny", "main")
    return made


def test_a_request_is_solved_and_told_and_goes(
    previewing: Callable[..., Running], repo: GitRepo, forge: Forge
) -> None:
    running = previewing()
    running.start()
    running.wait_current(1)
    made = request(repo, forge, 7, {FILE: text("tiny=2.0"), "new.yml": text("tiny", name="new")})
    wait_for(lambda: forge.states(made).get(CONTEXT) == "success", 60, running.log.read_text())
    wait_for(lambda: forge.texts(made).get(f"{CONTEXT}/analyst/demo") == "tiny 1.0 -> 2.0")
    wait_for(lambda: forge.comments.get(7), 30)
    (said,) = forge.comments[7].values()
    assert "| tiny | 1.0 | 2.0 |" in said
    assert "analyst/new" in said
    page = running.page("/analyst/demo-pr-7/index.json")
    assert (page["row"]["env"], page["row"]["git"]) == ("solved", "in sync")
    assert page["preview"]["target"] == {"namespace": "analyst", "name": "demo"}
    assert page["preview"]["title"] == "a newer tiny by ada"
    assert not os.path.lexists(running.link(PREVIEW)), "nothing is installed"
    assert running.page("/index.json")["counts"]["previews"] == 2
    assert [r["key"]["name"] for r in running.page("/index.json")["rows"]] == ["demo"]
    forge.open.clear()
    wait_for(lambda: running.page("/index.json")["counts"]["previews"] == 0, 30)
    assert len(running.builds()) == 1, "its target was never built again"
    assert running.stop() == 0


def test_a_request_that_cannot_be_made_says_why_and_is_mended(
    previewing: Callable[..., Running], repo: GitRepo, forge: Forge
) -> None:
    running = previewing()
    running.start()
    running.wait_current(1)
    bad = request(repo, forge, 7, {FILE: text("tiny=9.9"), "broken.yml": "dependencies: no\n"})
    wait_for(lambda: forge.states(bad).get(CONTEXT) == "failure", 60)
    context = f"{CONTEXT}/analyst/demo"
    wait_for(lambda: forge.texts(bad).get(context, "").startswith(f"{FILE}:3"), 30)
    wait_for(lambda: "broken.yml:1" in "".join(forge.comments.get(7, {}).values()), 30)
    good = request(repo, forge, 7, {FILE: text("tiny=1.1")})
    wait_for(lambda: forge.states(good).get(CONTEXT) == "success", 60)
    wait_for(lambda: "| tiny | 1.0 | 1.1 |" in "".join(forge.comments[7].values()), 30)
    assert len(forge.comments[7]) == 1, "a push changes the comment, and adds none"
    repo.commit({FILE: text("tiny=1.1")}, "merged by hand")
    running.wait_current(2)
    wait_for(lambda: running.page("/index.json")["counts"]["previews"] == 0, 30)
    assert running.page("/index.json")["counts"]["failed"] == 0
    wait_for(lambda: "No environment would change" in "".join(forge.comments[7].values()), 60)
    assert running.stop() == 0


def test_a_request_is_solved_again_when_its_target_moves(
    previewing: Callable[..., Running], repo: GitRepo, forge: Forge
) -> None:
    running = previewing(comment=False)
    running.start()
    running.wait_current(1)
    made = request(repo, forge, 7, {FILE: text("tiny=2.0")})
    context = f"{CONTEXT}/analyst/demo"
    wait_for(lambda: forge.texts(made).get(context) == "tiny 1.0 -> 2.0", 60)
    repo.commit({FILE: text("tiny=1.1")}, "meanwhile")
    running.wait_current(2)
    wait_for(lambda: forge.texts(made).get(context) == "tiny 1.1 -> 2.0", 60)
    assert forge.comments == {}
    assert running.stop() == 0


def test_a_request_may_be_built_beside_what_is_current(
    previewing: Callable[..., Running], repo: GitRepo, forge: Forge
) -> None:
    running = previewing(install=True)
    running.start()
    prefix = running.wait_current(1)
    made = request(repo, forge, 7, {FILE: text("tiny=2.0")})
    running.wait_current(1, PREVIEW)
    assert (running.link(PREVIEW) / "share/tiny/version").read_text() == "2.0"
    assert running.store.pointed(EnvKey("analyst", "demo")) == prefix
    said = "analyst-demo-pr-7 is built: tiny 1.0 -> 2.0"
    wait_for(lambda: forge.texts(made).get(f"{CONTEXT}/analyst/demo") == said, 60)
    repo.git("update-ref", "-d", "refs/pull/7/head")
    wait_for(lambda: not os.path.lexists(running.link(PREVIEW)), 30)
    assert running.stop() == 0
