"""The statuses that the commits of a source shall have, written down where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby

from envwatch.catalog import Catalog
from envwatch.catalog.statuses import StatusRecord, TipFacts
from envwatch.settings import Settings, SourceSettings
from envwatch.teller.comments import note_comment
from envwatch.teller.links import env_url, source_url
from envwatch.telling import (
    Status,
    StatusState,
    env_status,
    refused_status,
    shortened,
    superseded,
    whole,
)

LONGEST = 255  # of a description, for every forge; some take less
KEPT = timedelta(days=30)  # for settled statuses of older commits
GONE = "is not asked for any more"


def note_statuses(
    catalog: Catalog, settings: Settings, source: SourceSettings, now: datetime
) -> bool:
    """Write down what each context shall say now; is something of it still in work?"""
    tip = catalog.statuses.tip(source.name)
    if tip is None or source.forge is None:
        return False
    base = source.forge.context
    known = catalog.statuses.of(source.name, tip.revision)
    wanted = [_ready(s, settings, source) for s in _wanted(tip, known, source)]
    _keep(catalog, source.name, tip.revision, wanted, known, now)
    each = [s for s in wanted if s.context != base and s.description != GONE]
    note_comment(catalog, settings, source, tip, each, now)
    older = [
        _follow(catalog, settings, source, tip, list(records), now)
        for _, records in groupby(_older(catalog, source.name, tip), key=lambda r: r.revision)
    ]
    if not known:
        catalog.statuses.tidy(source.name, tip.revision, now - KEPT)
    return any(older) or any(s.state is StatusState.PENDING for s in wanted)


def _wanted(tip: TipFacts, known: Sequence[StatusRecord], source: SourceSettings) -> list[Status]:
    assert source.forge is not None  # noqa: S101  # only such sources have statuses
    base = source.forge.context
    found = {s.context: s for s in (refused_status(p, m, base) for p, m in tip.refused)}
    found |= {s.context: s for s in (env_status(e, tip.revision, base) for e in tip.environments)}
    found[base] = whole(tuple(found.values()), base, preview=bool(source.base))
    # the config may have changed under the same commit
    for record in known:
        if record.status.context not in found:
            gone = replace(record.status, state=StatusState.SUCCESS, description=GONE)
            found[gone.context] = gone
    return list(found.values())


def _older(catalog: Catalog, source: str, tip: TipFacts) -> list[StatusRecord]:
    return sorted(catalog.statuses.open(source, tip.revision), key=lambda r: r.revision)


def _follow(
    catalog: Catalog,
    settings: Settings,
    source: SourceSettings,
    tip: TipFacts,
    records: list[StatusRecord],
    now: datetime,
) -> bool:
    """An older commit that was in work: as its environments go on, or the last word about it."""
    assert source.forge is not None  # noqa: S101  # only such sources have records
    base = source.forge.context
    revision = records[0].revision
    envs = {env.key: env for env in tip.environments}
    found = []
    for status in (r.status for r in records if r.status.context != base):
        env = envs.get(status.key) if status.key else None
        if status.state is not StatusState.PENDING:
            found.append(status)
        elif env is not None and env.ask == status.ask:
            found.append(env_status(env, revision, base))
        else:
            found.append(superseded(status, tip.revision))
    last = whole(found, base, preview=bool(source.base))
    wanted = [_ready(s, settings, source) for s in (*found, last)]
    _keep(catalog, source.name, revision, wanted, records, now)
    return last.state is StatusState.PENDING


def _keep(
    catalog: Catalog,
    source: str,
    revision: str,
    wanted: Sequence[Status],
    known: Sequence[StatusRecord],
    now: datetime,
) -> None:
    said = {r.status.context: (r.status.said, r.status.ask) for r in known}
    changed = [s for s in wanted if said.get(s.context) != (s.said, s.ask)]
    if changed:
        catalog.statuses.want(source, revision, changed, now)


def _ready(status: Status, settings: Settings, source: SourceSettings) -> Status:
    """As it is kept and sent: short, with its link."""
    url = status.url
    if not url:
        url = (
            env_url(settings, status.key, status.build)
            if status.key
            else source_url(settings, source.name)
        )
    return replace(status, description=shortened(status.description, LONGEST), url=url)
