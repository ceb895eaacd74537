"""`envwatch build`: attempts, their logs, and how to stop one."""

from __future__ import annotations

import click

from envwatch.cli.lazy import LazyGroup, placeholders

LOOKING = "envwatch.cli.build_looking"

COMMANDS = (
    ("list", f"{LOOKING}:listed", "List builds, newest first."),
    ("show", f"{LOOKING}:show", "Show one build: its state, phases, failure, packages."),
    ("log", f"{LOOKING}:log", "Print the log of a build."),
    ("cancel", "envwatch.cli.build_cancel", "Stop a build that waits or runs."),
)


@click.group("build", cls=LazyGroup, commands=placeholders(COMMANDS))
def command() -> None:
    """Builds: their list, their logs, cancel one.

    ID is the number of a build.
    """
