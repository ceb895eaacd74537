"""What turned since the last look, written down for those who want to hear of it."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from envwatch.catalog import Catalog
from envwatch.settings import NotifierSettings, Settings
from envwatch.teller.links import env_url, source_url
from envwatch.telling import Condition, Known, Letter, Notice, Subject, kind_for, turns

KEPT = timedelta(days=30)  # for messages that were told or given up
UNKNOWN = Known(Condition.GOOD, None)


def note_turns(
    catalog: Catalog, settings: Settings, before: Collection[str], now: datetime
) -> None:
    """`before` are the notifiers that were there at the last look: a new one starts at now.

    Where there was none, nobody has looked for a while: then nothing is told, only noted.
    """
    if not settings.notify:
        return
    known = catalog.notices.known()
    subjects = catalog.notices.subjects()
    seen: dict[str, Known] = {}
    notices: list[Notice] = []
    for subject in subjects:
        old = known.get(subject.identity)
        new = _now(subject, old or UNKNOWN)
        if new != old:
            seen[subject.identity] = new
            notices += (_linked(n, subject, settings) for n in turns(subject, old or UNKNOWN, now))
    gone = known.keys() - {s.identity for s in subjects}
    if seen or gone:
        listeners = [n for n in settings.notify if n.name in before]
        catalog.notices.turn(seen, gone, letters(notices, listeners), now)
        catalog.notices.tidy(now - KEPT)


def letters(notices: Iterable[Notice], listeners: Sequence[NotifierSettings]) -> list[Letter]:
    """One for each who wants it."""
    return [
        Letter(f"evt_{uuid.uuid4().hex}", listener.name, kind, notice)
        for notice in notices
        for listener in listeners
        if _concerns(notice, listener) and (kind := kind_for(notice, listener.events))
    ]


def _concerns(notice: Notice, listener: NotifierSettings) -> bool:
    return any(fnmatchcase(notice.namespace, pattern) for pattern in listener.namespaces)


def _now(subject: Subject, old: Known) -> Known:
    return Known(subject.condition or old.condition, subject.current)


def _linked(notice: Notice, subject: Subject, settings: Settings) -> Notice:
    if subject.key is None:
        return replace(notice, url=source_url(settings, subject.name))
    build = None if notice.generation else notice.build
    return replace(notice, url=env_url(settings, subject.key, build))
