"""The `pip:` section: chosen around conda's packages, locked by hash, installed beside them."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from install_helpers import Done, make_job, packages, run
from pip_index import Index, serve_index

from envwatch.install import faults
from envwatch.install.wheels import best_wheel, prefix_tags
from envwatch.model import LockedPackage, Manager
from envwatch.settings import PipOptions


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with serve_index(tmp_path / "index") as index:
        yield index


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One root for all tests: they share the cache and the byte code, as environments do."""
    return tmp_path_factory.mktemp("pip") / "root"


@dataclass
class Builder:
    """`act("pip", "name >=1")` in a new prefix with Python and click; `prefix` is the last one."""

    root: Path
    tmp: Path
    index: Index
    conda: tuple[LockedPackage, ...]
    made: int = 0
    prefix: Path = Path()

    def __call__(
        self, action: str, *requirements: str, pip: Sequence[LockedPackage] = (), **options: object
    ) -> Done:
        self.made += 1
        name = f"{self.tmp.name}-{self.made}"
        chosen = replace(PipOptions(index=self.index.url), **options)  # type: ignore[arg-type]
        job = make_job(self.root, name, pip=requirements, pip_options=chosen)
        job = replace(job, folders=replace(job.folders, uv=self.tmp / "uv"))
        self.prefix = job.folders.prefix
        return run(action, job, (*self.conda, *pip))


@pytest.fixture
def act(channel: Path, root: Path, tmp_path: Path, index: Index) -> Builder:
    return Builder(root, tmp_path, index, packages(channel, "python", "click"))


def python(prefix: Path, code: str) -> str:
    command = (prefix / "bin/python", "-I", "-c", code)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


# ---------------------------------------------------------------- choosing


def test_requirement_and_what_it_needs_are_locked_with_address_and_hash(
    act: Builder, index: Index
) -> None:
    wheel = index.wheel("thing", "1.5", requires=("thing-part >=2",))
    index.wheel("thing", "2.0")
    index.wheel("thing-part", "2.1")
    done = act("resolve", "thing <2")
    assert done.error == "", done.text
    assert [(p.name, p.version) for p in done.packages] == [("thing", "1.5"), ("thing-part", "2.1")]
    first = done.packages[0]
    assert first.url == f"{index.url}/thing/thing-1.5-py3-none-any.whl"
    assert first.sha256 == hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert (first.manager, first.platform) == (Manager.PIP, "linux-64")


def test_what_conda_installed_is_not_taken_from_the_index(act: Builder, index: Index) -> None:
    index.wheel("thing", requires=("click",))
    index.wheel("click", "99.0")
    done = act("resolve", "thing")
    assert [p.name for p in done.packages] == ["thing"]
    assert not any("click" in path for path in index.asked)


def test_requirement_against_a_conda_package_is_explained_with_its_line(
    act: Builder, index: Index
) -> None:
    index.wheel("thing")
    done = act("resolve", "thing", "click <1")
    assert done.error == "PipError"
    assert done.line == 11
    assert "click<1" in done.text


def test_version_that_nobody_has_is_explained_with_its_line(act: Builder, index: Index) -> None:
    index.wheel("other")
    index.wheel("thing")
    done = act("resolve", "other", "thing >=5")
    assert (done.error, done.line) == ("PipError", 11)
    assert "only thing==1.0 is available" in done.text


def test_unknown_name_is_told_with_its_line(act: Builder) -> None:
    done = act("resolve", "no-such-thing")
    assert (done.error, done.line) == ("PipError", 10)
    assert "no-such-thing was not found" in done.text
    assert "is the name right" in done.text


def test_package_without_wheels_names_the_setting(act: Builder, index: Index) -> None:
    index.sdist("thing")
    done = act("resolve", "thing")
    assert (done.error, done.line) == ("PipError", 10)
    assert "ask the operator for `pip.allow_sdist`" in done.text


