"""The second wall: what a process may write (Landlock), use (limits) and know (environment)."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envwatch.errors import BuildError, BuildTimeout

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
# the same numbers on every architecture
SYS_CREATE_RULESET, SYS_ADD_RULE, SYS_RESTRICT_SELF = 444, 445, 446
RULE_PATH_BENEATH = 1
WRITE_FILE = 1 << 1
TRUNCATE = 1 << 14
# remove and make directories, files, devices, links; rights to read and to execute stay free
CHANGE_TREE = sum(1 << n for n in range(4, 13))
REFER = 1 << 13
CONNECT_AND_BIND_TCP = 0b11
SIGNALS_AND_ABSTRACT_SOCKETS = 0b11
OUTPUT_LIMIT = 2**20

# -S: the interpreter's own site hooks have no business here, and cost half of its start
LAUNCH = "import sys; sys.path.insert(0, sys.argv[1]); from envwatch.sandbox import main; main()"


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a confined command ended; `output` is the end of what it said, stderr included."""

    status: int
    output: str


# ---------------------------------------------------------------- this process


def landlock_abi() -> int:
    """The version of Landlock that the kernel offers, 0 for none."""
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(SYS_CREATE_RULESET, None, 0, 1)))


def confines(mode: str) -> bool:
    """Are processes of this mode confined on this machine?"""
    return mode != "off" and landlock_abi() >= 2


def confine(
    write: Sequence[Path], *, mode: str = "auto", network: bool = True, alone: bool = False
) -> bool:
    """Let this process and its children write below these paths and `/dev/null`, nowhere else.

    `mode` is `auto` (where the kernel can), `require` or `off`. Without `network` no TCP
    connection is made or taken; `alone` keeps signals away from processes outside.
    """
    abi = _abi_for(mode)
    if abi < 2:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    rights = WRITE_FILE | CHANGE_TREE | REFER | (TRUNCATE if abi >= 3 else 0)
    ruleset = _Ruleset(
        rights,
        CONNECT_AND_BIND_TCP if abi >= 4 and not network else 0,
        SIGNALS_AND_ABSTRACT_SOCKETS if abi >= 6 and alone else 0,
    )
    # an older kernel takes a shorter structure
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    fd = _called(libc.syscall(SYS_CREATE_RULESET, ctypes.byref(ruleset), size, 0))
    try:
        for path in write:
            _allow(libc, fd, path, rights)
        _allow(libc, fd, Path(os.devnull), rights & (WRITE_FILE | TRUNCATE))
        _called(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _called(libc.syscall(SYS_RESTRICT_SELF, fd, 0))
    finally:
        os.close(fd)
    return True


def _abi_for(mode: str) -> int:
    abi = landlock_abi() if mode != "off" else 0
    # before ABI 2 no file can be linked or moved to another folder, and that is how we work
    if abi < 2 and mode == "require":
        raise BuildError(
            "the kernel cannot confine this build: it has no Landlock (ABI 2)",
            hint="Linux 5.19 or newer with Landlock, or `sandbox: auto`",
        )
    return abi


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        below = path.is_dir()
        rule = _PathBeneath(rights if below else rights & (WRITE_FILE | TRUNCATE), opened)
        _called(libc.syscall(SYS_ADD_RULE, ruleset, RULE_PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(opened)


def _called(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"landlock: {os.strerror(code)}")
    return result


def limits(*, memory: int = 0, file_size: int = 0, files: int = 0) -> None:
    """Bound this process and its children; 0 leaves a limit as it is. Never a core dump."""
    _lower(resource.RLIMIT_CORE, 0)
    # RLIMIT_DATA counts what is written to, RLIMIT_AS also the address space of 40 idle threads
    for kind, value in (
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_FSIZE, file_size),
        (resource.RLIMIT_NOFILE, files),
    ):
        if value:
            _lower(kind, value)


def _lower(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (allowed, allowed))


def clean_environment(tmp: Path, *, keep: Mapping[str, str] | None = None) -> dict[str, str]:
    """All that a child may know: nothing is inherited, `keep` is added."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "HOME": str(tmp),
        "TMPDIR": str(tmp),
        "SOURCE_DATE_EPOCH": "315532800",
        **(keep or {}),
    }


def die_with_parent(parent: int = 0) -> None:
    """Be killed when the thread that started this process ends; at once if it already has."""
    libc = ctypes.CDLL(None, use_errno=True)
    _called(libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0))
    if parent and os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


# ---------------------------------------------------------------- another process


def run(
    command: Sequence[str],
    *,
    write: Sequence[Path],
    env: Mapping[str, str],
    cwd: Path,
    timeout: float,
    mode: str = "auto",
    network: bool = False,
) -> Outcome:
    """Run code of a package: confined, with nothing of our environment, for a limited time.

    A launcher confines itself and then becomes the command; limits it inherits. No code of ours
    runs between fork and exec: a fork of a process that has used rattler can hang for ever.
    """
    _abi_for(mode)
    order = {
        "command": list(command), "write": [str(p) for p in write], "mode": mode,
        "network": network, "parent": os.getpid(),
    }  # fmt: skip
    root = str(Path(__file__).parent.parent)
    launcher = (sys.executable, "-I", "-S", "-c", LAUNCH, root, json.dumps(order))
    with tempfile.TemporaryFile(dir=env.get("TMPDIR")) as output:
        child = subprocess.Popen(
            launcher, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            status = child.wait(timeout)
        except subprocess.TimeoutExpired as e:
            name = Path(command[0]).name
            raise BuildTimeout(f"`{name}` did not end within {timeout:.0f} s") from e
        finally:
            _end(child)
        return Outcome(status, _tail(output))


def _tail(output: Any) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - OUTPUT_LIMIT))
    return str(output.read().decode(errors="replace"))


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started.

    It has no group of its own: who kills ours, kills it too.
    """
    if child.poll() is not None:
        return
    for pid in (*_descendants(child.pid), child.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    child.wait()


def _descendants(pid: int) -> list[int]:
    """Deepest first, so that a parent cannot start more of them."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for known in found:
        found += parents.get(known, [])
    return found[:0:-1]


def main() -> None:
    """The launcher: confine this process, then become the command."""
    order = json.loads(sys.argv[2])
    die_with_parent(order["parent"])
    confine(
        [Path(p) for p in order["write"]],
        mode=order["mode"],
        network=order["network"],
        alone=True,
    )
    command = order["command"]
    os.execv(command[0], command)  # noqa: S606 — there is no shell, and none is wanted
