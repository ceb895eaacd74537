"""`envwatch namespace`: who owns environments, and namespaces made beside those of the config."""

from __future__ import annotations

import click

from envwatch.cli.context import Options
from envwatch.cli.house import open_house
from envwatch.cli.output import json_option, print_json, print_table, say
from envwatch.settings import Role


@click.group("namespace")
def command() -> None:
    """Namespaces: who owns environments."""


@command.command()
@click.argument("name")
@json_option
@click.pass_obj
def create(options: Options, name: str, as_json: bool) -> None:
    """Make a namespace with a repository of its own, to which people push."""
    with open_house(options) as house:
        answer = house.ask("create_namespace", name=name, by=house.me)
    if as_json:
        print_json(answer)
        return
    click.echo(answer["clone"])
    token = f"envwatch token create NAME --namespaces {name}"
    say(f"the namespace {name} is there; a token for it: `{token}`")


@command.command()
@click.argument("pattern")
@click.option(
    "--role",
    type=click.Choice([r.value for r in Role]),
    required=True,
    help="viewer, developer or admin.",
)
@click.option("--user", default="", help="A person, as their login names them.")
@click.option("--group", default="", help="A group, as logins name it.")
@json_option
@click.pass_obj
def grant(options: Options, pattern: str, role: str, user: str, group: str, as_json: bool) -> None:
    """Give a person or a group a role in PATTERN: `lab`, `team-*`, `lab/stats`."""
    with open_house(options) as house:
        answer = house.ask("grant", pattern=pattern, role=role, user=user, group=group, by=house.me)
    if as_json:
        print_json(answer)
        return
    say(f"{user or group} is {role} of {answer['pattern']}")


@command.command()
@click.argument("pattern")
@click.option("--user", default="", help="A person, as their login names them.")
@click.option("--group", default="", help="A group, as logins name it.")
@json_option
@click.pass_obj
def revoke(options: Options, pattern: str, user: str, group: str, as_json: bool) -> None:
    """Take back a role that was granted here. What the config grants stays."""
    with open_house(options) as house:
        answer = house.ask("ungrant", pattern=pattern, user=user, group=group, by=house.me)
    if as_json:
        print_json(answer)
        return
    say(f"{user or group} has no role of {answer['pattern']} by a grant any more")


@command.command()
@json_option
@click.pass_obj
def grants(options: Options, as_json: bool) -> None:
    """List all roles: those that the config grants, and those that were granted here."""
    with open_house(options) as house:
        found = house.grants()
    if as_json:
        print_json(found)
        return
    names = ("pattern", "role", "user", "group", "by")
    print_table(names, [tuple(g[n] for n in names) for g in found])


@command.command("list")
@json_option
@click.pass_obj
def listed(options: Options, as_json: bool) -> None:
    """List namespaces that have an environment, or were made here."""
    with open_house(options) as house:
        rows = house.namespaces()
    if as_json:
        print_json(rows)
        return
    print_table(
        ("namespace", "environments", "need attention", "made by"),
        [tuple(str(v) for v in row.values()) for row in rows],
    )
