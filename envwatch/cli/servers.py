"""Servers that commands are for: how they are named, and the tokens that people keep for them."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from envwatch.cli.context import own_folder
from envwatch.errors import EnvwatchError, Forbidden
from envwatch.settings import LOOPBACK

API = "/api/v1"
TOKEN_VARIABLE = "ENVWATCH_TOKEN"  # noqa: S105  # the name of a variable
OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Login:
    """A token for one server. `insecure`: it may be sent where it can be read on the way."""

    token: str
    insecure: bool = False


KEPT = TypeAdapter(dict[str, Login])
NOBODY = Login("")


def address(text: str) -> str:
    """The address of a server in its one form. Raises EnvwatchError."""
    try:
        parts = urlsplit(text)
        plain = parts.hostname and parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        plain = False
    if not plain or parts.username or parts.password or parts.query or parts.fragment:
        raise EnvwatchError(
            "that is not the address of a server",
            hint="write it as https://env.example.org, with nothing secret in it",
        )
    path = parts.path.rstrip("/").removesuffix(API)
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def login_for(url: str) -> Login:
    """What to send to a server: the token of the shell, else the one that is kept for it.

    Raises Forbidden where it could be read on the way.
    """
    kept = _kept().get(url, NOBODY)
    given = os.environ.get(TOKEN_VARIABLE, "").strip()
    login = Login(given, kept.insecure) if given else kept
    if login.token:
        check_way(url, insecure=login.insecure)
    return login


def check_way(url: str, *, insecure: bool) -> None:
    """Raises Forbidden where a token could be read on the way to the server, unless that may be."""
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK and not insecure:
        raise Forbidden(
            f"{url}: a token that goes there can be read on the way",
            hint="use https, or allow it by `envwatch login --insecure-http`",
        )


def check_place() -> None:
    """Raises Forbidden, EnvwatchError where no token could be kept beside those that are."""
    _kept()


def keep(url: str, login: Login) -> Path:
    """Keep the token of a server, for this user's eyes alone; where."""
    _write({**_kept(), url: login})
    return place()


def forget(url: str) -> bool:
    """Was there a token? It is no more."""
    kept = _kept()
    if url not in kept:
        return False
    _write({name: login for name, login in kept.items() if name != url})
    return True


def place() -> Path:
    return own_folder() / "tokens.json"


def _kept() -> dict[str, Login]:
    """Raises Forbidden where others can read them, EnvwatchError where nobody can."""
    path = place()
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            found = KEPT.validate_json(file.read())
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as e:
        problem = e.strerror if isinstance(e, OSError) else "it is no list of tokens"
        raise EnvwatchError(f"{path}: cannot be read: {problem}", hint="remove it") from None
    if mode & OTHERS:
        raise Forbidden(f"{path}: others can read it", hint=f"chmod 600 {path}")
    return found


def _write(logins: Mapping[str, Login]) -> None:
    path = place()
    text = json.dumps({url: asdict(login) for url, login in logins.items()}, indent=1)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # made for nobody else from its first byte on
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w") as file:
            file.write(f"{text}\n")
        Path(beside).replace(path)
    except OSError as e:
        raise EnvwatchError(f"{path}: cannot be written: {e.strerror}") from e
