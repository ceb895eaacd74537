"""Remarks about files, in the format that editors and CI read: `file:line:column: message`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from envwatch.cli.output import print_json, safe, say
from envwatch.model import Level, Message


def print_messages(messages: Sequence[Message], *, as_json: bool) -> None:
    if as_json:
        print_json(messages)
        return
    for message in messages:
        click.echo(safe(str(message)))


def has_errors(messages: Sequence[Message]) -> bool:
    return any(m.level is Level.ERROR for m in messages)


def say_count(messages: Sequence[Message], what: str) -> None:
    """`what: 2 errors, 1 warning`; `what: no errors`."""
    errors = sum(m.level is Level.ERROR for m in messages)
    warnings = sum(m.level is Level.WARNING for m in messages)
    counts = [_plural(errors, "error") if errors else "no errors"]
    counts += [_plural(warnings, "warning")] if warnings else []
    say(f"{safe(what)}: {', '.join(counts)}")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
