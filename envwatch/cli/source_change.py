"""Commands that have a source looked at: asked of the daemon."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from envwatch.cli.context import Options
from envwatch.cli.house import LONG, Answer, House, open_house
from envwatch.cli.keys import wait_option
from envwatch.cli.output import json_option, print_json, safe, say
from envwatch.cli.queued import settle
from envwatch.cli.waiting import busy
from envwatch.errors import EnvwatchError, NotFound


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@wait_option
@json_option
@click.pass_obj
def sync(options: Options, names: Sequence[str], wait: bool, as_json: bool) -> None:
    """Look at all sources, or at those named, now.

    Returns when they were looked at; with --wait, when what they ask for is built. Exits with 1
    if one of them could not be read or a file was refused, with --wait also if what they ask for
    could not be built. One that fails does not stop the others.
    """
    with open_house(options) as house:
        sys.exit(_sync(house, names, wait=wait, as_json=as_json))


def _sync(house: House, names: Sequence[str], *, wait: bool, as_json: bool) -> int:
    chosen = list(dict.fromkeys(names)) or house.source_names()
    if not chosen:
        raise NotFound("the config names no source", hint="see `envwatch config show`")
    answers = [_look(house, name) for name in chosen]
    refused = [message for answer in answers for message in answer["refused"]]
    builds = [build for answer in answers for build in answer["builds"]]
    for message in refused:
        say(safe(message))
    failed = [name for name, a in zip(chosen, answers, strict=True) if a["failed"]]
    answer = {"sources": chosen, "failed": failed, "refused": refused, "builds": builds}
    status = settle(house, builds, answer, wait=wait, as_json=as_json)
    return 1 if failed or refused else status


def _look(house: House, name: str) -> Answer:
    try:
        with busy(f"looking at {name}"):
            return house.ask("sync", source=name, wait=True, timeout=LONG) | {"failed": False}
    except EnvwatchError as e:
        say(safe(f"source {name}: {e}"))
        return {"refused": [], "builds": [], "failed": True}


@click.command("confirm-empty")
@click.argument("name")
@json_option
@click.pass_obj
def confirm_empty(options: Options, name: str, as_json: bool) -> None:
    """Say that an empty source is meant to be empty.

    What it asked for is retired: links and kernels go, history and files stay, and all of it
    comes back with the files.
    """
    with open_house(options) as house:
        answer = house.ask("confirm_empty", source=name, timeout=LONG)
    if as_json:
        print_json(answer)
    say(safe(f"source {name}: it is meant to be empty"))
