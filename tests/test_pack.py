"""Archives of a prefix: what is in them, and that they run where they are unpacked."""

from __future__ import annotations

import gzip
import io
import json
import os
import py_compile
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard
from prefix_helpers import SITE_PACKAGES, install_wheel, make_prefix

from envwatch.errors import CheckError, NotFound
from envwatch.model import Progress
from envwatch.pack import EXPORT_SCRIPT, pack

NOBODY = 65534
GREETING = 'it\'s $HOME, "quoted"'
NAMED = "import sys\nHOME = '{prefix}'\ndef main():\n    print('pip says', HOME)\n"
UNPACK = ". ./bin/activate && conda-unpack"


@dataclass(frozen=True)
class Packed:
    prefix: Path
    archive: Path
    progress: tuple[Progress, ...]

    def members(self) -> dict[str, tarfile.TarInfo]:
        with tarfile.open(fileobj=_plain(self.archive)) as tar:
            return {m.name: m for m in tar}


def _plain(archive: Path) -> io.BytesIO:
    data = archive.read_bytes()
    if archive.suffix == ".gz":
        return io.BytesIO(gzip.decompress(data))
    with zstandard.ZstdDecompressor().stream_reader(data) as stream:
        return io.BytesIO(stream.read())


def _compile(prefix: Path, module: str) -> Path:
    source = prefix / SITE_PACKAGES / module
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    return Path(str(py_compile.compile(str(source), dfile=module, invalidation_mode=mode)))


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A folder that another uid can reach."""
    folder = Path(tempfile.mkdtemp(prefix="envwatch-pack-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def packed(channel: Path, root: Path) -> Packed:
    specs = ("python", "pyyaml", "pygments", "hello-prefix", "activate-demo")
    store = root / "store"
    prefix = make_prefix(channel, store, "7-full", *specs, variables={"GREETING": GREETING})
    install_wheel(prefix, root, "piped", NAMED.format(prefix=prefix))
    (prefix / "conda-meta" / "frozen").write_text("{}")
    _compile(prefix, "yaml/__init__.py")
    _compile(prefix, "piped.py")
    seen: list[Progress] = []
    pack(prefix, root / "full.tar.zst", format="tar.zst", report=seen.append)
    return Packed(prefix, root / "full.tar.zst", tuple(seen))


@pytest.fixture(scope="module")
def small(channel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prefix without Python, so that it is packed at once."""
    store = tmp_path_factory.mktemp("small")
    return make_prefix(channel, store, "1-small", "tiny", "clobber-a", "clobber-b")


@pytest.fixture
def prefix(small: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small, tmp_path / "prefix", symlinks=True)


@pytest.fixture(scope="class")
def elsewhere(packed: Packed, root: Path) -> Iterator[Path]:
    """The archive unpacked by another uid at another place, while its prefix is away."""
    # a name of its own: tests of other classes may run in between, and then it is made again
    place = Path(tempfile.mkdtemp(prefix="elsewhere-", dir=root))
    os.chown(place, NOBODY, NOBODY)
    away = packed.prefix.parent.parent.rename(root / "away")
    as_nobody(place, f"zstd -dcq {packed.archive} | tar -xf - && {UNPACK}")
    yield place
    away.rename(packed.prefix.parent.parent)


