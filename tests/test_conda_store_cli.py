"""conda-store's own command line, as it is on PyPI, against a real daemon."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from needs import lack

sys.path.insert(0, str(Path(__file__).parent / "e2e"))

from running import Running, text
from waiting import wait_for

from envwatch.model import EnvKey

VERSION = "2025.2.2"
KEY = EnvKey("people", "demo")
pytestmark = pytest.mark.peer


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command line in an environment of its own, made once for all workers."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "conda-store"
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = folder / "bin" / "conda-store"
        if not found.exists():
            pip = (folder / "bin" / "pip", "install", "-q", f"conda-store=={VERSION}")
            env = os.environ | {"HOME": str(folder)}  # what pip asks for its greeting writes there
            subprocess.run((sys.executable, "-m", "venv", folder), check=True, env=env)
            done = subprocess.run(
                pip, capture_output=True, text=True, check=False, timeout=240, env=env
            )
            if done.returncode:
                lack(f"conda-store {VERSION} cannot be installed: {done.stderr.strip()[-300:]}")
    return found


@dataclass
class Client:
    """The daemon, and the program that speaks to it."""

    running: Running
    program: Path
    folder: Path
    token: str

    def __call__(self, *arguments: object, check: int = 0, token: str = "") -> str:
        auth = token or self.token
        env = {
            **{k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")},
            "CONDA_STORE_URL": f"http://127.0.0.1:{self.running.port}",
            "CONDA_STORE_AUTH": "token" if auth else "none",
            "CONDA_STORE_TOKEN": auth,
            "TMPDIR": str(self.folder),
            "COLUMNS": "200",
        }
        done = subprocess.run(
            (self.program, *map(str, arguments)),
            capture_output=True, text=True, check=False, timeout=120, env=env, cwd=self.folder,
        )  # fmt: skip
        assert done.returncode == check, done.stdout + done.stderr
        return done.stdout

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        """A request of our own: what the command line has no word for."""
        url = f"http://127.0.0.1:{self.running.port}/api/v1{path}"
        request = urllib.request.Request(  # its own daemon
            url,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", **headers},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # its own daemon
            return json.loads(answer.read())

    def submit(self, content: str) -> int:
        body = {"namespace": "people", "specification": content}
        return int(self.call("POST", "/specification/", body)["data"]["build_id"])


@pytest.fixture(scope="module")
def client(
    program: Path, channel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """One daemon for all: each test has environments of its own in it."""
    folder = tmp_path_factory.mktemp("store")
    source = {"name": "people", "managed": True, "interval": "1h"}
    # nobody sees anything but by a token
    running = Running(folder, channel, [source], {"access": {"anonymous": {}}})
    try:
        running.start(wait=False)
        wait_for(running.answers, 120, "the page")
        yield Client(running, program, _folder(folder), _token(running))
    finally:
        running.kill()


def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def _token(running: Running, name: str = "ada", *options: str) -> str:
    command = (sys.executable, "-m", "envwatch", "-c", str(running.config), "token", "create")
    options = options or ("--namespaces", "people", "--role", "admin")
    made = subprocess.run((*command, name, *options), capture_output=True, text=True, check=True)
    return made.stdout.strip()


def test_from_a_specification_to_a_running_program(client: Client) -> None:
    build = client.submit(text("python", "tiny=1.0"))
    client("wait", "people/demo", "--interval", 1)
    client("wait", f"people/demo:{build}", "--interval", 1, "--artifact", "lockfile")
    client("wait", build, "--interval", 1, "--artifact", "archive")
    prefix = client.running.wait_current(1, KEY)
    assert (prefix / "share/tiny/version").read_text() == "1.0"

    said = client("run", "people/demo", "--", "python", "-c", "import sys; print(sys.prefix)")
    assert said.strip() == str(client.folder / "conda-store" / str(build))

    for artifact in ("yaml", "lockfile", "archive"):
        client("download", build, "--artifact", artifact)
    assert "tiny" in (client.folder / f"build-{build}.yaml").read_text()
    assert "sha256" in (client.folder / f"build-{build}.lock").read_text()
    with tarfile.open(client.folder / f"build-{build}.tar.gz", "r:gz") as archive:
        assert "bin/activate" in archive.getnames()
    client("download", build, "--artifact", "logs", "--output-filename", "log")
    assert "packages chosen" in (client.folder / "log").read_text()


def test_what_is_there_is_listed(client: Client) -> None:
    build = client.submit(text("tiny=1.0", name="listed"))
    client("wait", build, "--interval", 1)
    told = client("info")
    assert "Default namespace is people" in told
    assert "Authenticated True" in told
    assert "people" in client("list", "namespace")
    options = ("--status", "COMPLETED", "--artifact", "LOCKFILE", "--package", "tiny")
    found = json.loads(client("list", "environment", "--output", "json", *options))
    assert "listed" in {e["name"] for e in found}
    found = json.loads(client("list", "build", "--output", "json", *options))
    assert build in {b["id"] for b in found}
    for kind in ("environment", "build"):
        assert json.loads(client("list", kind, "--output", "json", "--package", "absent")) == []
        assert "listed" in client("list", kind) or kind == "build"


def test_what_failed_is_told(client: Client) -> None:
    build = client.submit(text("no-such-package", name="failing"))
    client("wait", build, "--interval", 1, check=1)
    found = json.loads(client("list", "build", "--output", "json", "--status", "FAILED"))
    assert [b["id"] for b in found] == [build]
    assert "no-such-package" in client.call("GET", f"/build/{build}/")["data"]["status_info"]


def test_packages_are_chosen_without_a_build(client: Client) -> None:
    (client.folder / "env.yml").write_text(text("tiny>=1", name="chosen"))
    found = json.loads(client("solve", "env.yml", "--output", "json"))
    assert "tiny" in {p["name"] for p in found}
    assert "Total Size" in client("solve", "env.yml")
    assert client.call("GET", "/environment/?name=chosen")["count"] == 0


def test_a_plan_says_what_would_change(client: Client) -> None:
    build = client.submit(text("tiny=1.0", name="planned"))
    client("wait", build, "--interval", 1)
    body = {"namespace": "people", "specification": text("tiny=2.0", name="planned")}
    found = client.call("POST", "/plan/", body)["data"]
    assert (found["move"], found["against"]) == ("changed", 1)
    assert [c["new"]["version"] for c in found["diff"]["upgraded"]] == ["2.0"]
    body["specification"] = "name: planned\ndependencies: tiny\n"
    found = client.call("POST", "/plan/", body)["data"]
    assert (found["move"], found["messages"][0]["line"]) == ("refused", 2)


def test_a_token_makes_a_smaller_one(client: Client) -> None:
    client.submit(text("tiny=1.0", name="shared"))
    small = client("token", "--permission", "people/shared:viewer", "--expiration", 600)
    assert "shared" in client("info", token=small)
    found = json.loads(client("list", "environment", "--output", "json", token=small))
    assert [e["name"] for e in found] == ["shared"]
    permission = client.call("GET", "/permission/", Authorization=f"Bearer {small}")["data"]
    assert permission["entity_roles"] == {"people/shared": ["viewer"]}
    assert permission["expiration"] is not None
    client("token", "--permission", "*/*:admin", check=1)


def test_who_may_see_nothing_is_shown_nothing(client: Client) -> None:
    client.submit(text("tiny=1.0", name="secret"))
    eve = _token(client.running, "eve", "--namespaces", "elsewhere")
    assert json.loads(client("list", "environment", "--output", "json", token=eve)) == []
    assert json.loads(client("list", "build", "--output", "json", token=eve)) == []
    client("download", "people/secret", check=1, token=eve)
