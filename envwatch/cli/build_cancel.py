"""`envwatch build cancel`: asked of the daemon, here or elsewhere."""

from __future__ import annotations

import click

from envwatch.cli.context import Options
from envwatch.cli.house import open_house
from envwatch.cli.output import json_option, print_json, say


@click.command("cancel")
@click.argument("build", metavar="ID", type=click.IntRange(min=1))
@json_option
@click.pass_obj
def command(options: Options, build: int, as_json: bool) -> None:
    """Stop a build that waits or runs; what is published stays as it is."""
    with open_house(options) as house:
        answer = house.ask("cancel", build=build, by=house.me)
    if as_json:
        print_json(answer)
    stopped = answer["state"] == "cancelled"
    say(f"build {build} {'is cancelled' if stopped else 'is being stopped'}")
