"""How results are shown: tables for people, JSON for machines. Data to stdout, talk to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """Adds `--json` to a command, as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def print_json(value: object) -> None:
    """A value, with its dataclasses, times and paths, as JSON on stdout."""
    click.echo(json.dumps(_jsonable(value), indent=2, ensure_ascii=False))


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, styles: Sequence[str] = ()
) -> None:
    """Rows under their titles: drawn on a terminal, plain aligned text elsewhere.

    `styles` are rich styles, one for each row.
    """
    if sys.stdout.isatty():
        _draw(columns, rows, styles)
        return
    table = [tuple(c.upper() for c in columns), *(tuple(safe(c) for c in r) for r in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
    for row in table:
        click.echo("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for index, row in enumerate(rows):
        # Text: what stands in square brackets is no markup
        style = styles[index] if styles else None
        table.add_row(*(Text(safe(cell)) for cell in row), style=style)
    Console().print(table)


def say(text: str) -> None:
    """Talk to the person, beside the data."""
    click.echo(text, err=True)


def safe(text: str) -> str:
    """Text that cannot command a terminal or pretend to be another line."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _jsonable(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return _jsonable(asdict(value))
    if isinstance(value, dict):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, Path) else value
