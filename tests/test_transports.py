"""Repositories over real transports: file, git's own, https with a password, ssh with a key."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from git_helpers import SPEC, Repo, git, new_repo
from git_servers import PASSWORD, Served, free_port, git_daemon, https_server, ssh_server
from waiting import wait_for

from envwatch.edit import Author
from envwatch.errors import SourceError, SourceStalled
from envwatch.git.commits import Change, commit
from envwatch.git.mirrors import Mirrors
from envwatch.git.pushing import push_edit
from envwatch.git.refs import Tip, resolve, wanted
from envwatch.git.tree import Tree
from envwatch.settings import Credentials, SourceKind, SourceSettings


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A work tree, and the bare repository that it pushes to, which is served."""
    repo = new_repo(tmp_path / "work")
    repo.commit({"a.yml": SPEC})
    repo.bare(tmp_path / "srv" / "environments.git")
    (tmp_path / "srv" / "environments.git" / "git-daemon-export-ok").touch()
    repo.git("push", "-q", "origin", "main")
    return repo


def bare(repo: Repo) -> Path:
    return repo.path.parent / "srv" / "environments.git"


@contextmanager
def on_disk(repository: Path, _: Path) -> Iterator[Served]:
    yield Served(repository.as_uri(), Credentials())


@contextmanager
def over_git(repository: Path, _: Path) -> Iterator[Served]:
    with git_daemon(repository) as served:
        yield served


@contextmanager
def over_https(repository: Path, folder: Path) -> Iterator[Served]:
    with https_server(repository, folder) as (served, _):
        yield served


TRANSPORTS = {"file": on_disk, "git": over_git, "https": over_https, "ssh": ssh_server}


@pytest.fixture(params=TRANSPORTS)
def served(request: pytest.FixtureRequest, repo: Repo, tmp_path: Path) -> Iterator[Served]:
    with TRANSPORTS[request.param](bare(repo), tmp_path / "server") as served:
        yield served


@pytest.fixture
def https(repo: Repo, tmp_path: Path) -> Iterator[tuple[Served, Any]]:
    with https_server(bare(repo), tmp_path / "server") as served:
        yield served


@pytest.fixture
def ssh(repo: Repo, tmp_path: Path) -> Iterator[Served]:
    with ssh_server(bare(repo), tmp_path / "server") as served:
        yield served


class Reader:
    """Follows one ref of a served repository, as a source does."""

    def __init__(self, mirrors: Path, served: Served, timeout: float = 20.0, **ref: str) -> None:
        words = ref or {"branch": "main"}
        self.settings = SourceSettings("team", SourceKind.GIT, "x", url=served.url, **words)  # type: ignore[arg-type]  # all words of a ref are text
        self.mirror = Mirrors(mirrors).of(served.url, served.credentials, timeout)
        self.mirror.remote.want(wanted(self.settings))

    def tip(self) -> Tip:
        return resolve(self.settings, self.mirror.remote.refs(), self.settings.url)

    def read(self) -> dict[str, bytes | None]:
        return self.mirror.read(self.tip(), _contents)


def _contents(tree: Tree) -> dict[str, bytes | None]:
    entries = [entry for entry in tree.entries() if entry.path.endswith(".yml")]
    blobs = tree.read({entry.oid: 2**20 for entry in entries})[1]
    return {entry.path: blobs[entry.oid] for entry in entries}


def push(repo: Repo, content: str, *options: str) -> None:
    repo.commit({"a.yml": content})
    repo.git("push", "-q", *options, "origin", "main")


# ---------------------------------------------------------------- every transport


@pytest.mark.parametrize("filters", ["true", "false"], ids=["filters", "no filters"])
def test_a_commit_is_read_and_the_next_one_too(
    tmp_path: Path, repo: Repo, served: Served, filters: str
) -> None:
    git(bare(repo), "config", "uploadpack.allowFilter", filters)
    reader = Reader(tmp_path / "mirrors", served)
    assert reader.read() == {"a.yml": SPEC.encode()}
    push(repo, "new: 1")
    assert reader.read() == {"a.yml": b"new: 1"}


def test_a_force_push_and_a_reset_are_followed(tmp_path: Path, repo: Repo, served: Served) -> None:
    push(repo, "second: 1")
    reader = Reader(tmp_path / "mirrors", served)
    assert reader.read() == {"a.yml": b"second: 1"}
    repo.git("commit", "-q", "--amend", "-m", "amended")
    push(repo, "third: 1", "--force")
    assert reader.read() == {"a.yml": b"third: 1"}
    repo.git("push", "-q", "--force", "origin", "HEAD~2:main")
    assert reader.read() == {"a.yml": SPEC.encode()}


