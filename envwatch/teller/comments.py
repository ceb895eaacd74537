"""The comment that a request to merge shall have, written down where it differs."""

from __future__ import annotations

from datetime import datetime

from envwatch.catalog import Catalog
from envwatch.catalog.statuses import TipFacts
from envwatch.commenting import comment
from envwatch.model import EnvKey
from envwatch.settings import Settings, SourceSettings
from envwatch.teller.links import env_url
from envwatch.telling import Status, StatusState


def note_comment(
    catalog: Catalog,
    settings: Settings,
    source: SourceSettings,
    tip: TipFacts,
    statuses: list[Status],
    now: datetime,
) -> None:
    """`statuses` are those of the tip, the one for all left out."""
    if source.previews is None or not source.previews.comment or not source.request:
        return
    if source.forge is None or any(s.state is StatusState.PENDING for s in statuses):
        return
    known = catalog.comments.get(source.name)
    if known is None and not statuses and not tip.notes:
        return  # a request that changes no environment is none of our business

    def link(key: EnvKey) -> str:
        return env_url(settings, key)

    envs = {env.key: env for env in tip.environments}
    found = [(s, envs.get(s.key) if s.key else None) for s in statuses]
    text = comment(source.forge.context, tip.revision, found, tip.notes, link)
    if known is None or known.text != text:
        catalog.comments.want(source.name, source.request, text, now)
