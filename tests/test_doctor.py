"""`envwatch doctor`: each check, on machines that are well and on such that are not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import standin_oidc

from envwatch.cli import machine, main
from envwatch.cli.logins import logins
from envwatch.cli.machine import Finding, Verdict
from envwatch.settings import (
    HubSettings,
    LoginSettings,
    NamespaceSettings,
    ProxyLogin,
    Settings,
    SourceKind,
    SourceSettings,
)

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /srv rw,relatime - {kind} server:/export {options}
31 22 0:41 / /srv/with\\040space rw - xfs /dev/sdb rw
32 30 0:42 / /srv/over rw - tmpfs tmpfs rw
33 22 0:43 / /sr rw - nfs4 server:/other rw
"""


def mounts(folder: Path, kind: str = "ext4", options: str = "rw") -> Path:
    path = folder / "mountinfo"
    path.write_text(MOUNTS.format(kind=kind, options=options))
    return path


def make_program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


# ---------------------------------------------------------------- the command


def test_doctor_names_each_finding_and_its_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--root", str(tmp_path / "root"), "doctor"])
    out = capsys.readouterr().out
    subjects = ("user", "root", "filesystem", "hard links", "git", "inotify", "landlock")
    assert all(f"  {subject} " in out for subject in subjects)


def test_doctor_fails_when_something_must_be_repaired(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    root.touch()
    with pytest.raises(SystemExit) as caught:
        main(["--root", str(root), "doctor", "--json"])
    assert caught.value.code == 1
    findings = {f["subject"]: f for f in json.loads(capsys.readouterr().out)}
    assert findings["root"]["verdict"] == "fail"
    assert findings["root"]["hint"]


def test_doctor_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("pkgs", "builds", "uv"):
        (tmp_path / name).mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit):
        main(["--root", str(tmp_path), "doctor"])
    assert sorted(tmp_path.rglob("*")) == before


# ---------------------------------------------------------------- the root


def test_root_that_is_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "root").touch()
    assert machine.root_folder(tmp_path / "root").verdict is Verdict.FAIL


