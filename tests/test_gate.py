"""What envwatch refuses of a package, and that nothing it lets through leaves the prefix."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from install_helpers import Linker, of_archive, snapshot
from rattler.package_streaming import extract

from envwatch.channel.archive import PLACEHOLDER, File, Package, write
from envwatch.errors import PackageRefused
from envwatch.gate import check_package, inspect_package
from envwatch.model import Level, LockedPackage, Manager

FILES = (
    File("bin/tool", b"#!/bin/sh\n", executable=True),
    File("lib/data/one.txt", b"one"),
    File("lib/link.txt", link="data/one.txt"),
    File("etc/conf", PLACEHOLDER.encode(), placeholder="text"),
)
PLAIN = Package("thing", "1.0", noarch="generic", files=FILES)
PYTHON = Package(
    "thing", "1.0", noarch="python", depends=("python",), entry_points=("thing = thing.main:run",),
    files=(File("site-packages/thing/main.py", b"def run(): pass\n"),
           File("site-packages/up", link="thing/main.py"),
           File("python-scripts/old-thing", b"#!/bin/sh\n", executable=True)),
)  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[Package], tuple[Path, LockedPackage]]:
    """Makes an archive and extracts it: `tree(package)`."""

    def make(package: Package) -> tuple[Path, LockedPackage]:
        archive = write(tmp_path / "channel", package)
        folder = tmp_path / "tree"
        extract(archive, folder)
        return folder, of_archive(archive, package.name, package.version, package.build)

    return make


def change(tree: Path, file: str, edit: Callable[[dict[str, object]], object]) -> None:
    """Edit one of a package's json files in place."""
    path = tree / "info" / file
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))


def set_path(tree: Path, key: str, value: object, at: int = 0) -> None:
    change(tree, "paths.json", lambda d: d["paths"][at].update({key: value}))  # type: ignore[index]


def texts(tree: Path, package: LockedPackage, level: Level = Level.ERROR) -> list[str]:
    return [m.text for m in inspect_package(tree, package) if m.level is level]


@pytest.mark.parametrize("package", [PLAIN, PYTHON], ids=["generic", "python"])
def test_ordinary_package_passes_without_a_word(tree, package: Package) -> None:
    assert check_package(*tree(package)) == ()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/etc/thing", "is absolute"),
        ("../thing", "leads out of the prefix"),
        ("lib/../../thing", "leads out of the prefix"),
        ("site-packages/../../../../../thing", "leads out of the prefix"),
        ("", "is empty"),
        ("lib//thing", "is not in its shortest form"),
        ("./thing", "is not in its shortest form"),
        ("lib/th\0ing", "holds a control character"),
        ("lib/th\ning", "holds a control character"),
        ("lib/\ud800", "holds a control character"),
        ("lib/" + "x" * 300, "is too long"),
        ("conda-meta/thing-1.0-0.json", "is a record of the prefix"),
        ("conda-meta/history", "is a record of the prefix"),
        ("info/index.json", "is metadata of the package"),
    ],
)
def test_path_that_is_no_place_in_a_prefix_is_refused(tree, path: str, reason: str) -> None:
    folder, package = tree(PLAIN)
    set_path(folder, "_path", path)
    assert any(text.endswith(reason) for text in texts(folder, package))


def test_path_listed_twice_is_refused(tree) -> None:
    folder, package = tree(PLAIN)
    change(folder, "paths.json", lambda d: d["paths"].append(d["paths"][0]))
    assert texts(folder, package) == ["its path `bin/tool` is listed 2 times"]


def test_path_through_a_link_of_the_package_is_refused(tree) -> None:
    folder, package = tree(PLAIN)
    (folder / "share").symlink_to("lib")
    row = {"_path": "share", "path_type": "softlink"}
    through = {"_path": "share/data/one.txt", "path_type": "hardlink"}
    change(folder, "paths.json", lambda d: d["paths"].extend([row, through]))
    assert any("goes through its own link `share`" in t for t in texts(folder, package))


@pytest.mark.parametrize("target", ["/etc/hostname", "../../outside", "..//../x", "data/../.."])
def test_link_that_leads_out_is_refused(tree, target: str) -> None:
    folder, package = tree(PLAIN)
    link = folder / "lib/link.txt"
    link.unlink()
    link.symlink_to(target)
    assert any("its link `lib/link.txt` leads out" in t for t in texts(folder, package))


def test_link_of_a_python_package_is_judged_where_it_will_lie(tree) -> None:
    folder, package = tree(PYTHON)
    link = folder / "site-packages/up"
    link.unlink()
    link.symlink_to("../../../share")
    assert texts(folder, package) == []
    link.unlink()
    link.symlink_to("../../../../share")
    assert any("leads out of the prefix" in t for t in texts(folder, package))


