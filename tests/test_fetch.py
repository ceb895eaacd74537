"""Packages come whole and verified into the cache, or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import stat
import subprocess
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from install_helpers import make_job, of_archive, packages, run, start
from labhttp import Basic, Faults, LabServer
from needs import need
from waiting import wait_for

from envwatch.channel.archive import File, Package, _tarball, write
from envwatch.errors import PackageRefused
from envwatch.fetch import fetch, mask, normalise, staging, sweep, sync
from envwatch.model import Job
from envwatch.settings import Network

NAMES = ("tiny", "hello-prefix", "clobber-a")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return make_job(tmp_path / "root")


def cached(job: Job) -> list[str]:
    return names(job.folders.pkgs) if job.folders.pkgs.exists() else []


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_packages_of_this_machine_lie_in_the_cache_by_their_hash(channel: Path, job: Job) -> None:
    wanted = packages(channel, *NAMES)
    assert run("fetch", job, wanted).error == ""
    assert cached(job) == sorted(p.sha256 for p in wanted)


def test_packages_of_a_server_do_so_too(channel: Path, job: Job) -> None:
    with LabServer(channel) as server:
        wanted = packages(channel, *NAMES, url=server.url)
        assert run("fetch", job, wanted).error == ""
    assert cached(job) == sorted(p.sha256 for p in wanted)


def test_nobody_may_write_what_lies_in_the_cache(channel: Path, job: Job) -> None:
    run("fetch", job, packages(channel, "hello-prefix"))
    tree = next(job.folders.pkgs.iterdir())
    modes = {stat.S_IMODE(p.lstat().st_mode) for p in tree.rglob("*") if p.is_file()}
    folders = {stat.S_IMODE(p.lstat().st_mode) for p in (tree, *tree.rglob("*")) if p.is_dir()}
    assert modes == {0o444, 0o555}
    assert folders == {0o755}
    assert stat.S_IMODE((tree / "bin/hello-prefix").stat().st_mode) == 0o555


def test_what_is_there_is_not_asked_for_again(channel: Path, job: Job) -> None:
    with LabServer(channel) as server:
        wanted = packages(channel, *NAMES, url=server.url)
        run("fetch", job, wanted)
        asked = len(server.log)
        done = run("fetch", job, wanted)
        assert len(server.log) == asked
    assert done.progress == (("downloading", 3, 3),)


def test_progress_counts_packages(channel: Path, job: Job) -> None:
    done = run("fetch", job, packages(channel, *NAMES))
    assert [d for _, d, _ in done.progress] == sorted(d for _, d, _ in done.progress)
    assert done.progress[-1] == ("downloading", 3, 3)


@pytest.mark.parametrize("fault", ["truncate", "corrupt"])
def test_broken_body_is_tried_again_and_then_told(channel: Path, job: Job, fault: str) -> None:
    with LabServer(channel, faults=Faults(**{fault: r"\.conda$"})) as server:
        done = run("fetch", job, packages(channel, "tiny", url=server.url))
        asked = len(server.paths())
    assert done.error == "FetchError"
    assert done.text.startswith(
        f"package `tiny-2.0-0.conda` cannot be had from {server.url}/noarch"
    )
    assert done.text.endswith("3 times")
    assert asked >= 3
    assert cached(job) == []


def test_file_of_this_machine_with_another_content_is_refused(channel: Path, job: Job) -> None:
    (wanted,) = packages(channel, "tiny")
    done = run("fetch", job, [replace(wanted, sha256="0" * 64, md5="")])
    assert done.error == "FetchError"
    assert f"its sha256 is `{wanted.sha256}`, the lock says `{'0' * 64}`" in done.text
    assert cached(job) == []


def test_md5_of_the_lock_counts_as_well(channel: Path, job: Job) -> None:
    (wanted,) = packages(channel, "tiny")
    done = run("fetch", job, [replace(wanted, md5="0" * 32)])
    assert "its md5 is" in done.text


def test_more_bytes_than_the_lock_says_are_not_taken(channel: Path, job: Job) -> None:
    with LabServer(channel) as server:
        (wanted,) = packages(channel, "tiny", url=server.url)
        done = run("fetch", job, [replace(wanted, size=10)])
    assert "more than 10 bytes came" in done.text


def test_missing_package_is_told_once_with_its_address(channel: Path, job: Job) -> None:
    with LabServer(channel, faults=Faults(hide=r"\.conda$")) as server:
        done = run("fetch", job, packages(channel, "tiny", url=server.url))
        assert len(server.paths(404)) == 1
    assert done.error == "FetchError"
    assert "404" in done.text


def test_server_that_falls_silent_is_not_waited_for(channel: Path, job: Job) -> None:
    with LabServer(channel, faults=Faults(hang=r"\.conda$")) as server:
        done = run("fetch", job, packages(channel, "tiny", url=server.url))
    assert done.error == "FetchError"
    assert "no byte came for 1 s" in done.text


def test_server_that_is_busy_is_asked_again(channel: Path, tmp_path: Path) -> None:
    job = make_job(tmp_path / "root", network=Network(retries=3, timeout=20))
    with LabServer(channel, faults=Faults(fail=1, fail_match=r"\.conda$")) as server:
        done = run("fetch", job, packages(channel, "tiny", url=server.url))
    assert done.error == ""


def test_package_without_a_hash_is_refused(channel: Path, tmp_path: Path) -> None:
    (wanted,) = packages(channel, "tiny")
    with pytest.raises(PackageRefused, match=r"package `tiny-2\.0-0\.conda` has no sha256"):
        fetch([replace(wanted, sha256="")], pkgs=tmp_path, network=Network(), report=lambda _: None)


def test_package_that_the_gate_refuses_is_not_kept(job: Job, tmp_path: Path) -> None:
    archive = write(tmp_path / "channel", Package("thing", "1.0", noarch="generic"))
    done = run("fetch", job, [of_archive(archive, "other")])
    assert done.error == "PackageRefused"
    assert cached(job) == []


def test_package_whose_file_is_not_what_it_says_is_refused(job: Job, tmp_path: Path) -> None:
    said, really = (File("share/thing", data) for data in (b"one", b"two"))
    package = Package("thing", "1.0", noarch="generic", files=(said,))
    true = write(tmp_path / "channel", package)
    archive = tmp_path / true.name
    with zipfile.ZipFile(true) as old, zipfile.ZipFile(archive, "w") as new:
        for name in old.namelist():
            new.writestr(name, _tarball([really]) if name.startswith("pkg-") else old.read(name))
    done = run("fetch", job, [of_archive(archive, "thing")])
    assert done.error == "PackageRefused"
    assert "its file `share/thing` is not what the package says of it" in done.text
    assert cached(job) == []


def test_archive_that_is_none_is_told(job: Job, tmp_path: Path) -> None:
    archive = tmp_path / "thing-1.0-0.conda"
    archive.write_bytes(b"no archive")
    done = run("fetch", job, [of_archive(archive, "thing")])
    assert done.error == "FetchError"
    assert "it cannot be unpacked" in done.text


def test_what_the_gate_remarks_is_told(channel: Path, job: Job) -> None:
    done = run("fetch", job, packages(channel, "post-link-demo"))
    assert [m.text for m in done.messages] == ["its post-link script is not run"]


def test_secret_in_an_address_is_not_shown(channel: Path, job: Job) -> None:
    (wanted,) = packages(channel, "tiny", url="http://ada:s3cret@127.0.0.1:9/t/t0ken/x")
    done = run("fetch", job, [wanted])
    assert done.error == "FetchError"
    assert "s3cret" not in done.text
    assert "t0ken" not in done.text


def test_address_is_shown_without_its_query() -> None:
    assert mask("https://example.org/x.conda?sig=abc") == "https://example.org/x.conda"


def test_credentials_come_from_the_auth_file(channel: Path, tmp_path: Path) -> None:
    with LabServer(channel, auth=Basic("ada", "s3cret")) as server:
        secret = {"username": "ada", "password": "s3cret"}
        auth = tmp_path / "auth.json"
        auth.write_text(json.dumps({"127.0.0.1": {"BasicHTTP": secret}}))
        job = make_job(tmp_path / "root", network=Network(retries=0, timeout=20, auth_file=auth))
        assert run("fetch", job, packages(channel, "tiny", url=server.url)).error == ""
        assert run(
            "fetch", make_job(tmp_path / "b"), packages(channel, "tiny", url=server.url)
        ).error


def test_mirror_is_asked_in_place_of_the_channel(channel: Path, tmp_path: Path) -> None:
    with LabServer(channel) as server:
        mirrors = (("https://channel.invalid/x", (server.url,)),)
        job = make_job(tmp_path / "root", network=Network(retries=1, timeout=20, mirrors=mirrors))
        wanted = packages(channel, "tiny", url="https://channel.invalid/x")
        assert run("fetch", job, wanted).error == ""


def test_proxy_is_asked_for_everything(channel: Path, tmp_path: Path) -> None:
    with LabServer(channel) as proxy:
        network = Network(retries=0, timeout=20, proxy=proxy.url)
        job = make_job(tmp_path / "root", network=network)
        assert (
            run("fetch", job, packages(channel, "tiny", url="http://channel.invalid")).error == ""
        )


# ---------------------------------------------------------------- ends in the middle, neighbours


def test_two_that_fetch_the_same_are_both_right(channel: Path, job: Job) -> None:
    wanted = packages(channel, *NAMES)
    children = [start("fetch", job, wanted) for _ in range(3)]
    said = [child.communicate(timeout=60)[0] for child in children]
    assert [json.loads(text)["error"] for text in said] == ["", "", ""]
    assert cached(job) == sorted(p.sha256 for p in wanted)


def test_killed_download_leaves_nothing_that_counts(channel: Path, job: Job) -> None:
    wanted_later = packages(channel, "tiny")
    with LabServer(channel, faults=Faults(hang="tiny")) as server:
        child = start("fetch", job, packages(channel, "tiny", url=server.url))
        wait_for(lambda: cached(job), what="the folder of the download")
        child.send_signal(signal.SIGKILL)
        child.communicate()
    assert all(name.startswith(".tmp-") for name in cached(job))
    assert run("fetch", job, wanted_later).error == ""
    assert cached(job) == [wanted_later[0].sha256]


def test_sweep_leaves_what_another_works_on(tmp_path: Path) -> None:
    for name in (".tmp-old", ".tmp-busy", "0" * 64):
        (tmp_path / name / "sub").mkdir(parents=True)
    handle = os.open(tmp_path / ".tmp-busy", os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        sweep(tmp_path)
    finally:
        os.close(handle)
    assert names(tmp_path) == [".tmp-busy", "0" * 64]


def test_builds_that_begin_together_sweep_no_folder_of_each_other(tmp_path: Path) -> None:
    """Each sweeps before it makes its own folder, which is not locked from its first moment on."""
    together = threading.Barrier(8)

    def begin() -> int:
        together.wait()
        whole = 0
        for _ in range(200):
            sweep(tmp_path)
            with staging(tmp_path) as folder:
                whole += folder.is_dir()
        return whole

    with ThreadPoolExecutor(8) as pool:
        begun = [pool.submit(begin) for _ in range(8)]
    assert [b.result() for b in begun] == [200] * 8
    assert names(tmp_path) == []


def test_full_disk_is_told_as_such_and_space_comes_back(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can mount a small filesystem")
    data = hashlib.sha256(b"seed").digest()
    big = b"".join(hashlib.sha256(data + bytes([n % 256, n // 256])).digest() for n in range(2**16))
    package = Package("big", "1.0", noarch="generic", files=(File("share/big", big),))
    wanted = of_archive(write(tmp_path / "channel", package), "big")
    small = tmp_path / "root"
    small.mkdir()
    mounted = subprocess.run(
        (need("mount"), "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)), check=False
    )
    if mounted.returncode:
        pytest.skip("no filesystem can be mounted here")
    try:
        job = make_job(small)
        assert run("fetch", job, [wanted]).error == "NoSpace"
        assert cached(job) == []
    finally:
        subprocess.run((need("umount"), str(small)), check=True)


def test_folders_and_files_lose_their_write_bits_and_links_are_left(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    outside = tmp_path / "outside"
    for path in (outside, tree / "sub/file"):
        path.write_bytes(b"four")
        path.chmod(0o666)
    (tree / "link").symlink_to(outside)
    assert normalise(tree) == 4
    assert stat.S_IMODE((tree / "sub/file").stat().st_mode) == 0o444
    assert stat.S_IMODE(outside.stat().st_mode) == 0o666


def test_sync_tells_when_there_is_nothing_to_sync(tmp_path: Path) -> None:
    sync(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "absent")
