"""Who asks, by the token that a program sends, and whether it may read or write a namespace."""

from __future__ import annotations

import base64
import binascii
import threading
import time
from collections import deque

from flask import Request

from envwatch import access
from envwatch.catalog import Catalog
from envwatch.catalog.records import TokenRecord
from envwatch.errors import Busy, Forbidden, Unknown

ANYBODY = "anybody"
_HINT = "a token is made by `envwatch token create NAME --namespaces NAMESPACE` on the host"
_LONGEST = 500  # characters of a header that can be a token
_WINDOW = 60.0  # seconds
_FAILURES = 60  # in a window, and then an address is told to wait
_ADDRESSES = 1000


def reading_is_open(namespace: str) -> bool:  # noqa: ARG001  # the one place that decides
    """May anybody read the files of a namespace? Whoever reaches the page sees them there."""
    return True


def admit(
    catalog: Catalog, failures: Failures, request: Request, namespace: str, *, to_write: bool
) -> str:
    """The name of the token that may do this. Raises Unknown, Forbidden, Busy."""
    secret = secret_of(request.headers.get("Authorization", ""))
    if not secret and not to_write and reading_is_open(namespace):
        return ANYBODY
    token = catalog.tokens.find(secret) if secret else None
    if token is None:
        raise _unknown(failures, request, given=bool(secret))
    if not may(token, namespace, to_write=to_write):
        verb = "push to" if to_write else "read"
        raise Forbidden(f"the token `{token.name}` may not {verb} `{namespace}`", hint=_HINT)
    catalog.tokens.used(token)
    return token.name


def may(token: TokenRecord, namespace: str, *, to_write: bool) -> bool:
    if not to_write and reading_is_open(namespace):
        return True
    return access.may(token.namespaces, write=token.write, namespace=namespace, to_write=to_write)


def secret_of(header: str) -> str:
    """The token in an Authorization header: the password of any user, or a bearer's."""
    kind, _, value = header[:_LONGEST].partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() != "basic":
        return ""
    try:
        decoded = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    user, _, password = decoded.partition(":")
    return password or user


def _unknown(failures: Failures, request: Request, *, given: bool) -> Unknown | Busy:
    if not given:
        return Unknown("this needs a token, as the password of any user name", hint=_HINT)
    if failures.too_many(request.remote_addr or ""):
        return Busy("too many wrong tokens came from this address", hint="wait for a minute")
    return Unknown("the token is wrong, revoked or expired", hint=_HINT)


class Failures:
    """Counts wrong tokens of each address. A right one passes whatever was counted: behind a
    proxy that is not named, everybody comes from one address.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = {}

    def too_many(self, address: str) -> bool:
        now = time.monotonic()
        with self._lock:
            if len(self._times) > _ADDRESSES:
                self._times.clear()
            times = self._times.setdefault(address, deque(maxlen=_FAILURES))
            full = len(times) == _FAILURES and now - times[0] < _WINDOW
            times.append(now)
        return full
