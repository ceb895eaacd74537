"""The files offered per generation: what is kept, how it is called, what to type."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from envwatch.artifacts import (
    add_archive,
    file_name,
    media_type,
    publish,
    recipes,
)
from envwatch.catalog.records import ArtifactRecord
from envwatch.model import ArtifactKind, EnvKey
from envwatch.storage import Storage, open_storage

KEY = EnvKey("analyst", "demo")
URLS = {k: f"https://env.example.org/{file_name(k, KEY, 17)}?a=1&b=2" for k in ArtifactKind}


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return open_storage(tmp_path / "root")


@pytest.fixture
def record(tmp_path: Path) -> Path:
    folder = tmp_path / "record"
    folder.mkdir()
    (folder / ArtifactKind.LOCK).write_text("version: 1\n")
    (folder / ArtifactKind.SPEC).write_text("dependencies: []\n")
    (folder / "result.json").write_text("{}")
    return folder


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "made.tar.zst"
    path.write_bytes(b"\0" * 3_000_000)
    return path


def _download(storage: Storage, made: tuple[ArtifactRecord, ...], folder: Path) -> Path:
    folder.mkdir()
    for artifact in made:
        path = storage.path(artifact.key)
        assert path is not None
        shutil.copyfile(path, folder / file_name(artifact.kind, KEY, 17))
    return folder / file_name(ArtifactKind.SUMS, KEY, 17)


def _check(sums: Path) -> str:
    command = ("sha256sum", "--strict", "--check", sums.name)
    return subprocess.run(
        command, cwd=sums.parent, check=True, capture_output=True, text=True, timeout=10
    ).stdout


def test_only_files_that_were_made_are_offered(record: Path, storage: Storage) -> None:
    made = publish(record, KEY, 17, storage)
    assert [a.kind for a in made] == [ArtifactKind.SPEC, ArtifactKind.LOCK, ArtifactKind.SUMS]
    assert storage.list() == tuple(sorted(a.key for a in made))


def test_record_tells_size_and_sum_of_the_kept_file(record: Path, storage: Storage) -> None:
    lock = next(a for a in publish(record, KEY, 17, storage) if a.kind is ArtifactKind.LOCK)
    assert lock.key == "analyst/demo/17/conda-lock.yml"
    assert (lock.size, lock.sha256) == (11, hashlib.sha256(b"version: 1\n").hexdigest())


def test_log_may_lie_elsewhere(record: Path, storage: Storage, tmp_path: Path) -> None:
    log = tmp_path / "12.log"
    log.write_text("solved\n")
    publish(record, KEY, 17, storage, log=log)
    assert storage.size("analyst/demo/17/build.log") == 7


def test_publishing_again_gives_the_same(record: Path, storage: Storage) -> None:
    assert publish(record, KEY, 17, storage) == publish(record, KEY, 17, storage)


def test_downloads_agree_with_their_sums(record: Path, storage: Storage, tmp_path: Path) -> None:
    sums = _download(storage, publish(record, KEY, 17, storage), tmp_path / "downloads")
    assert _check(sums).splitlines() == [
        "analyst-demo-17.conda-lock.yml: OK",
        "analyst-demo-17.environment.yml: OK",
    ]


def test_added_archive_enters_the_sums(
    record: Path, storage: Storage, archive: Path, tmp_path: Path
) -> None:
    before = publish(record, KEY, 17, storage)
    made = add_archive(archive, ArtifactKind.TAR_ZST, KEY, 17, storage, before)
    assert len(made) == len(before) + 1
    assert "analyst-demo-17.tar.zst: OK" in _check(_download(storage, made, tmp_path / "d"))


def test_archive_made_again_replaces_the_old_one(
    record: Path, storage: Storage, archive: Path
) -> None:
    first = add_archive(
        archive, ArtifactKind.TAR_ZST, KEY, 17, storage, publish(record, KEY, 17, storage)
    )
    archive.write_bytes(b"other")
    second = add_archive(archive, ArtifactKind.TAR_ZST, KEY, 17, storage, first)
    assert [a.kind for a in second].count(ArtifactKind.TAR_ZST) == 1
    assert storage.size("analyst/demo/17/environment.tar.zst") == 5


def test_names_of_downloads() -> None:
    assert {file_name(k, KEY, 17) for k in ArtifactKind} == {
        "analyst-demo-17.environment.yml",
        "analyst-demo-17.environment.pinned.yml",
        "analyst-demo-17.conda-lock.yml",
        "analyst-demo-17.explicit.txt",
        "analyst-demo-17.packages.json",
        "analyst-demo-17.build.log",
        "analyst-demo-17.tar.zst",
        "analyst-demo-17.tar.gz",
        "analyst-demo-17.SHA256SUMS",
    }


@pytest.mark.parametrize("kind", ArtifactKind)
def test_every_kind_has_a_media_type(kind: ArtifactKind) -> None:
    assert "/" in media_type(kind)


def test_recipes_are_given_for_what_there_is() -> None:
    titles = [r.title for r in recipes(KEY, 17, {ArtifactKind.EXPLICIT: "https://x.org/e"})]
    assert titles == ["conda"]


def test_recipes_are_valid_shell() -> None:
    for recipe in recipes(KEY, 17, URLS):
        script = "\n".join(recipe.lines)
        subprocess.run(("sh", "-n", "-c", script), check=True, timeout=10)
        assert "'https://env.example.org/" in script


def test_list_without_the_pip_packages_says_so() -> None:
    complete, partial = (
        next(r for r in recipes(KEY, 17, URLS, pip_packages=n) if r.title == "conda")
        for n in (0, 2)
    )
    assert len(partial.lines) == len(complete.lines) + 1
    assert partial.lines[1].startswith("# without the 2 packages from pip")


@pytest.mark.parametrize(("form", "option"), [("tar.gz", "-czf"), ("tar.zst", "--zstd -cf")])
def test_recipe_for_tar_unpacks_an_archive(tmp_path: Path, form: str, option: str) -> None:
    tree = tmp_path / "tree" / "bin"
    tree.mkdir(parents=True)
    (tree / "activate").write_text("PATH=$PWD/analyst-demo-17/bin:$PATH\n")
    unpack = tree / "conda-unpack"
    unpack.write_text("#!/bin/sh\necho unpacked\n")
    unpack.chmod(0o755)
    archive = tmp_path / "archive"
    subprocess.run(
        ("sh", "-c", f"tar {option} {archive} -C {tmp_path}/tree bin"), check=True, timeout=10
    )
    (recipe,) = recipes(KEY, 17, {ArtifactKind(f"environment.{form}"): archive.as_uri()})
    done = subprocess.run(
        ("sh", "-ec", "\n".join(recipe.lines)),
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        timeout=10,
    )
    assert done.stdout == "unpacked\n"
