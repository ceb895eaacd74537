"""The words about people: how they are read, and what must hold for them."""

from __future__ import annotations

import re
from ipaddress import ip_network
from urllib.parse import urlsplit

from envwatch.access import read_pattern
from envwatch.config.words import Wrong, quoted
from envwatch.errors import Conflict

_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")


def read_access_pattern(text: str) -> str:
    """`team-*` → `team-*/*`."""
    try:
        return read_pattern(text)
    except Conflict as e:
        raise Wrong(f"{quoted(text)} is not a namespace", e.hint) from e


def read_url(text: str) -> str:
    """An address that browsers are sent to: https, or http on this machine."""
    parts = urlsplit(text)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username:
        raise Wrong(f"{quoted(text)} is not an address", "write `https://…`, without a password")
    if parts.scheme == "http" and not local:
        raise Wrong(f"{quoted(text)} is not https", "secrets would be sent in the clear")
    return text.rstrip("/")


def read_header(text: str) -> str:
    if not _HEADER.fullmatch(text):
        raise Wrong(f"{quoted(text)} is not the name of a header", "as `X-Forwarded-User`")
    return text


def read_address(text: str) -> str:
    try:
        return str(ip_network(text, strict=False))
    except ValueError as e:
        raise Wrong(f"{quoted(text)} is no address or network", "as `10.0.0.0/8`") from e
