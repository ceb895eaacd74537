"""Runs one program with a letter on its standard input: clean surroundings, a time limit."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from envwatch.errors import NotifyError, NotifyStalled
from envwatch.redact import redact

KEPT = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ")
MOST = 4096  # of what it says is kept


@dataclass(frozen=True, slots=True)
class Ended:
    """`said` is the end of its output, for a person."""

    status: int
    said: str


def run(command: Sequence[str], data: bytes, *, more: Mapping[str, str], timeout: float) -> Ended:
    """Raises NotifyStalled where it cannot be started, NotifyError where it takes too long."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    try:
        process = subprocess.Popen(
            tuple(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={**kept, "LC_ALL": "C.UTF-8", **more},
            start_new_session=True,
        )
    except OSError as e:
        raise NotifyStalled(
            f"`{command[0]}` cannot be started: {e.strerror}",
            hint="is it installed, and may the user of envwatch run it?",
        ) from e
    with process:
        try:
            said, _ = process.communicate(data, timeout)
        except subprocess.TimeoutExpired as e:
            raise NotifyError(f"`{command[0]}` was stopped after {timeout:.0f} s") from e
        finally:
            # its whole family: what it left running would hold the pipe
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
    return Ended(process.returncode, _shown(said))


def _shown(output: bytes) -> str:
    lines = output[-MOST:].decode("utf-8", "replace").split("\n")
    return redact(" ".join(" ".join(lines[-3:]).split()))[-300:]
