"""Forks daemons and commands from a process with all imports done: they take most of a start.

Reads lines of JSON: what to start, answered with its pid, or whose end to tell. What was started
leaves the loop and ends as any program does; only imports have run before, in one thread.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence

import crash_daemon

from envwatch import cli

PROGRAMS = {"daemon": crash_daemon.main, "envwatch": cli.main}


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        if "pid" in order:
            answer = ended(order["pid"])
        elif (answer := os.fork()) == 0:
            program = PROGRAMS[order.pop("program")]
            become(**order)
            program()
            return
        print(answer if answer is not None else "null", flush=True)  # noqa: T201  # a pipe


def ended(pid: int) -> int | None:
    """Its exit code, negative for a signal; None while it runs."""
    gone, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if gone else None


def become(arguments: Sequence[str], environment: Mapping[str, str], out: str, err: str) -> None:
    """Take the place of a process that was started anew."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    opened = [os.open(os.devnull, os.O_RDONLY), os.open(out, flags), os.open(err, flags)]
    for number, handle in enumerate(opened):
        os.dup2(handle, number)
        os.close(handle)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments


if __name__ == "__main__":
    main()
