"""Asks a server over HTTP: its API, the JSON twins of its pages, its files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import getproxies

from pydantic import TypeAdapter, ValidationError

from envwatch.cli.faults import error_of
from envwatch.cli.servers import API, address, login_for
from envwatch.errors import (
    Busy,
    Conflict,
    DaemonAway,
    EnvwatchError,
    Forbidden,
    NotFound,
    NotifyError,
    Unknown,
)
from envwatch.notifiers.http import Answer, ask, asked_wait
from envwatch.settings import Network

T = TypeVar("T")

SOON = 60.0  # seconds for an answer that needs no work
LONG = 4 * 3600.0  # seconds for one that solves
LARGEST = 64 * 2**20  # bytes of one answer
NO_ROUTE = f"see {API}/docs"  # the hint of a server that does not know what is asked
KINDS: Mapping[int, type[EnvwatchError]] = {
    HTTPStatus.UNAUTHORIZED: Unknown,
    HTTPStatus.FORBIDDEN: Forbidden,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.PRECONDITION_FAILED: Conflict,
    HTTPStatus.TOO_MANY_REQUESTS: Busy,
}


@dataclass(frozen=True, slots=True)
class Server:
    """One server. The token goes to it alone: no redirect is followed."""

    url: str
    token: str
    network: Network

    def api(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        seen: str = "",
        patience: float = SOON,
        **query: object,
    ) -> Any:
        """The `data` of one operation; `seen` is the revision that is edited."""
        headers = {"If-Match": f'"{seen}"'} if seen else {}
        answer = self.ask(method, API + path, body, headers, patience=patience, query=query)
        found = _json(answer)
        if not isinstance(found, dict) or "data" not in found:
            raise self._stranger(answer)
        return found["data"]

    def page(self, path: str, kind: TypeAdapter[T], **query: object) -> T:
        """The value that a page shows."""
        answer = self.ask("GET", path, query=query)
        return self.made(kind, answer.body)

    def file(self, path: str, *, start: int = 0) -> bytes:
        """A file, from a byte on."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        past_the_end = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        answer = self.ask("GET", path, headers=headers, also=past_the_end)
        if answer.status == past_the_end:
            return b""
        return answer.body[start:] if answer.status == HTTPStatus.OK else answer.body

    def made(self, kind: TypeAdapter[T], body: bytes) -> T:
        """A value of the server's, if it is one that is known here."""
        try:
            return kind.validate_json(body)
        except ValidationError as e:
            raise self._other_version() from e

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        patience: float = SOON,
        query: Mapping[str, object] | None = None,
        also: int = HTTPStatus.OK,
    ) -> Answer:
        """An answer that acknowledges, or of a status that is meant `also`.

        Raises what the server says, or DaemonAway where it says nothing.
        """
        wanted = {name: value for name, value in (query or {}).items() if value not in ("", None)}
        url = f"{self.url}{path}{'?' if wanted else ''}{urlencode(wanted)}"
        sent = {"Accept": "application/json", **(headers or {})}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        try:
            answer = ask(method, url, self.network, sent, data, patience=patience, most=LARGEST)
        except NotifyError as e:
            reason = e.message.partition(": ")[2] or e.message
            raise DaemonAway(
                f"{self.url}: no answer: {reason}", hint="is the address right, and does it run?"
            ) from None
        if not answer.ok and answer.status != also:
            raise self._refused(answer)
        _check_whole(answer, url)
        return answer

    # ------------------------------------------------------------ what went wrong

    def _refused(self, answer: Answer) -> EnvwatchError:
        if 300 <= answer.status < 400:
            there = urlsplit(answer.headers.get("location", ""))
            where = f"{there.scheme}://{there.netloc}{there.path}"
            return EnvwatchError(
                f"{self.url}: leads to `{where}`", hint="if that is the server, name it by --url"
            )
        said = _json(answer)
        detail = said.get("detail") or said.get("message") if isinstance(said, dict) else None
        if not isinstance(said, dict) or not isinstance(detail, str):
            return self._stranger(answer)
        hint = str(said.get("hint") or "")
        if hint == NO_ROUTE:
            return self._other_version()
        return self._told(answer, str(said.get("type") or ""), detail, hint)

    def _told(self, answer: Answer, name: str, detail: str, hint: str) -> EnvwatchError:
        if answer.status == HTTPStatus.UNAUTHORIZED:
            which = "another token" if self.token else "a token for it"
            hint = f"`envwatch login {self.url}` keeps {which}"
            return Unknown(f"{self.url}: {detail}", hint=hint)
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            seconds = asked_wait(answer, 0.0)
            return Busy(detail, hint=f"come back in {seconds:.0f} s" if seconds else hint)
        otherwise = KINDS.get(answer.status, EnvwatchError)
        return error_of(name, detail, hint, otherwise=otherwise)

    def _stranger(self, answer: Answer) -> EnvwatchError:
        return EnvwatchError(
            f"{self.url}: what answers there is no envwatch: status {answer.status}",
            hint="give the address under which its page is",
        )

    def _other_version(self) -> EnvwatchError:
        found = _json(self.ask("GET", f"{API}/", also=HTTPStatus.NOT_FOUND))
        data = found.get("data") if isinstance(found, dict) else None
        theirs = str(data.get("version", "")) if isinstance(data, dict) else ""
        return EnvwatchError(
            f"{self.url}: envwatch {theirs[:40]!a} and this one, {version('envwatch')!a}, "
            "do not understand each other",
            hint="have the same version on both sides",
        )


def open_server(url: str) -> Server:
    """The server of this address, with the token for it. Raises EnvwatchError, Forbidden."""
    place = address(url)
    return server_at(place, login_for(place).token)


def server_at(place: str, token: str) -> Server:
    return Server(place, token, network(place))


def network(url: str) -> Network:
    """As the shell has it: proxies, and the certificates to trust."""
    authority = os.environ.get("SSL_CERT_FILE")
    return Network(
        proxy=getproxies().get(urlsplit(url).scheme, ""),
        ca_file=Path(authority) if authority else None,
    )


def part(*names: object) -> str:
    """Names as a part of an address."""
    return "/".join(quote(str(name), safe="") for name in names)


def _json(answer: Answer) -> Any:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


def _check_whole(answer: Answer, url: str) -> None:
    size, came = answer.headers.get("content-length", ""), len(answer.body)
    if size.isdigit() and came < int(size):
        raise EnvwatchError(f"{url}: only {came} of {size} bytes came", hint="try again")
