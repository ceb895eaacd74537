"""Commit statuses and pull requests of Gitea and Forgejo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from envwatch.notifiers.pull_forge import PullForge
from envwatch.settings import ForgeSettings, Network
from envwatch.telling import Status, StatusState, shortened

LONGEST = 255
STATES = {
    StatusState.PENDING: "pending",
    StatusState.SUCCESS: "success",
    StatusState.FAILURE: "failure",
    StatusState.CANCELLED: "error",  # `warning` would let a required check pass
}


@dataclass(frozen=True, slots=True)
class Gitea(PullForge):
    def headers(self, token: str) -> Mapping[str, str]:
        return {"Authorization": f"token {token}"}

    def body(self, status: Status) -> Mapping[str, str]:
        return {
            "state": STATES[status.state],
            "context": status.context,
            "description": shortened(status.description, LONGEST),
            "target_url": status.url,
        }


def open_forge(settings: ForgeSettings, network: Network) -> Gitea:
    return Gitea(settings, network)
