"""Whom a proxy has signed in: believed where the proxy itself is asking, and says its secret."""

from __future__ import annotations

import hmac
import logging
from ipaddress import ip_address, ip_network
from pathlib import Path

from flask import request

from envwatch.access import Identity, person_name
from envwatch.errors import SigninError
from envwatch.settings import ProxyLogin
from envwatch.signin.secret import read_secret

logger = logging.getLogger(__name__)

SECRET_HEADER = "X-Envwatch-Proxy-Secret"  # noqa: S105  # where it stands, not what it is


def of_proxy(said: ProxyLogin) -> Identity | None:
    name = person_name(_header(said.user_header))
    if not name or not _is_trusted(said.trusted) or not _knows(said.secret_file):
        return None
    groups = _header(said.groups_header) if said.groups_header else ""
    found = (part.strip() for part in groups.split(","))
    return Identity(name, tuple(g for g in found if g and g.isprintable() and len(g) <= 255))


def _header(name: str) -> str:
    """WSGI reads headers as Latin-1, proxies write UTF-8."""
    found = request.headers.get(name, "")
    try:
        return found.encode("latin-1").decode()
    except UnicodeError:
        return found


def _is_trusted(trusted: tuple[str, ...]) -> bool:
    # the address of the connection: what stands in forwarded headers anybody can write
    before = request.environ.get("werkzeug.proxy_fix.orig", request.environ)
    try:
        address = ip_address(before.get("REMOTE_ADDR", ""))
    except ValueError:
        return False  # a socket has none
    return any(address in ip_network(t, strict=False) for t in trusted)


def _knows(file: Path | None) -> bool:
    """Does it send the secret? Read at each use: a new one counts at once."""
    if file is None:
        return True
    try:
        secret = read_secret(file)
    except SigninError as e:
        logger.error("login.proxy: nobody is signed in: %s", e)
        return False
    sent = request.headers.get(SECRET_HEADER, "").encode("latin-1", "replace")
    return hmac.compare_digest(sent, secret.encode())
