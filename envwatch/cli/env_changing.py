"""Commands that change something about an environment: asked of the daemon, here or elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from envwatch.cli.context import Options
from envwatch.cli.house import Answer, open_house
from envwatch.cli.keys import GENERATION, key_argument, number_argument, wait_option
from envwatch.cli.output import json_option, print_json, say
from envwatch.cli.queued import settle, settle_archive
from envwatch.model import EnvKey


def _required_number(command: Callable[..., Any]) -> Callable[..., Any]:
    return number_argument(command, required=True)


@click.command()
@key_argument
@_required_number
@json_option
@click.pass_obj
def activate(options: Options, key: EnvKey, number: int, as_json: bool) -> None:
    """Make a generation current and hold it there.

    Without the hold the next look at the source would move the link again; release ends it.
    A candidate of an update that waits is taken instead, and is not held.
    """
    with open_house(options) as house:
        answer = house.ask("activate", environment=str(key), generation=number, by=house.me)
    _tell_current(answer, as_json=as_json)


@click.command()
@key_argument
@number_argument
@json_option
@click.pass_obj
def hold(options: Options, key: EnvKey, number: int | None, as_json: bool) -> None:
    """Keep the current generation, or N, against newer ones.

    Commits go on building generations; the link stays until it is released.
    """
    with open_house(options) as house:
        answer = house.ask("hold", environment=str(key), generation=number, by=house.me)
    _tell_current(answer, as_json=as_json)


@click.command()
@key_argument
@json_option
@click.pass_obj
def release(options: Options, key: EnvKey, as_json: bool) -> None:
    """Let the newest generation become current again."""
    with open_house(options) as house:
        answer = house.ask("release", environment=str(key), by=house.me)
    _tell_current(answer, as_json=as_json)


@click.command()
@key_argument
@_required_number
@json_option
@click.pass_obj
def pin(options: Options, key: EnvKey, number: int, as_json: bool) -> None:
    """Never delete a generation, whatever retention says."""
    _pin(options, key, number, pinned=True, as_json=as_json)


@click.command()
@key_argument
@_required_number
@json_option
@click.pass_obj
def unpin(options: Options, key: EnvKey, number: int, as_json: bool) -> None:
    """Let retention decide over a generation again."""
    _pin(options, key, number, pinned=False, as_json=as_json)


@click.command()
@key_argument
@click.option(
    "--generation", type=GENERATION, help="Make the files of this one anew from its lock."
)
@wait_option
@json_option
@click.pass_obj
def rebuild(
    options: Options, key: EnvKey, generation: int | None, wait: bool, as_json: bool
) -> None:
    """Build again what is asked for, or a generation whose files were deleted."""
    with open_house(options) as house:
        answer = house.ask("rebuild", environment=str(key), generation=generation, by=house.me)
        sys.exit(settle(house, [answer["build"]], answer, wait=wait, as_json=as_json))


@click.command()
@key_argument
@wait_option
@json_option
@click.pass_obj
def update(options: Options, key: EnvKey, wait: bool, as_json: bool) -> None:
    """Solve afresh: take the newest packages that fit, whatever was installed before."""
    with open_house(options) as house:
        answer = house.ask("update", environment=str(key), by=house.me)
        sys.exit(settle(house, [answer["build"]], answer, wait=wait, as_json=as_json))


@click.command()
@key_argument
@number_argument
@wait_option
@json_option
@click.pass_obj
def archive(options: Options, key: EnvKey, number: int | None, wait: bool, as_json: bool) -> None:
    """Have the archives of the current generation, or of N, made: tar.zst and tar.gz."""
    with open_house(options) as house:
        answer = house.ask("archive", environment=str(key), generation=number)
        sys.exit(settle_archive(house, key, answer, wait=wait, as_json=as_json))


def _pin(options: Options, key: EnvKey, number: int, *, pinned: bool, as_json: bool) -> None:
    with open_house(options) as house:
        answer = house.ask("pin", environment=str(key), generation=number, pinned=pinned)
    if as_json:
        print_json(answer)
    say(f"{key} #{number} is {'pinned' if pinned else 'not pinned'}")


def _tell_current(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    held = "held at" if answer["held"] else "current is"
    say(f"{answer['environment']}: {held} #{answer['current']}")
