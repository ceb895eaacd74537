"""From a lock to an environment on this machine, by the child that builds them on a server.

A copy has a prefix of its own, and one link for each environment, as below a root. The prefix
that the link led to before is left for the programs that still run in it.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from envwatch import spec
from envwatch.cli.faults import error_of
from envwatch.cli.house import House
from envwatch.cli.waiting import Show
from envwatch.errors import BuildError, Conflict, LockError
from envwatch.executors.local import LocalExecutor
from envwatch.model import (
    ArtifactKind,
    BuildState,
    EnvKey,
    Job,
    JobKind,
    Phase,
    Progress,
    Result,
    Spec,
)
from envwatch.settings import BuildLimits, InstallOptions, host_platform
from envwatch.store import LONGEST_PREFIX, Store
from envwatch.worker import records

# the line of a person may be slow, but not silent for ever
LIMITS = BuildLimits(timeout=0.0)


@dataclass(frozen=True, slots=True)
class Copy:
    """What is on this machine now. `link` is None for one in a folder of the person's choice."""

    environment: EnvKey
    generation: int
    prefix: Path
    link: Path | None
    packages: int
    fresh: bool


def pull(
    house: House, store: Store, key: EnvKey, number: int, *, folder: Path | None, show: Show
) -> Copy:
    """Make a generation on this machine. Raises LockError, BuildError, and what the house says."""
    lock = house.file(key, number, ArtifactKind.LOCK).decode()
    store.prepare()
    prefix = folder.absolute() if folder else _prefix(store, key, number, lock)
    with _alone(store):
        result = None if folder else _known(store, key, number)
        fresh = result is None
        if result is None:
            job = _job(house, store, key, number, lock)
            result = _made(store, _at(job, prefix, apart=folder is not None), show)
        link = None
        if folder is None:
            before = store.pointed(key)
            store.point(key, prefix)
            link = store.link(key)
            _clean(store, key, {prefix, before})
    return Copy(key, number, prefix, link, len(result.packages), fresh)


def _prefix(store: Store, key: EnvKey, number: int, lock: str) -> Path:
    return store.prefix(number, hashlib.sha256(f"{key}\0{lock}".encode()).hexdigest())


def _record(store: Store, key: EnvKey, number: int | str) -> Path:
    return store.root / "records" / key.namespace / key.name / str(number)


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """Two at once would get into each other's way: the second waits."""
    with (store.root / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# ---------------------------------------------------------------- one job


def _job(house: House, store: Store, key: EnvKey, number: int, lock: str) -> Job:
    """`builds` by its number: what is pulled has none of this machine."""
    folders = store.folders(number, "", key.namespace)
    record = _record(store, key, number)
    ((_, where), *_) = house.places(key)
    return Job(
        kind=JobKind.BUILD,
        build_id=number,
        key=key,
        spec=_spec(house, key, number),
        text=house.file(key, number, ArtifactKind.SPEC).decode(),
        channels=(),
        platforms=(host_platform(),),
        folders=replace(folders, record=record, tmp=folders.tmp.with_name(f"{key.label}-{number}")),
        network=house.network,
        install=InstallOptions(frozen_message=f"{key} is a copy of #{number} of {where}"),
        lock_text=lock,
        lock_is_known=True,
    )


def _spec(house: House, key: EnvKey, number: int) -> Spec:
    """The file with exact versions: its variables are those that were published."""
    kind = ArtifactKind.PINNED
    parsed = spec.parse(house.file(key, number, kind), path=kind)
    if parsed is None:
        raise LockError(f"{key} #{number}: its `{kind}` is no environment")
    return parsed


def _at(job: Job, prefix: Path, *, apart: bool) -> Job:
    """With its prefix; `apart` from the others it leaves no record."""
    if len(str(prefix).encode()) > LONGEST_PREFIX:
        raise Conflict(
            f"`{prefix}` has more than {LONGEST_PREFIX} bytes", hint="name a shorter path by --to"
        )
    record = job.folders.record
    record = record.with_name(f"{record.name}-apart") if apart else record
    return replace(job, folders=replace(job.folders, prefix=prefix, record=record))


def _made(store: Store, job: Job, show: Show) -> Result:
    prefix, record = job.folders.prefix, job.folders.record
    _check_free(store, prefix)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    log = store.root / "logs" / f"{job.key.label}-{job.build_id}.log"
    whole = False
    try:
        result = _run(job, log, show)
        whole = True
    finally:
        store.clear(job.folders.tmp)
        if not whole:
            shutil.rmtree(prefix, ignore_errors=True)
        if not whole or prefix.parent.parent != store.root:
            shutil.rmtree(record, ignore_errors=True)
    return result


def _check_free(store: Store, prefix: Path) -> None:
    """What was left half-way below the store goes; what is a person's stays."""
    if prefix.parent.parent == store.root:
        shutil.rmtree(prefix, ignore_errors=True)
    elif prefix.exists() and (not prefix.is_dir() or any(prefix.iterdir())):
        raise Conflict(f"`{prefix}` is there and not empty", hint="name a new folder")


def _run(job: Job, log: Path, show: Show) -> Result:
    def beat(progress: Progress | None, _: tuple[Phase, ...]) -> BuildState | None:
        if progress is not None:
            done, total = progress.done, progress.total
            if progress.bytes_total:
                done, total = progress.bytes_done, progress.bytes_total
            show(f"{job.key} #{job.build_id}: {progress.state}", done, total)
        return None

    executor = LocalExecutor()
    executor.start()
    try:
        outcome = executor.run(job, log=log, limits=LIMITS, beat=beat)
    finally:
        executor.stop()
    result = outcome.result
    if result is None:
        raise BuildError(f"{job.key} #{job.build_id}: {outcome.detail}", hint=f"see {log}")
    if result.failure is not None:
        failure = result.failure
        raise error_of(failure.error, failure.message, failure.hint or f"see {log}")
    if not result.packages:
        raise LockError(
            f"{job.key} #{job.build_id}: its lock has no packages for {job.platforms[0]}",
            hint="`platforms` of its file may name more of them",
        )
    return result


# ---------------------------------------------------------------- what is there


def _known(store: Store, key: EnvKey, number: int) -> Result | None:
    """What was pulled before, and is whole."""
    file = _record(store, key, number) / records.RECORD
    try:
        result = records.RESULT.validate_json(file.read_bytes())
    except (OSError, ValueError):
        return None
    there = result.prefix is not None and result.prefix.is_dir()
    return result if there and result.failure is None else None


def _clean(store: Store, key: EnvKey, kept: set[Path | None]) -> None:
    """Delete older copies of the same environment."""
    for record in _record(store, key, "").iterdir():
        result = _known(store, key, int(record.name)) if record.name.isdecimal() else None
        if result is not None and result.prefix is not None and result.prefix not in kept:
            store.discard(result.prefix)
            shutil.rmtree(record, ignore_errors=True)
    store.empty_trash()
