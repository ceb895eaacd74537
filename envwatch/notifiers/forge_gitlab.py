"""Commit statuses and merge requests of GitLab.

It keeps statuses as jobs, and refuses to go from a state to itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from envwatch.errors import NotifyError, NotifyRefused
from envwatch.model import PullRequest
from envwatch.notifiers.files import read_token
from envwatch.notifiers.http import Answer, ask, judge, place
from envwatch.notifiers.requests import LARGEST, Ask, Thread, pages, request
from envwatch.settings import ForgeSettings, Network
from envwatch.telling import Status, StatusState, shortened

LONGEST = 255
STATES = {
    StatusState.PENDING: "running",
    StatusState.SUCCESS: "success",
    StatusState.FAILURE: "failed",
    StatusState.CANCELLED: "canceled",
}
IN_WORK = ("created", "pending", "running")


@dataclass(frozen=True, slots=True)
class GitLab:
    settings: ForgeSettings
    network: Network

    def tell(self, revision: str, status: Status) -> None:
        token = read_token(self.settings.token_file)
        url = f"{self._project}/statuses/{revision}"
        body = {
            "state": STATES[status.state],
            "name": status.context,
            "description": shortened(status.description, LONGEST),
        }
        if status.url:
            body["target_url"] = status.url
        answer = self._ask("POST", url, token, json.dumps(body).encode())
        if answer.status == 404 and "commit" in answer.message.lower():
            raise NotifyRefused(f"GitLab does not know the commit {revision[:7]}")
        if answer.status == 400 and "transition" in answer.message.lower():
            # going from a state to itself, as after a lost answer, is what it cannot do
            if self._says(revision, status, token):
                return
            raise NotifyRefused(f"GitLab: {answer.message}")
        judge(answer, url, secret=token)

    @property
    def _project(self) -> str:
        return f"{self.settings.api}/projects/{quote(self.settings.repository, safe='')}"

    def _says(self, revision: str, status: Status, token: str) -> bool:
        """Is the commit in this state already?"""
        query = urlencode({"name": status.context})
        url = f"{self._project}/repository/commits/{revision}/statuses?{query}"
        answer = self._ask("GET", url, token)
        judge(answer, url, secret=token)
        try:
            found = json.loads(answer.body)
            states = [s["status"] for s in found if s["name"] == status.context]
        except (ValueError, TypeError, KeyError) as e:
            raise NotifyError(f"{place(url)} answers with something else than statuses") from e
        wanted = IN_WORK if status.state is StatusState.PENDING else (STATES[status.state],)
        return any(state in wanted for state in states)

    def requests(self) -> tuple[PullRequest, ...]:
        token = read_token(self.settings.token_file)
        url = f"{self._project}/merge_requests?state=opened"
        return tuple(r for each in pages(self._asker(token), url, token) if (r := _request(each)))

    def say(self, number: int, text: str, marker: str, known: str) -> str:
        token = read_token(self.settings.token_file)
        notes = f"{self._project}/merge_requests/{number}/notes"
        return Thread(self._asker(token), notes, ("PUT", notes), token).say(text, marker, known)

    def _asker(self, token: str) -> Ask:
        return lambda method, url, body: self._ask(method, url, token, body)

    def _ask(self, method: str, url: str, token: str, body: bytes | None = None) -> Answer:
        headers = {"PRIVATE-TOKEN": token, "Content-Type": "application/json"}
        return ask(method, url, self.network, headers, body, most=LARGEST)


def _request(found: dict[str, Any]) -> PullRequest | None:
    author = found.get("author") or {}
    return request(
        found.get("iid"),
        found.get("title"),
        author.get("username"),
        found.get("target_branch"),
        found.get("web_url"),
    )


def open_forge(settings: ForgeSettings, network: Network) -> GitLab:
    return GitLab(settings, network)
