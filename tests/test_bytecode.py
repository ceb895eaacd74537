"""Byte code is made once for each content and Python, and linked into every prefix."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from envwatch.bytecode import Module, Python, Store, compile_into

TAG = sys.implementation.cache_tag
LIBRARY = "lib/python3/site-packages"


@dataclass
class Runner:
    """Runs commands as the sandbox would, and keeps them."""

    commands: list[Sequence[str]] = field(default_factory=list)

    def __call__(self, command: Sequence[str], _: Sequence[Path]) -> tuple[int, str]:
        self.commands.append(command)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    @property
    def compilations(self) -> int:
        return sum("marshal" in word for command in self.commands for word in command)


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def store(tmp_path: Path, runner: Runner) -> Store:
    (tmp_path / "tmp").mkdir()
    return Store(tmp_path / "pyc", tmp_path / "tmp", runner, lambda _: None)


PYTHON = Python("a" * 64, Path(sys.executable))


def make(prefix: Path, **sources: str) -> list[Module]:
    """A prefix with these modules."""
    modules = []
    for name, source in sources.items():
        path = f"{LIBRARY}/{name}.py"
        (prefix / path).parent.mkdir(parents=True, exist_ok=True)
        (prefix / path).write_text(source)
        modules.append(Module(path, hashlib.sha256(source.encode()).hexdigest(), len(source)))
    return modules


def pyc(prefix: Path, name: str) -> Path:
    return prefix / LIBRARY / "__pycache__" / f"{name}.{TAG}.pyc"


def imported(prefix: Path, name: str, code: str) -> str:
    """What Python says that takes the module from its byte code: the source is taken away."""
    command = (
        sys.executable,
        "-I",
        "-S",
        "-v",
        "-c",
        f"import sys; sys.path[:0]=[{str(prefix / LIBRARY)!r}]; import {name}; {code}",
    )
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"# code object from '{pyc(prefix, name)}'" in done.stderr
    return done.stdout.strip()


def test_module_is_imported_from_linked_byte_code(tmp_path: Path, store: Store) -> None:
    modules = make(tmp_path / "one", a="x = 1\ndef f(): pass")
    assert store.link(tmp_path / "one", PYTHON, modules) == 0
    assert imported(tmp_path / "one", "a", "print(a.x)") == "1"


def test_traceback_names_the_file_of_its_own_prefix(tmp_path: Path, store: Store) -> None:
    for name in ("one", "two"):
        store.link(tmp_path / name, PYTHON, make(tmp_path / name, a="def f(): pass"))
        said = imported(tmp_path / name, "a", "print(a.f.__code__.co_filename)")
        assert said == str(tmp_path / name / LIBRARY / "a.py")


def test_second_prefix_compiles_nothing_and_shares_the_file(
    tmp_path: Path, store: Store, runner: Runner
) -> None:
    store.link(tmp_path / "one", PYTHON, make(tmp_path / "one", a="x = 1"))
    before = len(runner.commands)
    store.link(tmp_path / "two", PYTHON, make(tmp_path / "two", a="x = 1"))
    assert len(runner.commands) == before
    assert pyc(tmp_path / "one", "a").samefile(pyc(tmp_path / "two", "a"))


def test_only_what_is_new_is_compiled(tmp_path: Path, store: Store) -> None:
    store.link(tmp_path / "one", PYTHON, make(tmp_path / "one", a="x = 1", b="y = 1"))
    store.link(tmp_path / "two", PYTHON, make(tmp_path / "two", a="x = 1", b="y = 2"))
    assert pyc(tmp_path / "one", "a").samefile(pyc(tmp_path / "two", "a"))
    assert not pyc(tmp_path / "one", "b").samefile(pyc(tmp_path / "two", "b"))


def test_other_python_archive_shares_nothing(tmp_path: Path, store: Store) -> None:
    other = Python("b" * 64, Path(sys.executable))
    store.link(tmp_path / "one", PYTHON, make(tmp_path / "one", a="x = 1"))
    store.link(tmp_path / "two", other, make(tmp_path / "two", a="x = 1"))
    assert not pyc(tmp_path / "one", "a").samefile(pyc(tmp_path / "two", "a"))


def test_file_that_does_not_compile_is_counted_and_not_tried_again(
    tmp_path: Path, store: Store, runner: Runner
) -> None:
    modules = make(tmp_path / "one", a="print 'two'", b="x = 1")
    assert store.link(tmp_path / "one", PYTHON, modules) == 1
    assert not pyc(tmp_path / "one", "a").exists()
    assert pyc(tmp_path / "one", "b").exists()
    before = runner.compilations
    assert store.link(tmp_path / "two", PYTHON, make(tmp_path / "two", a="print 'two'")) == 1
    assert runner.compilations == before


def test_file_that_kills_the_compiler_costs_only_itself(tmp_path: Path, store: Store) -> None:
    def dies_of_b(command: Sequence[str], write: Sequence[Path]) -> tuple[int, str]:
        killer = "if name.endswith('b.py'): posix.kill(posix.getpid(), 9)\n    try:"
        altered = [word.replace("try:", killer, 1) for word in command]
        return Runner()(altered, write)

    store = Store(store.root, store.tmp, dies_of_b, store.settle)
    modules = make(tmp_path / "one", a="x = 1", b="x = 2", c="x = 3", d="x = 4", e="x = 5")
    assert store.link(tmp_path / "one", PYTHON, modules) == 1
    names = [name for name in "abcde" if pyc(tmp_path / "one", name).exists()]
    assert names == ["a", "c", "d", "e"]


def test_byte_code_that_came_with_a_package_stays(tmp_path: Path, store: Store) -> None:
    modules = make(tmp_path / "one", a="x = 1")
    pyc(tmp_path / "one", "a").parent.mkdir()
    pyc(tmp_path / "one", "a").write_bytes(b"theirs")
    store.link(tmp_path / "one", PYTHON, modules)
    assert pyc(tmp_path / "one", "a").read_bytes() == b"theirs"


@pytest.mark.parametrize("kind", ["link", "garbage", "hard link"])
def test_only_byte_code_in_regular_files_is_taken_into_the_store(
    tmp_path: Path, store: Store, kind: str
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"kept")

    def cheats(command: Sequence[str], write: Sequence[Path]) -> tuple[int, str]:
        done = Runner()(command, write)
        for made in [p for f in write for p in f.glob("*") if len(p.name) == 64]:
            made.unlink()
            if kind == "link":
                made.symlink_to(outside)
            elif kind == "hard link":
                os.link(outside, made)
            else:
                made.write_bytes(b"garbage")
        return done

    store = Store(store.root, store.tmp, cheats, store.settle)
    assert store.link(tmp_path / "one", PYTHON, make(tmp_path / "one", a="x = 1")) == 1
    assert {p.name for p in (store.root / PYTHON.sha256).iterdir()} == {"tag"}
    assert outside.read_bytes() == b"kept"


def test_what_is_made_is_on_disk_before_it_is_in_the_store(tmp_path: Path, store: Store) -> None:
    seen = []

    def settle(folder: Path) -> None:
        seen.append(len([p for p in folder.iterdir() if len(p.name) == 64]))
        seen.append(len(list((store.root / PYTHON.sha256).iterdir())))

    Store(store.root, store.tmp, store.run, settle).link(
        tmp_path / "one", PYTHON, make(tmp_path / "one", a="x = 1", b="x = 2")
    )
    assert seen == [2, 1]


def test_interpreter_that_does_not_tell_its_tag_gives_no_byte_code(
    tmp_path: Path, store: Store
) -> None:
    python = Python("c" * 64, Path("/bin/true"))
    assert store.link(tmp_path / "one", python, make(tmp_path / "one", a="x = 1")) == 1
    assert not store.root.exists()


def test_file_with_no_room_for_links_begins_anew(tmp_path: Path, store: Store) -> None:
    store.link(tmp_path / "one", PYTHON, make(tmp_path / "one", a="x = 1"))
    made = next(p for p in (store.root / PYTHON.sha256).iterdir() if p.name != "tag")
    try:
        for number in range(70_000):
            os.link(made, tmp_path / f"{number}")
    except OSError:
        pass
    else:
        pytest.skip("this filesystem gives a file more than 70000 links")
    assert store.link(tmp_path / "two", PYTHON, make(tmp_path / "two", a="x = 1")) == 0
    assert pyc(tmp_path / "two", "a").stat().st_nlink == 2


def test_pip_packages_are_compiled_where_they_lie(tmp_path: Path, runner: Runner) -> None:
    modules = make(tmp_path / "one", a="x = 1", b="print 'two'")
    sources = [m.path for m in modules]
    python = Path(sys.executable)
    assert compile_into(tmp_path / "one", python, sources, tmp_path, runner) == 1
    assert imported(tmp_path / "one", "a", "print(a.x)") == "1"
    assert [p.name for p in pyc(tmp_path / "one", "a").parent.iterdir()] == [f"a.{TAG}.pyc"]
