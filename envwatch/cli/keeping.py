"""Commands that look after what is kept: verify, repair, gc, rebuild-index."""

from __future__ import annotations

import sys

import click

from envwatch.cli.context import Options
from envwatch.cli.control import ask
from envwatch.cli.house import LONG, open_house
from envwatch.cli.keys import optional_key_argument, wait_option
from envwatch.cli.output import json_option, print_json, print_table, safe, say
from envwatch.cli.queued import settle
from envwatch.cli.reading import check_owner
from envwatch.cli.settings import settings_of
from envwatch.cli.waiting import busy
from envwatch.daemon.index import rebuild_index as make_catalog
from envwatch.model import EnvKey


@click.command("verify")
@optional_key_argument
@json_option
@click.pass_obj
def verify(options: Options, key: EnvKey | None, as_json: bool) -> None:
    """Compare every published file with its record, of all environments or of KEY.

    Exits with 1 if something is damaged; repair builds it anew.
    """
    with busy("reading every file"):
        answer = ask(settings_of(options), "verify", environment=str(key or ""), timeout=LONG)
    damaged = answer["damaged"]
    if as_json:
        print_json(answer)
    elif damaged:
        print_table(("generation", "damage"), list(damaged.items()))
    say(f"{answer['checked']} generations checked, {len(damaged) or 'none'} damaged")
    if damaged:
        say("`envwatch repair` builds the current ones anew from their locks")
    sys.exit(1 if damaged else 0)


@click.command("repair")
@optional_key_argument
@wait_option
@json_option
@click.pass_obj
def repair(options: Options, key: EnvKey | None, wait: bool, as_json: bool) -> None:
    """Build anew, from its lock, every current generation that verify found damaged.

    The new files have a path of their own: nothing is changed under a running program.
    """
    with open_house(options) as house:
        answer = house.ask("repair", environment=str(key or ""))
        queued = answer["queued"]
        if not queued:
            say("nothing is known to be damaged: `envwatch verify` looks")
        sys.exit(settle(house, list(queued.values()), answer, wait=wait, as_json=as_json))


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Only say what would go, and why the rest stays.")
@json_option
@click.pass_obj
def gc(options: Options, dry_run: bool, as_json: bool) -> None:
    """Delete what retention does not keep.

    Never what is current, pinned, held or in use, nor anything in its time of grace. History,
    locks, logs and artifacts stay.
    """
    with busy("looking at every generation"):
        answer = ask(settings_of(options), "gc", dry_run=dry_run, timeout=LONG)
    verdicts = answer["generations"]
    if as_json:
        print_json(answer)
    else:
        print_table(
            ("generation", "", "why"),
            [
                (
                    f"{v['environment']} #{v['generation']}",
                    "goes" if v["goes"] else "stays",
                    v["reason"],
                )
                for v in verdicts
            ],
        )
    going = sum(v["goes"] for v in verdicts)
    say(f"{going} of {len(verdicts)} generations {'would go' if dry_run else 'deleted'}")


@click.command("rebuild-index")
@json_option
@click.pass_obj
def rebuild_index(options: Options, as_json: bool) -> None:
    """Make the catalog again from the records on disk: after it was lost or damaged.

    The old catalog is moved aside. Refused while a daemon runs.
    """
    settings = settings_of(options)
    check_owner(settings.root, superuser=False)
    with busy("reading the records"):
        made = make_catalog(settings)
    if as_json:
        print_json(made)
    for problem in made.problems:
        say(safe(problem))
    if made.aside:
        say(f"the old catalog is {made.aside}")
    say(f"{made.environments} environments, {made.builds} builds, {made.generations} generations")
