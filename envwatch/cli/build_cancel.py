"""`envwatch build cancel`: asked of the daemon."""

from __future__ import annotations

import click

from envwatch.cli.context import Options
from envwatch.cli.control import ask, caller
from envwatch.cli.output import json_option, print_json, say
from envwatch.cli.settings import settings_of


@click.command("cancel")
@click.argument("build", metavar="ID", type=click.IntRange(min=1))
@json_option
@click.pass_obj
def command(options: Options, build: int, as_json: bool) -> None:
    """Stop a build that waits or runs; what is published stays as it is."""
    answer = ask(settings_of(options), "cancel", build=build, by=caller())
    if as_json:
        print_json(answer)
    stopped = answer["state"] == "cancelled"
    say(f"build {build} {'is cancelled' if stopped else 'is being stopped'}")
