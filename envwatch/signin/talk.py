"""Requests to a provider: bounded in time and size, and no message repeats what is secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from envwatch.errors import NotifyError, SigninError, SigninRefused
from envwatch.notifiers import http
from envwatch.settings import Network

PATIENCE = 10.0  # seconds without a byte
MOST = 2**20  # bytes of an answer
JSON = {"Accept": "application/json"}
FORM = "application/x-www-form-urlencoded"


def get(url: str, network: Network, *, bearer: str = "") -> dict[str, Any]:
    """The object at an address. Raises SigninError, SigninRefused."""
    headers = JSON | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
    return _object(_ask("GET", url, network, headers), url)


def post(
    url: str, network: Network, values: Mapping[str, str], headers: Mapping[str, str]
) -> dict[str, Any]:
    """What the answer to a form says. Raises SigninError, SigninRefused."""
    body = urlencode(values).encode()
    return _object(_ask("POST", url, network, {**JSON, "Content-Type": FORM, **headers}, body), url)


def _ask(
    method: str,
    url: str,
    network: Network,
    headers: Mapping[str, str],
    body: bytes | None = None,
) -> http.Answer:
    try:
        return http.ask(method, url, network, headers, body, patience=PATIENCE, most=MOST)
    except NotifyError as e:
        raise SigninError(e.message, hint="is it up, and can this machine reach it?") from e


def _object(answer: http.Answer, url: str) -> dict[str, Any]:
    who = http.place(url)
    if not answer.ok:
        # the body may repeat what was sent: only the code word of the error is told
        kind = SigninError if answer.status >= 500 or answer.status == 429 else SigninRefused
        raise kind(f"{who} answers {answer.status}{_code(answer.body)}")
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError) as e:
        raise SigninError(f"{who} answers with what is not JSON") from e
    if not isinstance(found, dict):
        raise SigninError(f"{who} answers with what is no JSON object")
    return found


KNOWN = (
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "invalid_token",
    "unauthorized_client",
    "unsupported_grant_type",
    "insufficient_scope",
)


def _code(body: bytes) -> str:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    code = found.get("error") if isinstance(found, dict) else None
    return f": {code}" if code in KNOWN else ""