def test_unlisted_link_that_leads_out_is_refused_too(tree) -> None:
    folder, package = tree(PLAIN)
    (folder / "lib/unlisted").symlink_to("/etc")
    assert any("`lib/unlisted` leads out" in t for t in texts(folder, package))


def test_hard_link_to_a_file_outside_is_refused(tree, tmp_path: Path) -> None:
    folder, package = tree(PLAIN)
    outside = tmp_path / "outside"
    outside.write_bytes(b"one")
    (folder / "lib/data/one.txt").unlink()
    os.link(outside, folder / "lib/data/one.txt")
    assert texts(folder, package) == [
        "its file `lib/data/one.txt` is a hard link to a file outside the package"
    ]


def test_hard_links_within_a_package_pass(tree) -> None:
    folder, package = tree(PLAIN)
    os.link(folder / "lib/data/one.txt", folder / "lib/data/two.txt")
    row = {"_path": "lib/data/two.txt", "path_type": "hardlink"}
    change(folder, "paths.json", lambda d: d["paths"].append(row))
    assert texts(folder, package) == []


def test_special_file_is_refused(tree) -> None:
    folder, package = tree(PLAIN)
    (folder / "lib/data/one.txt").unlink()
    os.mkfifo(folder / "lib/data/one.txt")
    assert any("neither a file, a folder nor a link" in t for t in texts(folder, package))


@pytest.mark.parametrize(
    "point",
    [
        "../thing = thing:run", "a/b = thing:run", "thing = thing:run;import os", "thing = thing",
        "thing", " = thing:run", "thing = thing:run()", "th\ning = thing:run", ".. = thing:run",
    ],
)  # fmt: skip
def test_entry_point_that_is_more_than_names_is_refused(tree, point: str) -> None:
    folder, package = tree(PYTHON)
    change(folder, "link.json", lambda d: d["noarch"].update(entry_points=[point]))
    assert any("is not `name = module:function`" in t for t in texts(folder, package))


@pytest.mark.parametrize("key", ["name", "version", "build"])
def test_package_that_is_not_the_one_of_the_lock_is_refused(tree, key: str) -> None:
    folder, package = tree(PLAIN)
    other = replace(package, **{key: "other"})
    assert any(f"it says that its {key} is" in t for t in texts(folder, other))


def test_name_that_would_be_a_path_is_refused(tree) -> None:
    folder, package = tree(PLAIN)
    change(folder, "index.json", lambda d: d.update(build="../x"))
    found = texts(folder, replace(package, build="../x"))
    assert found == ["its build `../x` cannot be part of a file name"]


@pytest.mark.parametrize("site", ["../../elsewhere", "/usr/lib/python3/site-packages", "lib"])
def test_site_packages_outside_the_prefix_are_refused(tree, site: str) -> None:
    folder, package = tree(PLAIN)
    found = texts(folder, replace(package, python_site_packages_path=site))
    assert found == [f"its `python_site_packages_path` `{site}` is not a folder of the prefix"]


@pytest.mark.parametrize("placeholder", ["", "/", "relative", "/a\nb"])
def test_placeholder_that_is_no_folder_is_refused(tree, placeholder: str) -> None:
    folder, package = tree(PLAIN)
    set_path(folder, "prefix_placeholder", placeholder, at=1)
    assert any("is not a folder" in t for t in texts(folder, package))


@pytest.mark.parametrize(
    ("key", "value"),
    [("sha256", "abc"), ("path_type", "magic"), ("size_in_bytes", "many"), ("size_in_bytes", 1)],
)
def test_false_value_in_the_list_of_files_is_refused(tree, key: str, value: object) -> None:
    folder, package = tree(PLAIN)
    set_path(folder, key, value)
    assert texts(folder, package)


def test_listed_file_that_is_not_there_is_refused(tree) -> None:
    folder, package = tree(PLAIN)
    (folder / "bin/tool").unlink()
    assert texts(folder, package) == ["its file `bin/tool` is listed but not in the archive"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"paths": 1}', '{"paths": [1]}', "[" * 100_000])
def test_metadata_that_cannot_be_read_is_refused(tree, text: str) -> None:
    folder, package = tree(PLAIN)
    (folder / "info/paths.json").write_text(text)
    assert texts(folder, package)[0].startswith("its metadata cannot be read: ")


def test_metadata_is_not_read_through_a_link(tree, tmp_path: Path) -> None:
    folder, package = tree(PLAIN)
    secret = tmp_path / "secret.json"
    shutil.move(folder / "info/paths.json", secret)
    (folder / "info/paths.json").symlink_to(secret)
    assert texts(folder, package)[0].startswith("its metadata cannot be read: ")


