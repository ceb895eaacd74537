"""What every storage promises. Another kind is one more entry in `STORAGES`."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envwatch.errors import NotFound, StorageError
from envwatch.storage import Storage, open_storage
from envwatch.storage.keys import check_key

KEY = "analyst/demo/17/conda-lock.yml"
STORAGES: dict[str, Callable[[Path], Storage]] = {"filesystem": open_storage}


@pytest.fixture(params=sorted(STORAGES))
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return STORAGES[request.param](tmp_path / "root")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "made.yml"
    path.write_text("first")
    return path


def _text(storage: Storage, key: str = KEY) -> str:
    with storage.open(key) as f:
        return f.read().decode()


def test_what_is_put_is_read(storage: Storage, source: Path) -> None:
    storage.put(KEY, source)
    assert _text(storage) == "first"
    assert storage.exists(KEY)
    assert storage.size(KEY) == 5


def test_path_if_any_leads_to_the_same_file(storage: Storage, source: Path) -> None:
    storage.put(KEY, source)
    path = storage.path(KEY)
    assert path is None or path.read_text() == "first"


def test_put_again_replaces(storage: Storage, source: Path) -> None:
    storage.put(KEY, source)
    source.write_text("second")
    storage.put(KEY, source)
    assert _text(storage) == "second"


def test_same_read_only_file_may_be_put_twice(storage: Storage, source: Path) -> None:
    source.chmod(0o444)
    storage.put(KEY, source)
    storage.put(KEY, source)
    assert storage.list() == (KEY,)


def test_later_changes_of_the_source_do_not_arrive(storage: Storage, source: Path) -> None:
    storage.put(KEY, source)
    source.write_text("grown")
    assert _text(storage) == "first"


def test_source_may_go(storage: Storage, source: Path) -> None:
    source.chmod(0o444)
    storage.put(KEY, source)
    source.unlink()
    assert _text(storage) == "first"


def test_reader_keeps_what_it_opened(storage: Storage, source: Path) -> None:
    storage.put(KEY, source)
    with storage.open(KEY) as reader:
        source.write_text("second")
        storage.put(KEY, source)
        storage.delete(KEY)
        assert reader.read() == b"first"


def test_list_is_sorted_and_starts_with_the_prefix(storage: Storage, source: Path) -> None:
    for key in ("b/x/2/f", "a/x/1/f", "a/x/10/f", "a/x/1/g"):
        storage.put(key, source)
    assert storage.list() == ("a/x/1/f", "a/x/1/g", "a/x/10/f", "b/x/2/f")
    assert storage.list("a/x/1/") == ("a/x/1/f", "a/x/1/g")
    assert storage.list("none") == ()


def test_deleted_is_gone_and_others_stay(storage: Storage, source: Path) -> None:
    storage.put(KEY, source)
    storage.put("analyst/demo/18/conda-lock.yml", source)
    storage.delete(KEY)
    assert not storage.exists(KEY)
    assert storage.list() == ("analyst/demo/18/conda-lock.yml",)


def test_delete_again_is_no_error(storage: Storage, source: Path) -> None:
    storage.put(KEY, source)
    storage.delete(KEY)
    storage.delete(KEY)
    assert storage.list() == ()


def test_what_is_missing_is_said(storage: Storage) -> None:
    for ask in (storage.open, storage.path, storage.size):
        with pytest.raises(NotFound, match=f"`{KEY}`"):
            ask(KEY)
    assert not storage.exists(KEY)


def test_missing_source_is_an_error_of_the_storage(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        storage.put(KEY, tmp_path / "nowhere")
    assert storage.list() == ()


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "a/b/1",
        "a/b/1/c/d",
        "a/../1/c",
        "../b/1/c",
        "a/b/1/..",
        "a/b/one/c",
        "a/b/1/.part-x",
        "a//1/c",
        "a/b/1/c\0",
        "a/b/1/c\n",
        "a/b/-1/c",
        "a\\b/b/1/c",
    ],
)
def test_what_is_no_key_is_refused_by_all(storage: Storage, source: Path, key: str) -> None:
    with pytest.raises(NotFound, match="no key"):
        storage.put(key, source)
    for ask in (storage.open, storage.path, storage.size, storage.delete, storage.exists):
        with pytest.raises(NotFound, match="no key"):
            ask(key)


@given(st.text(alphabet="ab.1/\\\0\n ", max_size=20))
def test_no_key_leaves_the_folder(text: str) -> None:
    try:
        key = check_key(text)
    except NotFound:
        return
    assert os.path.normpath(f"/top/{key}") == f"/top/{key}"


class TestFilesystem:
    def test_nobody_else_may_look(self, source: Path, tmp_path: Path) -> None:
        open_storage(tmp_path / "root").put(KEY, source)
        folders = [p for p in (tmp_path / "root" / "artifacts").rglob("*") if p.is_dir()]
        modes = {stat.S_IMODE(p.stat().st_mode) for p in [tmp_path / "root/artifacts", *folders]}
        assert modes == {0o700}

    def test_read_only_file_is_linked(self, source: Path, tmp_path: Path) -> None:
        source.chmod(0o444)
        storage = open_storage(tmp_path / "root")
        storage.put(KEY, source)
        assert storage.path(KEY).samefile(source)

    def test_other_filesystem_is_copied(self, tmp_path: Path) -> None:
        source = Path("/proc/version")  # read-only, and on a filesystem of its own
        storage = open_storage(tmp_path / "root")
        storage.put(KEY, source)
        assert _text(storage) == source.read_text()

    def test_folders_go_with_their_last_file(self, source: Path, tmp_path: Path) -> None:
        storage = open_storage(tmp_path / "root")
        storage.put(KEY, source)
        storage.delete(KEY)
        assert list((tmp_path / "root" / "artifacts").iterdir()) == []

    def test_rest_of_a_killed_put_is_never_listed_and_goes(self, tmp_path: Path) -> None:
        rest = tmp_path / "root/artifacts/a/b/1/.part-0"
        rest.parent.mkdir(parents=True)
        rest.touch()
        storage = open_storage(tmp_path / "root")
        assert storage.list() == ()
        assert not rest.exists()

    def test_failed_put_leaves_nothing(self, source: Path, tmp_path: Path) -> None:
        storage = open_storage(tmp_path / "root")
        (tmp_path / "root" / "artifacts" / KEY).mkdir(parents=True)
        with pytest.raises(StorageError, match=os.strerror(errno.EISDIR)):
            storage.put(KEY, source)
        folder = (tmp_path / "root" / "artifacts" / KEY).parent
        assert [p.name for p in folder.iterdir()] == ["conda-lock.yml"]
