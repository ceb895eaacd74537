"""What of a directory becomes a snapshot, while others write to it."""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from git_helpers import SPEC, new_repo

from envwatch.errors import SourceError
from envwatch.model import Snapshot, SourceFile
from envwatch.settings import SourceKind, SourceSettings
from envwatch.sources.directory import DirectorySource, open_directory
from envwatch.sources.files import selection
from envwatch.sources.globs import compile_globs

OLD = 1_600_000_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    put(root / "a.yml")
    return root


def put(file: Path, text: str = SPEC) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def source_of(root: Path, **changes: Any) -> DirectorySource:
    settings = SourceSettings("local", SourceKind.DIRECTORY, "shared", directory=root, **changes)
    return open_directory(settings)


def by_path(snapshot: Snapshot) -> dict[str, SourceFile]:
    return {file.path: file for file in snapshot.files}


def problem(snapshot: Snapshot, path: str) -> str:
    found = by_path(snapshot)[path]
    assert found.data is None
    assert found.problem is not None
    return found.problem.text


def test_a_snapshot_without_files_is_not_authoritative(root: Path) -> None:
    (root / "a.yml").unlink()
    assert not source_of(root).snapshot().authoritative


def test_a_snapshot_with_files_is_authoritative(root: Path) -> None:
    assert source_of(root).snapshot().authoritative


def test_a_missing_directory_is_tried_again(root: Path) -> None:
    source = source_of(root)
    shutil.rmtree(root)
    with pytest.raises(SourceError, match="cannot be read") as caught:
        source.snapshot()
    assert caught.value.retry
    with pytest.raises(SourceError, match="cannot be read"):
        source.fingerprint()


def test_a_file_in_place_of_the_directory_is_tried_again(root: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        source_of(root / "a.yml").snapshot()


def test_a_directory_behind_a_link_is_found_again_after_a_switch(
    root: Path, tmp_path: Path
) -> None:
    put(tmp_path / "next" / "b.yml")
    (tmp_path / "link").symlink_to("root")
    source = source_of(tmp_path / "link")
    assert by_path(source.snapshot()).keys() == {"a.yml"}
    (tmp_path / "new").symlink_to("next")
    (tmp_path / "new").rename(tmp_path / "link")
    assert by_path(source.snapshot()).keys() == {"b.yml"}


def test_a_link_to_a_folder_is_not_entered(root: Path, tmp_path: Path) -> None:
    put(tmp_path / "outside" / "b.yml")
    (root / "folder").symlink_to(tmp_path / "outside")
    assert by_path(source_of(root).snapshot()).keys() == {"a.yml"}


def test_a_pipe_does_not_block(root: Path) -> None:
    os.mkfifo(root / "pipe.yml")
    assert problem(source_of(root).snapshot(), "pipe.yml") == "this is not a regular file"


def test_a_name_that_does_not_print_is_shown_escaped(root: Path) -> None:
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\n.yml")).write_text(SPEC)
    assert "do not print" in problem(source_of(root).snapshot(), "\\xff\\n.yml")


def test_a_repository_below_is_not_searched(root: Path) -> None:
    put(root / ".git" / "b.yml")
    assert by_path(source_of(root, include=("**/*.yml", ".git/*.yml")).snapshot()).keys() == {
        "a.yml"
    }


def test_what_did_not_change_is_not_read_twice(root: Path) -> None:
    source = source_of(root)
    first = source.snapshot().files[0].data
    assert source.snapshot().files[0].data is first


def test_a_file_of_equal_size_and_time_is_read_again(root: Path) -> None:
    source = source_of(root)
    os.utime(root / "a.yml", (OLD, OLD))
    source.snapshot()
    put(root / "a.yml", SPEC[::-1])
    os.utime(root / "a.yml", (OLD, OLD))
    assert source.snapshot().files[0].data == SPEC[::-1].encode()


def test_all_is_read_again_after_some_time(root: Path) -> None:
    now = [0.0]
    settings = source_of(root).settings
    source = DirectorySource(settings, selection(settings), root, clock=lambda: now[0], started=0.0)
    first, fingerprint = source.snapshot().files[0].data, source.fingerprint()
    now[0] = 601.0
    assert source.fingerprint() != fingerprint
    assert source.snapshot().files[0].data is not first


@pytest.fixture
def writer(root: Path) -> Iterator[None]:
    """Somebody who never stops to write."""
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.01):
            put(root / "busy.yml", "x" * (int.from_bytes(os.urandom(1)) + 1))

    thread = threading.Thread(target=write)
    thread.start()
    yield
    stop.set()
    thread.join()


def test_a_file_that_is_being_written_is_not_read(root: Path, writer: None) -> None:
    put(root / "busy.yml")
    taken = source_of(root).snapshot()
    assert problem(taken, "busy.yml") == "the file is still being written"
    assert by_path(taken)["a.yml"].data == SPEC.encode()


