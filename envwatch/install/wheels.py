"""Wheels and what a prefix knows of them: distributions, tags, records, stand-ins."""

from __future__ import annotations

import base64
import csv
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message as Headers
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import (
    InvalidName,
    InvalidWheelFilename,
    canonicalize_name,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

WHEEL = "Wheel-Version: 1.0\nGenerator: envwatch\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@dataclass(frozen=True, slots=True)
class Installed:
    """A distribution in a prefix. `folder` is that of its metadata, relative to the prefix."""

    name: str
    version: str
    folder: str
    requires: tuple[str, ...]
    extras: tuple[str, ...]


def installed(prefix: Path, site: str) -> tuple[Installed, ...]:
    """The distributions that lie in the site-packages of a prefix; nothing of them is run."""
    found: dict[str, Installed] = {}
    for item in distributions(path=[str(prefix / site)]):
        one = _installed(item, prefix)
        if one:
            found.setdefault(one.name, one)
    return tuple(found[name] for name in sorted(found))


def _installed(item: Distribution, prefix: Path) -> Installed | None:
    headers = item.metadata
    folder = getattr(item, "_path", None)
    try:
        name = canonicalize_name(headers["Name"], validate=True)
        version = str(Version(headers["Version"]))
    except (InvalidName, InvalidVersion, TypeError, KeyError):
        # uv could not name it either
        return None
    if not isinstance(folder, Path) or not isinstance(headers, Headers):
        return None
    return Installed(
        name,
        version,
        str(folder.relative_to(prefix)),
        tuple(headers.get_all("Requires-Dist") or ()),
        tuple(headers.get_all("Provides-Extra") or ()),
    )


def stand_in(item: Installed, folder: Path) -> Path:
    """A wheel that says of a conda package only that it is there, in which version.

    What it requires conda has seen to, under conda's names; only the extras stay.
    """
    stem = f"{item.name.replace('-', '_')}-{item.version}"
    lines = ["Metadata-Version: 2.1", f"Name: {item.name}", f"Version: {item.version}"]
    lines += [f"Provides-Extra: {extra}" for extra in item.extras]
    lines += [f"Requires-Dist: {text}" for text in item.requires if "extra ==" in text]
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", "\n".join(lines) + "\n")
        wheel.writestr(f"{stem}.dist-info/WHEEL", WHEEL)
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
    return path


def prefix_tags(version: str, site: str) -> tuple[Tag, ...]:
    """What the Python of a prefix on this machine can import, the best first."""
    numbers = tuple(int(n) for n in version.split(".")[:2])
    abi = f"cp{numbers[0]}{numbers[1]}"
    if PurePosixPath(site).parent.name.endswith("t"):
        abi += "t"
    return (*cpython_tags(numbers, [abi]), *compatible_tags(numbers, abi.rstrip("t")))


def best_wheel(
    wheels: Sequence[Mapping[str, Any]], tags: Sequence[Tag]
) -> Mapping[str, Any] | None:
    """The wheel that an installer would take."""
    rank = {tag: n for n, tag in enumerate(tags)}
    ranked = [
        (min(rank[t] for t in fit), n)
        for n, wheel in enumerate(wheels)
        if (fit := [t for t in _tags(wheel) if t in rank])
    ]
    return wheels[min(ranked)[1]] if ranked else None


def _tags(wheel: Mapping[str, Any]) -> frozenset[Tag]:
    name = wheel.get("name") or str(wheel.get("url") or wheel.get("path")).rpartition("/")[2]
    try:
        return parse_wheel_filename(name.replace("%2B", "+"))[3]
    except InvalidWheelFilename:
        return frozenset()


def record_entries(prefix: Path, item: Installed) -> Iterator[tuple[str, str]]:
    """The files of a distribution and their sha256 (hex, empty if its RECORD has none)."""
    site = (prefix / item.folder).parent
    record = prefix / item.folder / "RECORD"
    if not record.exists():
        return
    with record.open(newline="") as file:
        for row in csv.reader(file):
            if not row:
                continue
            path = Path(_normal(str(site / row[0])))
            if path.is_relative_to(prefix):
                yield str(path.relative_to(prefix)), _hex(row[1] if len(row) > 1 else "")


def _normal(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def _hex(text: str) -> str:
    kind, _, value = text.partition("=")
    return base64.urlsafe_b64decode(f"{value}==").hex() if kind == "sha256" else ""
