"""Requests for solvers, and locks made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from envwatch import spec as specs
from envwatch.model import Lock, LockedPackage, Manager, Spec
from envwatch.settings import Network, SolveOptions
from envwatch.solvers import Request

HOST = "linux-64"
PLATFORMS = (HOST, "osx-arm64", "win-64")


def parse(text: str) -> Spec:
    spec = specs.parse(text.encode(), path="environment.yml")
    assert spec is not None
    return spec


def environment(*dependencies: str, pip: Sequence[str] = (), tail: str = "") -> str:
    """The text of an environment file; the first dependency is on line 4."""
    lines = ["name: demo", "channels: [local]", "dependencies:"]
    lines += [f"- {d}" for d in dependencies]
    lines += ["- pip:", *(f"  - {p}" for p in pip)] if pip else []
    return "\n".join(lines) + "\n" + tail


def make_request(
    text: str,
    channels: Sequence[Path | str],
    tmp: Path,
    *,
    platforms: Sequence[str] = (HOST,),
    options: SolveOptions | None = None,
    previous: Lock | None = None,
    allowed: Sequence[str] = (),
) -> Request:
    return Request(
        spec=parse(text),
        channels=tuple(c if isinstance(c, str) else c.as_uri() for c in channels),
        platforms=tuple(platforms),
        repodata=tmp / "repodata",
        tmp=tmp,
        options=options or SolveOptions(),
        network=Network(retries=0, timeout=20),
        previous=previous,
        allowed=tuple(allowed),
    )


def versions(lock: Lock, platform: str = HOST) -> dict[str, str]:
    return {p.name: p.version for p in lock.on(platform)}


def conda_package(
    name: str, version: str = "1.0", *, platform: str = HOST, depends: Sequence[str] = ()
) -> LockedPackage:
    """A package that no channel has, complete enough for a lock."""
    url = f"https://conda.anaconda.org/conda-forge/noarch/{name}-{version}-0.conda"
    return LockedPackage(
        manager=Manager.CONDA,
        platform=platform,
        name=name,
        version=version,
        url=url,
        sha256=f"{sum(url.encode()):064x}",
        md5=f"{sum(url.encode()):032x}",
        build="0",
        subdir="noarch",
        channel="https://conda.anaconda.org/conda-forge",
        depends=tuple(depends),
        noarch="generic",
    )


def pip_package(name: str, version: str = "2.0") -> LockedPackage:
    url = f"https://files.example.org/{name}/{name}-{version}-py3-none-any.whl"
    return LockedPackage(
        manager=Manager.PIP, platform=HOST, name=name, version=version, url=url, sha256="ab" * 32
    )


def lock_of(*packages: LockedPackage) -> Lock:
    return Lock(
        platforms=tuple(dict.fromkeys(p.platform for p in packages)),
        channels=("https://conda.anaconda.org/conda-forge",),
        packages=packages,
    )
