"""From packages in the cache to a prefix that is complete, sealed and verified."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from install_helpers import make_job, of_archive, packages, run, start
from waiting import wait_for

from envwatch.channel.archive import PLACEHOLDER, File, Package, write
from envwatch.errors import CheckError
from envwatch.install import conclude, facts, faults, kernels, verify
from envwatch.model import Job, Kernel, LockedPackage
from envwatch.settings import InstallOptions

NAMES = ("tiny", "hello-prefix", "activate-demo")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return make_job(
        tmp_path / "root",
        dependencies=("tiny >=1", "hello-prefix"),
        variables=(("GREETING", "hello"),),
        install=InstallOptions(frozen_message="see the page"),
    )


@pytest.fixture(scope="module")
def with_python(channel: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A finished prefix with Python and pure packages. Do not change it."""
    job = make_job(tmp_path_factory.mktemp("python") / "root")
    done = run("install", job, packages(channel, "python", "click", "ipykernel"))
    assert done.error == "", done.text
    return job


def record(prefix: Path, name: str) -> dict[str, object]:
    (file,) = (prefix / "conda-meta").glob(f"{name}-[0-9]*.json")
    return json.loads(file.read_text())


def texts(prefix: Path) -> list[str]:
    return [m.text for m in faults(prefix)]


# ---------------------------------------------------------------- linking


def test_prefix_holds_the_files_of_its_packages(channel: Path, job: Job) -> None:
    done = run("install", job, packages(channel, *NAMES))
    assert done.error == ""
    prefix = job.folders.prefix
    assert (prefix / "share/tiny/version").read_text() == "2.0"
    assert (prefix / "etc/hello.conf").read_text() == f"prefix={prefix}\n"


def test_files_are_shared_with_the_cache(channel: Path, job: Job) -> None:
    (tiny,) = packages(channel, "tiny")
    run("install", job, [tiny])
    kept = job.folders.pkgs / tiny.sha256 / "share/tiny/version"
    assert kept.samefile(job.folders.prefix / "share/tiny/version")


def test_records_name_the_cache_and_nothing_that_passes(channel: Path, job: Job) -> None:
    (tiny,) = packages(channel, "tiny")
    run("install", job, [tiny])
    found = record(job.folders.prefix, "tiny")
    place = str(job.folders.pkgs / tiny.sha256)
    assert (found["extracted_package_dir"], found["link"]["source"]) == (place, place)  # type: ignore[index]
    assert found["url"] == tiny.url
    everything = b"".join(p.read_bytes() for p in (job.folders.prefix / "conda-meta").iterdir())
    assert str(job.folders.tmp).encode() not in everything


def test_history_names_what_was_asked_and_what_came(channel: Path, job: Job) -> None:
    run("install", job, packages(channel, "tiny"))
    head, *rest = (job.folders.prefix / "conda-meta/history").read_text().splitlines()
    assert head.startswith("==> ")
    assert rest == [
        "# cmd: envwatch",
        f"+{channel.as_uri()}/noarch::tiny-2.0-0",
        '# update specs: ["tiny >=1", "hello-prefix"]',
    ]


def test_conda_is_told_to_leave_it_alone_and_what_to_export(channel: Path, job: Job) -> None:
    run("install", job, packages(channel, "tiny"))
    meta = job.folders.prefix / "conda-meta"
    assert json.loads((meta / "frozen").read_text()) == {"message": "see the page"}
    assert json.loads((meta / "state").read_text()) == {"env_vars": {"GREETING": "hello"}}


def test_nobody_may_write_a_finished_prefix(with_python: Job) -> None:
    prefix = with_python.folders.prefix
    paths = [p for p in prefix.rglob("*") if not p.is_symlink()]
    assert {stat.S_IMODE(p.stat().st_mode) for p in paths if p.is_file()} == {0o444, 0o555}
    assert {stat.S_IMODE(p.stat().st_mode) for p in paths if p.is_dir()} == {0o755}


def test_python_of_the_prefix_runs_its_packages(with_python: Job) -> None:
    code = "import sys, click; print(sys.prefix, click.__name__)"
    python = with_python.folders.prefix / "bin/python"
    done = subprocess.run((python, "-I", "-c", code), capture_output=True, text=True, check=True)
    assert done.stdout == f"{with_python.folders.prefix} click\n"


