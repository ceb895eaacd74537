"""Rows become records here, and nowhere else."""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Row, Select, select

from envwatch.catalog import schema
from envwatch.catalog.records import (
    BuildRecord,
    DeliveryRecord,
    EnvironmentRecord,
    GenerationRecord,
    SourceRecord,
    SpecRecord,
    TokenRecord,
)
from envwatch.model import EnvKey

ENVIRONMENT = schema.environment.c

environments: Select[Any] = select(schema.environment)
builds: Select[Any] = select(schema.build, ENVIRONMENT.namespace, ENVIRONMENT.name).join_from(
    schema.build, schema.environment
)
generations: Select[Any] = select(
    schema.generation, ENVIRONMENT.namespace, ENVIRONMENT.name
).join_from(schema.generation, schema.environment)


def _values(row: Row[Any], kind: type) -> dict[str, Any]:
    return {name: row[at] for name, at in _places(row._fields, kind)}


@lru_cache(256)
def _places(columns: tuple[str, ...], kind: type) -> tuple[tuple[str, int], ...]:
    """Which column of a query is which value: looked up once for all rows of its kind."""
    return tuple((f.name, columns.index(f.name)) for f in fields(kind) if f.name in columns)


def _key(row: Row[Any]) -> EnvKey:
    return EnvKey(row.namespace, row.name)


def environment(row: Row[Any]) -> EnvironmentRecord:
    return EnvironmentRecord(key=_key(row), **_values(row, EnvironmentRecord))


def build(row: Row[Any]) -> BuildRecord:
    return BuildRecord(key=_key(row), **_values(row, BuildRecord))


def generation(row: Row[Any]) -> GenerationRecord:
    values = _values(row, GenerationRecord) | {"prefix": Path(row.prefix)}
    return GenerationRecord(key=_key(row), **values)


def source(row: Row[Any]) -> SourceRecord:
    return SourceRecord(**_values(row, SourceRecord))


def spec(row: Row[Any]) -> SpecRecord:
    return SpecRecord(**_values(row, SpecRecord))


def delivery(row: Row[Any]) -> DeliveryRecord:
    return DeliveryRecord(**_values(row, DeliveryRecord))


def token(row: Row[Any]) -> TokenRecord:
    return TokenRecord(**_values(row, TokenRecord))
