"""Which commit a source means, and what becomes of several branches."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from git_helpers import SPEC, Repo, new_repo, signed, signing
from needs import need

from envwatch.errors import SourceStalled
from envwatch.git.mirrors import Mirrors
from envwatch.git.refs import Refs, Tip, check, match, parse, resolve, wanted
from envwatch.git.run import GitFailed
from envwatch.git.signature import signer
from envwatch.settings import SourceKind, SourceSettings, Verify
from envwatch.sources import open_source
from envwatch.sources.branches import Gathered, slug
from envwatch.sources.family import open_family
from envwatch.sources.previews import nobody


def oid(number: int) -> str:
    return f"{number:040x}"


def meaning(**words: Any) -> SourceSettings:
    return SourceSettings("team", SourceKind.GIT, "analyst", url="/srv/x", **words)


OFFERED = Refs(
    {
        "HEAD": oid(1),
        "refs/heads/main": oid(1),
        "refs/heads/a/main": oid(2),
        "refs/tags/v1.2": oid(3),
        "refs/tags/v1.2^{}": oid(33),
        "refs/tags/v1.10.0": oid(4),
        "refs/tags/v2.0.0-rc.1": oid(5),
        "refs/tags/2.0": oid(6),
        "refs/tags/main": oid(7),
        "refs/tags/2024.05.01": oid(8),
        "refs/pull/12/head": oid(9),
    }
)


@pytest.mark.parametrize(
    ("words", "ref", "revision"),
    [
        ({}, "HEAD", oid(1)),
        ({"branch": "main"}, "refs/heads/main", oid(1)),
        ({"branch": "a/main"}, "refs/heads/a/main", oid(2)),
        ({"tag": "main"}, "refs/tags/main", oid(7)),
        ({"tag": "v1.2"}, "refs/tags/v1.2", oid(33)),
        ({"ref": "refs/pull/12/head"}, "refs/pull/12/head", oid(9)),
        ({"commit": oid(5)}, "", oid(5)),
        ({"semver": "1.x"}, "refs/tags/v1.10.0", oid(4)),
        ({"semver": "~1.2"}, "refs/tags/v1.2", oid(33)),
        ({"semver": ">=1, <2"}, "refs/tags/v1.10.0", oid(4)),
        ({"semver": "2.0.0-rc.1"}, "refs/tags/v2.0.0-rc.1", oid(5)),
        ({"semver": ">=1 <100"}, "refs/tags/2.0", oid(6)),
        ({"semver": "2.x"}, "refs/tags/2.0", oid(6)),
    ],
)
def test_a_source_means_one_commit(words: dict[str, str], ref: str, revision: str) -> None:
    tip = resolve(meaning(**words), OFFERED, "/srv/x")
    assert (tip.ref, tip.revision) == (ref, revision)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"branch": "other"}, "has no branch `other`"),
        ({"tag": "v9"}, "has no tag `v9`"),
        ({"ref": "refs/pull/13/head"}, "has no ref `refs/pull/13/head`"),
        ({"semver": "^9"}, "has no tag in the range `\\^9`"),
    ],
)
def test_what_is_not_there_waits_for_a_person(words: dict[str, str], message: str) -> None:
    with pytest.raises(SourceStalled, match=message):
        resolve(meaning(**words), OFFERED, "/srv/x")


def test_a_head_that_names_nothing_is_told_apart_from_an_empty_repository() -> None:
    with pytest.raises(SourceStalled, match="HEAD of `/srv/x` names a branch"):
        resolve(meaning(), Refs({"refs/heads/trunk": oid(1)}), "/srv/x")
    with pytest.raises(SourceStalled, match="no commit yet"):
        resolve(meaning(), Refs({}), "/srv/x")


@pytest.mark.parametrize(
    "words",
    [
        {"commit": "abc1234"},
        {"commit": "HEAD"},
        {"ref": "main"},
        {"ref": "refs/heads/a..b"},
        {"semver": "newest"},
        {"tag": "v1 "},
        {"branch": "a b"},
        {"branches": (("rel[ea]se/*", "x"),)},
        {"branches": (("-x", "x"),)},
    ],
)
def test_what_can_never_name_a_commit_is_refused(words: dict[str, Any]) -> None:
    with pytest.raises(SourceStalled):
        check(meaning(**words))


def test_an_odd_answer_is_left_out() -> None:
    answer = f"{oid(1)}\trefs/heads/main\nwarning: x\n{oid(2)} refs/heads/x\n\n".encode()
    assert parse(answer) == Refs({"refs/heads/main": oid(1)})


@pytest.mark.parametrize(
    ("words", "patterns"),
    [
        ({"branch": "main"}, ("refs/heads/main", "refs/heads/main^{}")),
        ({"semver": "1.x"}, ("refs/tags/*",)),
        ({"branches": (("*", "x"),)}, ("refs/heads/*",)),
        ({"commit": oid(1)}, ()),
    ],
)
def test_only_what_matters_is_asked_for(words: dict[str, Any], patterns: tuple[str, ...]) -> None:
    assert wanted(meaning(**words)) == patterns


@pytest.mark.parametrize(
    ("pattern", "branch", "found"),
    [
        ("main", "main", ""),
        ("main", "a/main", None),
        ("release/*", "release/1.2", "1.2"),
        ("release/*", "release/1/2", "1/2"),
        ("*-v?", "x/y-v2", "x/y-2"),
        ("a.c", "abc", None),
    ],
)
def test_a_pattern_says_what_its_wildcards_stand_for(
    pattern: str, branch: str, found: str | None
) -> None:
    assert match(pattern, branch) == found


# ---------------------------------------------------------------- several branches


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = new_repo(tmp_path / "work")
    repo.commit({"a.yml": SPEC})
    return repo


BRANCHES = (("main", "analyst"), ("release/*", "analyst-{branch}"), ("try/*", "lab/{name}-{match}"))


def gathered(tmp_path: Path, repo: Repo, branches: Any = BRANCHES) -> Gathered:
    settings = SourceSettings("team", SourceKind.GIT, "team", url=repo.url, branches=branches)
    return open_family(settings, Mirrors(tmp_path / "mirrors"), nobody).gather()


def test_each_branch_that_matches_is_a_source(tmp_path: Path, repo: Repo) -> None:
    for branch in ("release/1.2", "try/ada", "other"):
        repo.git("branch", branch)
    members = gathered(tmp_path, repo).members
    assert [(m.name, m.branch, m.namespace, m.rename) for m in members] == [
        ("team@main", "main", "analyst", "{name}"),
        ("team@release-1.2", "release/1.2", "analyst-release-1.2", "{name}"),
        ("team@try-ada", "try/ada", "lab", "{name}-ada"),
    ]
    assert {m.family for m in members} == {"team"}


def test_two_branches_never_have_one_name(tmp_path: Path, repo: Repo) -> None:
    repo.git("branch", "a-b")
    repo.git("branch", "a/b")
    members = gathered(tmp_path, repo, (("a*", "x-{branch}"),)).members
    assert [m.branch for m in members] == ["a-b", "a/b"]
    assert len({m.name for m in members}) == len({m.namespace for m in members}) == 2


def test_a_branch_whose_namespace_is_no_name_is_refused_alone(tmp_path: Path, repo: Repo) -> None:
    long = "release/" + "x" * 70
    repo.git("branch", long)
    found = gathered(tmp_path, repo, (("*", "analyst-with-a-rather-long-name-{branch}"),))
    assert [m.branch for m in found.members] == ["main"]
    assert [m.path for m in found.refused] == [long]


def test_a_repository_without_branches_waits(tmp_path: Path) -> None:
    with pytest.raises(SourceStalled, match="has no branch"):
        gathered(tmp_path, new_repo(tmp_path / "empty"))


def test_too_many_branches_are_refused(tmp_path: Path, repo: Repo) -> None:
    head = repo.head
    lines = "".join(f"create refs/heads/b{n} {head}\n" for n in range(250))
    repo.git("update-ref", "--stdin", data=lines.encode())
    with pytest.raises(SourceStalled, match="250 branches match"):
        gathered(tmp_path, repo, (("b*", "x"),))


@pytest.mark.parametrize(
    ("branch", "text"),
    [("main", "main"), ("release/1.2", "release-1.2"), ("Ünï/x", None), ("x" * 60, None)],
)
def test_a_branch_becomes_part_of_a_name(branch: str, text: str | None) -> None:
    assert slug(branch) == text if text else len(slug(branch)) <= 47
    assert slug(branch).isascii()


# ---------------------------------------------------------------- signatures


def verified(tmp_path: Path, repo: Repo, verify: Verify, **words: str) -> str:
    """Who signed what a source follows."""
    settings = SourceSettings("team", SourceKind.GIT, "x", url=repo.url, verify=verify, **words)  # type: ignore[arg-type]  # all words of a ref are text
    taken = open_source(settings, mirrors=Mirrors(tmp_path / "mirrors")).snapshot()
    return taken.commit.signature if taken.commit else ""


def test_a_signed_commit_names_its_signer(tmp_path: Path, repo: Repo) -> None:
    verify = Verify("ssh", signing(repo, tmp_path / "keys"))
    signed(repo, "new: 1")
    assert verified(tmp_path, repo, verify).startswith("ada@example.org (ED25519 key SHA256:")


def test_a_commit_that_is_not_signed_waits_for_a_person(tmp_path: Path, repo: Repo) -> None:
    verify = Verify("ssh", signing(repo, tmp_path / "keys"))
    signed(repo, "new: 1")
    revision = repo.commit({"a.yml": "evil: 1"})
    with pytest.raises(SourceStalled, match=f"commit `{revision[:12]}` is not signed"):
        verified(tmp_path, repo, verify)


def test_a_signature_of_somebody_else_does_not_count(tmp_path: Path, repo: Repo) -> None:
    signing(repo, tmp_path / "keys")
    signed(repo, "new: 1")
    other = signing(new_repo(tmp_path / "other"), tmp_path / "other-keys")
    with pytest.raises(SourceStalled, match="is not signed by anybody who may"):
        verified(tmp_path, repo, Verify("ssh", other))


def test_a_signed_tag_counts_for_its_commit(tmp_path: Path, repo: Repo) -> None:
    verify = Verify("ssh", signing(repo, tmp_path / "keys"))
    repo.git("tag", "-s", "-m", "one", "v1.0")
    repo.git("tag", "-a", "-m", "two", "v2.0")
    assert verified(tmp_path, repo, verify, tag="v1.0").startswith("ada@example.org")
    with pytest.raises(SourceStalled, match=r"neither tag `v2\.0` nor its commit"):
        verified(tmp_path, repo, verify, tag="v2.0")


def test_signers_are_read_anew(tmp_path: Path, repo: Repo) -> None:
    signers = signing(repo, tmp_path / "keys")
    signed(repo, "new: 1")
    text = signers.read_text()
    signers.write_text("")
    with pytest.raises(SourceStalled):
        verified(tmp_path, repo, Verify("ssh", signers))
    signers.write_text(text)
    assert verified(tmp_path, repo, Verify("ssh", signers))


def test_a_uid_without_a_name_is_told_apart_from_a_missing_signature(tmp_path: Path) -> None:
    (tmp_path / "signers").touch()

    def say(*_: str) -> str:
        raise GitFailed("git verify-commit", text="No user exists for uid 4242")

    tip = Tip("refs/heads/main", oid(1), oid(1))
    with pytest.raises(SourceStalled, match="does not know the user"):
        signer(tip, Verify("ssh", tmp_path / "signers"), say, tmp_path)


def test_a_file_of_signers_that_is_not_there_is_named(tmp_path: Path, repo: Repo) -> None:
    with pytest.raises(SourceStalled, match="the file of `signers` cannot be read"):
        verified(tmp_path, repo, Verify("ssh", tmp_path / "nowhere"))


@pytest.fixture
def keyring() -> Iterator[Path]:
    """A gpg home with one secret key, and `public.asc` in it.

    Its path is short: the agent that makes the key listens on a socket there.
    """
    gpg = need("gpg")
    home = Path(tempfile.mkdtemp(prefix="gpg-"))
    command = (gpg, "--homedir", home, "--batch", "--pinentry-mode", "loopback")
    made = ("--passphrase", "", "--quick-gen-key", "Ada <ada@example.org>", "ed25519", "sign")
    subprocess.run((*command, *made), check=True, capture_output=True)
    public = subprocess.run((*command, "--armor", "--export"), check=True, capture_output=True)
    (home / "public.asc").write_bytes(public.stdout)
    yield home
    subprocess.run(("gpgconf", "--homedir", home, "--kill", "all"), check=False)
    shutil.rmtree(home, ignore_errors=True)


def test_a_commit_signed_by_gpg_names_its_signer(tmp_path: Path, repo: Repo, keyring: Path) -> None:
    repo.git("config", "user.signingKey", "ada@example.org")
    wrapper = tmp_path / "gpg"
    wrapper.write_text(f'#!/bin/sh\nexec gpg --homedir {keyring} --batch "$@"\n')
    wrapper.chmod(0o755)
    repo.git("config", "gpg.program", str(wrapper))
    signed(repo, "new: 1")
    who = verified(tmp_path, repo, Verify("gpg", keyring / "public.asc"))
    assert who.startswith("Ada <ada@example.org> (")
    repo.commit({"a.yml": "evil: 1"})
    with pytest.raises(SourceStalled, match="is not signed"):
        verified(tmp_path, repo, Verify("gpg", keyring / "public.asc"))


def test_a_file_without_public_keys_is_told(tmp_path: Path, repo: Repo) -> None:
    need("gpg")
    (tmp_path / "keys").write_text("no key")
    with pytest.raises(SourceStalled, match="holds no public keys"):
        verified(tmp_path, repo, Verify("gpg", tmp_path / "keys"))
