"""Makes the parts and hands them to each other. The only place that knows them all."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from envwatch.catalog import Catalog, open_catalog
from envwatch.daemon.managed import open_door, place_of, prepare_managed
from envwatch.daemon.requests import asker
from envwatch.daemon.spaces import check_free, with_made
from envwatch.door.editing import Editor
from envwatch.door.pushes import Pushes
from envwatch.errors import CatalogError
from envwatch.executors import Executor
from envwatch.executors.local import LocalExecutor
from envwatch.git.mirrors import Mirrors
from envwatch.model import Plan
from envwatch.operations import Operations
from envwatch.reconcile import Reconciler
from envwatch.settings import Settings
from envwatch.sources.roster import Roster
from envwatch.storage import open_storage
from envwatch.store import Store
from envwatch.teller import Teller
from envwatch.watch import Dirty, Mark
from envwatch.worker import Worker
from envwatch.worker.publish import Publisher, Reached, nothing
from envwatch.writeback import Writer

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
    roster: Roster
    reconciler: Reconciler
    dirty: Dirty
    operations: Operations
    looking: Turns
    teller: Teller
    editor: Editor
    pushes: Pushes
    writer: Writer

    def look(self, name: str, *, force: bool = False, since: float | None = None) -> Plan | None:
        """Reconcile one source; two looks at it at once would only get into each other's way."""
        with self.looking.of(name):
            return self.reconciler.look(name, force=force, since=since)

    def plan(self, name: str) -> Plan:
        """What a look at one source would change."""
        with self.looking.of(name):
            return self.reconciler.plan(name)


class Turns:
    """A lock for each name."""

    def __init__(self) -> None:
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def of(self, name: str) -> threading.Lock:
        return self._locks[name]


@contextmanager
def assemble(settings: Settings, *, reached: Reached = nothing) -> Iterator[Parts]:
    """The parts for one root, which is held while they are in use. Raises RootInUse."""
    store = Store(settings.root)
    store.check_whole()
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
    settings = with_made(settings, catalog)
    current = Current(settings)
    storage = open_storage(settings.root)
    executor = LocalExecutor()
    publisher = Publisher(catalog, store, storage, current, reached)
    worker = Worker(catalog, store, executor, publisher, current)
    prepare_managed(settings, store)
    mirrors = Mirrors(store.mirrors)
    roster = Roster(settings.sources, mirrors, asker(current))
    mirrors.sweep()
    dirty = Dirty()
    declare(catalog, settings)
    mark = marker(roster, dirty)
    editor, pushes = open_door(store, catalog, roster.readable, current, mark)
    return Parts(
        settings=current,
        store=store,
        catalog=catalog,
        executor=executor,
        publisher=publisher,
        worker=worker,
        roster=roster,
        reconciler=Reconciler(catalog, current, roster, publisher.converge, dirty.mark),
        dirty=dirty,
        operations=Operations(catalog, publisher.converge, mark),
        looking=Turns(),
        teller=Teller(catalog, current, followed=roster.followed),
        editor=editor,
        pushes=pushes,
        writer=Writer(catalog, roster.readable, store.mirrors, store.record),
    )


def marker(roster: Roster, dirty: Dirty) -> Mark:
    """Wakes a source and all that follow the same repository: one question tells of all."""

    def mark(name: str, *, quiet: float = 0.0, patient: bool = False) -> None:
        for each in roster.beside(name):
            dirty.mark(each, quiet=quiet, patient=patient)

    return mark


def declare(catalog: Catalog, settings: Settings) -> None:
    """Tell the catalog which sources there are."""
    catalog.sources.declare([(s, place_of(s, settings)) for s in settings.sources])


def make_namespace(parts: Parts, name: str, *, by: str) -> None:
    """A namespace with a repository of its own, from now on. Raises Conflict."""
    with parts.roster.writing:
        old = parts.settings()
        check_free(name, old)
        parts.catalog.namespaces.make(name, by=by)
        new = with_made(old, parts.catalog)
        parts.settings.replace(new)
        source = next(s for s in new.sources if s.namespace == name)
        prepare_managed(replace(new, sources=(source,)), parts.store)
        parts.roster.join(source)
        declare(parts.catalog, new)
    parts.dirty.mark(source.name)


def reload(parts: Parts, settings: Settings) -> None:
    """Take over new settings. Root and listening address stay until the next start."""
    old = parts.settings()
    if settings.root != old.root:
        logger.warning("`root` has changed: it takes effect at the next start")
        return
    if settings.web != old.web:
        logger.warning("`web` has changed: it takes effect at the next start")
    with parts.roster.writing:
        # somebody who comes for the first time is given a namespace at any moment
        settings = with_made(settings, parts.catalog)
        parts.settings.replace(settings)
        prepare_managed(settings, parts.store)
        parts.roster.replace(settings.sources, Mirrors(parts.store.mirrors))
        declare(parts.catalog, settings)
