"""Who sent a delivery: told by its headers, each of which anybody can write."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

LONGEST = 100
_PINGS = ("ping", "diagnostics:ping")


class Forge(StrEnum):
    FORGEJO = "forgejo"
    GITEA = "gitea"
    GOGS = "gogs"
    GITLAB = "gitlab"
    GITHUB = "github"
    BITBUCKET = "bitbucket"
    OTHER = "other"


# Gitea and its kin also send what those that they descend from do: the descendant comes first.
# The header of the event, and those that may hold the id of the delivery, the best first.
# GitLab's event id may stand on several deliveries; that of the message does not.
_FORGES = (
    (Forge.FORGEJO, "x-forgejo-event", ("x-forgejo-delivery", "x-gitea-delivery")),
    (Forge.GITEA, "x-gitea-event", ("x-gitea-delivery",)),
    (Forge.GOGS, "x-gogs-event", ("x-gogs-delivery",)),
    (Forge.GITLAB, "x-gitlab-event", ("webhook-id", "idempotency-key", "x-gitlab-event-uuid")),
    (Forge.GITHUB, "x-github-event", ("x-github-delivery",)),
    (Forge.BITBUCKET, "x-event-key", ("x-request-uuid", "x-request-id")),
)
_OTHER = (Forge.OTHER, "x-envwatch-event", ("x-envwatch-delivery", "webhook-id"))


@dataclass(frozen=True, slots=True)
class Sender:
    """`event` is what happened in the forge's own word, `id` how it calls this delivery."""

    forge: Forge
    event: str
    id: str

    @property
    def ping(self) -> bool:
        """Only a trial: nobody has pushed."""
        return self.event in _PINGS


def sender(headers: Mapping[str, str]) -> Sender:
    """Names in lower case; what is missing is empty."""
    forge, event, ids = next((f for f in _FORGES if f[1] in headers), _OTHER)
    found = (_word(headers[name]) for name in ids if name in headers)
    return Sender(forge, _word(headers.get(event, "")), next(found, ""))


def digest(sender: Sender, body: bytes) -> str:
    """Names a delivery: the same one again has the same id and says the same.

    The id alone would not do. It is not signed, so that somebody could use up those of others.
    """
    return hashlib.sha256(sender.id.encode() + b"\0" + body).hexdigest()


def _word(text: str) -> str:
    """As it may be kept and shown: short, and on one line."""
    return "".join(c for c in text[:LONGEST] if c.isprintable()).strip()