def test_a_fresh_file_is_waited_for(root: Path) -> None:
    put(root / "new.yml")
    assert by_path(source_of(root).snapshot())["new.yml"].data == SPEC.encode()


def test_a_git_command_at_work_is_waited_for(tmp_path: Path) -> None:
    repo = new_repo(tmp_path / "work")
    repo.commit({"envs/a.yml": SPEC})
    source = source_of(repo.path / "envs")
    lock = repo.path / ".git" / "index.lock"
    lock.touch()
    with pytest.raises(SourceError, match="a git command is at work") as caught:
        source.snapshot()
    assert caught.value.retry
    lock.unlink()
    assert by_path(source.snapshot()).keys() == {"a.yml"}


def test_a_left_over_lock_of_git_is_not_waited_for(tmp_path: Path) -> None:
    repo = new_repo(tmp_path / "work")
    repo.commit({"a.yml": SPEC})
    (repo.path / ".git" / "index.lock").touch()
    os.utime(repo.path / ".git" / "index.lock", (OLD, OLD))
    assert by_path(source_of(repo.path).snapshot()).keys() == {"a.yml"}


# ---------------------------------------------------------------- as somebody without rights


@pytest.fixture
def closed() -> Iterator[Path]:
    """A directory for everybody, with a file and a folder for root alone."""
    root = Path(tempfile.mkdtemp(prefix="envwatch-test-", dir="/tmp"))
    root.chmod(0o755)
    put(root / "a.yml")
    yield root
    shutil.rmtree(root)


def taken_as_nobody(root: Path) -> Snapshot:
    """A snapshot by a process without rights. It is forked: the Python may lie in root's home."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.write(theirs, pickle.dumps(source_of(root).snapshot()))
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as answer:
        taken: Snapshot = pickle.loads(answer.read())  # noqa: S301  # our own child wrote it
    os.waitpid(child, 0)
    return taken


@pytest.mark.needs_root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_file_that_cannot_be_read_is_still_there(closed: Path) -> None:
    put(closed / "secret.yml")
    (closed / "secret.yml").chmod(0)
    taken = taken_as_nobody(closed)
    assert problem(taken, "secret.yml") == "the file cannot be read: Permission denied"
    assert by_path(taken)["a.yml"].data == SPEC.encode()


@pytest.mark.needs_root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_that_cannot_be_read_retires_nothing(closed: Path) -> None:
    put(closed / "secret" / "b.yml")
    (closed / "secret").chmod(0)
    taken = taken_as_nobody(closed)
    assert not taken.authoritative
    assert [str(m) for m in taken.messages] == [
        "secret: the folder cannot be read: Permission denied"
    ]


# ---------------------------------------------------------------- globs


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.yml", "a.yml", True),
        ("*.yml", "b/a.yml", False),
        ("**/*.yml", "a.yml", True),
        ("**/*.yml", "b/c/a.yml", True),
        ("**/*.yml", ".hidden/a.yml", False),
        ("**/*.yml", "b/.a.yml", False),
        (".hidden/*.yml", ".hidden/a.yml", True),
        ("**/.conda/*.yml", "b/.conda/a.yml", True),
        ("envs", "envs/b/a.yml", True),
        ("envs/", "envs/a.yml", True),
        ("./envs/*.yml", "envs/a.yml", True),
        ("envs", "envsx/a.yml", False),
        ("envs/**", "envs/b/a.yml", True),
        ("a?.yml", "ab.yml", True),
        ("a?.yml", "a/.yml", False),
        ("a[0-9].yml", "a5.yml", True),
        ("a[!0-9].yml", "a5.yml", False),
        ("a[!0-9].yml", "a/.yml", False),
        ("a+b.yml", "a+b.yml", True),
        ("a+b.yml", "aab.yml", False),
        ("a*b*.yml", "axxbxx.yml", True),
    ],
)
def test_a_pattern_matches_as_in_a_shell(pattern: str, path: str, matches: bool) -> None:
    assert compile_globs([pattern], []).takes(path) is matches


@pytest.mark.parametrize("pattern", ["drafts", "drafts/", "drafts/**", "**/drafts/**"])
def test_an_excluded_folder_is_not_entered(pattern: str) -> None:
    globs = compile_globs(["**/*.yml"], [pattern])
    assert not globs.takes("drafts/a.yml")
    assert not globs.enters("drafts")
    assert globs.enters("other")


def test_only_folders_that_can_hold_a_match_are_entered() -> None:
    globs = compile_globs(["envs/*/prod/*.yml"], [])
    assert [globs.enters(f) for f in ("envs", "envs/a", "envs/a/prod", "other")] == [
        True,
        True,
        True,
        False,
    ]
    assert not globs.enters("envs/a/prod/more")
