"""Work for the executor's tests: each function is a child that behaves in its own way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from pydantic import TypeAdapter

from envwatch.model import BuildState, Job, Progress, Result

JOB = TypeAdapter(Job)
RESULT = TypeAdapter(Result)
NEWS = TypeAdapter(tuple)


def main(text: str, send: Callable[[bytes], None]) -> None:
    job = JOB.validate_json(text)
    globals()[job.text](job, send)


def finishes(job: Job, _: Callable[[bytes], None]) -> None:
    sys.stdout.write("made\n")
    _record(job)
    sys.stdout.flush()


def crashes_after_its_record(job: Job, _: Callable[[bytes], None]) -> None:
    _record(job)
    os.kill(os.getpid(), signal.SIGSEGV)


def dies(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(*_: object) -> None:
    time.sleep(600)


def hangs_with_children(job: Job, _: Callable[[bytes], None]) -> None:
    grandchild = subprocess.Popen(("sleep", "600"))
    (job.folders.record / "grandchild").write_text(str(grandchild.pid))
    time.sleep(600)


def floods(*_: object) -> None:
    while True:
        sys.stdout.write("x" * 1000 + "\n")


def eats(*_: object) -> None:
    kept = bytearray(300 * 2**20)
    for place in range(0, len(kept), 4096):
        kept[place] = 1
    time.sleep(600)


def tells(job: Job, send: Callable[[bytes], None]) -> None:
    adapter = TypeAdapter(tuple[Progress, tuple[()]])
    for state in (BuildState.SOLVING, BuildState.LINKING):
        send(adapter.dump_json((Progress(state, 1, 2), ())))
        time.sleep(0.3)
    _record(job)


def shows_its_surroundings(job: Job, _: Callable[[bytes], None]) -> None:
    lines = [f"leader {os.getpid() == os.getpgid(0)}", f"main {'__mp_main__' in sys.modules}"]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    _record(job)


def _record(job: Job) -> None:
    (job.folders.record / "result.json").write_bytes(RESULT.dump_json(Result(job.build_id)))
