"""Commands that change something about an environment: asked of the daemon."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from envwatch.cli.context import Options
from envwatch.cli.control import Answer, ask, caller
from envwatch.cli.keys import GENERATION, key_argument, number_argument, wait_option
from envwatch.cli.output import json_option, print_json, say
from envwatch.cli.queued import settle, settle_archive
from envwatch.cli.settings import settings_of
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
    answer = ask(
        settings_of(options), "activate", environment=str(key), generation=number, by=caller()
    )
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
    answer = ask(settings_of(options), "hold", environment=str(key), generation=number, by=caller())
    _tell_current(answer, as_json=as_json)


@click.command()
@key_argument
@json_option
@click.pass_obj
def release(options: Options, key: EnvKey, as_json: bool) -> None:
    """Let the newest generation become current again."""
    answer = ask(settings_of(options), "release", environment=str(key), by=caller())
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
    settings = settings_of(options)
    answer = ask(settings, "rebuild", environment=str(key), generation=generation, by=caller())
    sys.exit(settle(settings, [answer["build"]], answer, wait=wait, as_json=as_json))


@click.command()
@key_argument
@wait_option
@json_option
@click.pass_obj
def update(options: Options, key: EnvKey, wait: bool, as_json: bool) -> None:
    """Solve afresh: take the newest packages that fit, whatever was installed before."""
    settings = settings_of(options)
    answer = ask(settings, "update", environment=str(key), by=caller())
    sys.exit(settle(settings, [answer["build"]], answer, wait=wait, as_json=as_json))


@click.command()
@key_argument
@number_argument
@wait_option
@json_option
@click.pass_obj
def archive(options: Options, key: EnvKey, number: int | None, wait: bool, as_json: bool) -> None:
    """Have the archives of the current generation, or of N, made: tar.zst and tar.gz."""
    settings = settings_of(options)
    answer = ask(settings, "archive", environment=str(key), generation=number)
    sys.exit(settle_archive(settings, key, answer, wait=wait, as_json=as_json))


def _pin(options: Options, key: EnvKey, number: int, *, pinned: bool, as_json: bool) -> None:
    answer = ask(
        settings_of(options), "pin", environment=str(key), generation=number, pinned=pinned
    )
    if as_json:
        print_json(answer)
    say(f"{key} #{number} is {'pinned' if pinned else 'not pinned'}")


def _tell_current(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    held = "held at" if answer["held"] else "current is"
    say(f"{answer['environment']}: {held} #{answer['current']}")
