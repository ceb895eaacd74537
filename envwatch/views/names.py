"""Which locks hold a package of some name.

What a lock holds never changes: its names are read once, and kept while it is in use.
"""

from __future__ import annotations

import json
import sys
import threading
from bisect import bisect_left
from collections.abc import Iterable, Set
from itertools import groupby
from weakref import WeakKeyDictionary

from sqlalchemy import func, select

from envwatch.catalog import schema
from envwatch.catalog.database import Database

PACKAGE = schema.package.c
_Names = dict[str, tuple[str, ...]]  # sorted, by lock: of 500 x 200 packages about a megabyte
_known: WeakKeyDictionary[Database, _Names] = WeakKeyDictionary()
_one_at_a_time = threading.Lock()


def holding(database: Database, name: str, locks: Set[str]) -> frozenset[str]:
    """Of these locks, which must be all that are in use, those with a package of this name."""
    names = _names(database, locks)
    return frozenset(lock for lock in locks if _is_in(name, names.get(lock, ())))


def _is_in(name: str, names: tuple[str, ...]) -> bool:
    at = bisect_left(names, name)
    return at < len(names) and names[at] == name


def _names(database: Database, locks: Set[str]) -> _Names:
    with _one_at_a_time:
        known = _known.get(database, {})
        missing = locks - known.keys()
        if missing:
            # the packages of a lock come with what uses it: one without any stays without
            read = dict.fromkeys(missing, ()) | _read(database, missing)
            known = {lock: known[lock] for lock in locks & known.keys()} | read
            _known[database] = known
        return known


def _read(database: Database, locks: Iterable[str]) -> _Names:
    digests = func.json_each(json.dumps(sorted(locks))).table_valued("value")
    query = (
        select(PACKAGE.lock_digest, PACKAGE.name)
        .where(PACKAGE.lock_digest.in_(select(digests.c.value)))
        .order_by(PACKAGE.lock_digest, PACKAGE.name)
        .distinct()
    )
    with database.read() as c:
        found = groupby(c.execute(query), key=lambda r: r[0])
        return {lock: tuple(sys.intern(r[1]) for r in each) for lock, each in found}
