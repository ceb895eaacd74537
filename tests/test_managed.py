"""Managed sources: real git over real HTTP, judged before anything moves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from managed_helpers import FILE, MIB, Lab, git, push, push_random, served, settings_for, text
from repos import GitRepo

from envwatch.errors import SourceError
from envwatch.model import EnvKey
from envwatch.settings import Role
from envwatch.views import pages


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with served(settings_for(tmp_path / "root")) as lab:
        yield lab


@pytest.fixture
def repo(lab: Lab, tmp_path: Path) -> GitRepo:
    """Ada's clone; the first commit is pushed."""
    repo = lab.clone(tmp_path / "ada", lab.token())
    done = push(repo, {FILE: text("python=3.11")})
    assert done.code == 0, done.told
    return repo


# ---------------------------------------------------------------- pushing and fetching


def test_a_push_moves_the_branch_and_says_what_will_be_built(lab: Lab, repo: GitRepo) -> None:
    done = push(repo, {FILE: text("python=3.12")})
    assert done.code == 0, done.told
    assert lab.tip() == repo.head
    assert done.remote == [
        "people/demo: will be solved and built: https://env.example.org/people/demo/"
    ]


def test_a_push_has_its_source_looked_at(lab: Lab, repo: GitRepo) -> None:
    assert lab.parts.dirty.take(5) == "people"
    lab.parts.look("people")
    env = lab.parts.catalog.generations.environment(EnvKey("people", "demo"))
    assert (env.path, env.revision) == (FILE, repo.head)


def test_a_push_is_in_the_story_of_its_source(lab: Lab, repo: GitRepo) -> None:
    page = pages.source(lab.parts.catalog, "people")
    assert [(e.type, e.message) for e in page.source.events] == [
        ("pushed", f"`main` from nothing to {repo.head[:12]} with the token `ada`")
    ]


def test_a_comment_is_no_change_and_the_push_says_so(lab: Lab, repo: GitRepo) -> None:
    lab.parts.look("people")
    done = push(repo, {FILE: "# why\n" + text("python=3.11")})
    assert done.remote == ["people/demo: no change to build"]


def test_a_file_that_goes_is_told_to_retire_its_environment(lab: Lab, repo: GitRepo) -> None:
    lab.parts.look("people")
    done = push(repo, {FILE: None, "other.yml": text("python", name="other")})
    assert "people/demo: will be retired, for its file is gone" in done.remote


def test_anybody_may_clone_where_the_page_is_open(lab: Lab, repo: GitRepo, tmp_path: Path) -> None:
    done = git(tmp_path, "clone", lab.url(), "copy")
    assert done.code == 0, done.told
    assert (tmp_path / "copy" / FILE).read_text() == text("python=3.11")


@pytest.mark.parametrize(
    "options", [("--depth=1",), ("--filter=blob:none",), ("-c", "protocol.version=0")]
)
def test_a_clone_may_be_shallow_or_partial_or_old_fashioned(
    lab: Lab, repo: GitRepo, tmp_path: Path, options: tuple[str, ...]
) -> None:
    push(repo, {FILE: text("python=3.12")})
    done = git(tmp_path, "clone", *options, lab.url(), "copy")
    assert done.code == 0, done.told
    assert (tmp_path / "copy" / FILE).read_text() == text("python=3.12")
    assert ("--depth=1" in options) is (
        GitRepo(tmp_path / "copy").git("rev-list", "HEAD").count("\n") == 0
    )


def test_refs_are_listed_without_a_clone(lab: Lab, repo: GitRepo) -> None:
    done = git(repo.path, "ls-remote", lab.url())
    assert done.told.splitlines()[0].split() == [repo.head, "HEAD"]


def test_a_fetch_with_a_long_history_is_packed_by_gzip_and_understood(
    lab: Lab, repo: GitRepo
) -> None:
    repo.commit_often(60)
    git(repo.path, "push", "origin", "main")
    other = lab.clone(repo.path.with_name("other"), lab.token("other"))
    push(other, {"x.yml": text("python", name="x")})
    repo.commit_often(60)
    done = git(repo.path, "-c", "protocol.version=0", "fetch", "origin")
    assert done.code == 0, done.told
    assert repo.git("rev-parse", "FETCH_HEAD") == lab.tip()


def test_a_push_of_some_mebibytes_comes_in_pieces_and_is_taken(lab: Lab, repo: GitRepo) -> None:
    done = push_random(repo, 5 * MIB)
    assert done.code == 0, done.told
    assert lab.tip() == repo.head


def test_a_tag_is_kept(lab: Lab, repo: GitRepo) -> None:
    repo.git("tag", "-a", "v1", "-m", "one")
    done = git(repo.path, "push", "origin", "v1")
    assert done.remote == ["`v1` is kept, and not looked at: `main` is what is built"]


def test_a_push_may_bring_a_thousand_refs(lab: Lab, repo: GitRepo) -> None:
    # with long names the hook asks 330 KiB: 256 KiB and one more read were too much once
    refs = [f"main:refs/tags/{n:0245}" for n in range(1000)]
    done = git(repo.path, "push", "--quiet", "origin", *refs)
    assert done.code == 0, done.told[-2000:]
    assert done.remote[-1] == "and 980 more"
    assert lab.refs().count("refs/tags/") == 1000


