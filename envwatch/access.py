"""What a token may do: patterns of namespaces, to read or also to write. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from envwatch.errors import Conflict

_PATTERN = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._*-]{0,63}")


def may(patterns: Iterable[str], *, write: bool, namespace: str, to_write: bool) -> bool:
    """May the holder of these patterns read, or write, in a namespace?"""
    if to_write and not write:
        return False
    return any(fnmatchcase(namespace, pattern) for pattern in patterns)


def read_patterns(text: str) -> tuple[str, ...]:
    """`people,team-*` → the patterns, each once. Raises Conflict."""
    patterns = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not patterns:
        raise Conflict("no namespace is named", hint="write for example `people,team-*`")
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern):
            raise Conflict(
                f"`{_shown(pattern)}` is not a namespace",
                hint="write names, `*` stands for any characters: `people,team-*`",
            )
    return patterns


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:80]
