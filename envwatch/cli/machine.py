"""What `envwatch doctor` looks at: each check is one question to this machine."""

from __future__ import annotations

import grp
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from envwatch.config.words import write_size
from envwatch.sandbox import landlock_abi
from envwatch.settings import Settings, SourceKind

GIT_LEAST = (2, 30)
WATCHES_LEAST = 16_384
INSTANCES_LEAST = 64
INODES_LEAST = 100_000
# the first line of a script holds 127 bytes on older kernels
SHEBANG_LONGEST = 127
NETWORK_FILESYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "glusterfs", "lustre")
VOLATILE_FILESYSTEMS = ("tmpfs", "ramfs", "overlay")


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, and how to fix it where it is not well."""

    subject: str
    verdict: Verdict
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo."""

    point: Path
    kind: str
    options: tuple[str, ...]


def examine(settings: Settings) -> Iterator[Finding]:
    """Every check, in the order in which a person would repair things."""
    yield user()
    yield root_folder(settings.root)
    yield path_length(settings.root)
    yield filesystem(settings.root)
    yield hard_links(settings.root)
    yield free_space(settings.root, settings.space.floor)
    yield git()
    yield inotify(Path("/proc/sys/fs/inotify"))
    yield landlock(settings.sandbox)
    yield bubblewrap()
    yield processes(Path("/proc"))
    yield from groups(settings)
    yield from folders(settings)


def user() -> Finding:
    uid = os.geteuid()
    if uid == 0:
        hint = "run envwatch as a user of its own: what a package does in a build, it does as root"
        return Finding("user", Verdict.WARN, "this is root", hint)
    return Finding("user", Verdict.OK, f"uid {uid}")


# ---------------------------------------------------------------- the root


def root_folder(root: Path) -> Finding:
    if not _is_there(root):
        above = _existing(root)
        if os.access(above, os.W_OK | os.X_OK):
            return Finding("root", Verdict.OK, f"{root} will be made")
        hint = f"mkdir {root} && chown {os.geteuid()} {root}"
        return Finding("root", Verdict.FAIL, f"{root} cannot be made in {above}", hint)
    if not root.is_dir():
        return Finding("root", Verdict.FAIL, f"{root} is not a folder", "name another one")
    if root.stat().st_uid != os.geteuid():
        hint = "run this as the user that runs envwatch"
        text = f"{root} belongs to uid {root.stat().st_uid}"
        return Finding("root", Verdict.WARN, text, hint)
    closed = next((p for p in (root, *root.parents) if not p.stat().st_mode & 0o001), None)
    if closed:
        hint = f"chmod o+x {closed}"
        return Finding("root", Verdict.WARN, f"others cannot pass through {closed}", hint)
    return Finding("root", Verdict.OK, str(root))


def path_length(root: Path) -> Finding:
    longest = len(bytes(root / "builds" / "1000000-01234567" / "bin" / "python3.11"))
    hint = "choose a shorter root, such as /srv/envwatch"
    if longest + len("#!") > SHEBANG_LONGEST:
        text = f"the first line of scripts is {longest + 2} bytes, some kernels cut at 127"
        return Finding("path length", Verdict.WARN, text, hint)
    return Finding("path length", Verdict.OK, f"{len(bytes(root))} bytes")


def filesystem(root: Path) -> Finding:
    return judged(_mount_of(_existing(root), Path("/proc/self/mountinfo").read_text()))


def judged(mount: Mount) -> Finding:
    """Can a root lie on it?"""
    name = f"{mount.kind} on {mount.point}"
    if mount.kind in NETWORK_FILESYSTEMS:
        hint = "SQLite and hard links need a disk of this machine: choose a root on one"
        return Finding("filesystem", Verdict.FAIL, f"{name}, a network filesystem", hint)
    if "ro" in mount.options:
        hint = f"mount -o remount,rw {mount.point}"
        return Finding("filesystem", Verdict.FAIL, f"{name}, read-only", hint)
    if "noexec" in mount.options:
        hint = f"mount -o remount,exec {mount.point}"
        return Finding("filesystem", Verdict.FAIL, f"{name}, nothing in it can run", hint)
    if mount.kind in VOLATILE_FILESYSTEMS:
        hint = "for a test that is fine; otherwise choose a root on a disk or volume"
        text = f"{name}: what is in it may be gone after a restart"
        return Finding("filesystem", Verdict.WARN, text, hint)
    return Finding("filesystem", Verdict.OK, name)