# ---------------------------------------------------------------- what is refused


BROKEN = "name: demo\ndependencies: python\n"


def test_a_broken_file_is_refused_in_the_terminal_of_the_pusher(lab: Lab, repo: GitRepo) -> None:
    before = lab.refs()
    done = push(repo, {FILE: BROKEN})
    assert done.code == 1
    assert done.remote[0] == "this push is refused, nothing has changed:"
    assert done.remote[1].startswith(f"{FILE}:2:15: `dependencies` must be a list")
    assert "pre-receive hook declined" in done.told
    assert lab.refs() == before
    assert lab.is_whole()


def test_a_channel_that_is_not_allowed_is_refused(lab: Lab, repo: GitRepo) -> None:
    done = push(repo, {FILE: text("python") + "channels: [nvidia]\n"})
    assert done.code == 1
    assert "`nvidia`" in done.remote[1]
    assert lab.tip() != repo.head


def test_a_second_file_of_one_name_is_refused(lab: Lab, repo: GitRepo) -> None:
    lab.parts.look("people")
    done = push(repo, {"a.yml": text("python")})
    assert done.code == 1
    assert f"is defined by {FILE} already" in done.told


def test_an_environment_that_becomes_other_yaml_is_refused(lab: Lab, repo: GitRepo) -> None:
    lab.parts.look("people")
    assert push(repo, {FILE: "packages: []\n"}).code == 1


def test_a_link_is_refused(lab: Lab, repo: GitRepo) -> None:
    (repo.path / "link.yml").symlink_to("/etc/passwd")
    done = push(repo, {})
    assert done.code == 1
    assert "link.yml: the file is a symbolic link" in done.told


def test_what_was_broken_before_is_only_warned_of(lab: Lab, repo: GitRepo) -> None:
    broken = GitRepo(repo.path).commit({"old.yml": "name: old\ndependencies: no\n"})
    lab.bare.run("fetch", "--quiet", repo.path.as_uri(), f"{broken}:refs/heads/main")
    done = push(repo, {FILE: text("python=3.12")})
    assert done.code == 0, done.told
    assert done.remote[0].startswith("warning: old.yml:2:15: ")


def test_another_branch_is_kept_unchecked_and_it_says_so(lab: Lab, repo: GitRepo) -> None:
    repo.git("checkout", "--quiet", "-b", "try")
    head = repo.commit({FILE: BROKEN})
    done = git(repo.path, "push", "origin", "try")
    assert done.code == 0, done.told
    assert done.remote == ["`try` is kept, and not looked at: `main` is what is built"]
    assert lab.tip("try") == head


def test_a_force_push_is_refused(lab: Lab, repo: GitRepo) -> None:
    before = lab.tip()
    repo.git("commit", "--quiet", "--amend", "--message", "other")
    done = git(repo.path, "push", "--force", "origin", "main")
    assert done.code == 1
    assert "this would rewrite the history of `main`: fetch, merge and push again" in done.told
    assert lab.tip() == before


def test_a_branch_is_not_deleted(lab: Lab, repo: GitRepo) -> None:
    git(repo.path, "push", "origin", "main:other")
    for branch in ("main", "other"):
        done = git(repo.path, "push", "origin", f":{branch}")
        assert done.code == 1
        assert f"`{branch}` is not deleted" in done.told or "deletion prohibited" in done.told
        assert lab.tip(branch) == repo.head


def test_a_push_with_a_bad_branch_moves_no_other_one(lab: Lab, repo: GitRepo) -> None:
    before = lab.refs()
    repo.commit({FILE: BROKEN})
    assert git(repo.path, "push", "origin", "main", "main:other").code == 1
    assert lab.refs() == before


def test_a_branch_that_would_stand_in_the_way_of_main_is_refused(lab: Lab, tmp_path: Path) -> None:
    repo = lab.clone(tmp_path / "ada", lab.token())
    head = repo.commit({FILE: text("python")})
    done = git(repo.path, "push", "origin", "main:refs/heads/main/x")
    assert "`main/x` would stand in the way of `main`" in done.told
    lab.bare.run("fetch", "--quiet", repo.path.as_uri(), f"{head}:refs/heads/main/x")
    assert not lab.tip()


def test_refs_of_our_own_are_nobodys(lab: Lab, repo: GitRepo) -> None:
    assert git(repo.path, "push", "origin", "main:refs/envwatch/x").code == 1
    assert "refs/envwatch" not in lab.refs()


def test_a_push_past_the_daemon_does_not_go_unchecked_by_its_hook(lab: Lab, repo: GitRepo) -> None:
    repo.commit({FILE: BROKEN})
    hooks = f"core.hooksPath={lab.parts.store.managed / 'hooks'}"
    done = git(lab.bare.path, "-c", hooks, "fetch", "--quiet", str(repo.path), "main")
    assert done.code == 0
    receive = f"--receive-pack=git -c {hooks} receive-pack"
    done = git(repo.path, "push", receive, str(lab.bare.path), "main")
    assert done.code == 1
    assert "envwatch: pushes go over HTTP" in done.told


