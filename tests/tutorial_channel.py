"""The packages of the tutorial's environment, made out of wheels: once for all tests of a run."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from needs import lack

# without a version of Python: there is the one that runs the tests
FILE = """\
name: example-environment
channels:
  - conda-forge
dependencies:
  - python
  - numpy
  - matplotlib
  - pandas
  - panel
  - ipykernel
  - ipywidgets
"""
NAMES = ("numpy", "matplotlib", "pandas", "panel", "ipykernel", "ipywidgets")
PATIENCE = 300  # seconds


def tutorial_channel(factory: pytest.TempPathFactory) -> Path:
    """The folder of a channel called `conda-forge`; several workers share it."""
    base = factory.getbasetemp()
    top = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tutorial"
    top.mkdir(exist_ok=True)
    with (top / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (top / "done").exists():
            _make(top)
            (top / "done").touch()
    return top / "conda-forge"


def _make(top: Path) -> None:
    wheels = top / "wheels"
    install = ("-m", "uv", "pip", "install", "--quiet", "--python", sys.executable)
    done = _run(*install, "--no-cache", "--prefix", wheels, *NAMES)
    if done.returncode:
        lack(f"the wheels of the tutorial cannot be had: {done.stderr[-500:]}")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    options = [f"--dist={name}" for name in NAMES]
    site = wheels / "lib" / version / "site-packages"
    done = _run("-m", "envwatch.channel", top / "conda-forge", *options, PYTHONPATH=str(site))
    assert done.returncode == 0, done.stderr[-2000:]


def _run(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, *arguments),
        env=os.environ | env,
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
