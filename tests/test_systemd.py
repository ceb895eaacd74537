"""The unit: what systemd says of it, and a real boot with it."""

from __future__ import annotations

import fcntl
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from needs import need
from nspawn import UNITS, Machine, boot, install_program, install_unit, make_machine
from repos import GitRepo, make_repo
from waiting import wait_for

from envwatch.demo import KEY as DEMO
from envwatch.demo import LOCAL_FILE
from envwatch.sandbox import landlock_abi

pytestmark = pytest.mark.systemd

UNIT = UNITS / "envwatch.service"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
# In the place of the daemon: says what it sees, and notes what it is told.
STAND_IN = """\
#!/opt/envwatch/bin/python
import ctypes, json, os, pwd, signal, socket, sys, time
from pathlib import Path

ROOT = Path("/srv/envwatch")

def notify(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])

def works(act, *arguments):
    try:
        act(*arguments)
    except OSError:
        return False
    return True

def note(number, frame):
    with (ROOT / "seen").open("a") as f:
        print(signal.Signals(number).name, os.getpid(), file=f)
    if number == signal.SIGTERM:
        notify("STOPPING=1")
        sys.exit()

if sys.argv[1] == "config":
    sys.exit(0 if Path(sys.argv[3]).is_file() else 78)
if (ROOT / "exit").exists():
    sys.exit(int((ROOT / "exit").read_text()))
libc = ctypes.CDLL(None, use_errno=True)
for name in "ab":
    (ROOT / name).mkdir(exist_ok=True)
(ROOT / "a" / "f").touch()
(ROOT / "b" / "f").unlink(missing_ok=True)
facts = {
    "arguments": sys.argv[1:],
    "user": pwd.getpwuid(os.getuid()).pw_name,
    "umask": oct(os.umask(0)),
    "links": works(os.link, ROOT / "a" / "f", ROOT / "b" / "f"),
    "landlock": libc.syscall(444, None, 0, 1) > 0,
    "namespaces": libc.unshare(0x10000000) == 0,
    "homes": works(os.listdir, "/root") or works(os.listdir, "/home"),
    "writable": [p for p in ("/usr", "/etc", "/var", "/opt", "/run") if works(Path(p, "x").touch)],
}
(ROOT / "facts.json").write_text(json.dumps(facts))
for number in (signal.SIGHUP, signal.SIGTERM):
    signal.signal(number, note)
notify("READY=1")
while True:
    notify("WATCHDOG=1")
    time.sleep(0.2)
"""

LINK = f"/srv/envwatch/envs/analyst/{DEMO.label}"
FILE = f"{DEMO.name}/environment.yml"
CONFIG = """\
root: /srv/envwatch
sources:
  - {name: team, git: /opt/environments, branch: main, namespace: analyst, interval: 1s}
channels: {default: ["file:///opt/channel"], allowed: ["file:///opt/channel"]}
platforms: [linux-64]
space: {floor: 1MiB}
"""
SECOND = "  - {name: more, directory: /opt/more, namespace: more, interval: 1s}\n"


def analyze(*options: str, unit: Path = UNIT) -> subprocess.CompletedProcess[str]:
    command = (need("systemd-analyze"), *options, str(unit))
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_exposure_is_at_most_two() -> None:
    done = analyze("security", "--offline=true", "--threshold=20", "--no-pager")
    assert done.returncode == 0, done.stdout


