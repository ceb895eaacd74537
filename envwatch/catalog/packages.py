"""The packages of locks: each list is kept once, by the digest of its lock."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select

from envwatch.catalog import schema
from envwatch.model import Package


def packages_of(c: Connection, lock_digest: str) -> tuple[Package, ...]:
    """What a lock installs, by name."""
    query = (
        select(schema.package)
        .where(schema.package.c.lock_digest == lock_digest)
        .order_by(schema.package.c.name)
    )
    return tuple(
        Package(
            r.name, r.version, r.build, r.manager, r.channel, r.size, r.license, r.url,
            r.sha256, r.requested,
        )
        for r in c.execute(query)
    )  # fmt: skip


class Lists:
    """The packages of locks, each read once however often it is compared."""

    def __init__(self, c: Connection) -> None:
        self._c = c
        self._known: dict[str, tuple[Package, ...]] = {"": ()}

    def of(self, lock_digest: str) -> tuple[Package, ...]:
        """What a lock installs, by name; nothing for no lock."""
        if lock_digest not in self._known:
            self._known[lock_digest] = packages_of(self._c, lock_digest)
        return self._known[lock_digest]


def keep_packages(c: Connection, lock_digest: str, packages: Sequence[Package]) -> None:
    known = select(schema.package.c.name).where(schema.package.c.lock_digest == lock_digest)
    if not packages or c.execute(known.limit(1)).first() is not None:
        return
    c.execute(
        insert(schema.package),
        [
            {
                "lock_digest": lock_digest,
                "manager": p.manager,
                "name": p.name,
                "version": p.version,
                "build": p.build,
                "channel": p.channel,
                "size": p.size,
                "license": p.license,
                "url": p.url,
                "sha256": p.sha256,
                "requested": p.requested,
            }
            for p in packages
        ],
    )
