"""`envwatch env wait`."""

from __future__ import annotations

import sys
import time

import click

from envwatch.catalog.records import BuildRecord
from envwatch.cli.context import Options
from envwatch.cli.house import House, open_house
from envwatch.cli.keys import duration, key_argument
from envwatch.cli.output import json_option, print_json, say
from envwatch.cli.waiting import busy, outcome, wait_for_build
from envwatch.errors import NotFound
from envwatch.model import BuildState, EnvKey


@click.command("wait")
@key_argument
@click.option(
    "--timeout", metavar="DURATION", callback=duration, help="How long at most, such as `10m`."
)
@json_option
@click.pass_obj
def wait(options: Options, key: EnvKey, timeout: float | None, as_json: bool) -> None:
    """Wait until the newest build of an environment is over.

    Exits with 1 if it failed, or is not over in time.
    """
    end = None if timeout is None else time.monotonic() + timeout
    with open_house(options) as house:
        build = _newest(house, key, end)
    if as_json:
        print_json(build)
    say(outcome(build))
    sys.exit(0 if build.state is BuildState.READY else 1)


def _newest(house: House, key: EnvKey, end: float | None) -> BuildRecord:
    """The newest build, at its end. One that gives way to a newer one is not the newest."""
    with busy(f"waiting for {key}") as show:
        while True:
            number = house.environment(key).row.build_id
            if number is None:
                raise NotFound(f"{key}: nothing was built yet", hint=f"`envwatch env why {key}`")
            build = wait_for_build(house, number, show, end)
            if build.state is not BuildState.SUPERSEDED:
                return build
