"""What a package says of itself, and what really lies in its extracted tree."""

from __future__ import annotations

import json
import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

METADATA_LIMIT = 64 * 2**20
OLD_PLACEHOLDER = "/opt/anaconda1anaconda2anaconda3"


class Malformed(ValueError):
    """Metadata that is not of the form that it must have."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of `info/paths.json`; `size` -1 and an empty `sha256` are unknown."""

    path: str
    kind: str
    sha256: str = ""
    size: int = -1
    placeholder: str | None = None
    file_mode: str = ""


@dataclass(frozen=True, slots=True)
class Contents:
    """A package as its own metadata describes it. `python` says that it is `noarch: python`."""

    index: Mapping[str, Any]
    entries: tuple[Entry, ...]
    entry_points: tuple[str, ...]

    @property
    def python(self) -> bool:
        noarch = self.index.get("noarch")
        return noarch == "python" or (isinstance(noarch, dict) and noarch.get("type") == "python")


def read_contents(tree: Path) -> Contents:
    """The metadata of an extracted package; raises Malformed where it is not what it must be."""
    index = _mapping(_read_json(tree, "info/index.json"), "info/index.json")
    entries = _paths_json(tree) if os.path.lexists(tree / "info/paths.json") else _files_list(tree)
    points: tuple[str, ...] = ()
    if os.path.lexists(tree / "info/link.json"):
        link = _mapping(_read_json(tree, "info/link.json"), "info/link.json")
        noarch = _mapping(link.get("noarch") or {}, "info/link.json: noarch")
        listed = noarch.get("entry_points") or []
        if not isinstance(listed, list):
            raise Malformed("info/link.json: `entry_points` must be a list")
        points = tuple(str(e) for e in listed)
    return Contents(index, tuple(entries), points)


def _read(tree: Path, name: str) -> bytes:
    # never through a link: it would read, and then quote, a file of this machine
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    fd = os.open(tree / name, flags)
    with os.fdopen(fd, "rb") as file:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode) or (tree / "info").is_symlink():
            raise Malformed(f"{name} is not a regular file")
        if info.st_size > METADATA_LIMIT:
            raise Malformed(f"{name} is larger than {METADATA_LIMIT >> 20} MiB")
        return file.read()


def _read_json(tree: Path, name: str) -> object:
    try:
        value: object = json.loads(_read(tree, name))
    except ValueError as e:
        raise Malformed(f"{name}: {e}") from e
    return value


def _mapping(value: object, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Malformed(f"{place} must be a mapping")
    return value


def _paths_json(tree: Path) -> Iterator[Entry]:
    place = "info/paths.json"
    listed = _mapping(_read_json(tree, place), place).get("paths")
    if not isinstance(listed, list):
        raise Malformed(f"{place}: `paths` must be a list")
    for item in listed:
        entry = _mapping(item, f"{place}: an entry of `paths`")
        size = entry.get("size_in_bytes", -1)
        placeholder = entry.get("prefix_placeholder")
        yield Entry(
            path=_text(entry.get("_path"), "_path"),
            kind=_text(entry.get("path_type"), "path_type"),
            sha256=_text(entry.get("sha256") or "", "sha256"),
            size=size if isinstance(size, int) else -2,
            placeholder=None if placeholder is None else _text(placeholder, "prefix_placeholder"),
            file_mode=_text(entry.get("file_mode") or "", "file_mode"),
        )


def _text(value: object, key: str) -> str:
    if not isinstance(value, str):
        raise Malformed(f"info/paths.json: `{key}` must be a text")
    return value


def _files_list(tree: Path) -> Iterator[Entry]:
    """What packages carried before there was a paths.json: `files` and `has_prefix`."""
    placeholders: dict[str, tuple[str, str]] = {}
    if os.path.lexists(tree / "info/has_prefix"):
        for line in _read(tree, "info/has_prefix").decode().splitlines():
            words = shlex.split(line)
            if len(words) == 1:
                placeholders[words[0]] = (OLD_PLACEHOLDER, "text")
            elif len(words) == 3:
                placeholders[words[2]] = (words[0], words[1])
            elif words:
                raise Malformed(f"info/has_prefix: `{line}` is not understood")
    for path in _read(tree, "info/files").decode().splitlines():
        if path:
            placeholder, mode = placeholders.get(path, (None, ""))
            link = ".." not in path.split("/") and (tree / path.lstrip("/")).is_symlink()
            yield Entry(path, "softlink" if link else "hardlink", "", -1, placeholder, mode)


def walk(tree: Path, below: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """Every file and link of the package, `info/` included, without following any."""
    with os.scandir(tree / below) as found:
        for item in found:
            path = f"{below}/{item.name}" if below else item.name
            yield path, item.stat(follow_symlinks=False)
            if item.is_dir(follow_symlinks=False):
                yield from walk(tree, path)
