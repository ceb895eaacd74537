"""`envwatch env pull`: the same environment on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from envwatch.cli import pulling
from envwatch.cli.context import Options
from envwatch.cli.copies import copies_of, store_of
from envwatch.cli.env_looking import current
from envwatch.cli.house import House, open_house
from envwatch.cli.keys import key_argument, number_argument
from envwatch.cli.output import json_option, print_json, say
from envwatch.cli.waiting import busy
from envwatch.errors import Conflict
from envwatch.model import EnvKey
from envwatch.store import Store

HERE = "file://localhost"  # where copies of a root on this machine are counted


@click.command("pull")
@key_argument
@number_argument
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="A new folder for it. Not given: a place of its own, which `env path` prints.",
)
@json_option
@click.pass_obj
def pull(
    options: Options, key: EnvKey, number: int | None, folder: Path | None, as_json: bool
) -> None:
    """Make the same environment on this machine: exactly the packages of its lock, each checked.

    The current generation, or N. Packages come from the channels that the lock names.
    """
    if not options.server and folder is None:
        raise Conflict(
            f"{key} is on this machine already: `envwatch env path {key}`",
            hint="--to makes another one elsewhere",
        )
    store = store_of(options) if options.server else copies_of(HERE)
    with open_house(options) as house:
        made = fetch_copy(house, store, key, number, folder)
    if as_json:
        print_json(made)
    else:
        click.echo(made.link or made.prefix)
    what = f"{made.packages} packages" if made.fresh else "it was here already"
    say(f"{key} #{made.generation}: {what}")


def fetch_copy(
    house: House, store: Store, key: EnvKey, number: int | None, folder: Path | None = None
) -> pulling.Copy:
    """Make one generation on this machine, below the store or in the folder."""
    chosen = number or current(house, key)
    with busy(f"{key} #{chosen}") as show:
        return pulling.pull(house, store, key, chosen, folder=folder, show=show)
