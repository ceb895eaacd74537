"""`envwatch notify`: who is told, and how that goes."""

from __future__ import annotations

import click

from envwatch.cli.lazy import LazyGroup, placeholders

COMMANDS = (
    ("list", "envwatch.cli.notify_list", "List forges and notifiers, and how telling them goes."),
    ("test", "envwatch.cli.notify_test", "Send a test message to a notifier."),
)


@click.group("notify", cls=LazyGroup, commands=placeholders(COMMANDS))
def command() -> None:
    """Forges and notifiers: their list, a test message."""
