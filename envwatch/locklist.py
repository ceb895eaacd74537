"""The packages of a conda-lock.yml in a few words: a list that diffs well, and what changed.

The daemon reads locks by this alone: the library that writes them is for the child of a build.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

from envwatch.redact import redact

MOST_NAMED = 5  # changes that one line names; more are counted
ENDINGS = (".conda", ".tar.bz2")


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One package for one platform. `channel` is empty for what pip brings."""

    platform: str
    name: str
    version: str
    build: str = ""
    channel: str = ""

    def __str__(self) -> str:
        return " ".join((self.name, self.version, self.build or "-", self.channel or "pip"))


def read(text: str) -> tuple[Line, ...] | None:
    """What a lock holds, sorted; None where it cannot be read."""
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        packages = yaml.load(text, loader)["package"]  # noqa: S506  # both are safe ones
        return tuple(sorted(_line(p) for p in packages))
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        return None


def render(lines: Iterable[Line]) -> str:
    """packages.txt: a section for each platform, a line for each package."""
    out = ["# made by envwatch from the lock beside it: name version build channel"]
    for platform, there in groupby(lines, key=lambda line: line.platform):
        out += ["", f"[{platform}]", *map(str, there)]
    return "\n".join(out) + "\n"


def changes(old: Iterable[Line], new: Iterable[Line]) -> str:
    """What is another, in a line: `numpy 1.0 -> 2.0, + tiny 1.0, - old 0.9`; empty for nothing."""
    before, after = _versions(old), _versions(new)
    found = [
        _change(name, before.get(name, ""), after.get(name, ""))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    rest = len(found) - MOST_NAMED
    return ", ".join([*found[:MOST_NAMED], *([f"and {rest} more"] if rest > 0 else [])])


def _change(name: str, old: str, new: str) -> str:
    if not old:
        return f"+ {name} {new}"
    return f"{name} {old} -> {new}" if new else f"- {name} {old}"


def _versions(lines: Iterable[Line]) -> dict[str, str]:
    """By name, all builds and platforms of it: a version where they agree, else each of them."""
    by_name: dict[str, dict[str, None]] = {}
    for line in lines:
        shown = f"{line.version} {line.build}".strip()
        by_name.setdefault(line.name, {})[shown] = None
    return {name: " | ".join(versions) for name, versions in by_name.items()}


def _line(package: dict[str, Any]) -> Line:
    conda = package["manager"] == "conda"
    channel, build = _place(str(package["url"])) if conda else ("", "")
    return Line(
        _plain(package["platform"]),
        _plain(package["name"]),
        _plain(package["version"]),
        _plain(package.get("build") or build) if conda else "",
        _plain(channel),
    )


def _place(url: str) -> tuple[str, str]:
    """The channel of a package, and the build that its file name ends with."""
    channel, _, file = redact(url).rpartition("/")
    stem = unquote(urlsplit(file).path)
    for ending in ENDINGS:
        stem = stem.removesuffix(ending)
    return channel.rpartition("/")[0], stem.rpartition("-")[2]


def _plain(value: object) -> str:
    """One word: nothing in a lock may begin another line."""
    return "".join(c for c in str(value) if c.isprintable() and c != " ")[:300]
