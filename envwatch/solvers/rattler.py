"""Solves with py-rattler, in this process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from rattler import (
    ChannelPriority,
    GenericVirtualPackage,
    MatchSpec,
    RepoDataRecord,
    Version,
)
from rattler import solve as rattler_solve
from rattler.exceptions import GatewayError, SolverError
from rattler.package import BuildString, PackageName

from envwatch import lockfile
from envwatch.errors import SolveError
from envwatch.model import Lock, LockedPackage
from envwatch.redact import redact
from envwatch.solvers.explain import explain
from envwatch.solvers.index import Index, fetch_error, folders, open_index
from envwatch.solvers.records import all_wanted, check_python, kept, locked
from envwatch.solvers.request import Request
from envwatch.solvers.virtual import Virtual, virtual_packages
from envwatch.solvers.wanted import Wanted, match_spec

logger = logging.getLogger(__name__)

CANCELLED = "has been cancelled"


@dataclass(frozen=True, slots=True)
class RattlerSolver:
    def solve(self, request: Request) -> Lock:
        return asyncio.run(_solve(request))


async def _solve(request: Request) -> Lock:
    index = open_index(request)
    packages: list[LockedPackage] = []
    for platform in request.platforms:
        started = time.monotonic()
        chosen = await _on(request, platform, index)
        seconds = time.monotonic() - started
        logger.info("%s: %d packages chosen in %.2f s", platform, len(chosen), seconds)
        packages += chosen
    lock = Lock(platforms=request.platforms, channels=index.channels, packages=tuple(packages))
    lockfile.check_origin(lock, index.channels)
    return lockfile.mark_requested(lock, request.spec)


async def _on(request: Request, platform: str, index: Index) -> list[LockedPackage]:
    try:
        records = await _records(request, platform, index)
    except GatewayError as e:
        raise await fetch_error(e, index, platform) from e
    packages = [locked(record, platform) for record in records]
    check_python(packages, request, platform)
    return sorted(packages, key=lambda p: p.name)


async def _records(request: Request, platform: str, index: Index) -> list[RepoDataRecord]:
    wanted = await all_wanted(request, platform, index)
    matches = [match_spec(w) for w in wanted]
    virtual = virtual_packages(request, platform)
    old = await kept(request.previous, platform, index)
    try:
        return await _choose(request, platform, index, matches, virtual, old)
    except SolverError as e:
        raise await _unsolved(e, request, platform, index, wanted) from e


async def _choose(
    request: Request,
    platform: str,
    index: Index,
    matches: Sequence[MatchSpec],
    virtual: Iterable[Virtual],
    old: Sequence[RepoDataRecord],
) -> list[RepoDataRecord]:
    strict = request.options.strict_channel_priority
    return await rattler_solve(
        index.channels,
        matches,
        gateway=index.gateway,
        platforms=folders(platform),
        virtual_packages=[_generic(v) for v in virtual],
        locked_packages=old,
        timeout=timedelta(seconds=request.options.timeout),
        exclude_newer=_cutoff(request),
        constraints=request.options.constraints,
        # old packages of large channels bear no time, and they are not what is to be kept away
        timestamp_policy="allow-missing",
        channel_priority=ChannelPriority.Strict if strict else ChannelPriority.Flexible,
        # a channel may name others as its relations: only those asked for are read
        channel_relations="disabled",
    )


def _cutoff(request: Request) -> timedelta | None:
    age = request.options.min_package_age
    return timedelta(seconds=age) if age else None


def _generic(virtual: Virtual) -> GenericVirtualPackage:
    return GenericVirtualPackage(
        PackageName(virtual.name), Version(virtual.version), BuildString(virtual.build)
    )


async def _unsolved(
    error: SolverError, request: Request, platform: str, index: Index, wanted: Sequence[Wanted]
) -> SolveError:
    text = str(error)
    if CANCELLED in text:
        seconds = f"{request.options.timeout:g} s"
        return SolveError(
            f"{platform}: no answer of the solver within {seconds}",
            hint="narrow the versions of some packages, or raise `builds.solve_timeout`",
        )
    logger.info("%s: the solver says: %s", platform, redact(text))
    explained = await explain(text, request, platform, index, wanted)
    if request.options.min_package_age:
        young = "packages younger than `min_package_age` were left out"
        explained.hint = f"{explained.hint}; {young}" if explained.hint else young
    return explained