def as_nobody(place: Path, script: str) -> str:
    done = subprocess.run(
        ("bash", "-ec", script),
        cwd=place,
        user=NOBODY,
        group=NOBODY,
        extra_groups=(),
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PS1": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _ignore(_: Progress) -> None:
    pass


@pytest.mark.needs_root
class TestUnpackedElsewhere:
    def test_console_script_of_a_package_runs(self, elsewhere: Path) -> None:
        assert "Pygments" in as_nobody(elsewhere, ". bin/activate && pygmentize -V")

    def test_compiled_extension_is_imported(self, elsewhere: Path) -> None:
        script = ". bin/activate && python -c 'import yaml._yaml; print(yaml._yaml.__file__)'"
        assert as_nobody(elsewhere, script).startswith(f"{elsewhere}/{SITE_PACKAGES}/yaml/")

    def test_variables_are_exported_as_they_were_written(self, elsewhere: Path) -> None:
        assert as_nobody(elsewhere, '. bin/activate && printf %s "$GREETING"') == GREETING

    def test_variables_are_gone_after_deactivation(self, elsewhere: Path) -> None:
        script = '. bin/activate && . bin/deactivate && printf "%s" "${GREETING-gone}"'
        assert as_nobody(elsewhere, script) == "gone"

    def test_script_in_activate_d_is_run(self, elsewhere: Path) -> None:
        before = as_nobody(elsewhere, "export -p | wc -l")
        after = as_nobody(elsewhere, ". bin/activate && unset GREETING && export -p | wc -l")
        assert int(after) > int(before) + 1  # CONDA_PREFIX and what the script sets

    def test_pip_package_finds_its_new_place(self, elsewhere: Path) -> None:
        assert as_nobody(elsewhere, ". bin/activate && piped") == f"pip says {elsewhere}"

    def test_no_file_names_the_old_prefix(self, elsewhere: Path, packed: Packed) -> None:
        # the tool that rewrites says which text it looks for
        left = as_nobody(elsewhere, f"grep -rlF {packed.prefix} . || true").splitlines()
        assert left == ["./bin/conda-unpack"]


def test_frozen_marker_is_left_out(packed: Packed) -> None:
    assert "conda-meta/frozen" not in packed.members()
    assert "conda-meta/history" in packed.members()


def test_byte_code_is_packed_where_it_does_not_name_the_prefix(packed: Packed) -> None:
    compiled = [n for n in packed.members() if n.endswith(".pyc") and SITE_PACKAGES in n]
    assert [Path(n).parts[-3:-1] for n in compiled] == [("yaml", "__pycache__")]


def test_entries_do_not_tell_who_packed_and_when(packed: Packed) -> None:
    members = packed.members().values()
    assert {(m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, "", "")}
    assert len({m.mtime for m in members}) == 1
    assert {m.mode for m in members if not m.issym()} == {0o644, 0o755}


def test_progress_ends_with_all_files(packed: Packed) -> None:
    assert packed.progress[-1].done == packed.progress[-1].total > 100
    assert [p.done for p in packed.progress] == sorted(p.done for p in packed.progress)


@pytest.mark.parametrize("form", ["tar.zst", "tar.gz"])
def test_same_prefix_gives_same_bytes(prefix: Path, tmp_path: Path, form: str) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    pack(prefix, first, format=form, report=_ignore)
    for path in prefix.rglob("*"):
        os.utime(path, (0, 0), follow_symlinks=False)
    pack(prefix, second, format=form, report=_ignore)
    assert first.read_bytes() == second.read_bytes()


def test_both_formats_hold_the_same(packed: Packed, root: Path) -> None:
    pack(packed.prefix, root / "full.tar.gz", format="tar.gz", report=_ignore)
    assert _plain(root / "full.tar.gz").read() == _plain(packed.archive).read()


def test_path_of_two_packages_is_packed_once(prefix: Path, tmp_path: Path) -> None:
    pack(prefix, tmp_path / "a.tar.zst", format="tar.zst", report=_ignore)
    with tarfile.open(fileobj=_plain(tmp_path / "a.tar.zst")) as tar:
        assert tar.getnames().count("share/clobber.txt") == 1
        kept = tar.extractfile("share/clobber.txt")
        assert kept is not None
        assert kept.read() == (prefix / "share" / "clobber.txt").read_bytes()


def test_link_that_names_the_prefix_is_made_relative(prefix: Path, tmp_path: Path) -> None:
    (prefix / "bin").mkdir()
    (prefix / "bin" / "version").symlink_to(prefix / "share" / "tiny" / "version")
    pack(prefix, tmp_path / "a.tar.zst", format="tar.zst", report=_ignore)
    link = Packed(prefix, tmp_path / "a.tar.zst", ()).members()["bin/version"]
    assert link.linkname == "../share/tiny/version"


def test_prefix_without_variables_gets_no_script(prefix: Path, tmp_path: Path) -> None:
    pack(prefix, tmp_path / "a.tar.zst", format="tar.zst", report=_ignore)
    assert EXPORT_SCRIPT not in Packed(prefix, tmp_path / "a.tar.zst", ()).members()


def test_prefix_with_a_lost_file_is_refused(prefix: Path, tmp_path: Path) -> None:
    (prefix / "share" / "tiny" / "version").unlink()
    with pytest.raises(CheckError, match="tiny"):
        pack(prefix, tmp_path / "a.tar.zst", format="tar.zst", report=_ignore)


def test_lost_package_cache_is_said(prefix: Path, tmp_path: Path) -> None:
    record = next((prefix / "conda-meta").glob("tiny-*.json"))
    facts = json.loads(record.read_text())
    facts["link"]["source"] = str(tmp_path / "gone")
    record.unlink()
    record.write_text(json.dumps(facts))
    with pytest.raises(CheckError, match="package cache"):
        pack(prefix, tmp_path / "a.tar.zst", format="tar.zst", report=_ignore)


@pytest.mark.parametrize("form", ["tar.zst", "tar.gz"])
def test_archive_that_is_not_finished_leaves_nothing(
    prefix: Path, tmp_path: Path, form: str
) -> None:
    def stop(progress: Progress) -> None:
        if progress.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(prefix, tmp_path / "a", format=form, report=stop)
    assert [p.name for p in tmp_path.iterdir()] == ["prefix"]


def test_unknown_format_is_refused_with_those_known(prefix: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"`zip`.*tar\.gz or tar\.zst"):
        pack(prefix, tmp_path / "a.zip", format="zip", report=_ignore)
