"""The conda-lock program itself reads what envwatch writes, and the other way round."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import fake_conda
import pytest
import yaml
from needs import lack
from solver_helpers import HOST, PLATFORMS, environment, make_request, parse, pip_package

from envwatch import layers, lockfile
from envwatch import spec as specs
from envwatch.model import Composition, Layer, Lock
from envwatch.solvers import open_solver

pytestmark = pytest.mark.peer

PROGRAM = Path(sys.executable).with_name("conda-lock")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if not PROGRAM.exists():
        lack("the program `conda-lock` is not there")
    (tmp_path / "names.json").write_text("{}")
    return tmp_path


def conda_lock(folder: Path, *arguments: str) -> str:
    """Run the program in the folder; it must succeed. What it says is returned."""
    program = fake_conda.install(folder)
    names = (folder / "names.json").as_uri()
    options = ("--conda", str(program), "--no-mamba", "--pypi_to_conda_lookup_file", names)
    command = (str(PROGRAM), *arguments, *(options if arguments[0] == "lock" else ()))
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture
def text(channel: Path) -> str:
    listed = environment("stepped", "native", "python", "tiny  # [win]", pip=["click>=8"])
    return listed.replace("[local]", f"[{channel.as_uri()}]")


@pytest.fixture
def lock(folder: Path, channel: Path, text: str) -> Lock:
    """Our lock for three platforms, in a folder beside its environment file."""
    plain = text.replace("- python\n", "").partition("- pip:")[0]
    wanted = plain + "- python  # [linux]\n- pip:\n  - click>=8  # [linux]\n"
    (folder / "environment.yml").write_text(wanted)
    request = make_request(wanted, [channel], folder, platforms=PLATFORMS)
    solved = open_solver("rattler").solve(request)
    lock = Lock(PLATFORMS, solved.channels, (*solved.packages, pip_package("click")), (HOST,))
    path = folder / "conda-lock.yml"
    lockfile.write(lock, parse(wanted), text=wanted, path=path)
    return lock


def test_our_lock_is_already_locked(folder: Path, lock: Lock) -> None:
    before = (folder / "conda-lock.yml").read_text()
    options = [word for platform in lock.platforms for word in ("-p", platform)]
    said = conda_lock(folder, "lock", "-f", "environment.yml", "--check-input-hash", *options)
    assert f"Spec hash already locked for {sorted(PLATFORMS)}. Skipping solve." in said
    assert (folder / "conda-lock.yml").read_text() == before


def test_changed_file_is_not_already_locked(folder: Path, lock: Lock) -> None:
    file = folder / "environment.yml"
    file.write_text(file.read_text().replace("- native", "- native=1.0").partition("- pip:")[0])
    said = conda_lock(folder, "lock", "-f", "environment.yml", "--check-input-hash", "-p", HOST)
    assert f"Locking dependencies for ['{HOST}']" in said


@pytest.mark.parametrize("platform", PLATFORMS)
def test_explicit_list_agrees(folder: Path, lock: Lock, platform: str) -> None:
    conda_lock(folder, "render", "-k", "explicit", "-p", platform, "conda-lock.yml")
    theirs = (folder / f"conda-{platform}.lock").read_text()
    assert links(lockfile.explicit(lock, platform)) == links(theirs)


def links(text: str) -> list[str]:
    """The packages, conda's in any order that has the needed first."""
    lines = text.splitlines()
    return sorted(line for line in lines if "://" in line and "conda-lock" not in line)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_pinned_file_agrees(folder: Path, lock: Lock, platform: str) -> None:
    conda_lock(folder, "render", "-k", "env", "-p", platform, "conda-lock.yml")
    theirs = yaml.safe_load((folder / f"conda-{platform}.lock.yml").read_text())
    spec = parse((folder / "environment.yml").read_text())
    ours = yaml.safe_load(lockfile.pinned(spec, lock, platform, name="demo"))
    assert ours["channels"] == theirs["channels"]
    assert names(ours["dependencies"]) == names(theirs["dependencies"])


def names(dependencies: list[object]) -> list[str]:
    """Conda's pins as they are, pip's without their hashes and spaces."""
    pip = [line for d in dependencies if isinstance(d, dict) for line in d["pip"]]
    plain = [str(line).partition(" --hash")[0].replace(" ", "") for line in pip]
    return [d for d in dependencies if isinstance(d, str)] + plain


