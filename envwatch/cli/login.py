"""`envwatch login` and `logout`: a token for a server, kept for this user alone."""

from __future__ import annotations

import re
import socket
import sys
import time
from pathlib import Path
from typing import Any

import click

from envwatch.cli.context import Options
from envwatch.cli.output import json_option, print_json, safe, say
from envwatch.cli.remote import Server, part, server_at
from envwatch.cli.servers import Login, address, check_place, check_way, forget, keep, login_for
from envwatch.errors import Busy, DaemonAway, EnvwatchError, NotFound, Unknown

LONGEST = 8192  # characters of a token that is read
GRACE = 30.0  # seconds after which a server that was away is asked no more
OVER = "nobody allowed it in time, or the server has started again"


@click.command("login")
@click.argument("server", metavar="[URL]", required=False)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Where the token is; `-` reads it.",
)
@click.option(
    "--paste", is_flag=True, help="Ask for a token that was made before; it is not shown."
)
@click.option("--insecure-http", is_flag=True, help="Let it be sent where others may read it.")
@json_option
@click.pass_obj
def login(
    options: Options,
    server: str | None,
    token_file: Path | None,
    paste: bool,
    insecure_http: bool,
    as_json: bool,
) -> None:
    """Keep a token for the server at URL, so that commands with --url may do what it may.

    It shows an address and a code: open the address in any browser, also on another machine, sign
    in, and allow it. Where nobody can sign in, with --paste, or when its input is no terminal, it
    reads a token that was made on the page /me or by an admin. It is checked first.
    """
    place = _place(options, server)
    check_way(place, insecure=insecure_http)
    check_place()
    token = "" if token_file or paste or not sys.stdin.isatty() else _allowed(place)
    made = Login(token or _given(place, token_file), insecure_http)
    if token:
        keep(place, made)  # it was handed over this once
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


def _allowed(place: str) -> str:
    """The token that somebody allows on a page of the server; empty where nobody can sign in."""
    server = server_at(place, "")
    try:
        asked = server.api("POST", "/device/", {"name": _this_machine()})
    except (Busy, DaemonAway):
        raise
    except EnvwatchError as e:
        # nobody signs in there, it is an older one, or a proxy lets only tokens pass
        say(safe(e.message))
        return ""
    say(f"open {safe(asked['verification_uri_complete'])}")
    say(f"sign in there, and allow it if the page shows {safe(asked['user_code'])}")
    end = time.monotonic() + float(asked["expires_in"]) + GRACE
    while time.monotonic() < end:
        time.sleep(float(asked["interval"]))
        found = _look(server, asked["device_code"])
        if found:
            return found
    raise EnvwatchError(OVER, hint="begin again")


def _look(server: Server, code: str) -> str:
    """A server that is busy, or away for a moment, is asked again."""
    try:
        found = server.api("POST", "/device/token/", {"device_code": code})
    except (Busy, DaemonAway):
        return ""
    except NotFound:
        raise EnvwatchError(OVER, hint="begin again") from None
    return str(found["token"] or "")


def _this_machine() -> str:
    """Its name, as far as a token can be called so."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", socket.gethostname())
    return name.lstrip("._-")[:64] or "terminal"


def _given(place: str, file: Path | None) -> str:
    if file is None:
        say(f"make a token at {place}/me (or ask an admin for one) and paste it here")
    return _token(file)


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