def test_wheel_for_another_python_is_not_taken(act: Builder, index: Index) -> None:
    index.wheel("thing", "2.0", tag="cp27-none-any")
    index.wheel("thing", "1.0")
    done = act("resolve", "thing")
    assert [p.version for p in done.packages] == ["1.0"]


@pytest.mark.parametrize(
    "text",
    ["-r other.txt", "--index-url http://127.0.0.1:9/", "./thing", "-e .", "thing @ file:///thing.whl",
     "thing @ git+https://example.org/thing", "thing @ https://ada:s3cret@example.org/t.whl",
     "thing; python_version>='$HOME'", "thing\n--index-url http://127.0.0.1:9/"],
)  # fmt: skip
def test_only_names_and_versions_reach_the_resolver(act: Builder, index: Index, text: str) -> None:
    index.wheel("thing")
    done = act("resolve", text)
    assert (done.error, done.line) == ("PipError", 10)
    assert "s3cret" not in done.text
    assert index.asked == []


def test_host_that_is_not_allowed_is_refused(act: Builder, index: Index) -> None:
    index.wheel("thing")
    done = act("resolve", "thing", allowed_hosts=("pypi.example.org",))
    assert (done.error, done.line) == ("PipError", 10)
    assert "comes from `127.0.0.1`, which is not allowed" in done.text


def test_allowed_host_is_taken(act: Builder, index: Index) -> None:
    index.wheel("thing")
    assert act("resolve", "thing", allowed_hosts=("127.0.0.1",)).error == ""


def test_section_without_a_python_is_explained(channel: Path, tmp_path: Path, index: Index) -> None:
    job = make_job(tmp_path / "root", pip=("thing",), pip_options=PipOptions(index=index.url))
    done = run("resolve", job, packages(channel, "tiny"))
    assert (done.error, done.line) == ("PipError", 10)
    assert "add `python` to `dependencies:`" in done.text


# ---------------------------------------------------------------- installing


def test_packages_are_installed_beside_those_of_conda(act: Builder, index: Index) -> None:
    index.wheel("thing", files=[("thing.py", "import click\ndef main(): print('hi')\n")],
                scripts=("thing = thing:main",))  # fmt: skip
    done = act("pip", "thing")
    assert done.error == "", done.text
    assert subprocess.check_output((act.prefix / "bin/thing",), text=True) == "hi\n"
    assert faults(act.prefix) == ()


def test_byte_code_is_made_and_right(act: Builder, index: Index) -> None:
    index.wheel("thing", files=[("thing/__init__.py", "x = 7\n"), ("thing/old.py", "print 'x'\n")])
    assert act("pip", "thing").error == ""
    (site,) = act.prefix.glob("lib/python3.*/site-packages")
    (made,) = (site / "thing/__pycache__").iterdir()
    assert made.name.startswith("__init__.")
    assert python(act.prefix, "import thing; print(thing.x)") == "7"


def test_lock_is_installed_without_asking_the_index(act: Builder, index: Index) -> None:
    index.wheel("thing")
    locked = act("resolve", "thing").packages
    index.asked.clear()
    assert act("pip", pip=locked).error == ""
    assert {path.rpartition("/")[2] for path in index.asked} <= {"thing-1.0-py3-none-any.whl"}


def test_wheel_with_another_content_than_the_lock_says_is_refused(
    act: Builder, index: Index
) -> None:
    index.wheel("thing")
    url = f"{index.url}/thing/thing-1.0-py3-none-any.whl"
    locked = LockedPackage(Manager.PIP, "linux-64", "thing", "1.0", url, "0" * 64)
    done = act("pip", "thing", pip=[locked])
    assert done.error == "PipError"
    assert "cannot be installed" in done.text
    assert "hash" in done.text.lower()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"sha256": ""}, "has no sha256"),
        ({"url": "https://example.org/thing-1.0.tar.gz"}, "published only as source"),
        ({"url": "file:///tmp/thing-1.0-py3-none-any.whl"}, "not from the web"),
        ({"name": "click"}, "already there as a conda package"),
    ],
)
def test_lock_from_elsewhere_is_held_to_the_same_rules(
    act: Builder, change: dict[str, str], text: str
) -> None:
    url = "https://example.org/thing-1.0-py3-none-any.whl"
    locked = LockedPackage(Manager.PIP, "linux-64", "thing", "1.0", url, "0" * 64)
    done = act("pip", pip=[replace(locked, **change)])  # type: ignore[arg-type]  # all are texts
    assert done.error == "PipError"
    assert text in done.text


