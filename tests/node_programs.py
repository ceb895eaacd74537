"""Programs of node, installed once for all tests of a session."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tarfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from needs import lack, need
from waiting import wait_for

PACKAGES = ("oidc-provider@8.8.1", "configurable-http-proxy@5.3.0")
# conda-store's page: built already, so that nothing of what it was made of is installed
CONDA_STORE_UI = "@conda-store/conda-store-ui@2024.11.1"
PATIENCE = 60.0


def installed(factory: pytest.TempPathFactory) -> Path:
    """The folder that holds `node_modules`; several workers share it."""
    need("node")
    npm = need("npm")
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "node"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            _install(npm, folder)
            (folder / "done").touch()
    return folder


def _install(npm: str, folder: Path) -> None:
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
    options += ("--cache", str(folder / "cache"))
    done = subprocess.run(
        (npm, "install", *options, "--prefix", folder, *PACKAGES),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    if done.returncode:
        lack(f"npm cannot install {' '.join(PACKAGES)}: {done.stderr[-500:]}")


def conda_store_ui(factory: pytest.TempPathFactory) -> Path:
    """The folder with the built page of conda-store; several workers share it."""
    npm = need("npm")
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "conda-store-ui"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "package").exists():
            _unpack(npm, folder)
    return folder / "package" / "dist"


def _unpack(npm: str, folder: Path) -> None:
    command = (npm, "pack", "--silent", "--cache", str(folder / "cache"), CONDA_STORE_UI)
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=200
    )
    if done.returncode:
        lack(f"npm cannot get {CONDA_STORE_UI}: {done.stderr[-500:]}")
    with tarfile.open(folder / done.stdout.split()[-1]) as packed:
        packed.extractall(folder, filter="data")


@contextmanager
def program(*command: str | Path, url: str, cwd: Path, **env: str) -> Iterator[None]:
    """A program that runs until the end, once it answers at `url`."""
    with (cwd / "program.log").open("w") as log:
        running = subprocess.Popen(
            command, cwd=cwd, env={**os.environ, **env}, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _wait(running, url, cwd / "program.log")
            yield
        finally:
            running.terminate()
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def _wait(running: subprocess.Popen[bytes], url: str, log: Path) -> None:
    wait_for(lambda: running.poll() is not None or _answers(url), PATIENCE, url)
    assert running.poll() is None, log.read_text()[-2000:]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310  # ours, on this machine
            return True
    except OSError:
        return False