def test_lock_of_the_program_is_recognised(folder: Path, channel: Path) -> None:
    text = environment("stepped", "native").replace("[local]", f"[{channel.as_uri()}]")
    (folder / "environment.yml").write_text(text)
    conda_lock(folder, "lock", "-f", "environment.yml", "-p", HOST, "-p", "osx-arm64")
    theirs = (folder / "conda-lock.yml").read_text()
    assert lockfile.matches(theirs, text, HOST)
    assert lockfile.matches(theirs, text, "osx-arm64")
    assert not lockfile.matches(theirs, text + "- tiny\n", HOST)


def layered(folder: Path, channel: Path, *names: str) -> Composition:
    """Files in folders as people keep them, in the order in which the program is told them."""
    texts = {"environment.yml": "- tiny=2.0  # [linux]\n", "base.yml": "- tiny=1.0\n- native\n"}
    for name, lines in texts.items():
        head = f"channels: [{channel.as_uri()}, nodefaults]\ndependencies:\n"
        (folder / name).write_text(head + lines)
    return Composition(tuple(Layer(name, (folder / name).read_text()) for name in names))


BOTH = ("-f", "environment.yml", "-f", "base.yml", "-p", HOST)


def test_lock_of_the_program_of_several_files_is_recognised(folder: Path, channel: Path) -> None:
    made = layered(folder, channel, "environment.yml", "base.yml")
    conda_lock(folder, "lock", *BOTH)
    theirs = (folder / "conda-lock.yml").read_text()
    assert lockfile.matches(theirs, "", HOST, made)
    assert not lockfile.matches(theirs, "", HOST, Composition(made.layers[::-1]))
    assert not lockfile.matches(theirs, made.layers[0].text, HOST)
    read = layers.read("", "envwatch.yml", made)
    assert read is not None
    solved = {p.name: p.version for p in lockfile.read(theirs).on(HOST)}
    assert solved["tiny"] == "1.0", "the later file counts for the program too"
    assert [r.text for r in specs.on(read, HOST)] == ["tiny=1.0", "native"]


def test_our_lock_of_several_files_is_already_locked(folder: Path, channel: Path) -> None:
    made = layered(folder, channel, "environment.yml", "base.yml")
    spec = layers.read("", "envwatch.yml", made)
    assert spec is not None
    request = replace(make_request("dependencies: []", [channel], folder), spec=spec)
    lock = open_solver("rattler").solve(request)
    lockfile.write(lock, spec, text="", path=folder / "conda-lock.yml", composition=made)
    said = conda_lock(folder, "lock", *BOTH, "--check-input-hash")
    assert f"Spec hash already locked for {[HOST]}. Skipping solve." in said


def test_lock_with_a_file_of_virtual_packages_is_recognised(folder: Path, channel: Path) -> None:
    made = layered(folder, channel, "environment.yml", "base.yml")
    virtual = f'subdirs: {{{HOST}: {{packages: {{__cuda: "12.0", __glibc: "2.36"}}}}}}\n'
    (folder / "virtual-packages.yml").write_text(virtual)
    conda_lock(folder, "lock", *BOTH)
    theirs = (folder / "conda-lock.yml").read_text()
    assert lockfile.matches(theirs, "", HOST, replace(made, virtual_text=virtual))
    assert not lockfile.matches(theirs, "", HOST, made)


def test_lock_without_cuda_is_recognised(folder: Path, channel: Path) -> None:
    text = environment("tiny").replace("[local]", f"[{channel.as_uri()}]")
    (folder / "environment.yml").write_text(text)
    conda_lock(folder, "lock", "-f", "environment.yml", "-p", HOST, "--without-cuda")
    assert lockfile.matches((folder / "conda-lock.yml").read_text(), text, HOST)


def test_lock_of_the_program_is_the_same_as_ours(folder: Path, channel: Path) -> None:
    text = environment("stepped", "native").replace("[local]", f"[{channel.as_uri()}]")
    (folder / "environment.yml").write_text(text)
    conda_lock(folder, "lock", "-f", "environment.yml", "-p", HOST)
    theirs = lockfile.read((folder / "conda-lock.yml").read_text())
    ours = open_solver("rattler").solve(make_request(text, [channel], folder))
    assert lockfile.digest(theirs, HOST) == lockfile.digest(ours, HOST)
