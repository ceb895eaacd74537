"""Asks a conda-store by its REST API: page after page, bounded, with patience for its bad days."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from envwatch.errors import NotFound, NotifyError, SourceError, SourceStalled
from envwatch.notifiers.http import Answer, ask, asked_wait
from envwatch.settings import LOOPBACK, Network

API = "/api/v1"
SIZE = 100  # of a page: the most that it gives
LARGEST = 32 * 2**20  # bytes of one answer
MOST = 100_000  # things of one kind
ATTEMPTS = 4
FIRST_PAUSE = 0.5  # seconds, doubled each time
LONGEST_PAUSE = 30.0
AGAIN = (408, 425, 429)


@dataclass(frozen=True, slots=True)
class Client:
    """One conda-store. `place` is its address, without the path of the API."""

    place: str
    network: Network
    token: str = ""
    patience: float = 30.0
    pause: float = FIRST_PAUSE

    def one(self, path: str) -> dict[str, Any]:
        """The `data` of one thing. Raises SourceError."""
        found = self._get(f"{self.place}{API}{path}").get("data")
        if not isinstance(found, dict):
            raise self._strange(path)
        return found

    def all(self, path: str, **wanted: object) -> Iterator[dict[str, Any]]:
        """Everything of a list, page after page. What moves between two pages comes once."""
        seen: set[object] = set()
        page = 0
        while True:
            page += 1
            query = urlencode({**wanted, "page": page, "size": SIZE})
            answer = self._get(f"{self.place}{API}{path}?{query}")
            data, count = answer.get("data"), answer.get("count")
            if not isinstance(data, list) or not isinstance(count, int):
                raise self._strange(path)
            fresh = [d for d in data if isinstance(d, dict) and d.get("id") not in seen]
            yield from fresh
            seen.update(d.get("id") for d in fresh)
            size = answer.get("size")
            asked = page * (size if isinstance(size, int) and size > 0 else SIZE)
            if not data or asked >= count:
                return
            if len(seen) > MOST:
                raise SourceStalled(f"{self.place}{API}{path}: lists more than {MOST}")

    def _get(self, url: str) -> dict[str, Any]:
        pause = self.pause
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._parsed(self._ask(url), url)
            except SourceError as e:
                if not e.retry or attempt == ATTEMPTS:
                    raise
                time.sleep(min(max(pause, getattr(e, "wait", 0.0)), LONGEST_PAUSE))
                pause *= 2
        raise AssertionError("the last attempt returns or raises")

    def _ask(self, url: str) -> Answer:
        headers = {"Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            answer = ask(
                "GET", url, self.network, headers, patience=self.patience, most=LARGEST + 1
            )
        except NotifyError as e:
            raise SourceError(e.message, hint="is the address right, and does it answer?") from e
        if not answer.ok:
            raise _refused(answer, url)
        return answer

    def _parsed(self, answer: Answer, url: str) -> dict[str, Any]:
        if len(answer.body) > LARGEST:
            raise SourceStalled(f"{url}: answers with more than {LARGEST} bytes")
        try:
            found = json.loads(answer.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise self._strange(urlsplit(url).path)
        return found

    def _strange(self, path: str) -> SourceStalled:
        return SourceStalled(
            f"{self.place}: what it answers to `{path}` is not a conda-store's",
            hint="give the address under which its page is, such as https://host/conda-store",
        )


class Limited(SourceError):
    """It asks for a pause; `wait` is how many seconds."""

    def __init__(self, message: str, wait: float) -> None:
        super().__init__(message)
        self.wait = wait


def open_client(
    url: str, network: Network, *, token: str = "", insecure: bool = False, patience: float = 30.0
) -> Client:
    """Raises SourceStalled where the address cannot be used, or would give the token away."""
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment or not parts.hostname:
        raise SourceStalled(
            "the address of a conda-store is a plain one", hint="put the token into --token-file"
        )
    if parts.scheme != "https" and parts.hostname not in LOOPBACK and not insecure:
        raise SourceStalled(
            f"`{parts.scheme}://{parts.netloc}`: what goes there can be read on the way",
            hint="use https, or allow it by --insecure-http",
        )
    place = url.rstrip("/").removesuffix(API)
    return Client(place, network, token, patience)


def _refused(answer: Answer, url: str) -> SourceError:
    text = f"{url} answers {answer.status}"
    if answer.message:
        text = f"{text}: {answer.message}"
    if answer.status >= 500 or answer.status in AGAIN:
        return Limited(text, asked_wait(answer, time.time()))
    if answer.status in (401, 403):
        return SourceStalled(text, hint="give a token by --token-file that may read everything")
    if answer.status == 404:
        return SourceStalled(text, hint="is this the address of a conda-store?")
    if answer.status < 400:
        return SourceStalled(text, hint="redirects are not followed: give the address it leads to")
    return SourceStalled(text)


def read_token(file: Any) -> str:
    """The first line of a file. Raises NotFound."""
    try:
        with file.open(encoding="utf-8") as opened:
            return str(opened.readline(8192)).strip()
    except (OSError, ValueError) as e:
        raise NotFound(f"{file}: the token cannot be read: {e}") from e
