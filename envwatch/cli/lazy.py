"""Commands that are known by name and one line, and imported when they are used."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import cast

import click

# its name, where it is (`module`, or `module:attribute`), and the line that `--help` shows
Entry = tuple[str, str, str]


class Placeholder(click.Command):
    """A command that is known by its name and one line, until it is used."""

    def __init__(self, name: str, place: str, short_help: str) -> None:
        super().__init__(name, short_help=short_help)
        self._place = place

    def load(self) -> click.Command:
        """The real command: what its module calls `command`, or by another name."""
        module, _, attribute = self._place.partition(":")
        return cast("click.Command", getattr(import_module(module), attribute or "command"))


class LazyGroup(click.Group):
    """A group of placeholders; commands are listed in the order in which they were given."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 — click's signature
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, Placeholder) else command, rest


def placeholders(entries: Sequence[Entry]) -> dict[str, click.Command]:
    return {name: Placeholder(name, place, text) for name, place, text in entries}