@pytest.mark.needs_root
@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")
def test_root_in_the_folder_of_another_user_fails(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    code = (
        "import os; from pathlib import Path; from envwatch.cli import machine;"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        f"print(machine.root_folder(Path({str(tmp_path)!r}, 'closed/root')).verdict)"
    )
    done = subprocess.run(
        (sys.executable, "-c", code), capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "fail\n"


def test_root_that_others_cannot_reach_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    tmp_path.chmod(0o700)
    finding = machine.root_folder(tmp_path / "root")
    assert finding.verdict is Verdict.WARN
    assert finding.hint.startswith("chmod o+x /")


def test_short_path_is_fine_and_a_long_one_is_not() -> None:
    assert machine.path_length(Path("/srv/envwatch")).verdict is Verdict.OK
    assert machine.path_length(Path("/srv", "x" * 84)).verdict is Verdict.WARN


@pytest.mark.parametrize(
    ("root", "kind", "options", "verdict"),
    [
        ("/srv/envwatch", "ext4", "rw", Verdict.OK),
        ("/srv/envwatch", "nfs4", "rw,vers=4.2", Verdict.FAIL),
        ("/srv/envwatch", "ext4", "ro", Verdict.FAIL),
        ("/srv/envwatch", "ext4", "rw,noexec", Verdict.FAIL),
        ("/srv/with space/x", "nfs4", "rw", Verdict.OK),
        ("/srv/over/x", "ext4", "rw", Verdict.WARN),
        ("/srv2", "nfs4", "rw", Verdict.OK),
    ],
)
def test_filesystem_is_that_of_the_nearest_mount(
    tmp_path: Path, root: str, kind: str, options: str, verdict: Verdict
) -> None:
    mount = machine._mount_of(Path(root), mounts(tmp_path, kind, options).read_text())
    assert machine.judged(mount).verdict is verdict


def test_filesystem_of_this_machine_is_found(tmp_path: Path) -> None:
    assert " on /" in machine.filesystem(tmp_path).text


def test_hard_links_are_made_between_the_folders_of_a_root(tmp_path: Path) -> None:
    (tmp_path / "pkgs").mkdir()
    (tmp_path / "builds").mkdir()
    assert machine.hard_links(tmp_path).verdict is Verdict.OK


@pytest.mark.needs_root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_hard_links_across_two_mounts_fail(tmp_path: Path) -> None:
    (tmp_path / "pkgs").mkdir()
    (tmp_path / "builds").mkdir()
    code = (
        "import sys; from pathlib import Path; from envwatch.cli import machine;"
        f"print(machine.hard_links(Path({str(tmp_path)!r})))"
    )
    bind = f'mount --bind "{tmp_path}/pkgs" "{tmp_path}/pkgs" && exec "$0" -c "$1"'
    done = subprocess.run(
        ("unshare", "--mount", "sh", "-c", bind, sys.executable, code),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode:
        pytest.skip(f"no mount namespace can be made here: {done.stderr.strip()}")
    assert "Verdict.FAIL" in done.stdout
    assert "one filesystem and one mount" in done.stdout


def test_space_below_the_floor_fails(tmp_path: Path) -> None:
    assert machine.free_space(tmp_path, 0).verdict is not Verdict.FAIL
    assert machine.free_space(tmp_path, 2**60).verdict is Verdict.FAIL


# ---------------------------------------------------------------- programs and kernel


def test_git_of_this_machine_is_new_enough() -> None:
    assert machine.git().verdict is Verdict.OK


def test_old_missing_and_broken_git_fail(tmp_path: Path) -> None:
    old = make_program(tmp_path / "old", "echo git version 2.17.1")
    broken = make_program(tmp_path / "broken", "exit 3")
    for program in (old, broken, str(tmp_path / "none")):
        assert machine.git(program).verdict is Verdict.FAIL
        assert machine.git(program).hint


def test_low_inotify_limits_come_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "max_user_watches").write_text("8192\n")
    (tmp_path / "max_user_instances").write_text("128\n")
    finding = machine.inotify(tmp_path)
    assert finding.verdict is Verdict.WARN
    assert "fs.inotify.max_user_watches=131072" in finding.hint
    (tmp_path / "max_user_watches").write_text("65536\n")
    assert machine.inotify(tmp_path).verdict is Verdict.OK


def test_kernel_without_inotify_is_warned_of(tmp_path: Path) -> None:
    assert machine.inotify(tmp_path).verdict is Verdict.WARN


def test_hidden_processes_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "4711").mkdir()
    (tmp_path / "4711/cwd").symlink_to("/")
    assert machine.processes(tmp_path).verdict is Verdict.WARN
    (tmp_path / "1").mkdir()
    (tmp_path / "1/cwd").symlink_to("/")
    finding = machine.processes(tmp_path)
    assert (finding.verdict, finding.text) == (Verdict.OK, "all 2 can be looked into")


# ---------------------------------------------------------------- what the config names


def test_group_that_does_not_exist_fails(tmp_path: Path) -> None:
    namespace = NamespaceSettings("a", group="no-such-group-here")
    (finding,) = machine.groups(Settings(tmp_path, namespaces=(namespace,)))
    assert finding.verdict is Verdict.FAIL


def test_directory_that_cannot_be_read_fails(tmp_path: Path) -> None:
    sources = tuple(
        SourceSettings(name, SourceKind.DIRECTORY, "a", directory=tmp_path / name)
        for name in ("here", "gone")
    )
    (tmp_path / "here").mkdir()
    here, gone = machine.folders(Settings(tmp_path, sources=sources))
    assert (here.verdict, gone.verdict) == (Verdict.OK, Verdict.FAIL)


# ---------------------------------------------------------------- who signs people in


def test_doctor_asks_the_provider_and_reads_the_secret(tmp_path: Path) -> None:
    with standin_oidc.running() as oidc:
        login = standin_oidc.settings_for(tmp_path, oidc.address)
        (well,) = logins(Settings(tmp_path, login=login))
        oidc.about = {"issuer": "https://another.example.org"}
        (other,) = logins(Settings(tmp_path, login=login))
        (tmp_path / "oidc-secret").unlink()
        (bare,) = logins(Settings(tmp_path, login=login))
    assert (well.verdict, well.text) == (Verdict.OK, f"{oidc.address}, 1 key")
    assert (other.verdict, other.text) == (
        Verdict.FAIL,
        f"`{oidc.address}` calls itself by another name",
    )
    assert "cannot be read" in bare.text


def test_doctor_tells_that_a_hub_is_away(tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("secret")
    hub = HubSettings("http://127.0.0.1:1", "service-envwatch", tmp_path / "hub")
    (found,) = logins(Settings(tmp_path, login=LoginSettings(jupyterhub=hub)))
    assert found.verdict is Verdict.FAIL
    assert found.text.startswith("127.0.0.1:1: ")


def found_of_proxy(root: Path, *trusted: str, secret_file: Path | None = None) -> Finding:
    proxy = ProxyLogin("X-Forwarded-User", trusted=trusted, secret_file=secret_file)
    (found,) = logins(Settings(root, login=LoginSettings(proxy=proxy)))
    return found


@pytest.mark.parametrize(
    ("trusted", "place"),
    [
        ("127.0.0.1/32", "on this machine"),
        ("0.0.0.0/0", "on this machine"),
        ("::/0", "on this machine"),
        ("10.0.0.7/32", "at 10.0.0.7/32"),
    ],
)
def test_doctor_warns_where_others_can_be_anybody(tmp_path: Path, trusted: str, place: str) -> None:
    found = found_of_proxy(tmp_path, trusted)
    assert found.verdict is Verdict.WARN
    assert found.text == f"whoever has an account {place} can say to be anybody"


def test_doctor_reads_the_secret_of_a_proxy(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    assert found_of_proxy(tmp_path, "127.0.0.1/32", secret_file=file).verdict is Verdict.FAIL
    file.write_text("s3cret\n")
    assert found_of_proxy(tmp_path, "127.0.0.1/32", secret_file=file).verdict is Verdict.OK
