"""Makes a channel in a process of its own, as the demo does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def run_channel(folder: Path, *options: str) -> None:
    command = (sys.executable, "-m", "envwatch.channel", str(folder), *options)
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