def hard_links(root: Path) -> Finding:
    """By real links: one filesystem may be mounted twice, and then only a link tells."""
    pairs = [(root / a, root / "builds") for a in ("pkgs", "pyc", "uv", "tmp")]
    pairs = [(a, b) for a, b in pairs if a.is_dir() and b.is_dir()]
    above = _existing(root)
    for source, target in pairs or [(above, above)]:
        try:
            _link(source, target)
        except OSError as e:
            if e.errno in (1, 13, 30) and not os.access(source, os.W_OK):
                hint = "run this as the user that runs envwatch"
                text = f"not tried: {source} cannot be written"
                return Finding("hard links", Verdict.WARN, text, hint)
            hint = "keep the whole root on one filesystem and one mount"
            text = f"from {source} to {target}: {e.strerror}"
            return Finding("hard links", Verdict.FAIL, text, hint)
    return Finding("hard links", Verdict.OK, "environments share the files of packages")


def _link(source: Path, target: Path) -> None:
    with (
        tempfile.TemporaryDirectory(dir=source, prefix=".doctor-") as one,
        tempfile.TemporaryDirectory(dir=target, prefix=".doctor-") as two,
    ):
        file = Path(one, "file")
        file.touch()
        Path(two, "file").hardlink_to(file)


def free_space(root: Path, floor: int) -> Finding:
    status = os.statvfs(_existing(root))
    free = status.f_bavail * status.f_frsize
    text = f"{_rounded(free)} free"
    if free < floor:
        hint = "free some, or lower `space.floor`"
        text = f"{text}, builds start above {write_size(floor)}"
        return Finding("space", Verdict.FAIL, text, hint)
    # filesystems that make inodes as they go report none
    if status.f_files and status.f_favail < INODES_LEAST:
        hint = "an environment has tens of thousands of files: choose another filesystem"
        text = f"{text}, but only {status.f_favail} inodes"
        return Finding("space", Verdict.WARN, text, hint)
    return Finding("space", Verdict.OK, text)


# ---------------------------------------------------------------- programs and kernel


