"""Labels of environments, in a table of their own: lists are filtered by them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, delete, exists, insert

from envwatch.catalog import schema

LABEL = schema.label.c
ENV = schema.environment.c


def keep(c: Connection, environment_id: int, labels: Iterable[tuple[str, str]]) -> None:
    """The labels that an environment has now, in place of those that it had."""
    c.execute(delete(schema.label).where(LABEL.environment_id == environment_id))
    rows = [{"environment_id": environment_id, "name": n, "value": v} for n, v in labels]
    if rows:
        c.execute(insert(schema.label), rows)


def carries(text: str) -> ColumnElement[bool]:
    """Does an environment have the label `team=ocean`, or any label `team`?"""
    name, given, value = text.partition("=")
    wanted = [LABEL.environment_id == ENV.id, LABEL.name == name.strip()]
    if given:
        wanted.append(LABEL.value == value.strip())
    return exists().where(*wanted)
