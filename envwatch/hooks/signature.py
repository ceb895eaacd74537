"""Is a delivery signed with a secret that we know? One function for each way of signing.

Every secret is tried, whether or not one has fitted, and compared in constant time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

TOLERANCE = 300.0  # seconds by which the clock of a sender may differ from ours
_MOST_SIGNATURES = 16
_STANDARD = "whsec_"
_UNKNOWN = "it is signed with a secret that is not known here"
_ODD = "its signature is none"


@dataclass(frozen=True, slots=True)
class Signed:
    """A delivery as it came: names of headers in lower case, the body untouched."""

    headers: Mapping[str, str]
    body: bytes


def problem(signed: Signed, secrets: Sequence[bytes], now: float) -> str:
    """Why a delivery is not believed, in words; nothing where it is. `now` is Unix time.

    The first header that is there counts: a signature that is wrong is not made good by another.
    """
    for name, check in _CHECKS:
        if name in signed.headers:
            return check(signed, signed.headers[name], secrets, now)
    return "it is not signed"


def _hex(signed: Signed, value: str, secrets: Sequence[bytes], _: float) -> str:
    if not re.fullmatch(r"[0-9A-Fa-f]{64}", value):
        return _ODD
    return _fits(bytes.fromhex(value), (_mac(secret, signed.body) for secret in secrets))


def _named(signed: Signed, value: str, secrets: Sequence[bytes], now: float) -> str:
    """`sha256=` and the digest in hex."""
    method, _, rest = value.partition("=")
    if method == "sha1":
        return "it is signed with sha1, and only sha256 is taken"
    return _hex(signed, rest, secrets, now) if method == "sha256" else _ODD


def _token(_signed: Signed, value: str, secrets: Sequence[bytes], _: float) -> str:
    """The secret itself. Hashes are compared: they do not tell how long it is."""
    # headers come as latin-1, whatever they were
    given = hashlib.sha256(value.encode("latin-1", "replace")).digest()
    return _fits(given, (hashlib.sha256(secret).digest() for secret in secrets))


def _standard(signed: Signed, value: str, secrets: Sequence[bytes], now: float) -> str:
    """Standard Webhooks: the id and the time of the message are signed too."""
    name = signed.headers.get("webhook-id", "")
    at = signed.headers.get("webhook-timestamp", "")
    if not name or not re.fullmatch(r"\d{1,12}", at, re.ASCII):
        return "it has no `webhook-id` or no `webhook-timestamp`"
    content = f"{name}.{at}.".encode("latin-1", "replace") + signed.body
    macs = [_mac(key, content) for secret in secrets if (key := _decoded(secret))]
    given = [_decoded(s[3:].encode()) for s in value.split(" ") if s.startswith("v1,")]
    verdicts = [_fits(g, macs) for g in given[:_MOST_SIGNATURES]]
    if "" not in verdicts:
        return _UNKNOWN if given else _ODD
    if abs(now - int(at)) > TOLERANCE:
        return f"it was sent at another time: {round(now - int(at))} s ago by our clock"
    return ""


def _mac(secret: bytes, content: bytes) -> bytes:
    return hmac.digest(secret, content, "sha256")


def _fits(given: bytes, expected: Iterable[bytes]) -> str:
    found = [hmac.compare_digest(given, each) for each in expected]
    return "" if any(found) else _UNKNOWN


def _decoded(text: bytes) -> bytes:
    """Base64 as bytes; nothing for what is none."""
    try:
        return base64.b64decode(text.removeprefix(_STANDARD.encode()), validate=True)
    except binascii.Error:
        return b""


_Check = Callable[[Signed, str, Sequence[bytes], float], str]
_CHECKS: tuple[tuple[str, _Check], ...] = (
    ("x-forgejo-signature", _hex),
    ("x-gitea-signature", _hex),
    ("x-gogs-signature", _hex),
    ("webhook-signature", _standard),
    ("x-gitlab-token", _token),
    ("x-envwatch-signature", _named),
    ("x-hub-signature-256", _named),
    ("x-hub-signature", _named),
)
