"""A real daemon writes locks back by itself, and comes to rest when they are merged."""

from __future__ import annotations

from pathlib import Path

from repos import GitRepo, make_repo
from running import Running, text
from waiting import wait_for

BRANCH = "refs/heads/envwatch/locks"


def tip(forge: GitRepo) -> str:
    return forge.git("for-each-ref", "--format=%(objectname)", BRANCH)


def merge(work: GitRepo) -> None:
    work.git("pull", "--quiet", "--ff-only", "origin", BRANCH)
    work.git("push", "--quiet", "origin", "main")


def test_a_push_is_built_written_back_merged_and_all_is_quiet(
    tmp_path: Path, channel: Path
) -> None:
    work = make_repo(tmp_path / "work")
    work.commit({"environment.yml": text("tiny")}, "first")
    forge = work.bare(tmp_path / "forge.git")
    source = {"name": "team", "git": str(forge.path), "branch": "main", "namespace": "analyst"}
    running = Running(tmp_path, channel, [{**source, "interval": "1s", "write_back": {}}])
    running.start()
    try:
        written = wait_for(lambda: tip(forge), 60, "the branch of locks")
        merge(work)
        tells = lambda: running.page("/source.json?name=team")["source"]  # noqa: E731
        wait_for(lambda: tells()["record"]["revision"] == written, 60, "a look at the merge")
        wait_for(lambda: tells()["locks"]["state"] == "ok", 60, "nothing to write")
        assert (tip(forge), len(running.builds())) == (written, 1)
    finally:
        running.stop()