def test_a_tag_and_a_commit_are_read(tmp_path: Path, repo: Repo, served: Served) -> None:
    git(bare(repo), "config", "uploadpack.allowAnySHA1InWant", "true")
    first = repo.head
    repo.git("tag", "-a", "-m", "one", "v1.0")
    push(repo, "new: 1", "--tags")
    for words in ({"tag": "v1.0"}, {"semver": "1.x"}, {"ref": "refs/tags/v1.0"}, {"commit": first}):
        assert Reader(tmp_path / "mirrors", served, **words).read() == {"a.yml": SPEC.encode()}


@pytest.mark.parametrize("transport", ["git", "https", "ssh"])
def test_a_large_repository_is_not_fetched_whole(
    tmp_path: Path, repo: Repo, transport: str
) -> None:
    git(bare(repo), "config", "uploadpack.allowFilter", "true")
    git(bare(repo), "config", "uploadpack.allowAnySHA1InWant", "true")
    repo.commit({"data.bin": os.urandom(3_000_000)})
    repo.git("push", "-q", "origin", "main")
    with TRANSPORTS[transport](bare(repo), tmp_path / "server") as served:
        assert Reader(tmp_path / "mirrors", served).read() == {"a.yml": SPEC.encode()}
    assert sum(f.stat().st_size for f in (tmp_path / "mirrors").rglob("*") if f.is_file()) < 500_000


@pytest.mark.parametrize("transport", ["file", "https", "ssh"])
def test_an_edit_is_pushed_to_a_branch_of_its_own(
    tmp_path: Path, repo: Repo, transport: str
) -> None:
    git(bare(repo), "config", "http.receivepack", "true")

    def propose(tree: Tree) -> str:
        change = Change("a.yml", b"edited: 1\n")
        made = commit(tree.run, tree.revision, change, Author("Bob", "bob@example.org"), "Edit")
        return push_edit(tree.run, served.url, made, "a")

    with TRANSPORTS[transport](bare(repo), tmp_path / "server") as served:
        reader = Reader(tmp_path / "mirrors", served)
        branch = reader.mirror.read(reader.tip(), propose)
        assert branch == "envwatch/edit-1-a"
        edited = Reader(tmp_path / "mirrors", served, branch=branch)
        assert edited.read() == {"a.yml": b"edited: 1\n"}
        assert reader.read() == {"a.yml": SPEC.encode()}


# ---------------------------------------------------------------- who is let in


def refused(tmp_path: Path, served: Served, **changes: Any) -> SourceError:
    """The error that other credentials come to."""
    changed = replace(served, credentials=replace(served.credentials, **changes))
    with pytest.raises(SourceError) as caught:
        Reader(tmp_path / "mirrors", changed).read()
    assert PASSWORD not in str(caught.value)
    return caught.value


def test_a_wrong_password_waits_for_a_person(tmp_path: Path, https: tuple[Served, Any]) -> None:
    (tmp_path / "wrong").write_text("wrong")
    error = refused(tmp_path, https[0], password_file=tmp_path / "wrong")
    assert "refuses access" in error.message
    assert (error.retry, "credentials" in error.hint) == (False, True)


def test_no_password_waits_for_a_person(tmp_path: Path, https: tuple[Served, Any]) -> None:
    assert "refuses access" in refused(tmp_path, https[0], password_file=None).message


def test_an_exchanged_password_is_used_at_once(tmp_path: Path, https: tuple[Served, Any]) -> None:
    served, server = https
    reader = Reader(tmp_path / "mirrors", served)
    reader.read()
    server.password = "n3w-t0ken"
    with pytest.raises(SourceStalled, match="refuses access"):
        reader.read()
    (served.folder / "password").write_text("n3w-t0ken\n")
    assert reader.read() == {"a.yml": SPEC.encode()}


def test_a_certificate_of_nobody_is_refused(tmp_path: Path, https: tuple[Served, Any]) -> None:
    error = refused(tmp_path, https[0], ca_file=None)
    assert "is not trusted" in error.message
    assert "ca_file" in error.hint


@pytest.mark.parametrize("key", ["password_file", "ca_file"])
def test_a_file_that_is_not_there_is_named(
    tmp_path: Path, https: tuple[Served, Any], key: str
) -> None:
    error = refused(tmp_path, https[0], **{key: tmp_path / "nowhere"})
    assert error.message.startswith(f"the file of `{key}` cannot be read")


def test_an_empty_password_file_is_told(tmp_path: Path, https: tuple[Served, Any]) -> None:
    (tmp_path / "empty").touch()
    assert "is empty" in refused(tmp_path, https[0], password_file=tmp_path / "empty").message


