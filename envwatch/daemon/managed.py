"""Managed sources: their repositories are made, and the door to them is opened."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from envwatch.catalog import Catalog
from envwatch.door.editing import Editor
from envwatch.door.judge import Judge
from envwatch.door.pushes import Pushes
from envwatch.errors import SourceError
from envwatch.git.bare import Bare
from envwatch.git.hooks import write_hooks
from envwatch.git.serve import Server, Turns
from envwatch.settings import Settings, SourceKind, SourceSettings
from envwatch.sources import Source
from envwatch.store import Store

logger = logging.getLogger(__name__)


def prepare_managed(settings: Settings, store: Store) -> None:
    """Make each repository, or put it right. One that cannot be stops no other."""
    for source in settings.sources:
        if source.kind is not SourceKind.MANAGED:
            continue
        try:
            Bare(Path(source.url)).prepare()
            write_hooks(_hooks(store))
        except (SourceError, OSError) as e:
            logger.error("source %s: its repository cannot be prepared: %s", source.name, e)


def open_door(
    store: Store,
    catalog: Catalog,
    sources: Callable[[], tuple[Source, ...]],
    settings: Callable[[], Settings],
    mark: Callable[[str], None],
) -> tuple[Editor, Pushes]:
    """Edits, and clones and pushes: what people may do to files here."""
    judge, web = Judge(catalog, settings), settings().web
    # a thread of the page waits for each request of git: the page must keep the most of them
    turns = Turns(max(1, web.threads // 4), max(1, web.threads // 4))
    server = Server(_hooks(store), store.root / "tmp", web.max_push, turns=turns)
    return Editor(catalog, sources, judge, mark), Pushes(
        sources, server, judge, mark, catalog.sources.tell
    )


def place_of(source: SourceSettings, settings: Settings) -> str:
    """Where a source is, as people may see it: what they clone, where that is here."""
    if source.kind is SourceKind.MANAGED:
        return f"{settings.web.address}/git/{source.namespace}.git"
    return source.place


def _hooks(store: Store) -> Path:
    return store.managed / "hooks"
