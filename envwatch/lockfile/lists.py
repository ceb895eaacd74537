"""What is made of a lock: its digest, lists for conda and for people, and a check of its origin."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from envwatch.entries import package_name
from envwatch.errors import PackageRefused
from envwatch.lockfile.writing import dump
from envwatch.model import Lock, LockedPackage, Manager, Package, Spec
from envwatch.redact import redact


def digest(lock: Lock, platform: str) -> str:
    """What is installed on a platform, whatever file or solver it came from."""
    lines = sorted(f"{p.url} {p.sha256}\n" for p in lock.on(platform))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def explicit(lock: Lock, platform: str, *, header: Sequence[str] = ()) -> str:
    """The list that `conda create --file` takes: URLs, those that others need first.

    Hashes are md5: the one kind that every conda, mamba and micromamba reads here.
    """
    pip = lock.on(platform, Manager.PIP)
    lines = [f"# {line}" for line in header]
    lines += [f"# platform: {platform}"]
    if pip:
        lines += [
            f"# INCOMPLETE: {len(pip)} pip packages follow as comments, which conda skips;",
            "# conda-lock.yml has them all",
        ]
    lines += ["@EXPLICIT"]
    lines += [_explicit_line(p) for p in _needed_first(lock.on(platform, Manager.CONDA))]
    lines += [f"# pip {p.name} @ {p.url}#sha256={p.sha256}" for p in pip]
    return "\n".join(lines) + "\n"


def _explicit_line(package: LockedPackage) -> str:
    return f"{package.url}#{package.md5}" if package.md5 else package.url


def _needed_first(packages: Iterable[LockedPackage]) -> list[LockedPackage]:
    """Each package after those it depends on; where they need each other, by name."""
    known = {p.name: p for p in sorted(packages, key=lambda p: p.name)}
    placed: dict[str, LockedPackage] = {}
    entered: set[str] = set()
    waiting = [(name, False) for name in reversed(known)]
    while waiting:
        name, ready = waiting.pop()
        if ready:
            placed[name] = known[name]
        elif name in known and name not in entered:
            entered.add(name)
            needs = sorted({d.partition(" ")[0] for d in known[name].depends}, reverse=True)
            waiting += [(name, True), *((need, False) for need in needs)]
    return list(placed.values())


def pinned(spec: Spec, lock: Lock, platform: str, *, name: str) -> str:
    """environment.pinned.yml: the environment with every version and build written out."""
    dependencies: list[object] = [
        f"{p.name}={p.version}={p.build}"
        for p in sorted(lock.on(platform, Manager.CONDA), key=lambda p: p.name)
    ]
    if pip := lock.on(platform, Manager.PIP):
        dependencies.append({"pip": sorted(f"{p.name}=={p.version}" for p in pip)})
    document: dict[str, object] = {
        "name": name,
        "channels": list(lock.channels),
        "dependencies": dependencies,
    }
    if spec.variables:
        document["variables"] = dict(spec.variables)
    return dump(document)


def packages(lock: Lock, platform: str) -> tuple[Package, ...]:
    """The packages of one platform as pages list them, by name."""
    found = (
        Package(
            name=p.name,
            version=p.version,
            build=p.build,
            manager=p.manager,
            channel=p.channel,
            size=p.size,
            license=p.license,
            url=p.url,
            sha256=p.sha256,
            requested=p.requested,
            depends=_depends(p),
        )
        for p in lock.on(platform)
    )
    return tuple(sorted(found, key=lambda p: (p.name, p.manager)))


def _depends(package: LockedPackage) -> tuple[str, ...]:
    """The names of what it needs; what is of the machine (`__glibc`) is no package."""
    name = _pip_name if package.manager is Manager.PIP else package_name
    found = (name(text).lower() for text in package.depends)
    return tuple(sorted({n for n in found if not n.startswith("__")}))


def as_json(listed: Sequence[Package]) -> str:
    """packages.json."""
    return json.dumps([asdict(p) for p in listed], indent=1, ensure_ascii=False) + "\n"


def mark_requested(lock: Lock, spec: Spec) -> Lock:
    """The lock with those packages marked that the file names; conda-lock.yml does not say it."""
    names = {
        Manager.CONDA: {package_name(r.text).lower() for r in spec.dependencies},
        Manager.PIP: {_pip_name(r.text) for r in spec.pip},
    }
    marked = (replace(p, requested=_key(p) in names[p.manager]) for p in lock.packages)
    return replace(lock, packages=tuple(marked))


def _key(package: LockedPackage) -> str:
    return package.name if package.manager is Manager.CONDA else canonicalize_name(package.name)


def _pip_name(text: str) -> str:
    return canonicalize_name(Requirement(text).name)


# ---------------------------------------------------------------- where packages come from


def check_origin(lock: Lock, channels: Sequence[str]) -> None:
    """Every conda package must lie in one of these channels: an index may name any address."""
    for package in lock.packages:
        if package.manager is Manager.CONDA and not _lies_in(package, channels):
            raise PackageRefused(
                f"`{package.name}` would come from `{redact(package.url)}`,"
                " which is in none of the channels that may be used",
                hint=f"allowed are {', '.join(f'`{redact(c)}`' for c in channels)}",
            )


def _lies_in(package: LockedPackage, channels: Sequence[str]) -> bool:
    """`<channel>/<subdir>/<file>` and nothing more: no `..`, no query, no hidden `/`."""
    parts = urlsplit(package.url)
    plain = unquote(parts.path)
    hidden = ".." in plain.split("/") or plain.count("/") != parts.path.count("/")
    if parts.query or parts.fragment or hidden or "\\" in plain:
        return False
    base, subdir, file = package.url.rsplit("/", 2)
    if not file or subdir not in (package.platform, "noarch"):
        return False
    return any(_same_address(base, channel) for channel in channels)


def _same_address(one: str, other: str) -> bool:
    mine, theirs = urlsplit(one), urlsplit(other)
    return (mine.scheme, mine.netloc.lower(), mine.path.rstrip("/")) == (
        theirs.scheme,
        theirs.netloc.lower(),
        theirs.path.rstrip("/"),
    )
