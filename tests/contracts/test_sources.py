"""What every kind of source does alike."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from git_helpers import SPEC, Repo, new_repo

from envwatch.errors import SourceError
from envwatch.git.bare import Bare
from envwatch.git.mirrors import Mirrors
from envwatch.model import Snapshot
from envwatch.settings import SourceKind, SourceSettings
from envwatch.sources import Source, open_source


class Folder:
    """Where the files of a source are put."""

    kind = SourceKind.DIRECTORY

    def __init__(self, path: Path) -> None:
        self.top = path / "top"
        self.top.mkdir()
        self.mirrors = path / "mirrors"

    @property
    def lies(self) -> Path:
        """Where the source itself is."""
        return self.top

    def put(self, files: dict[str, str | None]) -> None:
        for name, text in files.items():
            file = self.top / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                file.unlink()
            else:
                file.write_text(text)
        self.save()

    def save(self) -> None:
        """A folder is what it is."""

    def open(self, **changes: Any) -> Source:
        settings = SourceSettings(
            "it",
            self.kind,
            "team",
            url=str(self.top),
            directory=self.top,
            **changes,
        )
        return open_source(settings, mirrors=Mirrors(self.mirrors))


class Repository(Folder):
    kind = SourceKind.GIT

    def __init__(self, path: Path) -> None:
        self.repo: Repo = new_repo(path / "top")
        self.top = self.repo.path
        self.mirrors = path / "mirrors"
        self.save()

    def save(self) -> None:
        self.repo.commit({})


class Managed(Folder):
    """Files come by pushes; the work tree beside it is the pusher's."""

    kind = SourceKind.MANAGED

    def __init__(self, path: Path) -> None:
        self.repo: Repo = new_repo(path / "top")
        self.top = self.repo.path
        self.mirrors = path / "mirrors"
        self.bare = Bare(path / "managed" / "team.git")
        self.bare.prepare()
        self.save()

    @property
    def lies(self) -> Path:
        return self.bare.path

    def save(self) -> None:
        self.repo.commit({})
        self.repo.git("push", "--quiet", str(self.bare.path), "main")

    def open(self, **changes: Any) -> Source:
        url = str(self.bare.path)
        settings = SourceSettings("it", self.kind, "team", url=url, branch="main", **changes)
        return open_source(settings, mirrors=Mirrors(self.mirrors))


