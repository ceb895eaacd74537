"""Commit statuses and pull requests of GitHub and GitHub Enterprise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from envwatch.notifiers.pull_forge import PullForge
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
class GitHub(PullForge):
    def headers(self, token: str) -> Mapping[str, str]:
        return {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }

    def body(self, status: Status) -> Mapping[str, str]:
        said = {
            "state": STATES[status.state],
            "context": status.context,
            "description": shortened(status.description, LONGEST),
        }
        return said | ({"target_url": status.url} if status.url else {})


def open_forge(settings: ForgeSettings, network: Network) -> GitHub:
    return GitHub(settings, network)
