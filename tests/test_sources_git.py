"""What of a commit becomes a snapshot."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from git_helpers import CORPUS, SPEC, Repo, git, new_repo

from envwatch.errors import SourceError, SourceStalled
from envwatch.git.mirrors import Mirrors
from envwatch.model import Snapshot, SourceFile
from envwatch.settings import SourceKind, SourceSettings
from envwatch.sources import Source, open_source


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = new_repo(tmp_path / "work")
    repo.commit({"a.yml": SPEC})
    return repo


def source_of(tmp_path: Path, url: str, **changes: Any) -> Source:
    settings = SourceSettings("team", SourceKind.GIT, "analyst", url=url, branch="main", **changes)
    return open_source(settings, mirrors=Mirrors(tmp_path / "mirrors"))


def snapshot(tmp_path: Path, repo: Repo, **changes: Any) -> Snapshot:
    return source_of(tmp_path, repo.url, **changes).snapshot()


def by_path(snapshot: Snapshot) -> dict[str, SourceFile]:
    return {file.path: file for file in snapshot.files}


def problem(snapshot: Snapshot, path: str) -> str:
    found = by_path(snapshot)[path]
    assert found.data is None
    assert found.problem is not None
    assert found.problem.path == path
    return found.problem.text


def test_a_snapshot_names_its_commit(tmp_path: Path, repo: Repo) -> None:
    revision = repo.commit({"b/c.yaml": SPEC}, "Add c")
    taken = snapshot(tmp_path, repo)
    assert (taken.source, taken.revision) == ("team", revision)
    assert taken.commit is not None
    assert (taken.commit.author, taken.commit.subject) == ("Ada", "Add c")
    assert taken.files[1] == SourceFile(
        "b/c.yaml", repo.git("rev-parse", "HEAD:b/c.yaml"), SPEC.encode()
    )


def test_a_commit_without_files_is_authoritative(tmp_path: Path, repo: Repo) -> None:
    repo.commit({"a.yml": None})
    taken = snapshot(tmp_path, repo)
    assert taken.files == ()
    assert taken.authoritative


def test_a_file_that_may_be_run_is_read(tmp_path: Path, repo: Repo) -> None:
    (repo.path / "a.yml").chmod(0o755)
    repo.commit({})
    assert by_path(snapshot(tmp_path, repo))["a.yml"].data == SPEC.encode()


def test_a_link_is_told_and_not_followed(tmp_path: Path, repo: Repo) -> None:
    (repo.path / "shadow.yml").symlink_to("/etc/shadow")
    repo.commit({})
    taken = snapshot(tmp_path, repo)
    assert "symbolic link" in problem(taken, "shadow.yml")
    assert by_path(taken)["a.yml"].data == SPEC.encode()


def test_a_submodule_is_told_and_not_fetched(tmp_path: Path, repo: Repo) -> None:
    commit = repo.git("rev-parse", "HEAD")
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{commit},sub.yml")
    repo.git("commit", "-q", "-m", "sub")
    assert "submodules are not fetched" in problem(snapshot(tmp_path, repo), "sub.yml")


@pytest.mark.parametrize("mode", ["120000", "160000"])
def test_a_folder_to_include_that_is_none_is_told(tmp_path: Path, repo: Repo, mode: str) -> None:
    oid = repo.git("rev-parse", "HEAD") if mode == "160000" else repo.blob(b"/etc")
    repo.git("update-index", "--add", "--cacheinfo", f"{mode},{oid},envs")
    repo.git("commit", "-q", "-m", "envs")
    taken = snapshot(tmp_path, repo, include=("envs/*.yml",))
    assert taken.files == ()
    assert [message.path for message in taken.messages] == ["envs"]


@pytest.mark.parametrize(
    ("name", "as_shown"),
    [
        (b"\xff\xfe.yml", "\\xff\\xfe.yml"),
        (b"a\nb.yml", "a\\nb.yml"),
        (b"\x1b[31m.yml", "\\x1b[31m.yml"),
        ("\u202egnp.yml".encode(), "\\u202egnp.yml"),
    ],
)
def test_a_name_that_does_not_print_is_shown_escaped(
    tmp_path: Path, repo: Repo, name: bytes, as_shown: str
) -> None:
    repo.commit_tree(f"100644 blob {repo.blob(SPEC.encode())}\t".encode() + name + b"\0")
    assert "do not print" in problem(snapshot(tmp_path, repo), as_shown)


def test_names_that_lead_out_of_the_repository_are_refused_alone(
    tmp_path: Path, repo: Repo
) -> None:
    blob = repo.blob(SPEC.encode())
    up = repo.git("mktree", "-z", data=f"100644 blob {blob}\tevil.yml\0".encode())
    repo.commit_tree(f"040000 tree {up}\t..\0".encode() + f"100644 blob {blob}\tok.yml\0".encode())
    taken = snapshot(tmp_path, repo, include=("../*.yml", "*.yml"))
    assert problem(taken, "../evil.yml") == "the name of the file is no path"
    assert by_path(taken)["ok.yml"].data == SPEC.encode()


def test_a_lock_may_be_larger_than_a_specification(tmp_path: Path, repo: Repo) -> None:
    repo.commit({"conda-lock.yml": "x" * 100_000, "big.yml": "x" * 100_000})
    taken = snapshot(tmp_path, repo)
    assert len(by_path(taken)["conda-lock.yml"].data or b"") == 100_000
    assert problem(taken, "big.yml") == "the file is too large: the limit is 64 KiB"


def test_one_blob_under_two_names_has_the_limit_of_each(tmp_path: Path, repo: Repo) -> None:
    repo.commit({"conda-lock.yml": "x" * 100_000, "a.yml": "x" * 100_000})
    source = source_of(tmp_path, repo.url)
    for _ in range(2):
        repo.commit({"other.txt": os.urandom(8)})
        taken = source.snapshot()
        assert by_path(taken)["conda-lock.yml"].data is not None
        assert "too large" in problem(taken, "a.yml")


def test_too_many_files_are_refused(tmp_path: Path, repo: Repo) -> None:
    repo.commit({f"{number}.yml": SPEC for number in range(5)})
    with pytest.raises(SourceError, match="more than 5 files match"):
        snapshot(tmp_path, repo, max_files=5)


def test_files_that_do_not_match_are_not_counted(tmp_path: Path, repo: Repo) -> None:
    repo.commit({f"{number}.txt": "x" for number in range(50)})
    assert len(snapshot(tmp_path, repo, max_files=5).files) == 1


def test_a_file_kept_by_lfs_is_told_and_not_read(tmp_path: Path, repo: Repo) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"
    repo.commit({".gitattributes": "*.yml filter=lfs\n"})
    repo.git("config", "filter.lfs.clean", "cat")
    repo.commit({"a.yml": pointer})
    assert "Git LFS" in problem(snapshot(tmp_path, repo), "a.yml")


def test_what_did_not_change_is_not_read_twice(tmp_path: Path, repo: Repo) -> None:
    source = source_of(tmp_path, repo.url)
    first = by_path(source.snapshot())["a.yml"].data
    repo.commit({"b.yml": "b"})
    assert by_path(source.snapshot())["a.yml"].data is first


def test_the_same_commit_is_the_same_snapshot(tmp_path: Path, repo: Repo) -> None:
    source = source_of(tmp_path, repo.url)
    assert source.snapshot() is source.snapshot()


def test_other_globs_are_another_fingerprint(tmp_path: Path, repo: Repo) -> None:
    one = source_of(tmp_path, repo.url)
    other = source_of(tmp_path, repo.url, include=("envs/*.yml",))
    assert one.fingerprint() != other.fingerprint()


def test_two_branches_share_one_mirror(tmp_path: Path, repo: Repo) -> None:
    repo.git("branch", "old")
    repo.commit({"a.yml": "new"})
    new = source_of(tmp_path, repo.url)
    old = open_source(
        SourceSettings("old", SourceKind.GIT, "x", url=repo.url, branch="old"),
        mirrors=Mirrors(tmp_path / "mirrors"),
    )
    assert by_path(new.snapshot())["a.yml"].data == b"new"
    assert by_path(old.snapshot())["a.yml"].data == SPEC.encode()
    assert len(list((tmp_path / "mirrors").glob("*.git"))) == 1


def test_an_unsafe_address_is_refused_before_git_runs(tmp_path: Path) -> None:
    with pytest.raises(SourceStalled, match="is not an address that is used"):
        source_of(tmp_path, "ext::sh -c true")


# ---------------------------------------------------------------- what to watch


def test_the_refs_of_a_work_tree_are_watched(tmp_path: Path, repo: Repo) -> None:
    folder = repo.path / ".git"
    watched = source_of(tmp_path, repo.url).watch_paths()
    assert watched == (folder / "refs", folder / "packed-refs", folder / "HEAD")


def test_the_refs_of_a_bare_repository_are_watched(tmp_path: Path, repo: Repo) -> None:
    git(tmp_path, "clone", "-q", "--bare", repo.url, "bare.git")
    watched = source_of(tmp_path, f"file://{tmp_path}/bare.git").watch_paths()
    assert watched[0] == tmp_path / "bare.git" / "refs"


def test_the_refs_behind_a_linked_work_tree_are_watched(tmp_path: Path, repo: Repo) -> None:
    repo.git("worktree", "add", "-q", str(tmp_path / "linked"), "-b", "other")
    watched = source_of(tmp_path, str(tmp_path / "linked")).watch_paths()
    assert watched[0] == repo.path / ".git" / "refs"


def test_nothing_is_watched_for_a_remote_repository(tmp_path: Path) -> None:
    assert source_of(tmp_path, "https://example.org/x.git").watch_paths() == ()
    assert source_of(tmp_path, str(tmp_path / "missing")).watch_paths() == ()


# ---------------------------------------------------------------- the hostile corpus

OK = {"envs/ok.yaml": ""}
BUNDLES: dict[str, dict[str, str]] = {
    "git-case-collision": {"envs/Demo.yaml": "", "envs/demo.yaml": ""},
    "git-commit-message": OK,
    "git-dotdot-path": OK,
    "git-dotgit-path": OK,
    "git-empty-repo": {},
    "git-force-push": OK,
    "git-gitattributes-filter": OK,
    "git-large-blob": OK | {"envs/big.yaml": "too large"},
    "git-lfs-pointer": OK,
    "git-ref-names": OK,
    "git-same-name-twice": {"envs/a.yaml": "", "envs/b.yaml": ""},
    "git-submodule": {},
    "git-symlink-dir": {},
    "git-symlink-inside": {"envs/a.yaml": "", "envs/b.yaml": "symbolic link"},
    "git-weird-names": OK
    | {
        "envs/--help.yaml": "",
        "envs/<svg onload=alert(1)>.yaml": "",
        "envs/\\x1b[31mred.yaml": "do not print",
        "envs/a\\nb.yaml": "do not print",
        "envs/\\u202egnp.yaml": "do not print",
        "envs/\\xff\\xfe.yaml": "do not print",
    },
}


def corpus_source(tmp_path: Path, name: str) -> Source:
    bundle = CORPUS / "git" / f"{name}.bundle"
    if not bundle.is_file():
        pytest.skip("the corpus is not here")
    git(tmp_path, "clone", "-q", "--bare", str(bundle), "hostile.git")
    return source_of(tmp_path, str(tmp_path / "hostile.git"), include=("envs/*.yaml",))


@pytest.mark.parametrize("name", BUNDLES)
def test_a_hostile_repository_is_read_as_far_as_it_is_harmless(tmp_path: Path, name: str) -> None:
    taken = corpus_source(tmp_path, name).snapshot()
    assert {file.path for file in taken.files} == BUNDLES[name].keys()
    for file in taken.files:
        said = file.problem.text if file.problem else ""
        assert BUNDLES[name][file.path] in said
        assert bool(said) == (file.data is None)


@pytest.mark.parametrize("name", ["git-submodule", "git-symlink-dir"])
def test_a_hostile_folder_is_told(tmp_path: Path, name: str) -> None:
    assert [m.path for m in corpus_source(tmp_path, name).snapshot().messages] == ["envs"]


def test_a_hostile_tree_is_refused_soon(tmp_path: Path) -> None:
    source = corpus_source(tmp_path, "git-tree-bomb")
    with pytest.raises(SourceError, match="too many files"):
        source.snapshot()


def test_a_hostile_commit_is_told_on_one_line(tmp_path: Path) -> None:
    commit = corpus_source(tmp_path, "git-commit-message").snapshot().commit
    assert commit is not None
    for text in (commit.author, commit.email, commit.subject):
        assert text.isprintable()
        assert len(text) <= 200


def test_a_force_push_of_other_history_is_followed(tmp_path: Path) -> None:
    source = corpus_source(tmp_path, "git-force-push")
    before = source.snapshot()
    subprocess.run(
        ("git", "-C", tmp_path / "hostile.git", "branch", "-f", "main", "rewritten"), check=True
    )
    assert source.snapshot().revision != before.revision
