"""A root on this machine: its catalog is read, its daemon is asked over the control socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from envwatch import artifacts
from envwatch.catalog import Catalog, read_catalog
from envwatch.catalog.records import BuildRecord, DeliveryRecord, TokenRecord
from envwatch.cli.context import Options
from envwatch.cli.control import answers, ask, caller
from envwatch.cli.house import SOON, Answer, Facts, House
from envwatch.cli.reading import check_readable
from envwatch.cli.settings import settings_of
from envwatch.daemon import passes
from envwatch.errors import Conflict
from envwatch.grants import given
from envwatch.model import ArchiveState, ArtifactKind, BuildState, EnvKey
from envwatch.settings import Network, Settings
from envwatch.storage.filesystem import FilesystemStorage
from envwatch.store import Store
from envwatch.views import environments, lists, pages
from envwatch.views.values import (
    BuildPage,
    BuildRow,
    DiffPage,
    EnvironmentPage,
    EnvRow,
    SourceRow,
)

AT_ONCE = 500  # environments asked of the catalog in one go
BUILDS_AT_ONCE = 200
BLOCK = 2**20  # bytes of a log


@contextmanager
def opened(options: Options) -> Iterator[House]:
    house = Here(settings_of(options))
    try:
        yield house
    finally:
        house.close()


@dataclass
class Here:
    """As `House`. The catalog is opened when it is first needed."""

    settings: Settings
    pace: float = 0.2
    _opened: list[Catalog] = field(default_factory=list)

    @cached_property
    def store(self) -> Store:
        return Store(self.settings.root)

    @property
    def catalog(self) -> Catalog:
        """Raises NotFound, Forbidden."""
        if not self._opened:
            check_readable(self.store)
            self._opened.append(read_catalog(self.store.catalog))
        return self._opened[0]

    def close(self) -> None:
        for catalog in self._opened:
            catalog.close()
        self._opened.clear()

    @property
    def me(self) -> str:
        return caller()

    @property
    def network(self) -> Network:
        return self.settings.network

    # ------------------------------------------------------------ looking

    def rows(self, chosen: Mapping[str, str], *, retired: bool) -> list[EnvRow]:
        found: list[EnvRow] = []
        page = pages_there = 1
        while page <= pages_there:
            listing = environments.listing(
                self.catalog.database,
                namespace=chosen.get("namespace", ""),
                state=chosen.get("state", ""),
                label=chosen.get("label", ""),
                retired=retired,
                page=page,
                size=AT_ONCE,
            )
            found += listing.rows
            page, pages_there = page + 1, listing.pages
        return found

    def environment(self, key: EnvKey, page: int = 1) -> EnvironmentPage:
        return pages.environment(self.catalog, key, page=page)

    def compare(self, key: EnvKey, old: int, new: int) -> DiffPage:
        return pages.compare(self.catalog, key, old, new)

    def file(self, key: EnvKey, number: int, kind: ArtifactKind) -> bytes:
        made = self.catalog.generations.get(key, number)
        storage = FilesystemStorage(self.store.root / "artifacts")
        with storage.open(artifacts.storage_key(kind, key, made.number)) as file:
            return file.read()

    def archive(self, key: EnvKey, number: int) -> tuple[ArchiveState, str]:
        made = self.catalog.generations.get(key, number)
        return made.archive, made.archive_message

    def places(self, key: EnvKey) -> Facts:
        return (("link", str(self.store.link(key))),)

    def build(self, build_id: int) -> BuildPage:
        return pages.build(self.catalog, build_id)

    def record(self, build_id: int) -> BuildRecord:
        return self.catalog.builds.get(build_id)

    def builds(
        self, states: tuple[BuildState, ...], namespace: str, limit: int
    ) -> tuple[BuildRow, ...]:
        found: list[BuildRow] = []
        page, size = 1, min(limit, BUILDS_AT_ONCE)
        while len(found) < limit:
            listing = lists.recent_builds(
                self.catalog, states=states, namespace=namespace, page=page, size=size
            )
            found += listing.builds
            if page == listing.pages:
                break
            page += 1
        return tuple(found[:limit])

    def log(self, build: BuildRecord, start: int) -> bytes | None:
        try:
            with self.store.log(build.id).open("rb") as file:
                file.seek(start)
                return file.read(BLOCK)
        except FileNotFoundError:
            return None

    def log_place(self, build: BuildRecord) -> str:
        return str(self.store.log(build.id))

    def sources(self) -> tuple[SourceRow, ...]:
        return pages.sources(self.catalog)

    def source_names(self) -> list[str]:
        return [s.name for s in self.settings.sources]

    def deliveries(self, source: str) -> tuple[DeliveryRecord, ...]:
        return pages.source(self.catalog, source).deliveries

    def namespaces(self) -> list[Answer]:
        known = {n.name: n for n in environments.namespaces(self.catalog.database)}
        made = {n.name: n for n in self.catalog.namespaces.all()}
        return [
            {
                "name": name,
                "environments": known[name].environments if name in known else 0,
                "attention": known[name].attention if name in known else 0,
                "made_by": made[name].made_by if name in made else "",
            }
            for name in sorted(known.keys() | made.keys())
        ]

    def grants(self) -> list[Answer]:
        return [
            {
                "pattern": g.grant.pattern,
                "role": g.grant.role.value,
                "user": g.user or g.all_of,
                "group": g.group,
                "by": g.by,
            }
            for g in given(self.settings.access, self.catalog)
        ]

    def default_namespace(self) -> str:
        found = sorted({s.namespace for s in self.settings.sources if s.takes_edits})
        if len(found) == 1:
            return found[0]
        text = f"edits are taken in {', '.join(found)}" if found else "no source takes edits"
        raise Conflict(f"it is not said in which namespace: {text}", hint="say it by --namespace")

    def tokens(self) -> tuple[TokenRecord, ...]:
        return self.catalog.tokens.all()

    # ------------------------------------------------------------ asking

    def ask(self, verb: str, *, timeout: float = SOON, **arguments: Any) -> Answer:
        return ask(self.settings, verb, timeout=timeout, **arguments)

    def edit(self, key: EnvKey, wanted: Answer, author: tuple[str, str] | None) -> Answer:
        name, email = author or _author()
        whole = {**wanted, "namespace": key.namespace, "author": {"name": name, "email": email}}
        return self.ask("edit", wanted=whole)

    # ------------------------------------------------------------ waiting

    def works(self) -> bool:
        return answers(self.settings.root)

    def work_off(self) -> None:
        passes.work_off(self.settings)


def _author() -> tuple[str, str]:
    """As git has it in the environment, else the login."""
    login = caller()
    name = os.environ.get("GIT_AUTHOR_NAME") or login
    return name, os.environ.get("GIT_AUTHOR_EMAIL") or f"{login}@{socket.gethostname()}"
