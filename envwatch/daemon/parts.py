"""Makes the parts and hands them to each other. The only place that knows them all."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from envwatch.catalog import Catalog, open_catalog
from envwatch.daemon.managed import open_door, place_of, prepare_managed
from envwatch.door.editing import Editor
from envwatch.door.pushes import Pushes
from envwatch.errors import CatalogError
from envwatch.executors import Executor
from envwatch.executors.local import LocalExecutor
from envwatch.model import Plan
from envwatch.operations import Operations
from envwatch.reconcile import Reconciler
from envwatch.settings import Settings
from envwatch.sources import Source, open_source
from envwatch.storage import open_storage
from envwatch.store import Store
from envwatch.watch import Dirty
from envwatch.worker import Worker
from envwatch.worker.publish import Publisher, Reached, nothing

logger = logging.getLogger(__name__)


class Current:
    """The settings in force; a reload replaces them whole."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self) -> Settings:
        return self._settings

    def replace(self, settings: Settings) -> None:
        self._settings = settings


@dataclass(slots=True)
class Parts:
    """Everything a running daemon consists of, its threads apart."""

    settings: Current
    store: Store
    catalog: Catalog
    executor: Executor
    publisher: Publisher
    worker: Worker
    sources: dict[str, Source]
    reconciler: Reconciler
    dirty: Dirty
    operations: Operations
    looking: threading.Lock
    editor: Editor
    pushes: Pushes

    def look(self, name: str, *, force: bool = False) -> None:
        """Reconcile one source; two looks at once would only get into each other's way."""
        with self.looking:
            self.reconciler.look(name, force=force)

    def plan(self, name: str) -> Plan:
        """What a look at one source would change."""
        with self.looking:
            return self.reconciler.plan(name)


@contextmanager
def assemble(settings: Settings, *, reached: Reached = nothing) -> Iterator[Parts]:
    """The parts for one root, which is held while they are in use. Raises RootInUse."""
    store = Store(settings.root)
    store.prepare()
    with store.hold():
        _refuse_lost_catalog(store)
        catalog = open_catalog(store.catalog, durable=settings.durability == "full")
        try:
            yield _parts(settings, store, catalog, reached)
        finally:
            catalog.close()


def _refuse_lost_catalog(store: Store) -> None:
    """An empty catalog would take everything that is published for left-overs, and sweep it."""
    if not store.catalog.exists() and any((store.root / "records").iterdir()):
        raise CatalogError(
            f"{store.root}: there are records of builds, and no catalog",
            hint="`envwatch rebuild-index` makes it again from them",
        )


def _parts(settings: Settings, store: Store, catalog: Catalog, reached: Reached) -> Parts:
    current = Current(settings)
    storage = open_storage(settings.root)
    executor = LocalExecutor()
    publisher = Publisher(catalog, store, storage, current, reached)
    worker = Worker(catalog, store, executor, publisher, current)
    sources = open_sources(settings, store)
    dirty = Dirty()
    declare(catalog, settings)
    editor, pushes = open_door(store, catalog, sources, current, dirty.mark)
    return Parts(
        settings=current,
        store=store,
        catalog=catalog,
        executor=executor,
        publisher=publisher,
        worker=worker,
        sources=sources,
        reconciler=Reconciler(catalog, settings, sources, publisher.converge),
        dirty=dirty,
        operations=Operations(catalog, publisher.converge, dirty.mark),
        looking=threading.Lock(),
        editor=editor,
        pushes=pushes,
    )


def open_sources(settings: Settings, store: Store) -> dict[str, Source]:
    prepare_managed(settings, store)
    return {s.name: open_source(s, mirrors=store.mirrors) for s in settings.sources}


def declare(catalog: Catalog, settings: Settings) -> None:
    """Tell the catalog which sources there are."""
    places = [place_of(s, settings) for s in settings.sources]
    catalog.sources.declare(list(zip(settings.sources, places, strict=True)))


def reload(parts: Parts, settings: Settings) -> None:
    """Take over new settings. Root and listening address stay until the next start."""
    old = parts.settings()
    if settings.root != old.root:
        logger.warning("`root` has changed: it takes effect at the next start")
        return
    if settings.web != old.web:
        logger.warning("`web` has changed: it takes effect at the next start")
    with parts.looking:
        parts.settings.replace(settings)
        parts.sources.clear()
        parts.sources.update(open_sources(settings, parts.store))
        declare(parts.catalog, settings)
        parts.reconciler = Reconciler(
            parts.catalog, settings, parts.sources, parts.publisher.converge
        )
