"""Which paths a source takes: `*` and `?` within one name, `**` for any folders between.

As in a shell, a wildcard never matches a leading dot: hidden files and folders must be named.
A pattern that names a folder stands for all that is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_NAME = r"(?!\.)[^/]+"
_FOLDERS = r"(?:(?!\.)[^/]+/)*"
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Glob:
    """One pattern: `whole` matches paths, `parts` its names (None for `**`), `folder` all within.

    `dotted` tells that it names something hidden.
    """

    whole: re.Pattern[str]
    parts: tuple[re.Pattern[str] | None, ...]
    folder: re.Pattern[str] | None
    dotted: bool

    def reaches(self, names: tuple[str, ...]) -> bool:
        """Can anything in this folder match?"""
        for index, (part, name) in enumerate(zip(self.parts, names, strict=False)):
            if part is None:
                return self.dotted or not any(n.startswith(".") for n in names[index:])
            if not part.fullmatch(name):
                return False
        return len(names) < len(self.parts) or self.folder is not None


@dataclass(frozen=True, slots=True)
class Globs:
    """The include and exclude patterns of one source; paths are relative to its top."""

    include: tuple[Glob, ...]
    exclude: tuple[Glob, ...]

    def takes(self, path: str) -> bool:
        return any(g.whole.fullmatch(path) for g in self.include) and not self.excludes(path)

    def excludes(self, path: str) -> bool:
        return any(g.whole.fullmatch(path) for g in self.exclude)

    def enters(self, folder: str) -> bool:
        """Is a folder worth looking into?"""
        if any(g.folder and g.folder.fullmatch(folder) for g in self.exclude):
            return False
        names = tuple(folder.split("/"))
        return any(g.reaches(names) for g in self.include)

    def needs(self, folder: str) -> bool:
        """Does a pattern spell out this folder, so that its absence should be told?"""
        names = tuple(folder.split("/"))
        return any(None not in g.parts[: len(names)] and g.reaches(names) for g in self.include)


def compile_globs(include: Iterable[str], exclude: Iterable[str]) -> Globs:
    return Globs(tuple(map(_glob, include)), tuple(map(_glob, exclude)))


def _glob(pattern: str) -> Glob:
    names = [name for name in pattern.split("/") if name not in ("", ".")]
    dotted = any(name.startswith(".") for name in names)
    if pattern.endswith("/") or not _WILD.search(pattern):
        whole = _join(names)
        below = re.compile(f"{whole}(?:/{_FOLDERS}{_NAME})?")
        return Glob(below, _parts(names), re.compile(f"{whole}(?:/.*)?"), dotted)
    folder = re.compile(f"{_join(names[:-1])}(?:/.*)?") if names[-1] == "**" else None
    return Glob(re.compile(_join(names)), _parts(names), folder, dotted)


def _join(names: list[str]) -> str:
    """The regular expression of a whole path."""
    text = ""
    for index, name in enumerate(names):
        last = index == len(names) - 1
        if name == "**":
            text += _FOLDERS + (_NAME if last else "")
        else:
            text += _name(name) + ("" if last else "/")
    return text


def _parts(names: list[str]) -> tuple[re.Pattern[str] | None, ...]:
    return tuple(None if name == "**" else re.compile(_name(name)) for name in names)


def _name(name: str) -> str:
    """The regular expression of one name between slashes."""
    text = r"(?!\.)" if _WILD.match(name) else ""
    for piece in re.split(r"(\*+|\?|\[!?\]?[^\]]*\])", name):
        if piece.startswith("*"):
            text += "[^/]*"
        elif piece == "?":
            text += "[^/]"
        elif piece.startswith("[") and piece.endswith("]") and len(piece) > 2:
            inner = piece[1:-1].replace("\\", "\\\\")
            text += "[" + (f"^/{inner[1:]}" if inner.startswith("!") else inner) + "]"
        else:
            text += re.escape(piece)
    return text