def test_package_without_a_list_of_paths_is_judged_by_its_older_list(tree) -> None:
    folder, package = tree(PLAIN)
    (folder / "info/paths.json").unlink()
    assert texts(folder, package) == []
    (folder / "info/files").write_text("../thing\n")
    assert any("leads out of the prefix" in t for t in texts(folder, package))


def test_older_list_of_placeholders_is_understood(tree) -> None:
    folder, package = tree(PLAIN)
    (folder / "info/paths.json").unlink()
    (folder / "info/has_prefix").write_text('relative text "etc/conf"\n')
    assert any("placeholder `relative`" in t for t in texts(folder, package))


def test_link_script_is_told_and_is_silent_where_it_is_allowed(tree) -> None:
    script = File("bin/.thing-post-link.sh", b"#!/bin/sh\n", executable=True)
    folder, package = tree(replace(PLAIN, files=(script,)))
    assert texts(folder, package, Level.WARNING) == ["its post-link script is not run"]
    assert check_package(folder, package, link_scripts=True) == ()


def test_modes_that_give_too_much_are_told(tree) -> None:
    folder, package = tree(PLAIN)
    (folder / "bin/tool").chmod(0o4777)
    assert texts(folder, package, Level.WARNING) == [
        "`bin/tool` is setuid or setgid; that is taken away",
        "`bin/tool` is writable by others; that is taken away",
    ]


def test_names_that_differ_only_in_case_are_told(tree) -> None:
    more = (*FILES, File("lib/DATA/one.txt", b"one"))
    assert texts(*tree(replace(PLAIN, files=more)), Level.WARNING) == [
        "`lib/DATA/one.txt` and 1 more are only different in case"
    ]


def test_unlisted_file_is_told(tree) -> None:
    folder, package = tree(PLAIN)
    (folder / "lib/more").touch()
    found = texts(folder, package, Level.WARNING)
    assert found == ["`lib/more` is not listed, and so not installed"]


def test_refusal_names_the_package_and_counts_the_rest(tree) -> None:
    folder, package = tree(PLAIN)
    set_path(folder, "_path", "../a\x1b[31m", at=0)
    set_path(folder, "_path", "/b", at=1)
    with pytest.raises(PackageRefused) as refused:
        check_package(folder, package)
    text = str(refused.value)
    assert text.startswith("package `thing-1.0-0.conda` is refused: its path `../a\\x1b[31m` ")
    assert "more of this kind" in text


# ---------------------------------------------------------------- generated packages

PARTS = st.sampled_from(
    ["..", ".", "", "bin", "lib", "data", "canary", "pkgs", "thing-1.0-0", "python-1-0",
     "site-packages", "python-scripts", "one.txt", "x", "~", "a\\b", "é", " ", "conda-meta"]
)  # fmt: skip
PATHS = st.lists(PARTS, min_size=1, max_size=7).map("/".join)
TARGETS = st.one_of(PATHS, st.just("CANARY"), st.just("../../../../../../../../canary"))
POINTS = st.one_of(
    st.builds("{} = {}:{}".format, PATHS, PATHS, PATHS),
    PATHS.map(lambda p: f"{p} = thing.main:run"),
)
# beside the prefix, by names that also exist beside the package in the cache
BESIDE = st.builds(
    "../{}/{}".format,
    st.sampled_from(["thing-1.0-0", "python-3.11.0-0"]),
    st.sampled_from(["bin/python3.11", "site-packages/thing/main.py", "info/index.json"]),
)
MUTATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("path"), st.one_of(PATHS, BESIDE)),
        st.tuples(st.just("absolute"), PATHS),
        st.tuples(st.just("link"), TARGETS),
        st.tuples(st.just("through"), TARGETS),
        st.tuples(st.just("mode"), st.integers(0o400, 0o7777).map(str)),
        st.tuples(st.just("point"), POINTS),
    ),
    min_size=1,
    max_size=3,
)


THING = LockedPackage(
    Manager.CONDA, "linux-64", "thing", "1.0", "file:///thing-1.0-0.conda", "0" * 64, build="0"
)


