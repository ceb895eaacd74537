"""What a confined process may write, use and know. All of it in children: it cannot be undone."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from needs import lack
from waiting import wait_for

from envwatch.errors import BuildTimeout
from envwatch.sandbox import Outcome, clean_environment, landlock_abi, run

NOBODY = 65534


@pytest.fixture(autouse=True)
def landlock() -> None:
    if landlock_abi() < 2:
        lack("the kernel has no Landlock (ABI 2)")


@pytest.fixture
def box() -> Iterator[Path]:
    """A folder to be confined to, with a neighbour; another user may write to both.

    Not pytest's own folder, which no other user may enter.
    """
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        for folder in (top, top / "box", top / "outside"):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o777)
        for folder in (top / "box", top / "outside"):
            (folder / "file").write_text("kept")
            (folder / "file").chmod(0o666)
        yield top / "box"


def confined(box: Path, code: str, *, options: str = "", uid: int | None = None) -> str:
    """What a piece of Python says that is confined to the box; `outside` is the neighbour."""
    text = (
        "import os, pathlib, socket\n"
        f"box = pathlib.Path({str(box)!r})\n"
        "outside = box.parent / 'outside'\n"
        "from envwatch.sandbox import confine, limits\n"
        f"{f'os.setuid({uid})' if uid else ''}\n"
        f"assert confine([box]{options})\n"
        f"try:\n    {code}\nexcept OSError as e:\n    print(type(e).__name__, end='')\n"
    )
    command = (sys.executable, "-c", text)
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "code",
    [
        "(box / 'new').write_text('x')",
        "(box / 'file').write_text('x')",
        "os.truncate(box / 'file', 0)",
        "(box / 'sub').mkdir(); os.link(box / 'file', box / 'sub/link')",
        "(box / 'sub').mkdir(); os.rename(box / 'file', box / 'sub/moved')",
        "(box / 'file').unlink()",
        "(box / 'link').symlink_to('file')",
        "os.mkfifo(box / 'fifo')",
        "pathlib.Path('/dev/null').write_text('x')",
    ],
)
def test_inside_everything_is_allowed(box: Path, code: str) -> None:
    assert confined(box, code) == ""


@pytest.mark.parametrize("uid", [None, NOBODY], ids=["as we are", "as nobody"])
@pytest.mark.parametrize(
    "code",
    [
        "(outside / 'new').write_text('x')",
        "(outside / 'file').write_text('x')",
        "os.truncate(outside / 'file', 0)",
        "(outside / 'new').mkdir()",
        "(outside / 'file').unlink()",
        "(outside / 'link').symlink_to('file')",
        "(box / 'up').symlink_to(outside); (box / 'up/new').write_text('x')",
    ],
)
def test_outside_nothing_can_be_changed(box: Path, code: str, uid: int | None) -> None:
    if uid and os.getuid() != 0:
        lack("only root can become another user")
    assert confined(box, code, uid=uid) == "PermissionError"
    assert [p.read_text() for p in (box.parent / "outside").iterdir()] == ["kept"]


@pytest.mark.parametrize(
    "code",
    [
        "os.link(outside / 'file', box / 'in')",
        "os.link(box / 'file', outside / 'out')",
        "os.rename(outside / 'file', box / 'in')",
        "os.rename(box / 'file', outside / 'out')",
    ],
)
def test_nothing_is_linked_or_moved_over_the_border(box: Path, code: str) -> None:
    assert confined(box, code) in ("PermissionError", "OSError")
    assert [p.name for p in (box.parent / "outside").iterdir()] == ["file"]


def test_reading_stays_free(box: Path) -> None:
    assert confined(box, "print((outside / 'file').read_text(), end='')") == "kept"


def test_children_are_confined_as_well(box: Path) -> None:
    code = "import subprocess; print(subprocess.call(['touch', str(outside / 'new')]), end='')"
    assert confined(box, code) == "1"


def test_without_network_no_connection_is_made(box: Path) -> None:
    if landlock_abi() < 4:
        lack("the kernel's Landlock knows no network")
    code = "socket.create_connection(('127.0.0.1', 9), 1)"
    assert confined(box, code, options=", network=False") == "PermissionError"
    assert confined(box, code) == "ConnectionRefusedError"


def test_sandbox_that_is_off_confines_nothing(box: Path) -> None:
    code = (
        "from envwatch.sandbox import confine; from pathlib import Path;"
        f"assert not confine([Path({str(box)!r})], mode='off');"
        f"Path({str(box.parent / 'outside/new')!r}).touch()"
    )
    subprocess.run((sys.executable, "-c", code), check=True, timeout=30)
    assert (box.parent / "outside/new").exists()


def test_limits_hold_and_leave_no_core(box: Path) -> None:
    code = (
        "limits(file_size=1000, memory=10**9, files=50);"
        "import resource as r;"
        "print([r.getrlimit(k)[0] for k in"
        " (r.RLIMIT_FSIZE, r.RLIMIT_DATA, r.RLIMIT_NOFILE, r.RLIMIT_CORE)], end='')"
    )
    assert confined(box, code) == "[1000, 1000000000, 50, 0]"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000


def start(box: Path, *command: str, timeout: float = 20) -> Outcome:
    return run(command, write=(box,), env=clean_environment(box), cwd=box, timeout=timeout)


def test_command_runs_confined_and_tells_what_it_said(box: Path) -> None:
    done = start(
        box, "/bin/sh", "-c", "echo out; echo err >&2; touch in; touch ../outside/no; exit 3"
    )
    assert done.status == 3
    assert done.output.startswith("out\nerr\n")
    assert (box / "in").exists()
    assert not (box.parent / "outside/no").exists()


def test_command_knows_nothing_of_our_environment(
    box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "s3cret")
    monkeypatch.setenv("LD_PRELOAD", "")
    names = {line.partition("=")[0] for line in start(box, "/usr/bin/env").output.splitlines()}
    assert names == {"PATH", "LANG", "LC_ALL", "HOME", "TMPDIR", "SOURCE_DATE_EPOCH"}


def test_command_has_no_network_unless_it_is_given(box: Path) -> None:
    if landlock_abi() < 4:
        lack("the kernel's Landlock knows no network")
    code = "import socket; socket.create_connection(('127.0.0.1', 9), 1)"
    assert "PermissionError" in start(box, sys.executable, "-I", "-c", code).output


def test_command_that_takes_too_long_is_killed_with_its_children(box: Path) -> None:
    script = "sleep 600 & echo $! > child; wait"
    with pytest.raises(BuildTimeout, match="`sh` did not end within"):
        start(box, "/bin/sh", "-c", script, timeout=1)
    pid = int((box / "child").read_text())
    wait_for(lambda: not _runs(pid))


def test_command_dies_with_the_process_that_started_it(box: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from envwatch.sandbox import run, clean_environment;"
        f"box = Path({str(box)!r});"
        "run(('/bin/sh', '-c', 'echo $$ > pid.new; mv pid.new pid; exec sleep 600'), write=(box,),"
        " env=clean_environment(box), cwd=box, timeout=600)"
    )
    parent = subprocess.Popen((sys.executable, "-c", code))
    try:
        wait_for((box / "pid").exists)
        pid = int((box / "pid").read_text())
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    wait_for(lambda: not _runs(pid))


def test_endless_output_is_cut_to_its_end(box: Path) -> None:
    done = start(box, sys.executable, "-I", "-c", "print('x' * 3_000_000); print('end')")
    assert done.output.endswith("end\n")
    assert len(done.output) <= 2**20


def _runs(pid: int) -> bool:
    """A killed process may stay as a zombie until someone asks for it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
