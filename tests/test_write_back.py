"""Locks are written back to a branch of the remote, and never make work of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from writeback_helpers import BRANCH, FILE, KEY, LIST, LOCK, Lab, lab_on, opened, text

from envwatch.catalog.schema import WriteState
from envwatch.model import ArtifactKind, BuildState, GitState
from envwatch.views import pages
from envwatch.worker.preview import Move, preview


@pytest.fixture
def lab(tmp_path: Path, channel: Path) -> Iterator[Lab]:
    with lab_on(tmp_path, channel, {FILE: text("tiny=1.0")}) as lab:
        yield lab


def installed(lab: Lab) -> str:
    """The lock file of the current generation."""
    current = lab.parts.catalog.generations.get(KEY, lab.env.current or 0)
    return (lab.parts.store.record(current.build_id) / ArtifactKind.LOCK).read_text()


# ---------------------------------------------------------------- what is written


def test_a_lock_and_its_list_are_one_commit_on_top_of_what_is_followed(lab: Lab) -> None:
    assert lab.settle() == 1
    assert lab.changed() == [LOCK, LIST]
    assert lab.show(LOCK) == installed(lab).strip()
    assert lab.told("%P") == lab.tip("main")
    assert lab.show(FILE) == text("tiny=1.0").strip()


def test_the_commit_is_the_bots_and_says_what_it_is_of(lab: Lab) -> None:
    lab.settle()
    assert lab.told("%an <%ae> %cn <%ce>") == " ".join(["Locks Bot <locks@example.org>"] * 2)
    assert lab.told("%B").splitlines() == [
        "Lock 1 environment",
        "",
        "analyst/demo #1: 1 packages, locked for the first time",
        "",
        f"Envwatch-Revision: {lab.tip('main')}",
    ]


def test_the_list_has_a_line_for_each_package(lab: Lab, channel: Path) -> None:
    lab.settle()
    head, _, lines = lab.show(LIST).partition("\n\n")
    assert head.startswith("# made by envwatch")
    assert lines.splitlines()[0].startswith("[linux-")
    assert lines.splitlines()[1].split()[:2] == ["tiny", "1.0"]
    assert lines.splitlines()[1].split()[3] == channel.as_uri()


def test_all_environments_of_a_source_come_in_one_commit(lab: Lab) -> None:
    lab.push({"more/stats.yml": text("tiny=2.0", name="stats")})
    assert lab.settle() == 2
    assert lab.told("%s") == "Lock 2 environments"
    assert "more/stats.conda-lock.yml" in lab.changed()
    assert lab.forge.git("rev-list", "--count", f"main..{BRANCH}") == "1"


def test_nothing_is_written_while_something_is_being_built(lab: Lab) -> None:
    lab.parts.look("team")
    lab.write()
    assert lab.tip() == ""
    lab.settle()
    lab.push({"more/stats.yml": text("tiny=2.0", name="stats")})
    before = lab.tip()
    lab.parts.look("team")
    lab.write()
    assert (lab.tip(), lab.state.state) == (before, WriteState.WAITING)


def test_what_changed_is_told_against_the_lock_that_is_followed(lab: Lab) -> None:
    lab.settle()
    lab.merge()
    lab.push({FILE: text("tiny=2.0")})
    assert lab.settle() == 1
    assert "analyst/demo #2: tiny 1.0" in lab.told("%B")
    assert "-> 2.0" in lab.told("%B")


def test_an_environment_that_cannot_be_built_keeps_the_lock_that_it_has(lab: Lab) -> None:
    lab.settle()
    lab.merge()
    lab.push({FILE: text("no-such-package")})
    before = lab.tip()
    lab.settle()
    assert lab.tip() == before


# ---------------------------------------------------------------- it converges


def test_a_merged_lock_builds_nothing_and_writes_nothing(lab: Lab) -> None:
    assert lab.settle() == 1
    lab.merge()
    before = lab.tip()
    assert lab.settle() == 0
    assert lab.settle() == 0
    assert (lab.tip(), len(lab.builds), lab.env.current) == (before, 1, 1)
    assert pages.environment(lab.parts.catalog, KEY).row.git is GitState.IN_SYNC


def test_a_plan_says_that_a_merged_lock_changes_nothing(lab: Lab) -> None:
    lab.settle()
    lab.merge()
    told = preview(lab.parts.worker, lab.parts.plan("team"))
    assert [p.move for p in told.proposals] == [Move.SAME]


def test_a_merged_lock_is_what_the_next_change_is_compared_with(lab: Lab) -> None:
    lab.settle()
    lab.merge()
    lab.settle()
    lab.push({FILE: text("tiny=1.0", "stepped")})
    assert lab.settle() == 1, "the lock beside is stale now, and a new one is made"
    lab.merge()
    assert lab.settle() == 0
    assert lab.show(LOCK, "main") == installed(lab).strip()


def test_a_reverted_lock_brings_its_generation_back(lab: Lab) -> None:
    lab.push({FILE: text("tiny")})
    lab.settle()
    lab.merge()
    first = lab.show(LOCK, "main")
    lab.settle()
    lab.push({LOCK: lab.show(LOCK, "main") + "\n# another state\n"})
    assert lab.settle() == 1
    lab.work.git("revert", "--no-edit", "HEAD")
    lab.work.git("push", "--quiet", "origin", "main")
    assert lab.settle() == 1
    assert lab.builds[0].reused
    assert installed(lab).strip() == first


def test_a_branch_that_was_deleted_is_not_made_again_without_a_reason(lab: Lab) -> None:
    lab.settle()
    lab.forge.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    lab.settle()
    assert lab.tip() == ""
    lab.push({FILE: text("tiny=2.0")})
    lab.settle()
    assert lab.told("%P") == lab.tip("main")


def test_a_newer_commit_takes_the_place_of_an_older_one_of_ours(lab: Lab) -> None:
    lab.settle()
    lab.push({FILE: text("tiny=2.0")})
    lab.settle()
    assert lab.told("%P") == lab.tip("main")
    assert lab.forge.git("rev-list", "--count", f"main..{BRANCH}") == "1"


# ---------------------------------------------------------------- the branch is not ours alone


def commit_on_branch(lab: Lab) -> str:
    """Somebody pushes to the branch of locks."""
    lab.work.git("fetch", "--quiet", "origin", BRANCH)
    lab.work.git("switch", "--quiet", "--detach", "FETCH_HEAD")
    made = lab.work.commit({"notes.txt": "mine"}, "mine")
    lab.work.git("push", "--quiet", "origin", f"HEAD:{BRANCH}")
    lab.work.git("switch", "--quiet", "main")
    return made


def test_commits_of_others_on_the_branch_are_not_overwritten(lab: Lab) -> None:
    lab.settle()
    theirs = commit_on_branch(lab)
    lab.push({FILE: text("tiny=2.0")})
    lab.settle()
    assert lab.tip() == theirs
    assert lab.state.state is WriteState.STALLED
    assert "holds commits that are not envwatch's" in lab.state.message


def test_an_amended_commit_of_ours_is_not_overwritten(lab: Lab) -> None:
    lab.settle()
    lab.work.git("fetch", "--quiet", "origin", BRANCH)
    lab.work.git("switch", "--quiet", "--detach", "FETCH_HEAD")
    lab.work.git("commit", "--quiet", "--amend", "--no-edit")
    lab.work.git("push", "--quiet", "--force", "origin", f"HEAD:{BRANCH}")
    lab.work.git("switch", "--quiet", "main")
    theirs = lab.tip()
    lab.push({FILE: text("tiny=2.0")})
    lab.settle()
    assert (lab.tip(), lab.state.state) == (theirs, WriteState.STALLED)


def test_it_goes_on_when_the_others_have_left_the_branch(lab: Lab) -> None:
    lab.settle()
    commit_on_branch(lab)
    lab.push({FILE: text("tiny=2.0")})
    lab.settle()
    lab.forge.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    lab.again()
    lab.write()
    assert (lab.told("%P"), lab.state.state) == (lab.tip("main"), WriteState.OK)


def test_a_lock_that_would_lie_in_a_file_is_refused_in_words(lab: Lab) -> None:
    lab.push({f"{LOCK}/x.txt": "in the way"})
    lab.settle()
    assert lab.state.state is WriteState.STALLED
    assert f"`{LOCK}/x.txt` stands in the way" in lab.state.message


# ---------------------------------------------------------------- faults


def hook(lab: Lab, name: str, line: str) -> None:
    """What the remote does when somebody pushes."""
    file = lab.forge.path / "hooks" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o755)
    lab.forge.git("config", "core.hooksPath", str(file.parent))


def test_a_remote_that_was_away_gets_its_locks_when_it_is_back(lab: Lab, tmp_path: Path) -> None:
    lab.parts.look("team")
    assert lab.parts.worker.run_one()
    lab.forge.path.rename(tmp_path / "away")
    lab.write()
    assert lab.state.state is WriteState.FAILING
    assert lab.state.next_at is not None
    (tmp_path / "away").rename(lab.forge.path)
    lab.again()
    lab.write()
    assert (lab.changed(), lab.state.failures) == ([LOCK, LIST], 0)


def test_a_remote_that_takes_no_push_says_why(lab: Lab) -> None:
    hook(lab, "update", "echo 'only people push here' >&2; exit 1")
    lab.settle()
    assert lab.state.state is WriteState.STALLED
    assert "only people push here" in lab.state.message


def test_what_was_pushed_and_not_noted_is_not_pushed_again(
    lab: Lab, tmp_path: Path, channel: Path
) -> None:
    lab.settle()
    before = lab.tip()
    # as if the daemon had been killed between the push and its note of it
    lab.parts.catalog.writebacks.declare([])
    lab.again()
    lab.write()
    assert (lab.tip(), lab.state.revision, lab.state.state) == (before, before, WriteState.OK)


def test_a_branch_that_is_moved_meanwhile_is_not_overwritten(lab: Lab) -> None:
    lab.settle()
    main = lab.tip("main")
    lab.push({FILE: text("tiny=2.0")})
    hook(lab, "pre-receive", f"echo {main} > refs/heads/{BRANCH}")
    lab.parts.look("team")
    assert lab.parts.worker.run_one()
    lab.write()
    assert (lab.tip(), lab.state.state) == (main, WriteState.STALLED)


def test_an_ended_daemon_goes_on_where_it_was(tmp_path: Path, channel: Path) -> None:
    with lab_on(tmp_path, channel, {FILE: text("tiny=1.0")}) as lab:
        lab.parts.look("team")
        assert lab.parts.worker.run_one()
        work, forge = lab.work, lab.forge
    with opened(tmp_path, channel) as parts:
        again = Lab(parts, work, forge)
        again.write()
        assert again.changed() == [LOCK, LIST]
        assert again.builds[0].state is BuildState.READY
