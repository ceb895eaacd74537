"""Namespaces that were made here, beside those of the config."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from envwatch.catalog import schema
from envwatch.catalog.database import Database
from envwatch.errors import Conflict

NAMESPACE = schema.namespace.c


@dataclass(frozen=True, slots=True)
class NamespaceRecord:
    name: str
    made_by: str
    made_at: datetime


class Namespaces:
    """Each has a managed repository, to which its people push and commit."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> tuple[NamespaceRecord, ...]:
        with self._database.read() as c:
            found = c.execute(select(schema.namespace).order_by(NAMESPACE.name))
            return tuple(NamespaceRecord(r.name, r.made_by, r.made_at) for r in found)

    def is_of_another(self, name: str) -> bool:
        """Was it made, whatever the case of its name, by somebody who is not called so?"""
        query = select(NAMESPACE.made_by).where(func.lower(NAMESPACE.name) == name.lower())
        with self._database.read() as c:
            return any(r.made_by != name for r in c.execute(query))

    def make(self, name: str, *, by: str) -> None:
        """Raises Conflict where there is one of this name."""
        values = {"name": name, "made_by": by, "made_at": datetime.now(UTC)}
        try:
            with self._database.write() as c:
                c.execute(insert(schema.namespace).values(**values))
        except IntegrityError:
            raise Conflict(f"there is a namespace `{name}` already") from None
