"""Why a lock that lies beside an environment does not count, as far as that can be told.

The hash in a lock says only that something is another: what it is has to be looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from packaging.requirements import Requirement as PipRequirement
from rattler import MatchSpec, PackageRecord
from rattler.exceptions import InvalidMatchSpecError
from rattler.package import BuildString

from envwatch import entries
from envwatch import spec as specs
from envwatch.errors import LockError
from envwatch.lockfile.content import PLAIN, matches
from envwatch.lockfile.reading import read, read_head
from envwatch.model import (
    Composition,
    Level,
    Lock,
    LockedPackage,
    Manager,
    Message,
    Requirement,
    Spec,
)
from envwatch.yamltext import shown

TEXT = "the lock beside it was made for another state of this file: it is not used"
LAYERED = "the lock was made for another state of these files: it is not used"
HINT = "run `conda-lock` again and commit the lock"


def stale(
    lock_text: str, text: str, spec: Spec, platform: str, composition: Composition = PLAIN
) -> Message:
    """The lock is not used; at the line that it does not know, where there is one."""
    whole = LAYERED if composition.layers else TEXT
    reason = _of_files(lock_text, text, platform, composition)
    if reason:
        return Message(Level.WARNING, f"{whole}; {reason}", spec.path, hint=HINT)
    for requirement, problem in _entries(lock_text, spec, platform):
        path = requirement.path or spec.path
        place = (path, requirement.line, requirement.column)
        return Message(Level.WARNING, f"{whole}; {problem}", *place, hint=HINT)
    return Message(Level.WARNING, whole, spec.path, hint=HINT)


def broken(
    lock: Lock, constraints: Iterable[str], platform: str
) -> tuple[str, LockedPackage] | None:
    """The first of some constraints that a lock does not keep, and the package that breaks it.

    A constraint holds for a package that is there, and asks for none.
    """
    conda = {p.name: p for p in lock.on(platform, Manager.CONDA)}
    for text in constraints:
        package = conda.get(entries.package_name(text))
        if package is not None and not _fits(text, package):
            return text, package
    return None


def _of_files(lock_text: str, text: str, platform: str, composition: Composition) -> str:
    """Was it made of other files, or with other virtual packages?"""
    head = read_head(lock_text)
    if platform not in head.hashes:
        return f"it is not for {platform}"
    for layer in composition.layers:
        if matches(lock_text, layer.text, platform):
            return f"it was made of {layer.path} alone"
    if composition.virtual_text and matches(
        lock_text, text, platform, replace(composition, virtual_text="")
    ):
        return "it was made without the file of virtual packages"
    made_of, asked = len(head.sources), max(1, len(composition.layers))
    if made_of != asked and made_of:
        listed = ", ".join(f"`{shown(s)}`" for s in head.sources[:8])
        return f"it was made of {listed}; an `envwatch.yml` says of which files it should be"
    return ""


def _entries(lock_text: str, spec: Spec, platform: str) -> Iterator[tuple[Requirement, str]]:
    """The entries of the files that the lock does not fulfil."""
    try:
        packages = read(lock_text).on(platform)
    except LockError:
        return
    conda = {p.name: p for p in packages if p.manager is Manager.CONDA}
    pip = {entries.pip_name(p.name): p for p in packages if p.manager is Manager.PIP}
    yield from _unfulfilled(specs.on(spec, platform), conda, entries.package_name, _fits)
    yield from _unfulfilled(specs.pip_on(spec, platform), {**conda, **pip}, entries.pip_name, _pip)


def _unfulfilled(
    wanted: Iterable[Requirement],
    there: dict[str, LockedPackage],
    name: Callable[[str], str],
    fits: Callable[[str, LockedPackage], bool],
) -> Iterator[tuple[Requirement, str]]:
    for requirement in wanted:
        package = there.get(name(requirement.text))
        if package is None:
            yield requirement, f"`{shown(requirement.text)}` is not in it"
        elif not fits(requirement.text, package):
            yield requirement, f"it has `{package.name}` {package.version}"


def _fits(text: str, package: LockedPackage) -> bool:
    build = BuildString(package.build)
    record = PackageRecord(
        package.name, package.version, build, package.build_number, package.subdir
    )
    try:
        return bool(MatchSpec(text.rpartition("::")[2]).matches(record))
    except InvalidMatchSpecError:
        return True


def _pip(text: str, package: LockedPackage) -> bool:
    return PipRequirement(text).specifier.contains(package.version, prereleases=True)