@pytest.fixture(params=[Folder, Repository, Managed], ids=["directory", "git", "managed"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    place: Folder = request.param(tmp_path)
    place.put({"a.yml": SPEC, "b/c/d.yaml": SPEC, "readme.md": "no", "e.yml.bak": "no"})
    return place


def paths(snapshot: Snapshot) -> list[str]:
    return [file.path for file in snapshot.files]


def test_a_source_knows_its_name_and_settings(place: Folder) -> None:
    source = place.open()
    assert source.name == "it"
    assert source.settings.namespace == "team"


def test_yaml_files_in_all_folders_are_read(place: Folder) -> None:
    taken = place.open().snapshot()
    assert [(f.path, f.data, f.problem) for f in taken.files] == [
        ("a.yml", SPEC.encode(), None),
        ("b/c/d.yaml", SPEC.encode(), None),
    ]
    assert (taken.source, taken.authoritative) == ("it", True)


def test_hidden_files_are_left_out(place: Folder) -> None:
    place.put({".github/workflows/ci.yml": "x", ".pre-commit-config.yaml": "x"})
    assert paths(place.open().snapshot()) == ["a.yml", "b/c/d.yaml"]


def test_only_what_is_included_is_read(place: Folder) -> None:
    assert paths(place.open(include=("b/**",)).snapshot()) == ["b/c/d.yaml"]


def test_what_is_excluded_is_left_out(place: Folder) -> None:
    assert paths(place.open(exclude=("b",)).snapshot()) == ["a.yml"]


def test_a_lock_beside_a_file_comes_with_it(place: Folder) -> None:
    place.put(
        {"b/c/conda-lock.yml": "lock", "b/c/d.conda-lock.yml": "lock", "conda-lock.yml": "no"}
    )
    taken = place.open(include=("b/c/d.yaml",)).snapshot()
    assert paths(taken) == ["b/c/conda-lock.yml", "b/c/d.conda-lock.yml", "b/c/d.yaml"]


def test_an_excluded_lock_stays_away(place: Folder) -> None:
    place.put({"conda-lock.yml": "lock"})
    taken = place.open(include=("*.yml",), exclude=("conda-lock.yml",)).snapshot()
    assert paths(taken) == ["a.yml"]


def test_equal_bytes_are_equal_content(place: Folder) -> None:
    first, second = place.open().snapshot().files
    assert first.content == second.content != ""


def test_other_bytes_are_other_content_and_another_revision(place: Folder) -> None:
    source = place.open()
    before = source.snapshot()
    place.put({"a.yml": "other"})
    after = source.snapshot()
    assert after.files[0].content != before.files[0].content
    assert after.files[1] == before.files[1]
    assert after.revision != before.revision


def test_a_removed_file_is_gone(place: Folder) -> None:
    source = place.open()
    source.snapshot()
    place.put({"a.yml": None})
    assert paths(source.snapshot()) == ["b/c/d.yaml"]


def test_nothing_new_is_the_same_fingerprint_and_snapshot(place: Folder) -> None:
    source = place.open()
    assert source.fingerprint() == source.fingerprint()
    assert source.snapshot() == source.snapshot()


@pytest.mark.parametrize("change", [{"a.yml": "x"}, {"a.yml": None}, {"new.yml": "x"}])
def test_a_change_is_another_fingerprint(place: Folder, change: dict[str, str | None]) -> None:
    source = place.open()
    before = source.fingerprint()
    place.put(change)
    assert source.fingerprint() != before


def test_a_second_source_of_the_same_place_agrees(place: Folder) -> None:
    assert place.open().snapshot() == place.open().snapshot()


def test_a_large_file_is_told_and_not_read(place: Folder) -> None:
    place.put({"big.yml": "x" * (64 * 1024 + 1), "full.yml": "x" * (64 * 1024)})
    files = {f.path: f for f in place.open().snapshot().files}
    assert files["big.yml"].data is None
    assert str(files["big.yml"].problem) == "big.yml: the file is too large: the limit is 64 KiB"
    assert len(files["full.yml"].data or b"") == 64 * 1024


def test_a_link_is_told_and_not_followed(place: Folder) -> None:
    (place.top / "link.yml").symlink_to("/etc/hostname")
    place.save()
    files = {f.path: f for f in place.open().snapshot().files}
    assert files["link.yml"].data is None
    assert "symbolic link" in str(files["link.yml"].problem)


def test_a_link_that_is_asked_for_by_name_is_still_a_file(place: Folder) -> None:
    (place.top / "link.yml").symlink_to("/etc/hostname")
    place.save()
    assert paths(place.open(include=("link.yml",)).snapshot()) == ["link.yml"]


def test_a_folder_to_include_that_is_a_link_is_told(place: Folder) -> None:
    (place.top / "envs").symlink_to("/etc")
    place.save()
    taken = place.open(include=("envs/*.yml", "a.yml")).snapshot()
    assert paths(taken) == ["a.yml"]
    assert [m.path for m in taken.messages] == ["envs"]
    assert taken.authoritative


def test_too_many_files_are_refused(place: Folder) -> None:
    with pytest.raises(SourceError, match="more than 1 files match"):
        place.open(max_files=1).snapshot()


def test_a_source_that_is_away_can_be_tried_again(place: Folder) -> None:
    source = place.open()
    before = source.snapshot()
    away = shutil.move(place.lies, place.lies.with_name("away"))
    with pytest.raises(SourceError) as caught:
        source.snapshot()
    assert caught.value.retry
    shutil.move(away, place.lies)
    assert source.snapshot() == before


def test_what_is_watched_is_on_this_machine(place: Folder) -> None:
    assert all(str(path).startswith(str(place.lies)) for path in place.open().watch_paths())


def test_envwatch_yml_is_read_in_every_folder_that_a_pattern_reaches(place: Folder) -> None:
    names = ("envwatch.yml", "envs/envwatch.yaml", "other/envwatch.yml", "envs/old/envwatch.yml")
    place.put({"envs/a.yml": SPEC, "envs/conda-lock.yml": "x", **dict.fromkeys(names, "{}")})
    found = sorted(paths(place.open(include=("envs/*.yml",)).snapshot()))
    assert found == ["envs/a.yml", "envs/conda-lock.yml", "envs/envwatch.yaml", "envwatch.yml"]
    rest = paths(place.open(include=("envs/*.yml",), exclude=("**/envwatch.*",)).snapshot())
    assert rest == ["envs/a.yml", "envs/conda-lock.yml"]


def test_a_change_of_envwatch_yml_is_noticed(place: Folder) -> None:
    place.put({"envs/a.yml": SPEC, "envwatch.yml": "{}"})
    source = place.open(include=("envs/*.yml",))
    before = source.fingerprint()
    place.put({"envwatch.yml": "layers: []"})
    assert source.fingerprint() != before
