"""Commit statuses of GitHub and GitHub Enterprise."""

from __future__ import annotations

import json
from dataclasses import dataclass

from envwatch.notifiers.files import read_token
from envwatch.notifiers.http import ask, judge
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
        url = f"{self.settings.api}/repos/{self.settings.repository}/statuses/{revision}"
        body = {
            "state": STATES[status.state],
            "context": status.context,
            "description": shortened(status.description, LONGEST),
        }
        if status.url:
            body["target_url"] = status.url
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "Content-Type": "application/json",
        }
        judge(ask("POST", url, self.network, headers, json.dumps(body).encode()), url, secret=token)


def open_forge(settings: ForgeSettings, network: Network) -> GitHub:
    return GitHub(settings, network)
