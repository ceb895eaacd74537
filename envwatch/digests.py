"""The two parts of an asked-for digest: what is asked for, and the lock that lies beside it.

So the catalog can tell when nothing came but the lock of what is installed already.
"""

from __future__ import annotations

import hashlib

BARE_PART = 40  # hex digits that leave out the lock; the other 24 are those of the lock


def of_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def mixed(digest: str, *more: str) -> str:
    """The digest of the same ask in other circumstances; its lock is told from it as before."""
    if not any(more):
        return digest
    return of_text("\0".join((digest, *more)))[:BARE_PART] + digest[BARE_PART:]


def with_lock(bare: str, lock: str) -> str:
    """The digest of an ask with this lock beside it, empty for none."""
    return bare[:BARE_PART] + of_text(lock)[BARE_PART:] if lock else bare
