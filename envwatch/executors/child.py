"""The first steps of a child, before the module that does the work is asked for by name."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import traceback
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

PR_SET_PDEATHSIG = 1


def enter(module: str, job: str, log: str, messages: Connection, life: Connection) -> None:
    """Run `module.main(job, send)` in a process group of its own, tied to the daemon's life.

    Leaves by `os._exit`: libraries with threads of their own may crash in a normal exit, after
    the work is done. The record is what counts.
    """
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _redirect(Path(log))
    threading.Thread(target=_die_with, args=(life,), daemon=True).start()
    try:
        import_module(module).main(job, messages.send_bytes)
    except BaseException:  # noqa: BLE001  # it is printed, and the process ends
        # nothing above would print it: the next line leaves without unwinding
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _redirect(log: Path) -> None:
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(handle, 1)
    os.dup2(handle, 2)


def _die_with(life: Connection) -> None:
    # the other end is the daemon's alone: when it is gone, so is everything that we started
    try:
        life.recv_bytes()
    except (EOFError, OSError):
        os.killpg(0, signal.SIGKILL)
