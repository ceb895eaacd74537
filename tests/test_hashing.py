"""Hashes of packages and prefixes: noted once, compared ever after."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from blake3 import blake3

from envwatch.hashing import QUICK, check_entry, check_records, hash_tree, note_quick, read_quick
from envwatch.install import faults as faults_of
from envwatch.install.helper import Helper

LARGE = os.urandom(600_000)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A package as it lies in the cache, with a small, an empty and a large file."""
    folder = tmp_path / "tree"
    (folder / "info").mkdir(parents=True)
    files = {"small": b"one", "empty": b"", "large": LARGE}
    entries = []
    for name, data in files.items():
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o444)
        digest = sha256(data).hexdigest()
        entries.append({"_path": name, "path_type": "hardlink", "sha256": digest})
    (folder / "info/paths.json").write_text(json.dumps({"paths": entries}))
    return folder


@pytest.fixture
def prefix(tree: Path, tmp_path: Path) -> Path:
    """A prefix that shares the files of the package."""
    folder = tmp_path / "prefix"
    (folder / "conda-meta").mkdir(parents=True)
    paths = json.loads((tree / "info/paths.json").read_text())
    record = {
        "name": "thing", "version": "1", "build": "0", "paths_data": paths,
        "extracted_package_dir": str(tree),
    }  # fmt: skip
    (folder / "conda-meta/thing-1-0.json").write_text(json.dumps(record))
    for entry in paths["paths"]:
        os.link(tree / entry["_path"], folder / entry["_path"])
    return folder


def rewrite(path: Path, edit: Callable[[bytes], bytes]) -> None:
    """Change a file through all its names, and leave its size and time as they were."""
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(edit(path.read_bytes()))
    path.chmod(0o444)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def faults(
    prefix: Path, known: dict[tuple[int, int, int, int], str], *, quick: bool = True
) -> list[str]:
    found = check_records(str(prefix), ["thing-1-0.json"], known, quick=quick)
    return [path for _, path, _ in found.faults]


def test_sound_package_gets_a_quick_hash_for_each_content(tree: Path) -> None:
    assert note_quick(str(tree)) == ""
    assert read_quick(str(tree)).keys() == {sha256(d).hexdigest() for d in (b"one", b"", LARGE)}


@pytest.mark.parametrize("name", ["small", "large"])
def test_file_that_is_not_what_its_package_says_is_named(tree: Path, name: str) -> None:
    rewrite(tree / name, lambda data: data[:-1] + b"!")
    assert note_quick(str(tree)) == name
    assert not (tree / QUICK).exists()


@pytest.mark.parametrize("quick", [True, False])
def test_prefix_that_was_hashed_in_the_cache_is_right(
    tree: Path, prefix: Path, quick: bool
) -> None:
    if quick:
        note_quick(str(tree))
    known: dict[tuple[int, int, int, int], str] = {}
    hash_tree(str(tree), known)
    assert len(known) == 3
    assert faults(prefix, known) == faults(prefix, {}) == []


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("name", ["small", "large"])
def test_change_in_the_cache_is_seen_though_size_and_time_are_the_same(
    tree: Path, prefix: Path, name: str, quick: bool
) -> None:
    if quick:
        note_quick(str(tree))
    rewrite(tree / name, lambda data: data[:-1] + b"!")
    known: dict[tuple[int, int, int, int], str] = {}
    hash_tree(str(tree), known)
    assert faults(prefix, known) == faults(prefix, {}) == [name]


def test_what_a_package_brings_under_our_name_is_replaced(tree: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tree / QUICK).symlink_to(victim)
    assert note_quick(str(tree)) == ""
    assert victim.read_text() == "mine"
    assert not (tree / QUICK).is_symlink()
    assert read_quick(str(tree))


@pytest.mark.parametrize("said", [None, ""])
def test_package_that_gives_no_hash_is_taken_as_it_is(tree: Path, said: str | None) -> None:
    paths = json.loads((tree / "info/paths.json").read_text())
    for entry in paths["paths"]:
        entry["sha256"] = said
    (tree / "info/paths.json").write_text(json.dumps(paths))
    assert note_quick(str(tree)) == ""
    assert len(read_quick(str(tree))) == 3


@pytest.mark.parametrize("text", ["[]", "{", "[" * 100_000])
def test_noted_hashes_that_cannot_be_read_are_none(tree: Path, prefix: Path, text: str) -> None:
    (tree / QUICK).write_text(text)
    assert read_quick(str(tree)) == {}
    assert faults(prefix, {}) == []


def test_damaged_note_makes_no_fault(tree: Path, prefix: Path) -> None:
    note_quick(str(tree))
    (tree / QUICK).unlink()
    wrong = {sha256(d).hexdigest(): "0" * 64 for d in (b"one", b"", LARGE)}
    (tree / QUICK).write_text(json.dumps(wrong))
    assert faults(prefix, {}) == []


def test_record_alone_decides_about_an_old_prefix(tree: Path, prefix: Path) -> None:
    note_quick(str(tree))
    rewrite(tree / "small", lambda _: b"two")
    noted = dict(read_quick(str(tree)))
    noted[sha256(b"one").hexdigest()] = blake3(b"two").hexdigest()
    (tree / QUICK).unlink()
    (tree / QUICK).write_text(json.dumps(noted))
    assert faults(prefix, {}, quick=False) == ["small"]
    assert [m.text for m in faults_of(prefix)] == ["`small` is not what was installed"]


def test_helper_that_died_is_done_without(tree: Path, prefix: Path) -> None:
    rewrite(tree / "large", lambda data: data[:-1] + b"!")
    with Helper([(str(tree), "thing-1-0.json")]) as helper:
        helper._process.kill()
        helper._process.wait()
        found = helper.check(prefix, lambda: None)
    assert [path for _, path, _ in found.faults] == ["large"]


def test_copy_of_a_known_file_is_read(tree: Path, prefix: Path) -> None:
    known: dict[tuple[int, int, int, int], str] = {}
    hash_tree(str(tree), known)
    (prefix / "small").unlink()
    (prefix / "small").write_bytes(b"two")
    assert faults(prefix, known) == ["small"]


def test_known_file_that_others_may_write_is_a_fault(tree: Path, prefix: Path) -> None:
    known: dict[tuple[int, int, int, int], str] = {}
    hash_tree(str(tree), known)
    (prefix / "small").chmod(0o464)
    assert faults(prefix, known) == ["small"]


def test_known_file_is_not_read_again(tree: Path, prefix: Path) -> None:
    info = (prefix / "small").stat()
    said = "0" * 64
    known = {(info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns): said}
    top = os.open(prefix, os.O_PATH | os.O_DIRECTORY)
    try:
        entry = {"_path": "small", "path_type": "hardlink", "sha256": said}
        assert check_entry(top, entry, known, {}) == ""
        assert check_entry(top, entry, {}, {}) == "is not what was installed"
    finally:
        os.close(top)
