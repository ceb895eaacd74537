"""Who did what, written down for good."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import insert, select

from envwatch.access import Visitor
from envwatch.catalog import schema
from envwatch.catalog.database import Database
from envwatch.model import EnvKey

AUDIT = schema.audit.c


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """`token` is by which token, empty for a person. `name` is empty for a whole namespace."""

    id: int
    at: datetime
    person: str
    token: str
    action: str
    namespace: str
    name: str
    detail: str


class Audits:
    """The audit trail."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, who: Visitor, action: str, key: EnvKey | None = None, detail: str = "") -> None:
        """`action` is a word or two: `edit`, `activate`, `token create`."""
        with self._database.write(detail=True) as c:
            c.execute(
                insert(schema.audit).values(
                    at=datetime.now(UTC),
                    person=who.name,
                    token=who.token,
                    action=action,
                    namespace=key.namespace if key else "",
                    name=key.name if key else "",
                    detail=detail,
                )
            )

    def all(
        self,
        *,
        namespace: str = "",
        within: Collection[str] | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> tuple[AuditRecord, ...]:
        """The newest first; `before` is the id of the last one that was seen.

        `within` are the only namespaces of which anything is told, None for all.
        """
        query = select(schema.audit).order_by(AUDIT.id.desc()).limit(limit)
        if namespace:
            query = query.where(AUDIT.namespace == namespace)
        if within is not None:
            query = query.where(AUDIT.namespace.in_(within))
        if before is not None:
            query = query.where(AUDIT.id < before)
        with self._database.read() as c:
            return tuple(
                AuditRecord(r.id, r.at, r.person, r.token, r.action, r.namespace, r.name, r.detail)
                for r in c.execute(query)
            )
