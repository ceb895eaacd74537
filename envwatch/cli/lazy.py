"""Commands that are known by name and one line, and imported when they are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import cast

import click


def _keep(ctx: click.Context, param: click.Parameter, value: Path | str | None) -> None:
    if value is None:
        return
    if param.name == "url":
        ctx.obj = replace(ctx.obj, url=value)
    else:
        # what is said last counts
        ctx.obj = replace(ctx.obj, url=None, here=True, **{str(param.name): value})


# Hidden, because the help of `envwatch` itself has them.
GLOBALS = [
    click.Option(
        names,
        type=kind,
        callback=_keep,
        expose_value=False,
        hidden=True,
        help="As before the command.",
        is_eager=True,
    )
    for names, kind in (
        (("-c", "--config"), click.Path(path_type=Path)),
        (("--root",), click.Path(path_type=Path)),
        (("--url",), click.STRING),
    )
]
# its name, where it is (`module`, or `module:attribute`), and the line that `--help` shows
Entry = tuple[str, str, str]


def accept_globals(command: click.Command) -> None:
    """Let a command take the global options behind its name as well: people put them there."""
    if isinstance(command, click.Group):
        for below in command.commands.values():
            if not isinstance(below, Placeholder):
                accept_globals(below)
    elif GLOBALS[0] not in command.params:
        command.params += GLOBALS


class Placeholder(click.Command):
    """A command that is known by its name and one line, until it is used."""

    def __init__(self, name: str, place: str, short_help: str) -> None:
        super().__init__(name, short_help=short_help)
        self._place = place

    def load(self) -> click.Command:
        """The real command: what its module calls `command`, or by another name."""
        module, _, attribute = self._place.partition(":")
        found = cast("click.Command", getattr(import_module(module), attribute or "command"))
        accept_globals(found)
        return found


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
