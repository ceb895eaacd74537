"""Labels of environments, in a table of their own: lists are filtered by them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, delete, insert, select

from envwatch.catalog import schema

LABEL = schema.label.c


def keep(c: Connection, environment_id: int, labels: Iterable[tuple[str, str]]) -> None:
    """The labels that an environment has now, in place of those that it had."""
    c.execute(delete(schema.label).where(LABEL.environment_id == environment_id))
    rows = [{"environment_id": environment_id, "name": n, "value": v} for n, v in labels]
    if rows:
        c.execute(insert(schema.label), rows)


def carrying(c: Connection, text: str) -> frozenset[int]:
    """The environments with the label `team=ocean`, or with any label `team`."""
    name, given, value = text.partition("=")
    query = select(LABEL.environment_id).where(LABEL.name == name.strip())
    if given:
        query = query.where(LABEL.value == value.strip())
    return frozenset(c.execute(query).scalars())