def test_every_module_has_byte_code_from_the_store(with_python: Job) -> None:
    folders = with_python.folders
    (site,) = folders.prefix.glob("lib/python3.*/site-packages")
    (made,) = (site / "click/__pycache__").glob("core.*.pyc")
    assert made.stat().st_nlink == 2
    sources = {p.stem for p in (site / "click").glob("*.py")}
    assert {p.name.split(".")[0] for p in (site / "click/__pycache__").iterdir()} == sources


def test_byte_code_can_be_left_out(channel: Path, tmp_path: Path) -> None:
    job = make_job(tmp_path / "root", install=InstallOptions(compile=False))
    assert run("install", job, packages(channel, "python", "click")).error == ""
    assert not list(job.folders.prefix.glob("lib/python3.*/site-packages/click/__pycache__"))
    assert not job.folders.pyc.exists()


def test_progress_counts_to_the_end(channel: Path, job: Job) -> None:
    done = run("install", job, packages(channel, *NAMES))
    assert ("linking", 3, 3) in done.progress


def test_same_lock_gives_the_same_files_elsewhere(channel: Path, tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        job = make_job(tmp_path / name)
        run("install", job, packages(channel, *NAMES))
        prefix = job.folders.prefix
        found.append({
            str(p.relative_to(prefix)): p.read_bytes().replace(str(prefix).encode(), b"")
            for p in prefix.rglob("*")
            if p.is_file() and "conda-meta" not in p.parts
        })  # fmt: skip
    assert found[0] == found[1]


# ---------------------------------------------------------------- what is refused and told


def test_prefix_that_is_not_empty_is_refused(channel: Path, job: Job) -> None:
    job.folders.prefix.mkdir(parents=True)
    (job.folders.prefix / "file").touch()
    done = run("install", job, packages(channel, "tiny"))
    assert done.error == "InstallError"
    assert "is not empty" in done.text


def test_secret_in_an_address_is_refused_and_not_shown(channel: Path, job: Job) -> None:
    (tiny,) = packages(channel, "tiny")
    run("fetch", job, [tiny])
    done = run("install", job, [replace(tiny, channel="https://ada:s3cret@example.org/x")])
    assert done.error == "InstallError"
    assert "carries a secret" in done.text
    assert "s3cret" not in done.text


def test_path_of_two_packages_is_told_with_both(channel: Path, job: Job) -> None:
    done = run("install", job, packages(channel, "clobber-a", "clobber-b"))
    assert done.error == ""
    (told,) = done.messages
    assert told.text == (
        "`share/clobber.txt` comes from both `clobber-a-1.0-0` and `clobber-b-1.0-0`:"
        " the first is used"
    )


def test_link_script_is_not_run_and_told_in_each_build(channel: Path, tmp_path: Path) -> None:
    wanted = packages(channel, "post-link-demo")
    for name in ("1", "2"):
        job = make_job(tmp_path / "root", name)
        done = run("install", job, wanted)
        assert "its post-link script is not run" in [m.text for m in done.messages]
        assert not (job.folders.prefix / "post-link-ran").exists()


def test_link_script_runs_where_it_is_allowed(channel: Path, tmp_path: Path) -> None:
    job = make_job(tmp_path / "root", install=InstallOptions(link_scripts=True))
    done = run("install", job, packages(channel, "post-link-demo"))
    assert done.error == ""
    assert (job.folders.prefix / "post-link-ran").exists()


@pytest.fixture
def archives(tmp_path: Path) -> Callable[..., LockedPackage]:
    """Makes a package of these files and the lock's line for it."""

    def make(name: str, *files: File) -> LockedPackage:
        package = Package(name, "1.0", noarch="generic", files=files)
        return of_archive(write(tmp_path / "channel", package), name)

    return make


def test_link_script_cannot_write_elsewhere(
    archives: Callable[..., LockedPackage], tmp_path: Path
) -> None:
    target = tmp_path / "outside"
    script = File("bin/.bad-post-link.sh", f"touch {target}\n".encode(), executable=True)
    job = make_job(tmp_path / "root", install=InstallOptions(link_scripts=True))
    done = run("install", job, [archives("bad", script)])
    assert done.error == "InstallError"
    assert "the post-link script of `bad-1.0-0` ended with 1" in done.text
    assert not target.exists()


def test_link_through_the_link_of_another_package_is_refused(
    archives: Callable[..., LockedPackage], job: Job
) -> None:
    one = archives("one", File("lib/x/y", b"1"), File("share", link="lib/x/y"))
    two = archives("two", File("share/a/b", b"2"), File("share/up", link="a/b"))
    done = run("install", job, [one, two])
    assert done.error == "PackageRefused"
    assert "the link `share/up` of package `two-1.0-0.conda` goes through the link `share`" in (
        done.text
    )


def test_prefix_longer_than_the_placeholder_is_explained(channel: Path, tmp_path: Path) -> None:
    job = make_job(tmp_path / ("x" * 200) / ("y" * 100))
    done = run("install", job, packages(channel, "hello-prefix"))
    assert done.error == "InstallError"
    assert done.text.endswith("(move the root to a shorter path)")
    assert len(PLACEHOLDER) == 255


def test_size_limit_holds(channel: Path, tmp_path: Path) -> None:
    job = make_job(tmp_path / "root", install=InstallOptions(max_size=10))
    done = run("install", job, packages(channel, "tiny", "hello-prefix"))
    assert done.error == "InstallError"
    assert "more than 10" in done.text


def test_package_that_lost_a_file_in_the_cache_is_fetched_again(
    channel: Path, tmp_path: Path
) -> None:
    wanted = sorted(packages(channel, "tiny", "hello-prefix"), key=lambda p: p.name)
    first, second = (make_job(tmp_path / "root", name) for name in ("1", "2"))
    run("fetch", first, wanted)
    (first.folders.pkgs / wanted[1].sha256 / "share/tiny/version").unlink()
    done = run("install", first, wanted)
    assert done.error == "FetchError"
    assert "`tiny-2.0-0.conda` was damaged in the cache" in done.text
    assert run("install", second, wanted).error == ""


def test_package_that_was_changed_in_the_cache_is_noticed_and_fetched_again(
    channel: Path, tmp_path: Path
) -> None:
    wanted = sorted(packages(channel, "tiny", "hello-prefix"), key=lambda p: p.name)
    first, second = (make_job(tmp_path / "root", name) for name in ("1", "2"))
    run("fetch", first, wanted)
    kept = first.folders.pkgs / wanted[1].sha256 / "share/tiny/version"
    kept.chmod(0o644)
    kept.write_text("9.9")
    kept.chmod(0o444)
    done = run("install", first, wanted)
    assert done.error == "CheckError"
    assert "`share/tiny/version` is not what was installed" in done.text
    assert {p.name for p in first.folders.pkgs.iterdir()} == {wanted[0].sha256}
    assert run("install", second, wanted).error == ""


# ---------------------------------------------------------------- ends in the middle


def test_killed_build_does_not_disturb_the_next(channel: Path, tmp_path: Path) -> None:
    wanted = packages(channel, "python", "click")
    first = make_job(tmp_path / "root", "1")
    child = start("install", first, wanted)
    wait_for((first.folders.prefix / "lib").exists, what="the first linked file")
    child.send_signal(signal.SIGKILL)
    child.communicate()
    second = make_job(tmp_path / "root", "2")
    done = run("install", second, wanted)
    assert done.error == "", done.text
    assert texts(second.folders.prefix) == []


def test_two_builds_side_by_side_are_both_right(channel: Path, tmp_path: Path) -> None:
    wanted = packages(channel, "python", "click")
    jobs = [make_job(tmp_path / "root", name) for name in ("1", "2")]
    children = [start("install", job, wanted) for job in jobs]
    said = [json.loads(child.communicate(timeout=120)[0]) for child in children]
    assert [s["error"] for s in said] == ["", ""]
    assert [texts(job.folders.prefix) for job in jobs] == [[], []]


# ---------------------------------------------------------------- verifying


@pytest.fixture
def prefix(channel: Path, job: Job) -> Path:
    """A small finished prefix whose files are its own, to be damaged."""
    assert run("install", job, packages(channel, *NAMES)).error == ""
    for path in job.folders.prefix.rglob("*"):
        if path.is_file():
            copy = path.read_bytes()
            mode = path.stat().st_mode
            path.unlink()
            path.write_bytes(copy)
            path.chmod(stat.S_IMODE(mode))
    return job.folders.prefix


def test_untouched_prefix_has_no_fault(prefix: Path) -> None:
    assert faults(prefix) == ()


@pytest.mark.parametrize(
    "path", ["share/tiny/version", "etc/hello.conf", "lib/hello.bin", "bin/hello-prefix"]
)
def test_changed_file_is_named(prefix: Path, path: str) -> None:
    data = (prefix / path).read_bytes()
    (prefix / path).chmod(0o644)
    (prefix / path).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert texts(prefix) == [f"`{path}` is not what was installed"]


def test_missing_file_is_named(prefix: Path) -> None:
    (prefix / "share/tiny/version").unlink()
    assert texts(prefix) == ["`share/tiny/version` is missing"]


def test_file_that_became_a_link_is_named(prefix: Path) -> None:
    shutil.move(prefix / "share/tiny/version", prefix / "share/other")
    (prefix / "share/tiny/version").symlink_to("../other")
    assert texts(prefix) == [
        "`share/tiny/version` cannot be read: Too many levels of symbolic links"
    ]


def test_file_that_became_a_pipe_does_not_hold_up_the_check(prefix: Path) -> None:
    (prefix / "share/tiny/version").unlink()
    os.mkfifo(prefix / "share/tiny/version")
    assert texts(prefix) == ["`share/tiny/version` is not a regular file"]


def test_file_that_others_may_write_is_named(prefix: Path) -> None:
    (prefix / "share/tiny/version").chmod(0o664)
    assert texts(prefix) == ["`share/tiny/version` can be written by others"]


def test_record_that_cannot_be_read_is_a_fault_not_an_end(prefix: Path) -> None:
    record = prefix / "conda-meta/tiny-2.0-0.json"
    record.unlink()
    record.write_text("{")
    (found,) = faults(prefix)
    assert found.path == "conda-meta/tiny-2.0-0.json"
    assert found.text.startswith("the record cannot be read")


def test_packages_are_compared_with_the_lock(channel: Path, prefix: Path) -> None:
    wanted = packages(channel, "tiny", "clobber-a")
    found = [m.text for m in faults(prefix, wanted)]
    assert found == [
        "package `clobber-a-1.0-0` is missing",
        "package `activate-demo-1.0-0` is not in the lock",
        "package `hello-prefix-1.0-0` is not in the lock",
    ]


def test_verify_raises_with_the_first_fault_and_their_number(prefix: Path) -> None:
    for path in ("share/tiny/version", "etc/hello.conf"):
        (prefix / path).unlink()
    with pytest.raises(CheckError, match=r"is missing, and 1 more of this kind"):
        verify(prefix)


def test_fault_of_one_prefix_leaves_a_sound_package_in_the_cache(prefix: Path, job: Job) -> None:
    before = sorted(p.name for p in job.folders.pkgs.iterdir())
    (prefix / "share/tiny/version").unlink()
    with pytest.raises(CheckError):
        verify(prefix)
    assert sorted(p.name for p in job.folders.pkgs.iterdir()) == before


def test_conclusion_gives_the_facts_of_a_prefix_without_fault(prefix: Path) -> None:
    assert conclude(prefix) == facts(prefix)


def test_conclusion_raises_what_verifying_would(prefix: Path) -> None:
    (prefix / "share/tiny/version").unlink()
    with pytest.raises(CheckError, match=r"`share/tiny/version` is missing"):
        conclude(prefix)


def test_prefix_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="cannot be checked"):
        verify(tmp_path / "gone")


