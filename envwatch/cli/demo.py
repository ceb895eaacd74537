"""`envwatch demo`: try envwatch on a throw-away root, repository and channel."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click

from envwatch import demo, logs
from envwatch.cli.output import say


@click.command("demo")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("envwatch-demo"),
    show_default=True,
    help="Where everything of the demo lies; an old demo in it goes on.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Where the page listens on 127.0.0.1. Not given: 8080, or any free port.",
)
@click.option(
    "--channel",
    default="",
    metavar="URL-OR-NAME",
    help="A conda channel to take packages from, such as conda-forge. Not given: one is made "
    "from this Python and what is installed beside it.",
)
@click.option("--once", is_flag=True, help="End when everything is published.")
def command(folder: Path, port: int | None, channel: str, once: bool) -> None:
    """Try envwatch on a throw-away root, repository and channel.

    It says what it did, where things are and what to type next. With --once it exits with 1 if
    something could not be published.
    """
    logs.configure("auto", level=logging.WARNING)
    sys.exit(demo.run(folder, port=port, channel=channel, once=once, say=say))
