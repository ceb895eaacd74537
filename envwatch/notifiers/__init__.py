"""Who is told: forges get the status of a commit and comments, notifiers get notices.

One module for each kind. A kind's module is imported when the config names it: who uses none pays
for none.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol, cast

from envwatch.model import PullRequest
from envwatch.settings import ForgeSettings, Network, NotifierSettings
from envwatch.telling import Letter, Status

FORGES = {"github": "forge_github", "gitlab": "forge_gitlab", "gitea": "forge_gitea"}
NOTIFIERS = {"webhook": "webhook", "command": "command", "apprise": "apprise"}


class Forge(Protocol):
    """Takes statuses of commits. Errors are `NotifyError`, `NotifyStalled`, `NotifyRefused`."""

    def tell(self, revision: str, status: Status) -> None:
        """Returns once the forge has acknowledged it. The same again does no harm."""
        ...

    def requests(self) -> tuple[PullRequest, ...]:
        """The pull or merge requests that are open."""
        ...

    def say(self, number: int, text: str, marker: str, known: str) -> str:
        """Let the comment of a request say this; its name, to be `known` the next time.

        `marker` is in the text, and tells it from other comments.
        """
        ...


class Notifier(Protocol):
    """Takes notices. Errors are those of a forge."""

    def send(self, letter: Letter) -> str:
        """Returns once it is delivered, with what came back, for a person. May come twice."""
        ...


def open_forge(settings: ForgeSettings, network: Network) -> Forge:
    """Nothing is read or asked yet."""
    return cast("Forge", _plugin(FORGES[settings.kind]).open_forge(settings, network))


def open_notifier(settings: NotifierSettings, network: Network) -> Notifier:
    """Nothing is read or asked yet."""
    return cast("Notifier", _plugin(NOTIFIERS[settings.kind]).open_notifier(settings, network))


def _plugin(module: str) -> Any:
    return import_module(f"{__name__}.{module}")