# ---------------------------------------------------------------- facts


def test_size_counts_everything_and_own_size_what_is_not_shared(channel: Path, job: Job) -> None:
    run("install", job, packages(channel, *NAMES))
    prefix = job.folders.prefix
    found = facts(prefix)
    paths = list(prefix.rglob("*"))
    alone = [p for p in paths if p.is_dir() or p.lstat().st_nlink == 1]
    assert found.size == sum(p.lstat().st_size for p in paths)
    assert found.own_size == sum(p.lstat().st_size for p in alone)
    assert found.files == sum(not p.is_dir() for p in paths)
    assert 0 < found.own_size < found.size


def test_link_that_leads_out_is_found_in_the_end(prefix: Path, tmp_path: Path) -> None:
    (prefix / "share/out").symlink_to(tmp_path)
    with pytest.raises(CheckError, match="leads out of the prefix"):
        facts(prefix)


def test_kernels_are_those_that_jupyter_would_find(with_python: Job) -> None:
    (found,) = kernels(with_python.folders.prefix)
    assert (found.name, found.language) == ("python3", "python")


def test_broken_kernel_does_not_hide_the_others(tmp_path: Path) -> None:
    for name, text in (("bad", "["), ("good", '{"display_name": "Good", "language": "r"}')):
        folder = tmp_path / "share/jupyter/kernels" / name
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text(text)
    assert kernels(tmp_path) == (Kernel("good", "Good", "r"),)
