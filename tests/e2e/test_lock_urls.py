"""Locks and lists by an address with a token in it: what `micromamba create -f URL` and `conda
create --file URL` fetch. They are fetched by libcurl and by requests, as those two do it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from needs import need
from rattling import install_list
from running import Running, cli, text
from waiting import wait_for

from envwatch.model import EnvKey

KEY = EnvKey("lab", "demo")
LOCKS = (
    "/api/v1/environment/lab/demo/conda-lock.yml",
    "/api/v1/environment/lab/demo/conda-lock.yaml",
    "/api/v1/environment/lab/demo/lockfile/",
    "/api/v1/build/1/conda-lock.yml",
    "/api/v1/build/1/lockfile/",
    "/lab/demo/current/conda-lock.yml",
    "/lab/demo/1/conda-lock.yml",
)
LISTS = ("/lab/demo/current/explicit.txt", "/lab/demo/1/explicit.txt")


@pytest.fixture
def address(make_running: Callable[..., Running], tmp_path: Path) -> str:
    """Of a daemon that tells nobody anything without a token, with the token in it."""
    running = make_running({"name": "lab", "managed": True}, access={"anonymous": {}})
    running.start()
    file = tmp_path / "environment.yml"
    file.write_text(text("tiny=1.0"))
    cli(running, "env", "create", "lab/demo", "--file", file)
    running.wait_current(1, KEY)
    made = cli(running, "token", "create", "reader", "--namespaces", "lab", "--role", "viewer")
    return f"http://any:{made.stdout.strip()}@127.0.0.1:{running.port}"


def curl(url: str, *options: str) -> subprocess.CompletedProcess[bytes]:
    command = (need("curl"), "--silent", "--show-error", "--fail", "--location", *options, url)
    return subprocess.run(command, capture_output=True, check=False, timeout=60)


def test_a_lock_and_a_list_come_by_an_address_with_a_token(address: str, tmp_path: Path) -> None:
    wait_for(lambda: curl(address + LISTS[0]).returncode == 0)
    locks = {curl(address + path).stdout for path in LOCKS}
    lists = {curl(address + path).stdout for path in LISTS}
    assert (len(locks), len(lists)) == (1, 1)
    assert {requests.get(address + path, timeout=30).content for path in LOCKS} == locks
    assert {requests.get(address + path, timeout=30).content for path in LISTS} == lists
    for path in (*LOCKS, *LISTS):
        assert b" 200 " in curl(address + path, "--head").stdout.splitlines()[0]

    (tmp_path / "explicit.txt").write_bytes(lists.pop())
    prefix = install_list(tmp_path / "explicit.txt", tmp_path / "prefix", tmp_path / "cache")
    assert (prefix / "share/tiny/version").read_text() == "1.0"
    (tmp_path / "conda-lock.yml").write_bytes(locks.pop())
    program = Path(sys.executable).with_name("conda-lock")
    render = (program, "render", "--kind", "explicit", "--platform", "linux-64", "conda-lock.yml")
    subprocess.run(render, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    listed = (tmp_path / "conda-linux-64.lock").read_text().splitlines()
    assert any("/tiny-1.0-" in line for line in listed)


def test_without_a_token_or_with_a_wrong_one_there_is_nothing(address: str) -> None:
    host = address.partition("@")[2]
    for path in (*LOCKS, *LISTS):
        assert requests.get(f"http://{host}{path}", timeout=30).status_code == 404
        wrong = requests.get(f"http://any:envwatch_wrong@{host}{path}", timeout=30)
        assert wrong.status_code == 401
        assert b"tiny" not in wrong.content
