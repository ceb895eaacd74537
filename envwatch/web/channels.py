"""What the channels of a namespace have: for who may write files that name it."""

from __future__ import annotations

import re

from envwatch.model import Package, PackageQuery
from envwatch.web.changing import actions
from envwatch.web.seeing import need_workplace

_NAME = re.compile(r"[a-z0-9_][a-z0-9._-]{0,99}")
SHORTEST = 2  # signs; one is in the names of nearly all


def query_of(words: str, *, exact: bool) -> PackageQuery | None:
    """What is looked for; None where no package can be called so."""
    word = words.strip().lower()
    fits = _NAME.fullmatch(word) and (exact or len(word) >= SHORTEST)
    return PackageQuery(word, exact) if fits else None


def found_in(namespace: str, query: PackageQuery) -> tuple[Package, ...]:
    """Raises NotFound, Unknown, Forbidden, Conflict, Busy."""
    need_workplace(namespace)
    return actions().search(namespace, query)
