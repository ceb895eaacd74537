"""`Lock` ↔ conda-lock.yml, and the lists that are made of a lock."""

from envwatch.lockfile.content import matches
from envwatch.lockfile.lists import (
    as_json,
    check_origin,
    digest,
    explicit,
    mark_requested,
    packages,
    pinned,
)
from envwatch.lockfile.reading import read
from envwatch.lockfile.staleness import broken, stale
from envwatch.lockfile.writing import render, write

__all__ = [
    "as_json",
    "broken",
    "check_origin",
    "digest",
    "explicit",
    "mark_requested",
    "matches",
    "packages",
    "pinned",
    "read",
    "render",
    "stale",
    "write",
]