def git(program: str = "git") -> Finding:
    hint = "install git, for example by `apt install git`"
    try:
        told = subprocess.run(
            (program, "--version"), capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
    except FileNotFoundError:
        return Finding("git", Verdict.FAIL, f"there is no `{program}`", hint)
    except (OSError, subprocess.SubprocessError) as e:
        return Finding("git", Verdict.FAIL, f"`{program} --version` failed: {e}", hint)
    found = re.search(r"(\d+)\.(\d+)", told)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < GIT_LEAST:
        least = ".".join(map(str, GIT_LEAST))
        return Finding("git", Verdict.FAIL, told, f"install git {least} or newer")
    return Finding("git", Verdict.OK, told)


def inotify(folder: Path) -> Finding:
    try:
        watches = int((folder / "max_user_watches").read_text())
        instances = int((folder / "max_user_instances").read_text())
    except (OSError, ValueError):
        hint = "changes are found by looking again from time to time"
        return Finding("inotify", Verdict.WARN, "this kernel does not tell its limits", hint)
    text = f"{watches} watches, {instances} instances"
    for name, value, least in (
        ("watches", watches, WATCHES_LEAST),
        ("instances", instances, INSTANCES_LEAST),
    ):
        if value < least:
            setting = f"fs.inotify.max_user_{name}={least * 8}"
            hint = f"echo {setting} > /etc/sysctl.d/90-envwatch.conf && sysctl --system"
            return Finding("inotify", Verdict.WARN, text, hint)
    return Finding("inotify", Verdict.OK, text)


def landlock(mode: str) -> Finding:
    abi = landlock_abi()
    if abi >= 2:
        return Finding("landlock", Verdict.OK, f"ABI {abi}")
    hint = "Linux 5.19 or newer with `landlock` in its `lsm=` list"
    verdict = Verdict.FAIL if mode == "require" else Verdict.WARN
    return Finding("landlock", verdict, "builds cannot be confined by this kernel", hint)


def bubblewrap() -> Finding:
    path = shutil.which("bwrap")
    if path:
        return Finding("bubblewrap", Verdict.OK, path)
    hint = "optional: a second wall around what packages run, `apt install bubblewrap`"
    return Finding("bubblewrap", Verdict.OK, f"not installed ({hint})")


def processes(proc: Path) -> Finding:
    """Which processes can be asked whether they use an environment."""
    seen = [entry for entry in proc.iterdir() if entry.name.isdecimal()]
    open_ones = sum(_is_open(entry) for entry in seen)
    if not (proc / "1").exists():
        hint = "mount /proc without `hidepid`, or add the user to the group of its `gid=`"
        text = "those of other users are hidden"
        return Finding("processes", Verdict.WARN, text, f"{hint}; else `retention.grace` protects")
    if open_ones < len(seen):
        text = f"{open_ones} of {len(seen)} can be looked into"
        hint = (
            "those of others are told by their command lines; `retention.grace` protects the rest"
        )
        return Finding("processes", Verdict.OK, f"{text} ({hint})")
    return Finding("processes", Verdict.OK, f"all {len(seen)} can be looked into")


def _is_open(process: Path) -> bool:
    try:
        (process / "cwd").readlink()
    except PermissionError:
        return False
    except OSError:
        return True  # it ended, or is one of the kernel's own
    return True


# ---------------------------------------------------------------- what the config names


def groups(settings: Settings) -> Iterator[Finding]:
    """A service may give its files only to groups that it is in."""
    mine = {*os.getgroups(), os.getegid()}
    for name in sorted({n.group for n in (settings.defaults, *settings.namespaces)} - {""}):
        try:
            gid = grp.getgrnam(name).gr_gid
        except KeyError:
            text = f"there is no group `{name}`"
            yield Finding("group", Verdict.FAIL, text, f"groupadd {name}")
            continue
        if os.geteuid() and gid not in mine:
            hint = f"usermod -aG {name} <the user that runs envwatch>, then start it again"
            yield Finding("group", Verdict.FAIL, f"this user is not in `{name}`", hint)
        else:
            yield Finding("group", Verdict.OK, name)


def folders(settings: Settings) -> Iterator[Finding]:
    for source in settings.sources:
        if source.kind is not SourceKind.DIRECTORY or source.directory is None:
            continue
        subject = f"source {source.name}"
        if os.access(source.directory, os.R_OK | os.X_OK):
            yield Finding(subject, Verdict.OK, str(source.directory))
        else:
            hint = "let the user that runs envwatch read it; in a unit, see `ProtectHome=`"
            text = f"{source.directory} cannot be read"
            yield Finding(subject, Verdict.FAIL, text, hint)


# ---------------------------------------------------------------- helpers


def _mount_of(path: Path, mountinfo: str) -> Mount:
    """The mount that a path lies on: the longest, and of equals the last, hides the others."""
    mounts = [_parsed(line) for line in mountinfo.splitlines() if " - " in line]
    above = [m for m in mounts if m.point in (path, *path.parents)]
    return max(reversed(above), key=lambda m: len(m.point.parts))


def _parsed(line: str) -> Mount:
    left, _, right = line.partition(" - ")
    fields = left.split()
    point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[4])
    own, whole = fields[5].split(","), right.split()[-1].split(",")
    return Mount(Path(point), right.split()[0], (*own, *whole))


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(p for p in (path, *path.parents) if _is_there(p))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False  # in a folder that may not be passed through


def _rounded(size: int) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size} {unit}"
        size //= 1024
    return f"{size} TiB"
