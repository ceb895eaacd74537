"""Who asks, by the token that a program sends, and whether it may read or write a namespace."""

from __future__ import annotations

import base64
import binascii
import threading
import time
from collections import deque

from flask import Request

from envwatch.errors import Busy, Forbidden, Unknown
from envwatch.rights import Rights
from envwatch.settings import Role

ANYBODY = "anybody"
_HINT = "a token is made by `envwatch token create NAME --namespaces NAMESPACE` on the host"
_LONGEST = 500  # characters of a header that can be a token
_WINDOW = 60.0  # seconds
_FAILURES = 60  # in a window, and then an address is told to wait
_ADDRESSES = 1000


def admit(
    rights: Rights, failures: Failures, request: Request, namespace: str, *, to_write: bool
) -> str:
    """Who may do this: the name of a token, or anybody. Raises Unknown, Forbidden, Busy."""
    secret = secret_of(request.headers.get("Authorization", ""))
    role = Role.DEVELOPER if to_write else Role.VIEWER
    if not secret and rights.anonymous().may_all(role, namespace):
        return ANYBODY
    who = rights.of_token(secret) if secret else None
    if who is None:
        raise unknown(failures, request, given=bool(secret))
    if not who.may_all(role, namespace):
        verb = "push to" if to_write else "read"
        raise Forbidden(f"the token `{who.token}` may not {verb} `{namespace}`", hint=_HINT)
    return who.token


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


def unknown(failures: Failures, request: Request, *, given: bool) -> Unknown | Busy:
    if not given:
        return Unknown("this needs a token, as the password of any user name", hint=_HINT)
    if failures.too_many(request.remote_addr or ""):
        return Busy("too many wrong tokens came from this address", hint="wait for a minute")
    return Unknown("the token is wrong, revoked or expired", hint=_HINT)


class Failures:
    """Counts wrong tokens of each address. A right one passes whatever was counted: behind a
    proxy that is not named, everybody comes from one address.
    """

    def __init__(self, most: int = _FAILURES) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = {}

    def too_many(self, address: str) -> bool:
        now = time.monotonic()
        with self._lock:
            if len(self._times) > _ADDRESSES:
                self._times.clear()
            times = self._times.setdefault(address, deque(maxlen=self._most))
            full = len(times) == self._most and now - times[0] < _WINDOW
            times.append(now)
        return full
