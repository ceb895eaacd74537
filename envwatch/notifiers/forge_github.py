"""Commit statuses and pull requests of GitHub and GitHub Enterprise."""

from __future__ import annotations

import json
from dataclasses import dataclass

from envwatch.model import PullRequest
from envwatch.notifiers.files import read_token
from envwatch.notifiers.http import ask, judge
from envwatch.notifiers.requests import LARGEST, Ask, issue_thread, pulls
from envwatch.settings import ForgeSettings, Network
from envwatch.telling import Status, StatusState, shortened

LONGEST = 140
STATES = {
    StatusState.PENDING: "pending",
    StatusState.SUCCESS: "success",
    StatusState.FAILURE: "failure",
    StatusState.CANCELLED: "error",  # it knows no better word
}


@dataclass(frozen=True, slots=True)
class GitHub:
    settings: ForgeSettings
    network: Network

    def tell(self, revision: str, status: Status) -> None:
        token = read_token(self.settings.token_file)
        url = f"{self._repository}/statuses/{revision}"
        body = {
            "state": STATES[status.state],
            "context": status.context,
            "description": shortened(status.description, LONGEST),
        }
        if status.url:
            body["target_url"] = status.url
        judge(self._asker(token)("POST", url, json.dumps(body).encode()), url, secret=token)

    def requests(self) -> tuple[PullRequest, ...]:
        token = read_token(self.settings.token_file)
        return pulls(self._asker(token), self._repository, token)

    def say(self, number: int, text: str, marker: str, known: str) -> str:
        token = read_token(self.settings.token_file)
        thread = issue_thread(self._asker(token), self._repository, number, token)
        return thread.say(text, marker, known)

    @property
    def _repository(self) -> str:
        return f"{self.settings.api}/repos/{self.settings.repository}"

    def _asker(self, token: str) -> Ask:
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "Content-Type": "application/json",
        }
        return lambda method, url, body: ask(method, url, self.network, headers, body, most=LARGEST)


def open_forge(settings: ForgeSettings, network: Network) -> GitHub:
    return GitHub(settings, network)