# ---------------------------------------------------------------- two people


def test_the_slower_of_two_editors_is_told_to_fetch(lab: Lab, repo: GitRepo) -> None:
    other = lab.clone(repo.path.with_name("ben"), lab.token("ben"))
    assert push(other, {FILE: text("python=3.12")}).code == 0
    done = push(repo, {FILE: text("python=3.10")})
    assert done.code == 1
    assert "fetch first" in done.told
    assert lab.tip() == other.head
    assert git(repo.path, "pull", "--rebase", "origin", "main").code == 1
    repo.git("rebase", "--abort")


def test_of_pushes_at_the_same_time_one_wins_and_the_repository_is_whole(
    lab: Lab, repo: GitRepo
) -> None:
    others = [lab.clone(repo.path.with_name(f"p{n}"), lab.token(f"p{n}")) for n in range(6)]
    codes: list[int] = []
    pushes = [
        threading.Thread(target=lambda o=o, n=n: codes.append(push(o, {f"{n}.txt": "x"}).code))
        for n, o in enumerate(others)
    ]
    for one in pushes:
        one.start()
    for one in pushes:
        one.join()
    assert codes.count(0) >= 1
    assert lab.tip() in [o.head for o in others]
    assert len(lab.bare.run("rev-list", "main").split()) == 1 + codes.count(0)
    assert lab.is_whole()


# ---------------------------------------------------------------- tokens


def fails(lab: Lab, repo: GitRepo, token: str) -> str:
    before = lab.refs()
    repo.commit({FILE: text("python=3.12")})
    done = git(repo.path, "push", lab.url(token), "main")
    assert done.code == 128
    assert lab.refs() == before
    assert token not in done.told or not token
    return done.told


def test_a_push_without_a_token_is_asked_for_one(lab: Lab, repo: GitRepo) -> None:
    assert "could not read Username" in fails(lab, repo, "")


def test_a_wrong_token_is_refused(lab: Lab, repo: GitRepo) -> None:
    assert "Authentication failed" in fails(lab, repo, "guess")


def test_a_revoked_token_is_refused(lab: Lab, repo: GitRepo) -> None:
    token = lab.token("gone")
    lab.parts.catalog.tokens.revoke("gone")
    assert "Authentication failed" in fails(lab, repo, token)


def test_an_expired_token_is_refused(lab: Lab, repo: GitRepo) -> None:
    token = lab.token("old", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert "Authentication failed" in fails(lab, repo, token)


def test_a_token_of_another_namespace_is_refused_with_the_reason(lab: Lab, repo: GitRepo) -> None:
    told = fails(lab, repo, lab.token("foreign", "team-*"))
    assert "remote: the token `foreign` may not push to `people`" in told


def test_a_token_to_read_does_not_push(lab: Lab, repo: GitRepo) -> None:
    told = fails(lab, repo, lab.token("reader", "*", role=Role.VIEWER))
    assert "remote: the token `reader` may not push to `people`" in told


def test_a_repository_that_is_not_there_is_not_found(lab: Lab, tmp_path: Path) -> None:
    done = git(tmp_path, "clone", lab.url(namespace="nobody"), "copy")
    assert done.code == 128
    assert "not found" in done.told


# ---------------------------------------------------------------- limits and kills


def test_a_push_that_is_too_large_is_refused_with_the_limit(tmp_path: Path) -> None:
    with served(settings_for(tmp_path / "root", max_push=2 * MIB)) as lab:
        repo = lab.clone(tmp_path / "ada", lab.token())
        done = push_random(repo, 3 * MIB)
        assert done.code == 1
        assert "pack exceeds maximum allowed size" in done.told
        assert not lab.refs()
        assert lab.is_whole()


def test_a_push_far_beyond_the_limit_is_not_even_read(tmp_path: Path) -> None:
    with served(settings_for(tmp_path / "root", max_push=MIB)) as lab:
        repo = lab.clone(tmp_path / "ada", lab.token())
        done = push_random(repo, 40 * MIB)
        assert done.code != 0
        assert "413" in done.told or "hung up" in done.told
        assert not lab.refs()


def test_a_repository_that_is_lost_retires_nothing(lab: Lab, repo: GitRepo) -> None:
    lab.parts.look("people")
    lab.bare.path.rename(lab.bare.path.with_name("away"))
    with pytest.raises(SourceError, match=r"`people\.git` is gone"):
        lab.parts.look("people")
    lab.bare.prepare()
    lab.parts.look("people")
    env = lab.parts.catalog.generations.environment(EnvKey("people", "demo"))
    assert env.retired_at is None


def test_a_changed_config_of_the_repository_is_put_right(lab: Lab) -> None:
    config = lab.bare.path / "config"
    before = config.read_text()
    config.write_text("[core]\n\tbare = false\n\tfsmonitor = touch owned\n")
    lab.bare.prepare()
    assert config.read_text() == before
