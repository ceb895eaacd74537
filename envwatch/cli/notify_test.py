"""`envwatch notify test NAME`."""

from __future__ import annotations

import click

from envwatch.cli.context import Options
from envwatch.cli.control import ask
from envwatch.cli.output import json_option, print_json, safe, say
from envwatch.cli.settings import settings_of
from envwatch.cli.waiting import busy


@click.command("test")
@click.argument("name")
@json_option
@click.pass_obj
def command(options: Options, name: str, as_json: bool) -> None:
    """Send a test message to the notifier NAME, and say what came back.

    Exits with 1 if it could not be delivered. It is sent once, and by the daemon if one runs: with
    the daemon's network and files.
    """
    with busy(f"telling {name}"):
        answer = ask(settings_of(options), "notify_test", notifier=name)
    if as_json:
        print_json(answer)
    say(safe(f"{name}: {answer['said']}"))
