"""The channel that we make is a real one: its packages install elsewhere and run there."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard
from rattling import install_with_rattler, solved
from running_channel import run_channel

from envwatch.channel.archive import PLACEHOLDER, File, Package, write
from envwatch.channel.elf import trim
from envwatch.channel.fixtures import tiny
from envwatch.channel.interpreter import SUBDIR, plain
from envwatch.errors import NotFound

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
SPECS = ("python", "rich", "markupsafe", "pyyaml", "debugpy", "hello-prefix")
LONGEST = 200
MODULES = "ssl, sqlite3, ctypes, lzma, bz2, json, asyncio, zlib, hashlib, decimal, multiprocessing"


def run(program: Path, *arguments: str) -> str:
    """What the program prints in an environment without anything of ours."""
    command = (str(program), *arguments)
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env={})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def evaluate(prefix: Path, code: str) -> object:
    return json.loads(run(prefix / "bin/python", "-B", "-c", code))


def installs_into(prefix: Path) -> object:
    """Where pip and uv put packages, as Python tells them."""
    code = "import json, sysconfig; print(json.dumps(sysconfig.get_path('purelib')))"
    return evaluate(prefix, code)


def archive_members(archive: Path, kind: str) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """The `info` or `pkg` part of a package: path → member and bytes."""
    with zipfile.ZipFile(archive) as outer:
        name = next(n for n in outer.namelist() if n.startswith(f"{kind}-"))
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(outer.read(name))) as reader:
            plain_tar = io.BytesIO(reader.read())
    with tarfile.open(fileobj=plain_tar) as tar:
        members = [(m, tar.extractfile(m)) for m in tar.getmembers()]
        return {m.name: (m, stream.read() if stream else b"") for m, stream in members}


def records(channel: Path) -> Iterator[dict[str, object]]:
    for repodata in sorted(channel.glob("*/repodata.json")):
        yield from json.loads(repodata.read_text())["packages.conda"].values()


# ---------------------------------------------------------------- python, installed elsewhere


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def prefix(channel: Path, cache: Path) -> Path:
    return install_with_rattler(channel, cache / "prefix", cache / "pkgs", SPECS)


@pytest.fixture(scope="module")
def long_prefix(channel: Path, cache: Path, prefix: Path) -> Path:
    """From the same cache, as long as envwatch lets a prefix be."""
    longest = cache / ("x" * (LONGEST - len(str(cache)) - 1))
    return install_with_rattler(channel, longest, cache / "pkgs", SPECS)


@pytest.fixture(params=["prefix", "long_prefix"])
def any_prefix(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def test_python_runs_with_its_compiled_modules(any_prefix: Path) -> None:
    code = f"import {MODULES}; print(json.dumps(sys.prefix))"
    assert evaluate(any_prefix, f"import sys; {code}") == str(any_prefix)


def test_python_looks_nowhere_else(any_prefix: Path) -> None:
    folders = evaluate(any_prefix, "import json, sys; print(json.dumps(sys.path))")
    assert [f for f in folders if f and not f.startswith(f"{any_prefix}/lib/python")] == []


def test_no_library_of_the_first_python_is_loaded(prefix: Path) -> None:
    code = f"import {MODULES}; print(json.dumps(open('/proc/self/maps').read().split()))"
    mapped = {word for word in evaluate(prefix, code) if word.startswith("/")}
    assert any(path.startswith(f"{prefix}/") for path in mapped)
    assert [path for path in mapped if "python" in path and not path.startswith(f"{prefix}/")] == []


def test_installers_and_python_agree_on_site_packages(any_prefix: Path) -> None:
    assert installs_into(any_prefix) == f"{any_prefix}/lib/python{MINOR}/site-packages"


def test_python_needs_no_pip(prefix: Path) -> None:
    assert not list((prefix / f"lib/python{MINOR}").rglob("pip"))
    assert not list(prefix.glob("bin/*pip*"))
    assert not list(prefix.rglob("EXTERNALLY-MANAGED"))


def test_compiled_distributions_import(any_prefix: Path) -> None:
    code = "import json, markupsafe._speedups, yaml._yaml; print(json.dumps(yaml._yaml.__file__))"
    assert evaluate(any_prefix, code).startswith(f"{any_prefix}/")


def test_script_of_a_pure_distribution_runs(any_prefix: Path) -> None:
    assert run(any_prefix / "bin/pygmentize", "-V").startswith("Pygments version")


def test_script_of_a_compiled_distribution_runs(any_prefix: Path) -> None:
    assert run(any_prefix / "bin/debugpy", "--version")


def test_record_is_true_of_what_was_installed(prefix: Path) -> None:
    site = prefix / f"lib/python{MINOR}/site-packages"
    for record in site.glob("*.dist-info/RECORD"):
        for name, digest, _ in csv.reader(record.read_text().splitlines()):
            data = (site / name).read_bytes()
            actual = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert digest in ("", f"sha256={actual}"), name


def test_placeholders_become_the_prefix(any_prefix: Path) -> None:
    text = (any_prefix / "etc/hello.conf").read_text()
    binary = (any_prefix / "lib/hello.bin").read_bytes()
    assert text == f"prefix={any_prefix}\n"
    assert binary.split(b"\0")[1] == f"{any_prefix}/etc/hello.conf".encode()
    assert binary.endswith(b"\0tail\0")
    assert len(binary) == len(PLACEHOLDER) + 31
    assert run(any_prefix / "bin/hello-prefix") == str(any_prefix)


# ---------------------------------------------------------------- Debian's python


DEBIAN = Path("/usr/bin/python3")


@pytest.fixture(scope="module")
def debian_prefix(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A prefix with the Python of a virtual environment that was made by Debian's."""
    folder = tmp_path_factory.mktemp("debian")
    _need_debian()
    run(DEBIAN, "-m", "venv", "--without-pip", str(folder / "venv"))
    # The same minor version, so the compiled libraries of this environment work in that one.
    paths = [str(Path(__file__).parents[1]), sysconfig.get_path("purelib")]
    command = (str(folder / "venv/bin/python"), "-m", "envwatch.channel", str(folder / "channel"))
    done = subprocess.run(
        (*command, "--dist=pyyaml", "--dist=pygments"),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr
    specs = ("python", "pyyaml", "pygments")
    return install_with_rattler(folder / "channel", folder / "prefix", cache / "pkgs", specs)


def _need_debian() -> None:
    code = "import sys, sysconfig; print(sys.version_info[:2], *sysconfig.get_scheme_names())"
    seen = run(DEBIAN, "-c", code) if DEBIAN.exists() else ""
    if "deb_system" not in seen:
        pytest.skip(f"{DEBIAN} is not Debian's Python")
    if not seen.startswith(str(sys.version_info[:2])):
        pytest.skip(f"{DEBIAN} is another version than {MINOR}")


def test_python_of_debian_runs(debian_prefix: Path) -> None:
    code = f"import sys, {MODULES}; print(json.dumps(sys.prefix))"
    assert evaluate(debian_prefix, code) == str(debian_prefix)


def test_python_of_debian_looks_into_site_packages_alone(debian_prefix: Path) -> None:
    folders = evaluate(debian_prefix, "import json, sys; print(json.dumps(sys.path))")
    assert f"{debian_prefix}/lib/python{MINOR}/site-packages" in folders
    assert [f for f in folders if f and not f.startswith(f"{debian_prefix}/lib/python")] == []


def test_python_of_debian_lets_pip_install_where_it_looks(debian_prefix: Path) -> None:
    assert installs_into(debian_prefix) == f"{debian_prefix}/lib/python{MINOR}/site-packages"


def test_python_of_debian_runs_what_is_installed(debian_prefix: Path) -> None:
    assert run(debian_prefix / "bin/pygmentize", "-V").startswith("Pygments version")
    assert evaluate(debian_prefix, "import json, yaml._yaml; print(json.dumps(1))") == 1


def test_site_module_of_debian_agrees_with_its_compiled_copy(debian_prefix: Path) -> None:
    code = "import site; print(site.getsitepackages())"
    python = debian_prefix / "bin/python"
    compiled = run(python, "-B", "-X", "frozen_modules=on", "-c", code)
    assert run(python, "-B", "-X", "frozen_modules=off", "-c", code) == compiled


def test_unknown_sysconfig_of_debian_is_refused() -> None:
    with pytest.raises(NotFound, match="_get_preferred_schemes"):
        plain("sysconfig.py", b"# dist-packages\n")


# ---------------------------------------------------------------- the archives


def test_two_makes_are_equal(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run_channel(tmp_path / name, "--fixtures", "--dist=click", "--dist=markupsafe")
    one, two = (
        {
            str(p.relative_to(tmp_path / name)): p.read_bytes()
            for p in (tmp_path / name).rglob("*.conda")
        }
        for name in ("one", "two")
    )
    assert len(one) > 20
    assert one == two


def test_paths_are_true_of_the_files(channel: Path) -> None:
    archive = next((channel / SUBDIR).glob("python-*.conda"))
    info, files = archive_members(archive, "info"), archive_members(archive, "pkg")
    rows = json.loads(info["info/paths.json"][1])["paths"]
    assert [row["_path"] for row in rows] == list(files)
    for row in rows:
        member, data = files[row["_path"]]
        if member.issym():
            data = files[f"bin/{member.linkname}"][1]
        assert row["path_type"] == ("softlink" if member.issym() else "hardlink")
        assert (row["sha256"], row["size_in_bytes"]) == (
            hashlib.sha256(data).hexdigest(),
            len(data),
        )


def test_packages_name_neither_this_machine_nor_byte_code(channel: Path) -> None:
    for archive in channel.glob("noarch/*.conda"):
        for name, (_, data) in archive_members(archive, "pkg").items():
            assert not name.endswith(".pyc")
            assert sys.prefix.encode() not in data, name


def test_archive_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    broken = Package("broken", "1.0", files=(File("a", link="nowhere"),))
    with pytest.raises(KeyError):
        write(tmp_path, broken)
    assert not list(tmp_path.rglob("*broken*"))


def test_trimmed_elf_file_keeps_what_is_loaded() -> None:
    data = Path(sys.executable).resolve().read_bytes()
    trimmed = trim(data)
    assert trimmed.startswith(b"\x7fELF")
    assert data[64 : len(trimmed)] == trimmed[64:]
    assert trim(trimmed) == trimmed


def test_file_that_is_not_elf_is_not_trimmed() -> None:
    assert trim(b"#!/bin/sh\n") == b"#!/bin/sh\n"


# ---------------------------------------------------------------- the index


def test_every_dependency_is_in_the_channel(channel: Path) -> None:
    found = list(records(channel))
    names = {record["name"] for record in found} | {"this-package-does-not-exist"}
    asked = {d.split()[0] for record in found for d in record["depends"]}
    assert {name for name in asked if not name.startswith("__")} <= names


def test_python_record_says_where_packages_go(channel: Path) -> None:
    python = next(r for r in records(channel) if (r["name"], r["subdir"]) == ("python", SUBDIR))
    assert python["python_site_packages_path"] == f"lib/python{MINOR}/site-packages"
    assert python["depends"] == ["__glibc >=2.17,<3.0.a0"]


def test_newest_version_is_solved(channel: Path) -> None:
    assert solved(channel, ["tiny"]) == ["tiny-2.0-0.conda"]


def test_newest_version_that_conflicts_is_passed_over(channel: Path) -> None:
    assert "stepped-2.0-0.conda" in solved(channel, ["stepped"])


@pytest.mark.parametrize(
    "specs",
    [
        ["needs-missing"],
        ["needs-cuda"],
        ["needs-new-glibc"],
        ["conflict-old-tiny", "conflict-new-tiny"],
    ],
)
def test_unsatisfiable_fixtures_are(channel: Path, specs: list[str]) -> None:
    with pytest.raises(AssertionError, match="Cannot solve"):
        solved(channel, specs)


@pytest.mark.parametrize("platform", ["osx-arm64", "win-64"])
def test_other_platforms_are_solved(channel: Path, platform: str) -> None:
    names = solved(channel, ["python", "rich", "pyyaml", "native"], platform)
    assert "native-1.0-0.conda" in names


def test_second_channel_overlaps_with_the_first(second_channel: Path) -> None:
    assert solved(second_channel, ["only-second"]) == [
        "only-second-1.0-0.conda",
        "tiny-9.0-0.conda",
    ]


def test_package_can_be_added_to_a_channel(make_channel: Callable[..., Path]) -> None:
    folder = make_channel("growing", tiny("1.0"))
    assert solved(folder, ["tiny"]) == ["tiny-1.0-0.conda"]
    assert solved(make_channel("growing", tiny("1.5")), ["tiny"]) == ["tiny-1.5-0.conda"]
