"""One job in one child process: `Job` → `Result`. Knows no state but its folders.

The child writes its result as a durable record: after the prefix is whole, checked and synced
to disk. Without a record there was no build, whatever the exit code.
"""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from pydantic import TypeAdapter

from envwatch import logs, sandbox
from envwatch.build.making import make
from envwatch.build.report import Report
from envwatch.build.side import pack_archives, search_packages, solve_only, verify_prefix
from envwatch.errors import BuildError, EnvwatchError, NoSpace, SpecError
from envwatch.model import Failure, FailureKind, Job, JobKind, Result

logger = logging.getLogger(__name__)

JOB = TypeAdapter(Job)
RESULT = TypeAdapter(Result)
RECORD = "result.json"
LOCK = "lock"
OPEN_FILES = 4096
DISK_FULL = (28, 122)  # ENOSPC, EDQUOT

WORK: dict[JobKind, Callable[[Job, Report], Result]] = {
    JobKind.BUILD: make,
    JobKind.SOLVE: solve_only,
    JobKind.PACK: pack_archives,
    JobKind.VERIFY: verify_prefix,
    JobKind.SEARCH: search_packages,
}


def main(text: str, send: Callable[[bytes], None]) -> None:
    """Run the job in `text`; progress goes to `send`, the log to standard output."""
    # this process is gone before collecting garbage would pay
    gc.disable()
    job = JOB.validate_json(text)
    logs.configure_build(sys.stdout)
    with (job.folders.record / LOCK).open("a") as file:
        # held until this process is gone: recovery waits for it before it sweeps
        fcntl.flock(file, fcntl.LOCK_EX)
        write_record(job.folders.record, run(job, Report(send)))
        _flush()
        # the lock must outlive the record: the caller leaves without closing the file
        os._exit(0)


def run(job: Job, report: Report) -> Result:
    """The job's result; whatever goes wrong becomes a failure in it."""
    try:
        _enclose(job)
        return WORK[job.kind](job, report)
    except (EnvwatchError, SpecError) as e:
        logger.error("%s", e)
        return _failed(job, report, e)
    except OSError as e:
        logger.error("%s", e)
        error = _of_os(e)
        return _failed(job, report, error)
    except Exception as e:
        logger.exception("an error that nobody foresaw")
        unforeseen = BuildError(
            f"{type(e).__name__}: {e}", hint="the log has the details: please report them"
        )
        return _failed(job, report, unforeseen)


def write_record(folder: Path, result: Result) -> None:
    """Durable, whole or not at all."""
    beside = folder / f".{RECORD}.new"
    with beside.open("wb") as file:
        file.write(RESULT.dump_json(result))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(folder / RECORD)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _enclose(job: Job) -> None:
    """From here on this process knows nothing of its surroundings and writes only its folders."""
    folders = job.folders
    writable = [folders.record, folders.tmp, folders.pkgs, folders.pyc, folders.uv,
                folders.repodata]  # fmt: skip
    if job.kind is JobKind.BUILD:
        writable.append(folders.prefix)
    for folder in writable:
        folder.mkdir(parents=True, exist_ok=True)
    clean = sandbox.clean_environment(folders.tmp)
    os.environ.clear()
    os.environ.update(clean)
    # the fork server may have asked before, and the answer is kept
    tempfile.tempdir = str(folders.tmp)
    os.chdir(folders.tmp)
    sandbox.limits(memory=job.memory, file_size=job.install.max_size, files=OPEN_FILES)
    if not sandbox.confine(writable, mode=job.install.sandbox):
        logger.warning("this build is not confined: the kernel offers no Landlock, or it is off")


def _of_os(error: OSError) -> BuildError:
    if error.errno in DISK_FULL:
        return NoSpace("the disk is full", hint="free space, or run `envwatch gc`")
    return BuildError(f"{error}", hint="the log has the details")


def _failed(job: Job, report: Report, error: EnvwatchError) -> Result:
    line = error.line if isinstance(error, (BuildError, SpecError)) else 0
    column = error.column if isinstance(error, (BuildError, SpecError)) else 0
    failure = Failure(
        error=type(error).__name__,
        kind=FailureKind.TRANSIENT if error.retry else FailureKind.STALLED,
        message=error.message,
        hint=error.hint,
        line=line,
        column=column,
        path=_path(error) if job.composition.layers else "",
    )
    return Result(job.build_id, failure=failure, phases=report.finish(), messages=report.messages)


def _path(error: EnvwatchError) -> str:
    """The file at fault, of those that the environment is merged from."""
    return error.path if isinstance(error, (BuildError, SpecError)) else ""


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
