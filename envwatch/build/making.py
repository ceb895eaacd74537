"""The way of one build: lock → prefix → pip → checks, each a phase that people see."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from envwatch import fetch, install, lockfile, sandbox
from envwatch.build.report import Report
from envwatch.entries import package_name
from envwatch.errors import LockError, PipError
from envwatch.model import (
    ArtifactKind,
    BuildState,
    Job,
    Level,
    Lock,
    LockedPackage,
    Manager,
    Message,
    Result,
)
from envwatch.solvers import Request, open_solver

logger = logging.getLogger(__name__)

INSTALL_VERSION = 1  # grows when the same lock begins to give other files


def make(job: Job, report: Report) -> Result:
    """Build the environment of a job. Raises BuildError, LockError."""
    with report.phase(BuildState.SOLVING, "which packages"):
        found = find_lock(job, report)
    reused = _known_prefix(job, found.lock) if found.complete else None
    if reused is not None:
        logger.info("prefix %s holds exactly these packages: nothing to install", reused)
        return _finish(job, report, found, reused, reused_prefix=True)
    return _new_prefix(job, report, found)


@dataclass(frozen=True, slots=True)
class Found:
    """A lock and where it comes from; `complete` is false while its pip part is open.

    `text` is the lock as it lay beside the file, to be kept as it is.
    """

    lock: Lock
    complete: bool
    solved: bool
    text: str = ""


def find_lock(job: Job, report: Report) -> Found:
    """The lock that is known, the one beside the file if it matches, or a new one."""
    if job.lock_text and job.lock_is_known:
        logger.info("the lock is known: nothing to solve")
        return Found(lockfile.read(job.lock_text), complete=True, solved=False, text=job.lock_text)
    beside = _beside(job, report)
    if beside is not None:
        return beside
    return _solve(job)


def _beside(job: Job, report: Report) -> Found | None:
    host = job.platforms[0]
    if not job.lock_text:
        return None
    if not lockfile.matches(job.lock_text, job.text, host, job.composition):
        report.tell([lockfile.stale(job.lock_text, job.text, job.spec, host, job.composition)])
        return None
    lock = lockfile.read(job.lock_text)
    if not lock.on(host):
        raise LockError(f"the lock beside it has no packages for {host}")
    if (unlike := _lacking(job, lock) or _breaking(job, lock)) is not None:
        report.tell([unlike])
        return None
    lockfile.check_origin(lock, job.allowed_channels or job.channels)
    logger.info("the lock beside the file matches it: nothing to solve")
    pip_open = bool(job.spec.pip) and not lock.on(host, Manager.PIP)
    if pip_open:
        raise LockError(
            f"the lock beside it holds no pip packages for {host}, and the file asks for some",
            hint="run `conda-lock` again and commit the lock",
        )
    return Found(lock, complete=True, solved=False, text=job.lock_text)


def _lacking(job: Job, lock: Lock) -> Message | None:
    """What the namespace adds is in no lock that was made without it."""
    host = job.platforms[0]
    known = {p.name for p in lock.on(host, Manager.CONDA)}
    for requirement in job.spec.dependencies:
        name = package_name(requirement.text)
        if not requirement.line and name not in known:
            text = f"the lock beside it is not used: the policy of the namespace adds `{name}`"
            hint = f"add `{name}` to the file, and run `conda-lock` again"
            return Message(Level.WARNING, text, job.spec.path, hint=hint)
    return None


def _breaking(job: Job, lock: Lock) -> Message | None:
    """What the namespace holds to a version may be another one in a lock from elsewhere."""
    found = lockfile.broken(lock, job.solve.constraints, job.platforms[0])
    if found is None:
        return None
    rule, package = found
    text = (
        f"the lock beside it is not used: it has `{package.name}` {package.version},"
        f" and the policy of the namespace holds it to `{rule}`"
    )
    return Message(Level.WARNING, text, job.spec.path, hint="lock it again with that version")


def _solve(job: Job) -> Found:
    solver = open_solver(job.solve.solver)
    lock = solver.solve(replace(solve_request(job), previous=_previous(job)))
    lock = lockfile.mark_requested(lock, job.spec)
    return Found(lock, complete=not job.spec.pip, solved=True)


def solve_request(job: Job) -> Request:
    """What channels and the spec are to a solver, with no lock to keep to."""
    return Request(
        spec=job.spec,
        channels=job.channels,
        platforms=job.platforms,
        repodata=job.folders.repodata,
        tmp=job.folders.tmp,
        options=job.solve,
        network=job.network,
        fresh=job.fresh,
        allowed=job.allowed_channels,
    )


def _previous(job: Job) -> Lock | None:
    """The lock to keep to, unless the channels are others now: their order decides afresh."""
    if not job.previous_lock_text:
        return None
    previous = lockfile.read(job.previous_lock_text)
    same = [c.rstrip("/") for c in previous.channels] == [c.rstrip("/") for c in job.channels]
    return previous if same else None


# ---------------------------------------------------------------- installing


def _new_prefix(job: Job, report: Report, found: Found) -> Result:
    conda = found.lock.on(job.platforms[0], Manager.CONDA)
    _fetch(conda, job, report)
    with _helper(conda, job, found) as helper:
        lock = _install(conda, job, report, found)
        found = replace(found, lock=lock, complete=True)
        return _finish(job, report, found, job.folders.prefix, helper=helper)


def _helper(
    conda: Sequence[LockedPackage], job: Job, found: Found
) -> AbstractContextManager[install.Helper | None]:
    """Hash files before they are linked, where nothing that runs later could change them.

    Link scripts and pip may write to the prefix; compiling may not, as long as it is confined.
    """
    free = job.install.compile and not sandbox.confines(job.install.sandbox)
    if free or job.install.link_scripts or _wants_pip(job, found):
        return nullcontext()
    return install.ahead(conda, job.folders.pkgs)


def _wants_pip(job: Job, found: Found) -> bool:
    return bool(job.spec.pip or found.lock.on(job.platforms[0], Manager.PIP))


def _fetch(conda: Sequence[LockedPackage], job: Job, report: Report) -> None:
    with report.phase(BuildState.DOWNLOADING, f"{len(conda)} conda packages"):
        report.tell(
            fetch.fetch(
                conda,
                pkgs=job.folders.pkgs,
                network=job.network,
                report=report,
                link_scripts=job.install.link_scripts,
            )
        )


def _install(conda: Sequence[LockedPackage], job: Job, report: Report, found: Found) -> Lock:
    with report.phase(BuildState.LINKING, f"{len(conda)} packages into {job.folders.prefix}"):
        report.tell(install.install_conda(conda, job, report))
    if not _wants_pip(job, found):
        return found.lock
    with report.phase(BuildState.PIP, f"{len(job.spec.pip)} requirements"):
        return _pip(job, found, report)


def _pip(job: Job, found: Found, report: Report) -> Lock:
    host = job.platforms[0]
    packages = found.lock.on(host, Manager.PIP)
    if not found.complete:
        packages = install.resolve_pip(job)
    if not packages and job.spec.pip:
        raise PipError("nothing was found for the `pip:` section")
    report.tell(install.install_pip(packages, job, report))
    if found.complete:
        return found.lock
    others = [p for p in job.platforms if p != host]
    if others:
        text = f"pip not locked for {', '.join(others)}"
        report.tell([Message(Level.NOTE, text, job.spec.path)])
    merged = replace(found.lock, packages=(*found.lock.packages, *packages), pip_platforms=(host,))
    return lockfile.mark_requested(merged, job.spec)


# ---------------------------------------------------------------- finishing


def _finish(
    job: Job,
    report: Report,
    found: Found,
    prefix: Path,
    *,
    reused_prefix: bool = False,
    helper: install.Helper | None = None,
) -> Result:
    """Check the prefix, write the files that are offered, sync everything to disk."""
    host = job.platforms[0]
    packages = found.lock.on(host)
    on_disk = fetch.synced(job.folders.record) if job.install.sync else nullcontext()
    with report.phase(BuildState.CHECKING, "every file against its package"), on_disk:
        if reused_prefix:
            facts = install.facts(prefix)
        else:
            facts = install.conclude(prefix, packages, helper)
        write_files(job, found)
    return Result(
        build_id=job.build_id,
        prefix=prefix,
        prefix_digest=prefix_digest(job, found.lock),
        lock_digest=lockfile.digest(found.lock, host),
        reused=reused_prefix,
        solved=found.solved,
        packages=lockfile.packages(found.lock, host),
        size=facts.size,
        own_size=0 if reused_prefix else facts.own_size,
        files=facts.files,
        phases=report.finish(),
        kernels=facts.kernels,
        messages=report.messages,
        python=_python(found.lock.on(host, Manager.CONDA)),
        lock_file_digest=_file_digest(job.folders.record / ArtifactKind.LOCK),
    )


def write_files(job: Job, found: Found) -> None:
    """The files that are offered with the generation, beside the record."""
    host, folder = job.platforms[0], job.folders.record
    lock = found.lock
    (folder / ArtifactKind.SPEC).write_text(job.text)
    if found.text:
        (folder / ArtifactKind.LOCK).write_text(found.text)
    else:
        path = folder / ArtifactKind.LOCK
        lockfile.write(lock, job.spec, text=job.text, path=path, composition=job.composition)
    header = (f"{job.key} by envwatch, build {job.build_id}",)
    (folder / ArtifactKind.EXPLICIT).write_text(lockfile.explicit(lock, host, header=header))
    pinned = lockfile.pinned(job.spec, lock, host, name=job.key.label)
    (folder / ArtifactKind.PINNED).write_text(pinned)
    listed = lockfile.as_json(lockfile.packages(lock, host))
    (folder / ArtifactKind.PACKAGES).write_text(listed)


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def prefix_digest(job: Job, lock: Lock) -> str:
    """Names everything that is written into the prefix, its conda-meta included."""
    host = job.platforms[0]
    identity = [
        INSTALL_VERSION,
        lockfile.digest(lock, host),
        str(job.key),
        sorted(job.spec.variables),
        job.install.link_scripts,
        job.install.compile,
        job.install.frozen_message,
    ]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


def _known_prefix(job: Job, lock: Lock) -> Path | None:
    known = dict(job.known_prefixes).get(prefix_digest(job, lock))
    return Path(known) if known and Path(known).is_dir() else None


def _python(packages: tuple[LockedPackage, ...]) -> str:
    return next((p.version for p in packages if p.name == "python"), "")
