"""`envwatch source`: where environment files come from."""

from __future__ import annotations

import click

from envwatch.cli.lazy import LazyGroup, placeholders

COMMANDS = (
    ("list", "envwatch.cli.source_list", "List sources and the files that they had refused."),
    (
        "deliveries",
        "envwatch.cli.source_deliveries",
        "List the web hooks that came for a source, and what was decided.",
    ),
    ("sync", "envwatch.cli.source_change:sync", "Look at sources now."),
    (
        "confirm-empty",
        "envwatch.cli.source_change:confirm_empty",
        "Say that an empty source is meant to be empty.",
    ),
)


@click.group("source", cls=LazyGroup, commands=placeholders(COMMANDS))
def command() -> None:
    """Sources: their list, look at them now."""
