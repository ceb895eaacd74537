"""`envwatch login` and `logout`: a token for a server, kept for this user alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from envwatch.cli.context import Options
from envwatch.cli.output import json_option, print_json, safe, say
from envwatch.cli.remote import Server, part, server_at
from envwatch.cli.servers import Login, address, check_way, forget, keep, login_for
from envwatch.errors import EnvwatchError, NotFound, Unknown

LONGEST = 8192  # characters of a token that is read


@click.command("login")
@click.argument("server", metavar="[URL]", required=False)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Where the token is; `-` reads it. Not given: it is asked for, and not shown.",
)
@click.option("--insecure-http", is_flag=True, help="Let it be sent where others may read it.")
@json_option
@click.pass_obj
def login(
    options: Options,
    server: str | None,
    token_file: Path | None,
    insecure_http: bool,
    as_json: bool,
) -> None:
    """Keep a token for the server at URL, so that commands with --url may do what it may.

    The token is made on the page /me of the server, and pasted here. It is checked first.
    """
    place = _place(options, server)
    if token_file is None:
        say(f"make a token at {place}/me (or ask an admin for one) and paste it here")
    made = Login(_token(token_file), insecure_http)
    check_way(place, made)
    found = _known(place, made.token)
    file = keep(place, made)
    if as_json:
        print_json({"url": place, "token": found["name"], "expires_at": found["expires_on"]})
    say(f"the token `{safe(str(found['name']))}` for {place} is kept in {file}")
    say(f"export ENVWATCH_URL={place}")


@click.command("logout")
@click.argument("server", metavar="[URL]", required=False)
@click.option("--revoke", is_flag=True, help="Have the server refuse the token from now on.")
@json_option
@click.pass_obj
def logout(options: Options, server: str | None, revoke: bool, as_json: bool) -> None:
    """Forget the token for the server at URL."""
    place = _place(options, server)
    if revoke:
        _revoke(server_at(place, login_for(place).token))
    known = forget(place)
    if as_json:
        print_json({"url": place, "forgotten": known, "revoked": revoke})
    if not known:
        raise NotFound(f"no token was kept for {place}")
    say(f"the token for {place} is forgotten{' and revoked' if revoke else ''}")


def _revoke(server: Server) -> None:
    """By a token only that token itself is listed."""
    for token in server.api("GET", "/token/"):
        server.api("DELETE", f"/token/{part(token['name'])}/")


def _place(options: Options, named: str | None) -> str:
    given = named or options.server
    if not given:
        raise click.UsageError("which server? name its URL")
    return address(given)


def _token(file: Path | None) -> str:
    if file is None:
        hidden = sys.stdin.isatty()
        text = click.prompt("token", hide_input=True, err=True) if hidden else sys.stdin.readline()
    else:
        try:
            with click.open_file(str(file), encoding="utf-8") as opened:
                text = opened.readline(LONGEST)
        except (OSError, UnicodeDecodeError) as e:
            raise EnvwatchError(f"{file}: the token cannot be read: {e}") from e
    token = str(text).strip()
    if not token or not token.isprintable() or " " in token:
        raise EnvwatchError("that is no token", hint="paste it whole, as it was shown")
    return token


def _known(place: str, token: str) -> dict[str, Any]:
    """What the server knows of the token. Raises Unknown where that is nothing."""
    found: list[dict[str, Any]] = server_at(place, token).api("GET", "/token/")
    if not found:
        raise Unknown(f"{place}: the token is nobody's", hint=f"make one at {place}/me")
    return found[0]
