"""Addresses, the git process and mirrors."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from git_helpers import CORPUS, SPEC, Repo, git, new_repo
from waiting import wait_for

from envwatch.errors import SourceError, SourceStalled
from envwatch.git.mirror import Mirror
from envwatch.git.mirrors import Mirrors
from envwatch.git.refs import Tip, full_ref, resolve, wanted
from envwatch.git.remote import explain
from envwatch.git.run import GitFailed, Surroundings, run_git
from envwatch.git.tree import Tree, parse_commit
from envwatch.git.urls import address, check_url, local_path, shown, transport
from envwatch.settings import NO_CREDENTIALS, SourceKind, SourceSettings

# ---------------------------------------------------------------- addresses

REFUSED = [
    "",
    "ext::sh -c touch% /tmp/canary",
    "fd::17/foo",
    "--upload-pack=touch /tmp/canary",
    "-u/bin/true",
    "ssh://-oProxyCommand=touch/x",
    "ssh://git@-oProxyCommand=x/y",
    "git@-oProxyCommand=x:y",
    "-oProxyCommand=x@host:y",
    "git@host:-x",
    "HTTP::http://127.0.0.1/x",
    "testgit::x",
    "http://127.0.0.1/x",
    "HTTPS://example.org/x",
    "https://example.org/x\n.git",
    "https://example.org/x\0.git",
    "https://example.org/x.git?a=b",
    "https://example.org/x.git#main",
    "https://example.org",
    "https:///x",
    "git://127.0.0.1/x",
    "rsync://127.0.0.1/x",
    "C:\\x",
    "$HOME/x",
    "~root/x",
    "relative/path",
    "../x",
    "file://host/x",
    "https://[::1/x",
]


@pytest.mark.parametrize("url", REFUSED)
def test_unsafe_addresses_are_refused(url: str) -> None:
    with pytest.raises(SourceStalled):
        check_url(url)


def test_unsafe_addresses_of_the_corpus_are_refused() -> None:
    file = CORPUS / "url" / "git-urls.json"
    if not file.is_file():
        pytest.skip("the corpus is not here")
    # A path that is no repository is an address all the same, and fails when it is read.
    listed = [url for url in json.loads(file.read_text())["refuse"] if url != "file:///etc"]
    accepted = [url for url in listed if not _refuses(url)]
    assert listed
    assert accepted == []


def _refuses(url: str) -> bool:
    try:
        check_url(url)
    except SourceStalled:
        return True
    return False


@pytest.mark.parametrize(
    ("url", "uses"),
    [
        ("https://example.org/group/environments.git", "https"),
        ("https://example.org:8443/x", "https"),
        ("ssh://git@example.org:2222/x.git", "ssh"),
        ("git@example.org:group/x.git", "ssh"),
        ("example.org:x", "ssh"),
        ("file:///srv/git/x.git", "file"),
        ("/srv/git/with space/x", "file"),
    ],
)
def test_plain_addresses_use_their_one_transport(url: str, uses: str) -> None:
    check_url(url)
    assert transport(url) == uses


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2@example.org/x",
        "https://hunter2@example.org/x",
        "https://oauth2:hunter2@example.org/x?y",
        "https://example.org/x?private_token=hunter2",
        "ssh://git:hunter2@example.org/x",
        "http://user:hunter2@example.org/x",
        "git://user:hunter2@example.org/x",
        "user:hunter2@example.org/x",
        "ftp://hunter2@example.org/x#hunter2",
    ],
)
def test_credentials_are_refused_and_never_repeated(url: str) -> None:
    with pytest.raises(SourceStalled) as caught:
        check_url(url)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in shown(url)


def test_a_local_path_becomes_a_file_address_and_back() -> None:
    assert address("/srv/a b#c%d") == "file:///srv/a%20b%23c%25d"
    assert local_path(address("/srv/a b#c%d")) == Path("/srv/a b#c%d")
    assert local_path("https://example.org/x") is None


@pytest.mark.parametrize(
    "branch", ["-x", "a b", "a..b", "a\n", "*", "a:b", "a/", ".a", "a/.b", "a@{1}"]
)
def test_what_is_no_branch_name_is_refused(branch: str) -> None:
    if branch == "-x":
        assert full_ref(branch) == "refs/heads/-x"  # harmless behind its prefix
        return
    with pytest.raises(SourceStalled, match="not the name of a branch"):
        full_ref(branch)


# ---------------------------------------------------------------- reading


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = new_repo(tmp_path / "work")
    repo.commit({"a.yml": SPEC})
    return repo


def mirror_of(tmp_path: Path, url: str, timeout: float = 20.0) -> Mirror:
    return Mirrors(tmp_path / "mirrors").of(url, NO_CREDENTIALS, timeout)


def tip_of(mirror: Mirror, branch: str = "main") -> Tip:
    source = SourceSettings("team", SourceKind.GIT, "x", url=mirror.remote.url, branch=branch)
    mirror.remote.want(wanted(source))
    return resolve(source, mirror.remote.refs(), shown(mirror.remote.url))


def commit_of(revision: str) -> Tip:
    return Tip("refs/heads/main", revision, revision)


def contents(tree: Tree) -> dict[str, bytes | None]:
    entries = list(tree.entries())
    blobs = tree.read({entry.oid: 2**20 for entry in entries})[1]
    return {entry.path: blobs[entry.oid] for entry in entries}


def read(mirror: Mirror, branch: str = "main") -> dict[str, bytes | None]:
    return mirror.read(tip_of(mirror, branch), contents)


def test_a_work_tree_is_read_by_its_commits_alone(tmp_path: Path, repo: Repo) -> None:
    (repo.path / "a.yml").write_text("not committed")
    (repo.path / "b.yml").write_text("not committed")
    assert read(mirror_of(tmp_path, repo.url)) == {"a.yml": SPEC.encode()}


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_bare_repository_is_read(tmp_path: Path, repo: Repo, form: str) -> None:
    git(tmp_path, "clone", "-q", "--bare", repo.url, "bare.git")
    url = form.format(tmp_path / "bare.git")
    assert read(mirror_of(tmp_path, url)) == {"a.yml": SPEC.encode()}


def test_a_path_with_odd_characters_is_read(tmp_path: Path) -> None:
    repo = new_repo(tmp_path / "a b#c%20d:e'é")
    repo.commit({"a.yml": SPEC})
    assert read(mirror_of(tmp_path, repo.url)) == {"a.yml": SPEC.encode()}


def test_a_repository_with_sha256_names_is_read(tmp_path: Path) -> None:
    repo = new_repo(tmp_path / "work")
    shutil.rmtree(repo.path / ".git")
    repo.git("init", "-q", "-b", "main", "--object-format=sha256")
    repo.commit({"a.yml": SPEC})
    assert read(mirror_of(tmp_path, repo.url)) == {"a.yml": SPEC.encode()}


def test_a_commit_is_told_with_author_time_and_subject(tmp_path: Path, repo: Repo) -> None:
    revision = repo.commit({"a.yml": "b"}, "Add b\n\nLong text")
    commit = mirror_of(tmp_path, repo.url).read(commit_of(revision), lambda tree: tree.read({})[0])
    assert (commit.author, commit.email, commit.subject) == ("Ada", "ada@example.org", "Add b")
    assert commit.at is not None
    assert commit.at.isoformat() == "2023-11-14T22:13:20+00:00"


@pytest.mark.parametrize(
    ("raw", "subject"),
    [
        (b"tree x\n\n\x1b[31mred\x07\r\nmore", "[31mred"),
        (b"tree x\n\n" + b"x" * 5000, "x" * 200),
        (b"tree x\nauthor nobody\ncommitter ? <> 99999999999999999999 +0000\n\nok", "ok"),
        (b"tree x\n\n\xff\xfe ok", "�� ok"),
        (b"", ""),
    ],
)
def test_hostile_commits_are_told_on_one_bounded_line(raw: bytes, subject: str) -> None:
    assert parse_commit("0" * 40, raw).subject == subject


def test_a_blob_over_its_limit_is_not_read(tmp_path: Path, repo: Repo) -> None:
    revision = repo.commit({"big.yml": "x" * 1000})
    small = repo.git("rev-parse", "HEAD:a.yml")
    big = repo.git("rev-parse", "HEAD:big.yml")
    mirror = mirror_of(tmp_path, repo.url)
    blobs = mirror.read(commit_of(revision), lambda tree: tree.read({small: 999, big: 999})[1])
    assert blobs == {small: SPEC.encode(), big: None}


def test_a_tree_of_ten_billion_files_is_refused(tmp_path: Path, repo: Repo) -> None:
    line = f"100644 blob {repo.blob(b'x')}"
    for _ in range(10):
        listing = b"".join(f"{line}\tfolder-{i}\0".encode() for i in range(10))
        line = f"040000 tree {repo.git('mktree', '-z', data=listing)}"
    revision = repo.commit_tree(f"{line}\tbomb\0".encode())
    mirror = mirror_of(tmp_path, repo.url)
    with pytest.raises(SourceError, match="too many files"):
        mirror.read(commit_of(revision), lambda tree: list(tree.entries()))


# ---------------------------------------------------------------- branches


def test_a_branch_is_found_by_its_whole_name(tmp_path: Path, repo: Repo) -> None:
    revision = repo.git("rev-parse", "main")
    repo.commit({"a.yml": "other"})
    other = repo.git("rev-parse", "main")
    repo.git("update-ref", "refs/heads/a/main", other)
    repo.git("update-ref", "refs/heads/HEAD", other)
    repo.git("update-ref", "refs/tags/main", other)
    repo.git("update-ref", "refs/heads/refs/heads/main", other)
    repo.git("update-ref", "refs/heads/a\u2028b/refs/heads/main", other)
    repo.git("update-ref", "refs/heads/main", revision)
    assert tip_of(mirror_of(tmp_path, repo.url)).revision == revision
    assert tip_of(mirror_of(tmp_path, repo.url), "a/main").revision == other


def test_no_branch_means_the_one_of_head(tmp_path: Path, repo: Repo) -> None:
    repo.git("checkout", "-q", "-b", "trunk")
    revision = repo.commit({"a.yml": "trunk"})
    mirror = mirror_of(tmp_path, repo.url)
    assert tip_of(mirror, "").revision == revision
    assert read(mirror, "") == {"a.yml": b"trunk"}


def test_an_annotated_tag_is_read_by_its_commit(tmp_path: Path, repo: Repo) -> None:
    repo.git("tag", "-a", "-m", "one", "v1")
    assert read(mirror_of(tmp_path, repo.url), "refs/tags/v1") == {"a.yml": SPEC.encode()}


def test_a_missing_branch_waits_for_a_person(tmp_path: Path, repo: Repo) -> None:
    with pytest.raises(SourceStalled, match="has no branch `other`"):
        tip_of(mirror_of(tmp_path, repo.url), "other")


def test_an_empty_repository_waits_for_a_commit(tmp_path: Path) -> None:
    repo = new_repo(tmp_path / "empty")
    with pytest.raises(SourceStalled, match="has no commit yet"):
        tip_of(mirror_of(tmp_path, repo.url), "")


def test_a_folder_without_repository_waits_for_a_person(tmp_path: Path) -> None:
    with pytest.raises(SourceStalled, match="is not a git repository"):
        tip_of(mirror_of(tmp_path, str(tmp_path)))


def test_a_repository_that_is_away_is_tried_again(tmp_path: Path, repo: Repo) -> None:
    mirror = mirror_of(tmp_path, repo.url)
    away = repo.path.rename(tmp_path / "away")
    with pytest.raises(SourceError, match="is not there") as caught:
        tip_of(mirror)
    assert caught.value.retry
    away.rename(repo.path)
    assert read(mirror) == {"a.yml": SPEC.encode()}


def test_a_host_that_does_not_answer_is_tried_again(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be reached") as caught:
        tip_of(mirror_of(tmp_path, f"https://127.0.0.1:{free_port()}/x.git"))
    assert caught.value.retry


@pytest.mark.parametrize(
    ("said", "message", "retry"),
    [
        ("fatal: Authentication failed for 'https://h/x/'", "refuses access", False),
        (
            "fatal: could not read Username for 'https://h': terminal prompts disabled",
            "refuses",
            False,
        ),
        (
            "git@h: Permission denied (publickey).\nfatal: Could not read from remote",
            "refuses",
            False,
        ),
        (
            "fatal: unable to access 'https://h/x/': The requested URL returned error: 403",
            "ref",
            False,
        ),
        ("Host key verification failed.\nfatal: Could not read from remote", "host key", False),
        ("No ED25519 host key is known for h and you have requested strict", "host key", False),
        ("fatal: repository 'https://h/x/' not found", "not a git repository", False),
        ("No user exists for uid 4242\nfatal: Could not read from remote", "not know", False),
        (
            "fatal: unable to access 'https://h/x/': The requested URL returned error: 301",
            "redi",
            False,
        ),
        ("fatal: unable to access 'https://h/x/': SSL certificate problem: expired", "cert", False),
        ("fatal: unable to access 'https://h/x/': Could not resolve host: h", "be reached", True),
        (
            "fatal: unable to access 'https://h/x/': The requested URL returned error: 503",
            "be r",
            True,
        ),
        ("fatal: Could not read from remote repository.", "cannot be reached", True),
        ("", "it gave no reason", True),
    ],
)
def test_what_git_says_becomes_an_error_with_a_remedy(said: str, message: str, retry: bool) -> None:
    error = explain(GitFailed("", text=said), "https://h/x")
    assert message in error.message
    assert error.retry is retry
    assert bool(error.hint) is not retry


def test_what_git_says_is_shown_without_secrets() -> None:
    said = "fatal: unable to access 'https://u:hunter2@h/x?private_token=hunter2': \x1b[31mno"
    message = explain(GitFailed("", text=said), "https://u:hunter2@h/x").message
    assert "hunter2" not in message
    assert message.isprintable()


def test_force_push_is_followed(tmp_path: Path, repo: Repo) -> None:
    mirror = mirror_of(tmp_path, repo.url)
    read(mirror)
    repo.git("checkout", "-q", "--orphan", "fresh")
    repo.commit({"a.yml": "rewritten"})
    repo.git("branch", "-f", "main", "fresh")
    assert read(mirror) == {"a.yml": b"rewritten"}


def test_reset_to_an_older_commit_is_followed(tmp_path: Path, repo: Repo) -> None:
    repo.commit({"a.yml": "new"})
    mirror = mirror_of(tmp_path, repo.url)
    assert read(mirror) == {"a.yml": b"new"}
    repo.git("reset", "-q", "--hard", "HEAD~1")
    assert read(mirror) == {"a.yml": SPEC.encode()}


def test_a_branch_that_comes_back_is_read_again(tmp_path: Path, repo: Repo) -> None:
    repo.git("branch", "env")
    mirror = mirror_of(tmp_path, repo.url)
    read(mirror, "env")
    repo.git("branch", "-D", "env")
    with pytest.raises(SourceStalled):
        tip_of(mirror, "env")
    repo.git("branch", "env")
    assert read(mirror, "env") == {"a.yml": SPEC.encode()}


def test_a_branch_may_become_a_folder_of_branches(tmp_path: Path, repo: Repo) -> None:
    repo.git("branch", "env")
    mirror = mirror_of(tmp_path, repo.url)
    read(mirror, "env")
    repo.git("branch", "-D", "env")
    repo.git("branch", "env/prod")
    assert read(mirror, "env/prod") == {"a.yml": SPEC.encode()}


def test_a_head_that_names_another_branch_is_followed(tmp_path: Path, repo: Repo) -> None:
    mirror = mirror_of(tmp_path, repo.url)
    read(mirror, "")
    repo.git("branch", "-m", "main", "trunk")
    repo.commit({"a.yml": "on the trunk"})
    assert read(mirror, "") == {"a.yml": b"on the trunk"}


def test_an_unrelated_repository_at_the_same_address_is_followed(
    tmp_path: Path, repo: Repo
) -> None:
    mirror = mirror_of(tmp_path, repo.url)
    read(mirror)
    shutil.rmtree(repo.path)
    other = new_repo(repo.path)
    other.git("commit", "-q", "--allow-empty", "-m", "another beginning")
    other.commit({"b.yml": "unrelated"})
    assert read(mirror) == {"b.yml": b"unrelated"}


def test_a_repository_with_other_names_of_objects_is_followed(tmp_path: Path, repo: Repo) -> None:
    mirror = mirror_of(tmp_path, repo.url)
    read(mirror)
    shutil.rmtree(repo.path / ".git")
    repo.git("init", "-q", "-b", "main", "--object-format=sha256")
    repo.commit({"a.yml": "sha256"})
    assert read(mirror) == {"a.yml": b"sha256"}


def test_more_than_a_mirror_may_hold_is_refused(tmp_path: Path, repo: Repo) -> None:
    repo.commit({"big.bin": os.urandom(300_000)})
    mirror = mirror_of(tmp_path, repo.url)
    mirror.max_size = 100_000
    mirror._partial = False
    with pytest.raises(SourceStalled, match="gives more than"):
        read(mirror)


# ---------------------------------------------------------------- faults of the mirror


def _write(name: str, content: bytes = b"") -> Callable[[Path], None]:
    def fault(mirror: Path) -> None:
        (mirror / name).parent.mkdir(parents=True, exist_ok=True)
        (mirror / name).write_bytes(content)

    return fault


def _truncate(pattern: str, size: int) -> Callable[[Path], None]:
    def fault(mirror: Path) -> None:
        files = list(mirror.glob(f"objects/pack/{pattern}"))
        assert files
        for file in files:
            file.chmod(0o600)
            os.truncate(file, size)

    return fault


def _own_ref(content: bytes, suffix: str = "") -> Callable[[Path], None]:
    def fault(mirror: Path) -> None:
        (ref,) = mirror.glob("refs/envwatch/*")
        ref.with_name(ref.name + suffix).write_bytes(content)

    return fault


def _delete_packs(mirror: Path) -> None:
    shutil.rmtree(mirror / "objects" / "pack")


def _become_file(mirror: Path) -> None:
    shutil.rmtree(mirror)
    mirror.write_text("not a folder")


def _left_over_link(mirror: Path) -> None:
    mirror.with_name(f"{mirror.name}.trash-link").symlink_to("/nonexistent")


def _left_over_folder(mirror: Path) -> None:
    mirror.with_name(f"{mirror.name}.trash-folder").mkdir()


FAULTS: dict[str, Callable[[Path], None]] = {
    "left-over link": _left_over_link,
    "left-over folder": _left_over_folder,
    "shallow.lock": _write("shallow.lock"),
    "index.lock": _write("index.lock"),
    "HEAD.lock": _write("HEAD.lock"),
    "config.lock": _write("config.lock"),
    "packed-refs.lock": _write("packed-refs.lock"),
    "lock of the own ref": _own_ref(b"", ".lock"),
    "FETCH_HEAD.lock": _write("FETCH_HEAD.lock"),
    "HEAD emptied": _write("HEAD"),
    "config emptied": _write("config"),
    "config garbage": _write("config", b"[core\n\x00"),
    "own ref of zero bytes": _own_ref(b""),
    "shallow garbage": _write("shallow", b"garbage\n"),
    "packs truncated": _truncate("*.pack", 20),
    "indexes truncated": _truncate("*.idx", 20),
    "packs deleted": _delete_packs,
    "a plain file instead": _become_file,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("change", [True, False], ids=["new commit", "same commit"])
def test_a_broken_mirror_is_healed_in_one_pass(
    tmp_path: Path, repo: Repo, fault: str, change: bool
) -> None:
    mirror = mirror_of(tmp_path, repo.url)
    read(mirror)
    FAULTS[fault](mirror.path)
    expected = {"a.yml": SPEC.encode()}
    if change:
        repo.commit({"b.yml": "b"})
        expected["b.yml"] = b"b"
    assert read(mirror) == expected


def test_a_blob_that_is_not_what_its_name_says_is_fetched_again(tmp_path: Path, repo: Repo) -> None:
    mirror = mirror_of(tmp_path, repo.url)
    mirror.read(tip_of(mirror), lambda _: None)
    oid = repo.git("rev-parse", "HEAD:a.yml")
    loose = mirror.path / "objects" / oid[:2] / oid[2:]
    loose.parent.mkdir(parents=True)
    loose.write_bytes(zlib.compress(b"blob 4\0evil"))
    assert read(mirror) == {"a.yml": SPEC.encode()}


def test_what_was_thrown_away_is_gone(tmp_path: Path, repo: Repo) -> None:
    mirror = mirror_of(tmp_path, repo.url)
    read(mirror)
    _left_over_folder(mirror.path)
    _left_over_link(mirror.path)
    _write("config", b"[")(mirror.path)
    read(mirror)
    assert list(mirror.path.parent.glob("*.trash-*")) == []


def test_many_packs_make_the_mirror_start_over(tmp_path: Path, repo: Repo) -> None:
    mirror = mirror_of(tmp_path, repo.url)
    read(mirror)
    for number in range(60):
        _write(f"objects/pack/pack-{number:040x}.pack")(mirror.path)
    read(mirror)
    assert len(list(mirror.path.glob("objects/pack/*.pack"))) < 10


def test_a_mirror_is_used_by_one_at_a_time(tmp_path: Path, repo: Repo) -> None:
    mirror = mirror_of(tmp_path, repo.url, timeout=0.3)
    tip = tip_of(mirror)
    with mirror.path.with_name(f"{mirror.path.name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(SourceError, match="in use by another process"):
            mirror.read(tip, contents)


def test_git_keeps_the_lock_while_it_runs(tmp_path: Path, repo: Repo) -> None:
    mirror = mirror_of(tmp_path, repo.url)
    with mirror._locked() as fd:
        out, _ = run_git(
            Surroundings(mirror.path.parent, "file"),
            ("-c", f"alias.fds=!ls -l /proc/$$/fd/{fd}", "fds"),
            timeout=5,
            pass_fds=(fd,),
        )
    assert b".git.lock" in out


def test_a_disk_that_cannot_be_written_is_told(tmp_path: Path, repo: Repo) -> None:
    (tmp_path / "mirrors").write_text("in the way")
    with pytest.raises(SourceError, match="cannot be used"):
        tip_of(mirror_of(tmp_path, repo.url))


# ---------------------------------------------------------------- nothing of theirs runs


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A file that hostile commands would make. It must not be there in the end."""
    canary = tmp_path / "canary"
    yield canary
    assert not canary.exists()