def test_file_of_a_conda_package_is_not_replaced(act: Builder, index: Index) -> None:
    index.wheel("thing", files=[("click/core.py", "x = 1\n")])
    done = act("pip", "thing")
    assert done.error == "PipError"
    assert (
        "click/core.py` of `thing` would replace a file of the conda package `click-" in done.text
    )


def test_cache_keeps_conda_files_when_pip_replaces_them(
    act: Builder, index: Index, channel: Path, root: Path
) -> None:
    index.wheel("thing", files=[("click/core.py", "x = 1\n")])
    act("pip", "thing")
    (click,) = packages(channel, "click")[:1]
    kept = next((root / "pkgs" / click.sha256).rglob("click/core.py"))
    assert kept.read_text() != "x = 1\n"


def test_nothing_of_the_package_runs_while_it_is_installed(
    act: Builder, index: Index, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    index.wheel("thing", files=[("thing.py", f"open({str(mark)!r}, 'w')\n")])
    assert act("pip", "thing").error == ""
    assert not mark.exists()


def test_code_that_starts_with_python_cannot_write_elsewhere(
    act: Builder, index: Index, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    line = f"import pathlib; pathlib.Path({str(mark)!r}).touch()\n"
    index.wheel("thing", files=[("thing.pth", line)])
    assert act("pip", "thing").error == ""
    assert not mark.exists()


def test_changed_file_of_a_pip_package_is_found(act: Builder, index: Index) -> None:
    index.wheel("thing")
    act("pip", "thing")
    (file,) = act.prefix.glob("lib/python3.*/site-packages/thing.py")
    file.unlink()
    file.write_text("x = 2\n")
    file.chmod(0o444)
    (found,) = faults(act.prefix)
    assert found.text.endswith("thing.py` is not what was installed")


def test_requirement_that_the_lock_forgot_is_told(act: Builder, index: Index) -> None:
    index.wheel("thing", requires=("thing-part",))
    index.wheel("thing-part")
    locked = [p for p in act("resolve", "thing").packages if p.name == "thing"]
    done = act("pip", pip=locked)
    assert done.error == "", done.text
    assert ["thing-part" in m.text for m in done.messages] == [True]


# ---------------------------------------------------------------- tags


def test_best_wheel_is_the_most_particular_one_that_fits() -> None:
    wheels = [
        {"url": f"https://example.org/thing-1.0-{tag}.whl"}
        for tag in ("py3-none-any", "cp311-cp311-linux_x86_64", "cp312-cp312-linux_x86_64",
                    "cp311-abi3-linux_x86_64", "cp311-cp311-win_amd64")
    ]  # fmt: skip
    chosen = best_wheel(wheels, prefix_tags("3.11.7", "lib/python3.11/site-packages"))
    assert chosen == wheels[1]


def test_free_threaded_python_takes_its_own_wheels() -> None:
    wheels = [
        {"url": f"https://example.org/thing-1.0-cp313-{abi}-linux_x86_64.whl"}
        for abi in ("cp313", "cp313t")
    ]
    tags = prefix_tags("3.13.1", "lib/python3.13t/site-packages")
    assert best_wheel(wheels, tags) == wheels[1]


def test_no_wheel_that_fits_is_none() -> None:
    wheels = [{"url": "https://example.org/thing-1.0-cp27-none-any.whl"}, {"url": "x/broken.whl"}]
    assert best_wheel(wheels, prefix_tags("3.11.7", "lib/python3.11/site-packages")) is None
