"""Jobs beside building: what would be installed, archives, and checking what is published."""

from __future__ import annotations

from envwatch import install, lockfile, pack
from envwatch.build.making import find_lock, solve_request, write_files
from envwatch.build.report import Report
from envwatch.model import ArtifactKind, BuildState, Job, PackageQuery, Progress, Result
from envwatch.solvers.search import search

ARCHIVES = {ArtifactKind.TAR_ZST: "tar.zst", ArtifactKind.TAR_GZ: "tar.gz"}


def solve_only(job: Job, report: Report) -> Result:
    """Which packages a build would install; nothing is downloaded."""
    with report.phase(BuildState.SOLVING, "which packages"):
        found = find_lock(job, report)
        write_files(job, found)
    host = job.platforms[0]
    return Result(
        job.build_id,
        lock_digest=lockfile.digest(found.lock, host),
        solved=found.solved,
        packages=lockfile.packages(found.lock, host),
        phases=report.finish(),
        messages=report.messages,
    )


def search_packages(job: Job, report: Report) -> Result:
    """What the channels have; nothing is chosen. Raises FetchError."""
    query = job.query or PackageQuery("")
    with report.phase(BuildState.SOLVING, "which packages there are"):
        found = search(solve_request(job), query)
    return Result(job.build_id, packages=found, phases=report.finish())


def pack_archives(job: Job, report: Report) -> Result:
    """The relocatable archives of a prefix, in the job's temporary folder."""
    for kind, form in ARCHIVES.items():
        pack.pack(
            job.folders.prefix,
            job.folders.tmp / kind,
            format=form,
            report=lambda p: report(
                Progress(BuildState.CHECKING, p.done, p.total, p.bytes_done, p.bytes_total)
            ),
        )
    return Result(job.build_id, phases=report.finish())


def verify_prefix(job: Job, report: Report) -> Result:
    """Raises CheckError where a published file is not what its package says."""
    with report.phase(BuildState.CHECKING, "every file against its package"):
        install.verify(job.folders.prefix)
    return Result(job.build_id, phases=report.finish())