class Stage:
    """A small world: a canary, a cache with the package to judge beside a Python, a prefix.

    The folders stay the same ones for all examples: a confined child knows them by inode.
    """

    def __init__(self, top: Path) -> None:
        self.top = top
        self.canary = top / "canary"
        # deep enough for most generated paths to end within the world when they climb
        self.view = top / "a/b/c/d/pkgs"
        self.tree = self.view / "thing-1.0-0"
        self.prefix = top / "a/b/c/d/prefix"
        self.origin = top.parent / "origin"
        for folder in (self.canary, self.view, self.prefix):
            folder.mkdir(parents=True)
        (self.canary / "one.txt").write_bytes(b"one")
        python = Package("python", "3.11.0", files=(File("bin/python3.11", b"x"),))
        for package in (PYTHON, python):
            archive = write(top.parent / "channel", package)
            extract(archive, self.origin / package.stem)

    def reset(self) -> None:
        strays = set(self.prefix.parent.iterdir()) - {self.prefix, self.view}
        for path in (*strays, *self.view.iterdir(), *self.prefix.iterdir()):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        shutil.copytree(self.origin, self.view, symlinks=True, dirs_exist_ok=True)

    def mutate(self, mutations: list[tuple[str, str]]) -> None:
        self.reset()
        for number, (kind, value) in enumerate(mutations):
            getattr(self, f"_{kind}")(value, number)

    def _path(self, value: str, number: int) -> None:
        """Another place for a file, which lies there in the package if that can be."""
        path = self.tree / value
        # an absolute value would replace the tree: such a path stays a line of the list
        inside = path.is_relative_to(self.tree) and ".." not in path.parts
        if inside and not os.path.lexists(path):
            with suppress(FileExistsError, NotADirectoryError):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"#!/bin/sh\n")
        set_path(self.tree, "_path", value, at=number % 3)

    def _absolute(self, value: str, number: int) -> None:
        set_path(self.tree, "_path", f"{self.top}/{value}", at=number % 3)

    def _link(self, value: str, number: int) -> str:
        name = f"site-packages/link{number}"
        target = value.replace("CANARY", str(self.canary))
        if target:
            (self.tree / name).symlink_to(target)
        self._list(name, "softlink")
        return name

    def _through(self, value: str, number: int) -> None:
        link = self._link(value, number)
        self._list(f"{link}/kept", "hardlink")

    def _list(self, path: str, kind: str) -> None:
        row = {"_path": path, "path_type": kind, "sha256": "0" * 64}
        change(self.tree, "paths.json", lambda d: d["paths"].append(row))

    def _mode(self, value: str, _: int) -> None:
        (self.tree / "site-packages/thing/main.py").chmod(int(value))

    def _point(self, value: str, _: int) -> None:
        change(self.tree, "link.json", lambda d: d["noarch"]["entry_points"].append(value))

    def surroundings(self) -> dict[str, tuple[int, str]]:
        """All but the prefix; the linker's own lock files beside the packages do not count."""
        found = snapshot(self.top, without=self.prefix)
        return {p: state for p, state in found.items() if not p.endswith(".lock")}

    def outside(self) -> dict[str, tuple[int, str]]:
        """All that the sandbox forbids: neither the prefix nor the cache."""
        return {p: s for p, s in self.surroundings().items() if not p.startswith("a/b/c/d/pkgs/")}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage") / "world")


@pytest.fixture(scope="module")
def linker(stage: Stage) -> Iterator[Linker]:
    """Free within the world, canary included: a hole in the gate shows, and harms no machine."""
    linker = Linker(stage.top)
    yield linker
    linker.close()


@pytest.fixture(scope="module")
def confined_linker(stage: Stage) -> Iterator[Linker]:
    linker = Linker(stage.prefix, stage.view)
    yield linker
    linker.close()


@settings(max_examples=200, deadline=None, database=None)
@given(mutations=MUTATIONS)
def test_nothing_that_passes_the_gate_leaves_the_prefix(
    stage: Stage, linker: Linker, mutations: list[tuple[str, str]]
) -> None:
    stage.mutate(mutations)
    before = stage.surroundings()
    if not any(m.level is Level.ERROR for m in inspect_package(stage.tree, THING)):
        linker.link(stage.view, stage.prefix)
    assert stage.surroundings() == before
    kept = {p.lstat().st_ino for p in stage.canary.rglob("*")}
    for path in stage.prefix.rglob("*"):
        # a link that failed may still take its own files away
        with suppress(FileNotFoundError):
            assert path.lstat().st_ino not in kept
        assert Path(os.path.realpath(path)).is_relative_to(stage.prefix)


def test_what_passes_the_gate_is_really_linked(stage: Stage, linker: Linker) -> None:
    stage.mutate([("path", "share/x"), ("link", "thing/main.py"), ("mode", "511")])
    assert check_package(stage.tree, THING) != ()
    assert linker.link(stage.view, stage.prefix) == ""
    assert (stage.prefix / "share/x").is_file()


@settings(max_examples=60, deadline=None, database=None)
@given(mutations=MUTATIONS)
def test_sandbox_alone_keeps_the_surroundings(
    stage: Stage, confined_linker: Linker, mutations: list[tuple[str, str]]
) -> None:
    stage.mutate(mutations)
    before = stage.outside()
    confined_linker.link(stage.view, stage.prefix)
    assert stage.outside() == before


def test_sandbox_alone_still_lets_a_package_be_linked(
    stage: Stage, confined_linker: Linker
) -> None:
    stage.reset()
    assert confined_linker.link(stage.view, stage.prefix) == ""
    assert (stage.prefix / "bin/thing").is_file()
