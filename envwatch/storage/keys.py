"""What may be the key of an artifact, in every storage."""

from __future__ import annotations

import re

from envwatch.errors import NotFound

# Unprintable signs would end up in listings and headers, a leading dot hides a file.
_PART = re.compile(r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]{0,254}")
_PARTS = 4


def check_key(key: str) -> str:
    """The key itself, if it is one: nothing else may become a path."""
    parts = key.split("/")
    if len(parts) == _PARTS and parts[2].isdecimal() and all(map(_PART.fullmatch, parts)):
        return key
    raise NotFound(f"`{key}` is no key of an artifact", hint="namespace/name/generation/file")
