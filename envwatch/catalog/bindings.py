"""What people granted to people and groups, beside what the config says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, delete, insert, select

from envwatch.catalog import schema
from envwatch.catalog.database import Database
from envwatch.settings import Binding, Grant, Role

BINDING = schema.binding.c


@dataclass(frozen=True, slots=True)
class BindingRecord:
    """One grant. One of `user` and `group` is empty."""

    pattern: str
    role: Role
    user: str
    group: str
    granted_by: str
    granted_at: datetime

    @property
    def binding(self) -> Binding:
        users, groups = ((self.user,), ()) if self.user else ((), (self.group,))
        return Binding(Grant(self.pattern, self.role), users, groups)


class Bindings:
    """Grants that were made here. Each request asks for all: they are kept until a write."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: tuple[int, tuple[BindingRecord, ...]] = (0, ())

    def all(self) -> tuple[BindingRecord, ...]:
        if not self._database.alone:
            return self._read()
        changes = self._database.changes
        kept, found = self._kept
        if kept != changes:
            # of a write meanwhile the older number is kept, so that it is read again
            found = self._read()
            self._kept = (changes, found)
        return found

    def _read(self) -> tuple[BindingRecord, ...]:
        query = select(schema.binding).order_by(BINDING.pattern, BINDING.user, BINDING.group)
        with self._database.read() as c:
            return tuple(
                BindingRecord(r.pattern, r.role, r.user, r.group, r.granted_by, r.granted_at)
                for r in c.execute(query)
            )

    def grant(self, grant: Grant, *, user: str = "", group: str = "", by: str) -> None:
        """Somebody, or a group, has this role there from now on, in place of another one."""
        added = insert(schema.binding).values(
            pattern=grant.pattern,
            role=grant.role,
            user=user,
            group=group,
            granted_by=by,
            granted_at=datetime.now(UTC),
        )
        with self._database.write() as c:
            c.execute(delete(schema.binding).where(*_same(grant.pattern, user, group)))
            c.execute(added)

    def revoke(self, pattern: str, *, user: str = "", group: str = "") -> bool:
        """Was there one?"""
        gone = delete(schema.binding).where(*_same(pattern, user, group))
        with self._database.write() as c:
            return bool(c.execute(gone).rowcount)


def _same(pattern: str, user: str, group: str) -> tuple[ColumnElement[bool], ...]:
    """Former versions kept `/lab` beside `lab`, which is one group."""
    groups = (group, f"/{group}") if group else ("",)
    return BINDING.pattern == pattern, BINDING.user == user, BINDING.group.in_(groups)
