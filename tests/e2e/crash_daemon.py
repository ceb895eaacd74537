"""A real daemon that kills itself, with all that it started, when it reaches one point.

usage: crash_daemon.py CONFIG POINT    where POINT is a step of publishing, the state of a build,
or `recovery:N` for the Nth point reached while recovering; an empty POINT runs on.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from envwatch import config, daemon, logs
from envwatch.model import BuildState
from envwatch.worker.publish import Step


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Trap:
    """Counts the points that are reached, and springs at the chosen one."""

    def __init__(self, point: str) -> None:
        self.kind, _, number = point.partition(":")
        self.left = int(number) if number else 0
        self.recovering = True

    def started(self, _: object) -> None:
        self.recovering = False

    def reached(self, point: Step | BuildState) -> None:
        if self.recovering and self.kind == "recovery":
            self.left -= 1
            if self.left < 0:
                die()
        elif not self.recovering and point.value == self.kind:
            die()


def main() -> None:
    path, trap = Path(sys.argv[1]), Trap(sys.argv[2])
    logs.configure("logfmt", sys.stderr)
    settings = config.load(path)
    daemon.run(settings, lambda: config.load(path), started=trap.started, reached=trap.reached)


if __name__ == "__main__":
    main()