def test_exposure_of_an_open_unit_is_more(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    lines = [n for n in UNIT.read_text().splitlines() if not n.startswith(("Restrict", "Capab"))]
    unit.write_text("\n".join(lines))
    assert analyze("security", "--offline=true", "--threshold=20", unit=unit).returncode == 1


def test_unit_is_understood_without_a_remark(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/envwatch/bin/envwatch", "/bin/true"))
    done = analyze("verify", "--man=no", unit=unit)
    assert (done.returncode, done.stderr) == (0, "")


# ---------------------------------------------------------------- booted, with a stand-in


@dataclass
class Machines:
    """One at a time: they share a control group where no systemd keeps them apart."""

    makers: dict[str, Callable[[], AbstractContextManager[Machine]]]
    name: str = ""
    running: Machine | None = None
    stack: ExitStack = field(default_factory=ExitStack)

    def get(self, name: str) -> Machine:
        if self.running is None or self.name != name:
            self.stack.close()
            self.running = self.stack.enter_context(self.makers[name]())
            self.name = name
        return self.running


@pytest.fixture(scope="module")
def machines(
    channel: Path, tmp_path_factory: pytest.TempPathFactory, home: Path
) -> Iterator[Machines]:
    made = Machines(
        {
            "stand-in": lambda: with_stand_in(tmp_path_factory.mktemp("machine")),
            "daemon": lambda: with_daemon(tmp_path_factory.mktemp("daemon"), channel),
        }
    )
    # … also in another process that runs a part of these tests
    with (tmp_path_factory.getbasetemp().parent / "machine.lock").open("a") as file, made.stack:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield made


@contextmanager
def with_stand_in(folder: Path) -> Iterator[Machine]:
    root = make_machine(folder / "root")
    binds = install_program(root)
    (root / "opt/envwatch/bin/envwatch").write_text(STAND_IN)
    with boot(root, binds) as machine:
        install_unit(machine, CONFIG)
        yield machine


@pytest.fixture
def machine(machines: Machines) -> Machine:
    return machines.get("stand-in")


@pytest.fixture
def service(machine: Machine) -> Iterator[Machine]:
    machine.run("systemctl", "start", "envwatch")
    yield machine
    machine.run("systemctl", "stop", "envwatch")
    machine.run("systemctl", "reset-failed", check=False)
    for name in ("seen", "exit"):
        (machine.root / "srv/envwatch" / name).unlink(missing_ok=True)


@pytest.fixture
def impatient(service: Machine) -> Iterator[Machine]:
    """The same, with a watchdog that waits for a second only."""
    dropin = service.root / "etc/systemd/system/envwatch.service.d/impatient.conf"
    dropin.parent.mkdir()
    dropin.write_text("[Service]\nWatchdogSec=1\n")
    service.run("systemctl", "daemon-reload")
    service.run("systemctl", "restart", "envwatch")
    yield service
    dropin.unlink()
    dropin.parent.rmdir()
    service.run("systemctl", "daemon-reload")


@pytest.mark.needs_root
class TestBooted:
    def test_service_has_what_it_needs_and_no_more(self, service: Machine) -> None:
        facts = json.loads((service.root / "srv/envwatch/facts.json").read_text())
        assert facts == {
            "arguments": ["run", "-c", "/etc/envwatch/config.yaml"],
            "user": "envwatch",
            "umask": "0o22",
            "links": True,
            "landlock": landlock_abi() > 0,  # as outside
            "namespaces": False,
            "homes": False,
            "writable": [],
        }

    def test_reload_reaches_the_same_process(self, service: Machine) -> None:
        before = service.show("envwatch", "MainPID")
        service.run("systemctl", "reload", "envwatch")
        seen = service.root / "srv/envwatch/seen"
        wait_for(lambda: seen.exists() and seen.read_text().startswith("SIGHUP"), 20, "the signal")
        assert service.show("envwatch", "MainPID") == before

    def test_killed_service_is_started_again(self, service: Machine) -> None:
        before = service.show("envwatch", "MainPID")
        service.run("systemctl", "kill", "--signal=KILL", "envwatch")
        wait_for(lambda: service.show("envwatch", "NRestarts") != "0", 60, "the restart")
        service.wait("envwatch", "ActiveState", "active")
        assert service.show("envwatch", "MainPID") != before

    def test_config_that_cannot_be_used_is_not_tried_again(self, service: Machine) -> None:
        (service.root / "srv/envwatch/exit").write_text("78")
        service.run("systemctl", "restart", "envwatch", check=False)
        service.wait("envwatch", "ActiveState", "failed")
        assert service.show("envwatch", "ExecMainStatus") == "78"
        assert service.show("envwatch", "NRestarts") == "0"

    def test_service_that_hangs_is_started_again(self, impatient: Machine) -> None:
        impatient.run("systemctl", "kill", "--signal=STOP", "envwatch")
        wait_for(lambda: impatient.show("envwatch", "NRestarts") != "0", 60, "the restart")

    def test_stop_is_clean(self, service: Machine) -> None:
        service.run("systemctl", "stop", "envwatch")
        assert (service.root / "srv/envwatch/seen").read_text().startswith("SIGTERM")
        assert service.show("envwatch", "Result") == "success"

    def test_folders_belong_to_whom_they_should(self, machine: Machine) -> None:
        shown = machine.run("stat", "--format=%a %U %n", "/srv/envwatch", "/etc/envwatch")
        assert shown == "755 envwatch /srv/envwatch\n750 root /etc/envwatch"


# ---------------------------------------------------------------- booted, with the daemon itself


@contextmanager
def with_daemon(folder: Path, channel: Path) -> Iterator[Machine]:
    root = make_machine(folder / "root")
    binds = install_program(root)
    make_repo(root / "opt/environments").commit({FILE: LOCAL_FILE})
    (root / "opt/more").mkdir()
    (root / "opt/more/env.yml").write_text("name: second\ndependencies: [python, click]\n")
    with boot(root, binds | {channel: "/opt/channel"}) as machine:
        install_unit(machine, CONFIG)
        wait_for_link(machine, LINK)
        yield machine


@pytest.fixture
def daemon(machines: Machines) -> Machine:
    return machines.get("daemon")


def wait_for_link(machine: Machine, link: str) -> None:
    wait_in(machine, (machine.root / link.lstrip("/")).is_symlink, link)


def wait_in(machine: Machine, predicate: Callable[[], bool], what: str) -> None:
    """Wait for something in the machine; where it does not come, its logs are told."""
    try:
        wait_for(predicate, 90, what)
    except AssertionError as e:
        raise AssertionError("\n".join((str(e), machine.journal(), *build_logs(machine)))) from e


def build_logs(machine: Machine) -> list[str]:
    return [p.read_text() for p in sorted((machine.root / "srv/envwatch/logs").glob("*.log"))]


def fetch(machine: Machine, path: str) -> str:
    return machine.run("curl", "--fail", "--silent", "--show-error", f"http://127.0.0.1:8080{path}")


@pytest.mark.needs_root
class TestDaemon:
    def test_environment_is_built_and_everybody_may_use_it(self, daemon: Machine) -> None:
        program = "import click, sys; print(sys.prefix)"
        shown = daemon.run(*NOBODY, f"{LINK}/bin/python", "-c", program)
        assert shown == LINK

    def test_commit_is_seen_and_goes_live(self, daemon: Machine) -> None:
        link = daemon.root / LINK.lstrip("/")
        before = link.readlink()
        repo = GitRepo(daemon.root / "opt/environments")
        repo.commit({FILE: LOCAL_FILE.replace("  # - flask", "  - markupsafe")})
        wait_in(daemon, lambda: link.readlink() != before, "the next generation")
        daemon.run(*NOBODY, f"{LINK}/bin/python", "-c", "import markupsafe")

    def test_builds_are_confined(self, daemon: Machine) -> None:
        logs = build_logs(daemon)
        assert logs
        assert not [log for log in logs if "not confined" in log]

    def test_page_is_served(self, daemon: Machine) -> None:
        assert fetch(daemon, "/healthz")
        assert "analyst" in fetch(daemon, "/")

    def test_killed_daemon_comes_back_and_goes_on(self, daemon: Machine) -> None:
        before = daemon.show("envwatch", "MainPID")
        target = (daemon.root / LINK.lstrip("/")).readlink()
        daemon.run("systemctl", "kill", "--signal=KILL", "--kill-who=main", "envwatch")
        wait_for(lambda: daemon.show("envwatch", "MainPID") not in ("0", before), 60, "a new one")
        daemon.wait("envwatch", "ActiveState", "active")
        assert fetch(daemon, "/healthz")
        assert (daemon.root / LINK.lstrip("/")).readlink() == target

    def test_reload_takes_a_new_source(self, daemon: Machine) -> None:
        before = daemon.show("envwatch", "MainPID")
        config = daemon.root / "etc/envwatch/config.yaml"
        config.write_text(CONFIG.replace("channels:", f"{SECOND}channels:", 1))
        daemon.run("systemctl", "reload", "envwatch")
        wait_for_link(daemon, "/srv/envwatch/envs/more/more-second")
        assert daemon.show("envwatch", "MainPID") == before

    def test_daemon_stops_in_good_order(self, daemon: Machine) -> None:
        daemon.run("systemctl", "restart", "envwatch")
        daemon.run("systemctl", "stop", "envwatch")
        assert daemon.show("envwatch", "Result") == "success"
        daemon.run("systemctl", "start", "envwatch")
