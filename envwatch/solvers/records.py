"""Records of an index and packages of a lock: from the one to the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rattler import MatchSpec, RepoDataRecord

from envwatch import spec as specs
from envwatch.errors import PackageRefused, SolveError
from envwatch.model import Lock, LockedPackage, Manager
from envwatch.redact import redact
from envwatch.solvers.index import Index
from envwatch.solvers.request import Request
from envwatch.solvers.wanted import Wanted, match_spec, wanted_on, wanted_pip


async def all_wanted(request: Request, platform: str, index: Index) -> tuple[Wanted, ...]:
    """The dependencies of the file, and conda's `pip` with a `pip:` list if a channel has it."""
    wanted = wanted_on(request, platform)
    pip = wanted_pip(request, platform)
    if pip and await index.records(platform, [match_spec(pip)]):
        return (*wanted, pip)
    return wanted


async def kept(previous: Lock | None, platform: str, index: Index) -> list[RepoDataRecord]:
    """The packages of the last lock that the channels still have, as these describe them now.

    rattler takes a preferred record for one that exists: it must come from an index, not from
    the lock, or a package that was withdrawn would be chosen again.
    """
    packages = previous.on(platform, Manager.CONDA) if previous else ()
    return await in_index(packages, platform, index)


async def in_index(
    packages: Sequence[LockedPackage], platform: str, index: Index
) -> list[RepoDataRecord]:
    """The records of these very files, by address and sha256."""
    same = {p.url: p.sha256 for p in packages}
    exact = [MatchSpec(f"{p.name} =={p.version} {p.build}") for p in packages]
    found = await index.records(platform, exact) if exact else []
    return [r for r in found if r.sha256 and same.get(r.url) == r.sha256.hex()]


def check_python(packages: Iterable[LockedPackage], request: Request, platform: str) -> None:
    """Without python among the conda packages there is nothing that `pip:` could be for."""
    pip = specs.pip_on(request.spec, platform)
    if pip and not any(p.name == "python" for p in packages):
        raise SolveError(
            f"the `pip:` list needs python, which is not among the packages for {platform}",
            line=pip[0].line,
            column=pip[0].column,
            hint="add `python` to `dependencies:`",
        )


def locked(record: RepoDataRecord, platform: str) -> LockedPackage:
    name = record.name.normalized
    if not record.sha256:
        raise PackageRefused(
            f"`{record.file_name}` has no sha256 in the index of `{redact(record.channel)}`",
            hint="index the channel again with a tool that writes sha256",
        )
    return LockedPackage(
        manager=Manager.CONDA,
        platform=platform,
        name=name,
        version=str(record.version),
        url=record.url,
        sha256=record.sha256.hex(),
        md5=record.md5.hex() if record.md5 else "",
        build=str(record.build),
        build_number=record.build_number,
        subdir=record.subdir,
        channel=record.url.rsplit("/", 2)[0],
        size=record.size or 0,
        depends=tuple(record.depends),
        constrains=tuple(record.constrains),
        license=record.license or "",
        noarch=_noarch(record),
        timestamp=int(record.timestamp.timestamp() * 1000) if record.timestamp else 0,
        python_site_packages_path=record.python_site_packages_path or "",
    )


def _noarch(record: RepoDataRecord) -> str:
    if record.noarch.none:
        return ""
    return "python" if record.noarch.python else "generic"
