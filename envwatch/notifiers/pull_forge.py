"""What GitHub and Gitea have in common: the same paths for statuses, pull requests, comments."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from envwatch.model import PullRequest
from envwatch.notifiers.files import read_token
from envwatch.notifiers.http import ask, judge
from envwatch.notifiers.requests import LARGEST, Ask, Thread, pages, request
from envwatch.settings import ForgeSettings, Network
from envwatch.telling import Status


@dataclass(frozen=True, slots=True)
class PullForge(ABC):
    settings: ForgeSettings
    network: Network

    @abstractmethod
    def headers(self, token: str) -> Mapping[str, str]:
        """Those of each request."""

    @abstractmethod
    def body(self, status: Status) -> Mapping[str, str]:
        """A status in the words of the forge."""

    def tell(self, revision: str, status: Status) -> None:
        token = read_token(self.settings.token_file)
        url = f"{self._repository}/statuses/{revision}"
        sent = json.dumps(self.body(status)).encode()
        judge(self._asker(token)("POST", url, sent), url, secret=token)

    def requests(self) -> tuple[PullRequest, ...]:
        token = read_token(self.settings.token_file)
        found = pages(self._asker(token), f"{self._repository}/pulls?state=open", token)
        return tuple(r for each in found if (r := _pull(each)))

    def say(self, number: int, text: str, marker: str, known: str) -> str:
        token = read_token(self.settings.token_file)
        issues = f"{self._repository}/issues"
        change = ("PATCH", f"{issues}/comments")
        thread = Thread(self._asker(token), f"{issues}/{number}/comments", change, token)
        return thread.say(text, marker, known)

    @property
    def _repository(self) -> str:
        return f"{self.settings.api}/repos/{self.settings.repository}"

    def _asker(self, token: str) -> Ask:
        headers = {"Content-Type": "application/json", **self.headers(token)}
        return lambda method, url, body: ask(method, url, self.network, headers, body, most=LARGEST)


def _pull(found: dict[str, Any]) -> PullRequest | None:
    author, target = found.get("user") or {}, found.get("base") or {}
    return request(
        found.get("number"),
        found.get("title"),
        author.get("login"),
        target.get("ref"),
        found.get("html_url"),
    )
