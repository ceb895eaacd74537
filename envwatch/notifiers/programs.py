"""Runs one program with a letter on its standard input: clean surroundings, a time limit."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO

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
    with TemporaryFile() as given, TemporaryFile() as said:
        given.write(data)
        given.seek(0)
        # files and not pipes: what it leaves running behind itself would hold a pipe open
        process = _start(tuple(command), given, said, more)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired as e:
            raise NotifyError(f"`{command[0]}` was stopped after {timeout:.0f} s") from e
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        said.seek(max(0, said.seek(0, os.SEEK_END) - MOST))
        return Ended(status, _shown(said.read()))


def _start(
    command: tuple[str, ...], given: IO[bytes], said: IO[bytes], more: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    try:
        return subprocess.Popen(
            command,
            stdin=given,
            stdout=said,
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


def _shown(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").split("\n")
    return redact(" ".join(" ".join(lines[-3:]).split()))[-300:]
