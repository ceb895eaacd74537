"""Which requests to merge are open: asked of their forge."""

from __future__ import annotations

from collections.abc import Callable

from envwatch.errors import NotifyError, NotifyStalled, SourceError, SourceStalled
from envwatch.model import PullRequest
from envwatch.notifiers import open_forge
from envwatch.settings import ForgeSettings, Settings
from envwatch.sources.previews import Requests


def asker(settings: Callable[[], Settings]) -> Requests:
    """Errors of the forge are those of the source: it is asked again as any other."""

    def requests(forge: ForgeSettings) -> tuple[PullRequest, ...]:
        try:
            return open_forge(forge, settings().network).requests()
        except NotifyStalled as e:
            raise SourceStalled(e.message, hint=e.hint) from e
        except NotifyError as e:
            raise SourceError(e.message, hint=e.hint) from e

    return requests
