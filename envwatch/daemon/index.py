"""Makes the catalog of a root again, and puts it in the place of the old one."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path

from envwatch.catalog import open_catalog
from envwatch.daemon.parts import declare
from envwatch.settings import Settings
from envwatch.storage import open_storage
from envwatch.store import Store, sync_folder
from envwatch.worker.reindex import Reindexed, reindex

PIECES = ("", "-wal", "-shm")  # the files of one SQLite database


def rebuild_index(settings: Settings) -> Reindexed:
    """Make the catalog again from the records on disk; the old one is moved aside.

    Raises RootInUse while a daemon runs.
    """
    store = Store(settings.root)
    store.check_whole()
    store.prepare()
    with store.hold():
        made = _make(settings, store, _new(store))
        aside = _move_aside(store.catalog)
        # until here a kill leaves no catalog at all, and no daemon starts without one
        _new(store).replace(store.catalog)
        sync_folder(store.root)
    return replace(made, aside=aside)


def _new(store: Store) -> Path:
    return store.root / "tmp" / "catalog.sqlite"


def _make(settings: Settings, store: Store, path: Path) -> Reindexed:
    for piece in PIECES:
        path.with_name(path.name + piece).unlink(missing_ok=True)
    catalog = open_catalog(path)
    try:
        declare(catalog, settings)
        return reindex(catalog, store, open_storage(settings.root))
    finally:
        catalog.close()


def _move_aside(catalog: Path) -> Path | None:
    """Where the old catalog is now; None where there was none."""
    there = [p for p in PIECES if catalog.with_name(catalog.name + p).exists()]
    if not there:
        return None
    for number in count(1):
        aside = catalog.with_name(f"{catalog.name}.{number}")
        if not any(aside.with_name(aside.name + p).exists() for p in PIECES):
            break
    # the journals too: SQLite would play an old one into the new catalog
    for piece in there:
        catalog.with_name(catalog.name + piece).replace(aside.with_name(aside.name + piece))
    return aside
