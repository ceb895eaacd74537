"""Two package lists, or two texts → what changed between them.

Versions are compared as PEP 440 has it where both follow it, else part by part: that is not
conda's order to the letter, and enough to tell up from down.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from packaging.version import InvalidVersion, Version

from envwatch.model import Manager, Package

Piece = tuple[int, int, str]
Part = tuple[Piece, ...]
END: Piece = (0, 0, "")
RANKS = {"dev": -2} | dict.fromkeys(("a", "alpha", "b", "beta", "c", "rc", "pre"), -1) | {"post": 3}
CONTEXT = 3
MOST_NAMED = 5  # packages that are told by name


@dataclass(frozen=True, slots=True)
class Change:
    """One package before and after."""

    old: Package
    new: Package

    @property
    def name(self) -> str:
        return self.new.name


@dataclass(frozen=True, slots=True)
class PackageDiff:
    """What changed between two generations, each list by name; `same` counts the rest.

    `rebuilt` is the same version in other bytes: another build, channel or manager.
    """

    added: tuple[Package, ...] = ()
    removed: tuple[Package, ...] = ()
    upgraded: tuple[Change, ...] = ()
    downgraded: tuple[Change, ...] = ()
    rebuilt: tuple[Change, ...] = ()
    same: int = 0

    @property
    def empty(self) -> bool:
        changes = (self.added, self.removed, self.upgraded, self.downgraded, self.rebuilt)
        return not any(changes)


class LineKind(StrEnum):
    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"
    GAP = "gap"


def packages(old: Sequence[Package], new: Sequence[Package]) -> PackageDiff:
    before = {_identity(p): p for p in old}
    after = {_identity(p): p for p in new}
    both = [Change(before[key], after[key]) for key in sorted(before.keys() & after.keys())]
    moved = [(c, compare(c.old.version, c.new.version)) for c in both]
    rebuilt = tuple(c for c, way in moved if way == 0 and _rebuilt(c))
    return PackageDiff(
        added=tuple(after[key] for key in sorted(after.keys() - before.keys())),
        removed=tuple(before[key] for key in sorted(before.keys() - after.keys())),
        upgraded=tuple(c for c, way in moved if way < 0),
        downgraded=tuple(c for c, way in moved if way > 0),
        rebuilt=rebuilt,
        same=sum(way == 0 for _, way in moved) - len(rebuilt),
    )


def solved(old: Sequence[Package], new: Sequence[Package]) -> PackageDiff:
    """Against what a solve chose, which does not always say what pip would bring."""
    if not any(p.manager is Manager.PIP for p in new):
        old = [p for p in old if p.manager is Manager.CONDA]
    return packages(old, new)


def in_words(changes: PackageDiff) -> str:
    """`tiny 1.0 -> 2.0, + other 1.0, and 3 more`; empty where nothing changes."""
    moved = sorted(
        (*changes.upgraded, *changes.downgraded, *changes.rebuilt), key=lambda c: c.new.name
    )
    told = [f"{c.old.name} {_version(c.old, c.new)} -> {_version(c.new, c.old)}" for c in moved]
    told += [f"+ {p.name} {p.version}" for p in changes.added]
    told += [f"- {p.name} {p.version}" for p in changes.removed]
    rest = len(told) - MOST_NAMED
    return ", ".join([*told[:MOST_NAMED], *([f"and {rest} more"] if rest > 0 else [])])


def _version(package: Package, other: Package) -> str:
    """With the build, where the version alone would not tell the two apart."""
    if package.version != other.version:
        return package.version
    return f"{package.version} {package.build}"


def _identity(package: Package) -> tuple[str, bool]:
    """A pip package and a conda package of one name are two packages."""
    name = package.name.lower()
    pip = package.manager is Manager.PIP
    return (re.sub(r"[-_.]+", "-", name) if pip else name, pip)


def _rebuilt(change: Change) -> bool:
    old, new = change.old, change.new
    if old.sha256 and new.sha256:
        return old.sha256 != new.sha256
    return (old.version, old.build, old.channel) != (new.version, new.build, new.channel)


def compare(old: str, new: str) -> int:
    """Below 0 where the new version is higher, above 0 where it is lower, else 0."""
    try:
        first, second = Version(old), Version(new)
    except InvalidVersion:
        return _compare_naturally(old, new)
    return (first > second) - (first < second)


def _compare_naturally(old: str, new: str) -> int:
    """Part by part, where `1.0` is as long as `1.0.0`."""
    (epoch, first, local), (other_epoch, second, other_local) = _parts(old), _parts(new)
    longest = max(len(first), len(second))
    one = (epoch, _padded(first, longest), local)
    other = (other_epoch, _padded(second, longest), other_local)
    return (one > other) - (one < other)


def _parts(version: str) -> tuple[Part, tuple[Part, ...], Part]:
    """`1!2.0w+3` → its epoch, the parts of its release, and what is local."""
    epoch, _, rest = version.lower().rpartition("!")
    release, _, local = rest.partition("+")
    return _part(epoch), tuple(_part(part) for part in re.split(r"[._-]", release)), _part(local)


def _part(text: str) -> Part:
    """Numbers count, words stand below numbers, and words for what is not yet released lowest."""
    found = re.findall(r"\d+|[a-z]+", text)
    pieces = ((2, int(p), "") if p.isdecimal() else (RANKS.get(p, 1), 0, p) for p in found)
    return (*pieces, END)


def _padded(parts: tuple[Part, ...], length: int) -> tuple[Part, ...]:
    return (*parts, *[_part("0")] * (length - len(parts)))


def lines(old: str, new: str) -> tuple[tuple[LineKind, str], ...]:
    """What changed in a text, with a few lines around each change and a gap between them."""
    before, after = old.splitlines(), new.splitlines()
    found: list[tuple[LineKind, str]] = []
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for group in matcher.get_grouped_opcodes(CONTEXT):
        if found:
            found.append((LineKind.GAP, ""))
        for tag, i, j, k, m in group:
            if tag == "equal":
                found += [(LineKind.SAME, line) for line in before[i:j]]
                continue
            found += [(LineKind.REMOVED, line) for line in before[i:j]]
            found += [(LineKind.ADDED, line) for line in after[k:m]]
    return tuple(found)
