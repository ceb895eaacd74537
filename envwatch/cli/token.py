"""`envwatch token`: what lets a program of a person read and push, without a login."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from envwatch.catalog.records import TokenRecord
from envwatch.cli.context import Options
from envwatch.cli.house import open_house
from envwatch.cli.keys import duration
from envwatch.cli.output import json_option, print_json, print_table, say
from envwatch.cli.words import when
from envwatch.settings import Role

NEVER = "never"


def _seconds(ctx: click.Context, param: click.Parameter, value: str) -> float:
    if value == NEVER:
        return 0.0
    seconds = duration(ctx, param, value)
    if not seconds:
        raise click.BadParameter(f"a token that never ends is written `{NEVER}`", ctx, param)
    return seconds


@click.group("token")
def command() -> None:
    """Tokens: what git and other programs send to read and push."""


@command.command()
@click.argument("name")
@click.option(
    "--namespaces",
    required=True,
    metavar="PATTERNS",
    help="The namespaces that it is for, as `people,team-*`.",
)
@click.option(
    "--role",
    type=click.Choice([r.value for r in Role]),
    default=Role.DEVELOPER.value,
    show_default=True,
    help="viewer reads, developer pushes and builds, admin also manages the namespace.",
)
@click.option(
    "--expires",
    "seconds",
    default="90d",
    show_default=True,
    metavar="DURATION",
    callback=_seconds,
    help="How long it holds, or `never` for no end.",
)
@json_option
@click.pass_obj
def create(
    options: Options, name: str, namespaces: str, role: str, seconds: float, as_json: bool
) -> None:
    """Make a token and print it. It is shown this once: only its hash is kept."""
    with open_house(options) as house:
        answer = house.ask(
            "create_token",
            name=name,
            namespaces=namespaces,
            role=role,
            by=house.me,
            seconds=seconds,
        )
    if as_json:
        print_json(answer)
        return
    click.echo(answer["token"])
    say("it is shown this once: git takes it as the password of any user name")


@command.command("list")
@json_option
@click.pass_obj
def listed(options: Options, as_json: bool) -> None:
    """List tokens, the newest first, also those that hold no more. Secrets are not kept."""
    with open_house(options) as house:
        tokens = house.tokens()
    now = datetime.now(UTC)
    if as_json:
        print_json(tokens)
        return
    print_table(
        ("name", "state", "namespaces", "role", "created", "by", "last used", "expires"),
        [_row(token, now) for token in tokens],
        styles=["" if token.is_valid(now) else "dim" for token in tokens],
    )


@command.command()
@click.argument("name", required=False, default="")
@click.option(
    "--owner", default="", metavar="PERSON", help="Only theirs; without NAME all of them."
)
@json_option
@click.pass_obj
def revoke(options: Options, name: str, owner: str, as_json: bool) -> None:
    """Refuse the tokens of this name, or of one person, from now on."""
    if not name and not owner:
        raise click.UsageError("name a token, or a person by --owner")
    with open_house(options) as house:
        answer = house.ask("revoke_token", name=name, owner=owner)
    if as_json:
        print_json(answer)
    what = f"the token {name}" if name else "every token"
    say(f"{what}{f' of {owner}' if owner else ''} is refused from now on")


def _row(token: TokenRecord, now: datetime) -> tuple[str, ...]:
    over = "revoked" if token.revoked_at else "expired"
    return (
        token.name,
        "valid" if token.is_valid(now) else over,
        ",".join(token.namespaces),
        token.role.value,
        when(token.created_at),
        token.created_by,
        when(token.used_at),
        when(token.expires_at) if token.expires_at else NEVER,
    )