def test_a_proxy_is_used(tmp_path: Path, https: tuple[Served, Any]) -> None:
    error = refused(tmp_path, https[0], proxy=f"http://127.0.0.1:{free_port()}")
    assert "cannot be reached" in error.message
    assert https[0].requests == []


def test_another_key_waits_for_a_person(tmp_path: Path, ssh: Served) -> None:
    assert "refuses access" in refused(tmp_path, ssh, ssh_key=ssh.folder / "other_key").message


def test_a_host_that_nobody_knows_is_refused(tmp_path: Path, ssh: Served) -> None:
    (tmp_path / "nobody").touch()
    error = refused(tmp_path, ssh, known_hosts=tmp_path / "nobody")
    assert "host key" in error.message
    assert "known_hosts" in error.hint


def test_a_host_with_another_key_is_refused(tmp_path: Path, ssh: Served) -> None:
    known = (ssh.folder / "known_hosts").read_text().split(" ")[0]
    other = (ssh.folder / "other_key.pub").read_text()
    (tmp_path / "other").write_text(f"{known} {other}")
    assert "host key" in refused(tmp_path, ssh, known_hosts=tmp_path / "other").message


def test_files_with_spaces_in_their_names_are_found(tmp_path: Path, ssh: Served) -> None:
    folder = tmp_path / "with 'a space"
    folder.mkdir()
    for name in ("key", "known_hosts"):
        (folder / name).write_bytes((ssh.folder / name).read_bytes())
        (folder / name).chmod(0o600)
    given = replace(ssh.credentials, ssh_key=folder / "key", known_hosts=folder / "known_hosts")
    changed = replace(ssh, credentials=given)
    assert Reader(tmp_path / "mirrors", changed).read() == {"a.yml": SPEC.encode()}


# ---------------------------------------------------------------- where no secret may be


def test_a_password_is_nowhere_on_disk(tmp_path: Path, https: tuple[Served, Any]) -> None:
    Reader(tmp_path / "mirrors", https[0]).read()
    for file in (tmp_path / "mirrors").rglob("*"):
        assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file


def test_a_password_is_in_no_argument_and_no_variable(
    tmp_path: Path, https: tuple[Served, Any]
) -> None:
    served, server = https
    seen: list[bytes] = []
    answer = server.RequestHandlerClass._backend

    def look_around(handler: Any) -> None:
        seen.extend(_of_children())
        answer(handler)

    server.RequestHandlerClass = type(
        "Slow", (server.RequestHandlerClass,), {"_backend": look_around}
    )
    Reader(tmp_path / "mirrors", served).read()
    assert any(b"ls-remote" in text for text in seen)
    assert not any(PASSWORD.encode() in text for text in seen)


def _of_children() -> list[bytes]:
    """Arguments and variables of every process that this one may look at."""
    texts = []
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                texts.append((process / name).read_bytes())
            except OSError:
                continue
    return texts


# ---------------------------------------------------------------- servers that fail


class Hanging:
    """Takes connections and says nothing, or a part of an answer and no more."""

    def __init__(self, says: bytes) -> None:
        self.says = says
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.held: list[Any] = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            client.sendall(self.says)
            self.held.append(client)

    def close(self) -> None:
        self.listener.close()
        for client in self.held:
            client.close()


@pytest.mark.parametrize("says", [b"", b"0032"], ids=["half open", "half an answer"])
def test_a_server_that_hangs_is_left_after_the_time_limit(tmp_path: Path, says: bytes) -> None:
    server = Hanging(says)
    served = Served(f"git://127.0.0.1:{server.port}/x", Credentials())
    with pytest.raises(SourceError, match="did not end within") as caught:
        Reader(tmp_path / "mirrors", served, timeout=0.5).read()
    server.close()
    assert caught.value.retry
    assert wait_for(lambda: not any(str(server.port).encode() in t for t in _of_children()))


def test_an_answer_about_many_sources_is_asked_for_once(
    tmp_path: Path, https: tuple[Served, Any]
) -> None:
    mirrors = Mirrors(tmp_path / "mirrors")
    served, server = https
    remote = mirrors.of(served.url, served.credentials, 20).remote
    remote.want(("refs/heads/main",))
    first = remote.refs()
    asked = len(server.requests)
    for _ in range(20):
        assert remote.refs(since=0) is first
    assert len(server.requests) == asked
    assert remote.refs() is not first


def test_an_error_is_an_answer_for_all(tmp_path: Path) -> None:
    served = Served(f"https://127.0.0.1:{free_port()}/x", Credentials())
    remote = Mirrors(tmp_path / "mirrors").of(served.url, served.credentials, 20).remote
    errors = []
    for _ in range(3):
        with pytest.raises(SourceError) as caught:
            remote.refs(since=0)
        errors.append(caught.value)
    assert errors[0] is errors[1] is errors[2]