def test_the_environment_of_the_daemon_does_not_reach_git(
    tmp_path: Path, repo: Repo, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = new_repo(tmp_path / "other")
    evil = tmp_path / "evil.config"
    evil.write_text(f'[url "{other.url}"]\n insteadOf = file://{repo.url}\n')
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(evil))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", f"touch {canary}")
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_TRACE", str(canary))
    monkeypatch.setenv("LC_ALL", "xx_YY")
    assert read(mirror_of(tmp_path, repo.url)) == {"a.yml": SPEC.encode()}


def test_a_repository_cannot_make_us_run_its_programs(
    tmp_path: Path, repo: Repo, canary: Path
) -> None:
    command = f"touch {canary}"
    repo.commit({".gitattributes": "*.yml filter=evil diff=evil\n"})
    for key in (
        *("core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "core.askPass"),
        *("filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "diff.evil.textconv"),
        *(
            "uploadpack.packObjectsHook",
            "credential.helper",
            "gpg.program",
            "core.alternateRefsCommand",
        ),
    ):
        repo.git("config", key, command)
    for hook in ("post-checkout", "reference-transaction", "pre-auto-gc", "post-index-change"):
        file = repo.path / ".git" / "hooks" / hook
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{command}\n")
        file.chmod(0o755)
    assert read(mirror_of(tmp_path, repo.url))["a.yml"] == SPEC.encode()


def test_a_repository_cannot_make_us_fetch_what_it_lacks(
    tmp_path: Path, repo: Repo, canary: Path
) -> None:
    oid = repo.git("rev-parse", "HEAD:a.yml")
    (repo.path / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    repo.git("config", "core.repositoryFormatVersion", "1")
    repo.git("config", "extensions.partialClone", "evil")
    repo.git("config", "remote.evil.promisor", "true")
    repo.git("config", "remote.evil.url", f"ext::touch {canary}")
    repo.git("config", "remote.evil.uploadpack", f"touch {canary}")
    with pytest.raises(SourceError):
        read(mirror_of(tmp_path, repo.url, timeout=5))


@pytest.mark.needs_root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_repository_of_somebody_else_is_read(tmp_path: Path, repo: Repo) -> None:
    for file in (repo.path, *repo.path.rglob("*")):
        os.chown(file, 65534, 65534)
    assert read(mirror_of(tmp_path, repo.url)) == {"a.yml": SPEC.encode()}


# ---------------------------------------------------------------- over the wire


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def daemon(tmp_path: Path, repo: Repo) -> Iterator[str]:
    """The repository over git's own protocol, as a server that does not know us gives it."""
    repo.git("config", "uploadpack.allowFilter", "true")
    port = free_port()
    options = ("--reuseaddr", "--export-all", "--listen=127.0.0.1", f"--port={port}")
    command = ("git", "daemon", *options, f"--base-path={tmp_path}", str(tmp_path))
    environment = os.environ | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    # git itself forks the real server, so the whole group must end.
    server = subprocess.Popen(
        command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )
    wait_for_port(port)
    yield f"git://127.0.0.1:{port}/work"
    os.killpg(server.pid, 15)
    server.wait()


def wait_for_port(port: int) -> None:
    for _ in range(1000):
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
        except ConnectionRefusedError:
            threading.Event().wait(0.01)
        else:
            return
    pytest.fail("the server did not come up")


def stored(mirror: Mirror, oid: str) -> bool:
    listing = git(mirror.path, "cat-file", "--batch-check", "--batch-all-objects")
    return oid in listing


def test_only_the_wanted_blobs_are_fetched(tmp_path: Path, repo: Repo, daemon: str) -> None:
    repo.commit({"big.bin": os.urandom(10_000)})
    big, small = (repo.git("rev-parse", f"HEAD:{name}") for name in ("big.bin", "a.yml"))
    mirror = mirror_of(tmp_path, daemon)
    blobs = mirror.read(tip_of(mirror), lambda tree: tree.read({small: 999})[1])
    assert blobs == {small: SPEC.encode()}
    assert stored(mirror, small)
    assert not stored(mirror, big)


def test_a_server_without_filters_is_read_in_full(tmp_path: Path, repo: Repo, daemon: str) -> None:
    repo.git("config", "uploadpack.allowFilter", "false")
    mirror = mirror_of(tmp_path, daemon)
    assert read(mirror) == {"a.yml": SPEC.encode()}
    repo.commit({"b.yml": "b"})
    assert read(mirror) == {"a.yml": SPEC.encode(), "b.yml": b"b"}


class OldServer(threading.Thread):
    """Stands before the git daemon and hides the newer protocol from it."""

    def __init__(self, behind: int) -> None:
        super().__init__(daemon=True)
        self.behind = behind
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self.behind)) as server:
            length = int(client.recv(4), 16)
            request = client.recv(length - 4).replace(b"\0version=2\0", b"")
            server.sendall(f"{len(request) + 4:04x}".encode() + request)
            back = threading.Thread(target=self.pump, args=(server, client), daemon=True)
            back.start()
            self.pump(client, server)
            back.join()

    def pump(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while chunk := source.recv(65536):
                target.sendall(chunk)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return


def test_a_server_that_gives_no_single_blobs_is_read_in_full(
    tmp_path: Path, repo: Repo, daemon: str
) -> None:
    old = OldServer(int(urlsplit(daemon).port or 0))
    old.start()
    mirror = mirror_of(tmp_path, f"git://127.0.0.1:{old.port}/work")
    assert read(mirror) == {"a.yml": SPEC.encode()}
    repo.commit({"b.yml": "b"})
    assert read(mirror) == {"a.yml": SPEC.encode(), "b.yml": b"b"}
    old.listener.close()


def test_a_time_limit_leaves_no_git_behind(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"git://127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(SourceError, match="did not end within") as caught:
            tip_of(mirror_of(tmp_path, url, timeout=0.3))
    assert caught.value.retry
    wait_for(lambda: not any(url in line for line in command_lines()))


def test_a_time_limit_ends_what_git_started(tmp_path: Path) -> None:
    tmp_path.joinpath("mirrors").mkdir()
    slow = ("-c", "alias.slow=!sleep 1234.5 & sleep 1234.5", "slow")
    with pytest.raises(SourceError, match="did not end within"):
        run_git(Surroundings(tmp_path / "mirrors", "file"), slow, timeout=0.3)
    wait_for(lambda: not any("1234.5" in line for line in command_lines()))


def test_endless_output_is_stopped(tmp_path: Path) -> None:
    endless = ("-c", "alias.endless=!yes 4321.5", "endless")
    with pytest.raises(GitFailed, match="more than 1000000 bytes"):
        run_git(Surroundings(tmp_path / "mirrors", "file"), endless, timeout=20, limit=1_000_000)
    wait_for(lambda: not any("4321.5" in line for line in command_lines()))


def test_many_errors_are_heard_and_not_kept(tmp_path: Path) -> None:
    loud = ("-c", "alias.loud=!seq 500000 >&2; cat", "loud")
    out, err = run_git(
        Surroundings(tmp_path / "mirrors", "file"), loud, timeout=20, data=b"x" * 10**6, limit=10**6
    )
    assert out == b"x" * 10**6
    assert len(err) == 2**16


def command_lines() -> list[str]:
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(file.read_text(errors="replace").replace("\0", " "))
        except OSError:
            continue
    return lines


def test_a_hundred_polls_leave_nothing_open(tmp_path: Path, repo: Repo) -> None:
    mirror = mirror_of(tmp_path, repo.url)
    read(mirror)
    before = open_things()
    for _ in range(100):
        tip_of(mirror)
    read(mirror)
    assert open_things() == before


def open_things() -> tuple[int, int]:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return len(list(Path("/proc/self/fd").iterdir())), len(children)
