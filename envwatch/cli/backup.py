"""`envwatch backup` and `envwatch restore`: the way out, and back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from envwatch.cli.context import Options
from envwatch.cli.output import json_option, print_json, safe, say
from envwatch.cli.reading import check_owner
from envwatch.cli.settings import settings_of
from envwatch.cli.waiting import busy
from envwatch.daemon.backing import back_up
from envwatch.daemon.restoring import restore as bring_back
from envwatch.units import size


@click.command("backup")
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--with-artifacts", is_flag=True, help="Keep the archives and other downloads too.")
@json_option
@click.pass_obj
def backup(options: Options, target: Path, with_artifacts: bool, as_json: bool) -> None:
    """Write all that cannot be made again into one file, TARGET, such as envwatch.tar.zst.

    The catalog, managed repositories, locks, records, logs and the config. A daemon may run.
    Prefixes are made again from their locks by `envwatch restore`.
    """
    settings = settings_of(options)
    check_owner(settings.root, superuser=False)
    with busy("writing the backup"):
        made = back_up(settings, target, artifacts=with_artifacts)
    if as_json:
        print_json(made)
    _say_missing(made.missing, "not in it, for they are secrets or the machine's:")
    say(f"{made.file}: {made.files} files, {size(made.size)}")


@click.command("restore")
@click.argument("source", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@click.pass_obj
def restore(options: Options, source: Path, as_json: bool) -> None:
    """Make a root again from the backup SOURCE, in an empty folder.

    The folder is that of --root or of the config. A damaged backup is refused before anything is
    written. Prefixes that people use are queued to be made again from their locks.
    """
    # a config cannot be used yet where it names secrets that are to come back as well
    root = options.root.absolute() if options.root else settings_of(options).root
    check_owner(root, superuser=False)
    with busy("reading the backup"):
        made = bring_back(root, source)
    if as_json:
        print_json(made)
    _say_missing(made.missing, "the config names files that no backup holds:")
    if made.config is not None:
        say(f"its config is {made.config}")
    say(
        f"{made.root}: {made.environments} environments, {made.generations} generations, "
        f"{made.queued} to be made again by `envwatch run` or `envwatch once`"
    )


def _say_missing(files: Sequence[str], title: str) -> None:
    if files:
        say(title)
    for file in files:
        say(f"  {safe(file)}")
