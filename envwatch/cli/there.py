"""A server elsewhere: the JSON twins of its pages are read, its API is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from pydantic import TypeAdapter

from envwatch.catalog.records import BuildRecord, DeliveryRecord, TokenRecord
from envwatch.cli import there_asking
from envwatch.cli.context import Options
from envwatch.cli.house import SOON, Answer, Facts, House
from envwatch.cli.remote import Server, open_server, part
from envwatch.cli.servers import API
from envwatch.errors import Conflict, NotFound
from envwatch.model import ArchiveState, ArtifactKind, BuildState, EnvKey
from envwatch.settings import Network, Role
from envwatch.views.values import (
    BuildList,
    BuildPage,
    BuildRow,
    DiffPage,
    EnvironmentPage,
    EnvRow,
    Listing,
    SourcePage,
    SourceRow,
)

T = TypeVar("T")

LISTING = TypeAdapter(Listing)
ENVIRONMENT = TypeAdapter(EnvironmentPage)
DIFF = TypeAdapter(DiffPage)
BUILD = TypeAdapter(BuildPage)
BUILDS = TypeAdapter(BuildList)
SOURCES = TypeAdapter(tuple[SourceRow, ...])
SOURCE = TypeAdapter(SourcePage)
MOMENT = TypeAdapter(datetime | None)


@contextmanager
def opened(options: Options) -> Iterator[House]:
    server = open_server(options.server)
    # a page below another address is an answer as well, of something else
    server.api("GET", "/")
    yield There(server)


@dataclass
class There:
    """As `House`."""

    server: Server
    pace: float = 1.0
    me: str = ""  # the server knows it by the token
    _keys: dict[int, EnvKey] = field(default_factory=dict)

    @property
    def network(self) -> Network:
        return self.server.network

    # ------------------------------------------------------------ looking

    def rows(self, chosen: Mapping[str, str], *, retired: bool) -> list[EnvRow]:
        namespace = chosen.get("namespace", "")
        path = f"/{part(namespace)}/index.json" if namespace else "/index.json"
        query = {"state": chosen.get("state", ""), "label": chosen.get("label", "")}
        found: list[EnvRow] = []
        page = pages = 1
        while page <= pages:
            try:
                listing = self.server.page(
                    path, LISTING, page=page, retired="yes" if retired else "", **query
                )
            except NotFound:
                break  # a namespace of which nothing is seen has nothing in it
            found += listing.rows
            page, pages = page + 1, listing.pages
        return found

    def environment(self, key: EnvKey, page: int = 1) -> EnvironmentPage:
        return self.server.page(f"{_page(key)}index.json", ENVIRONMENT, page=page)

    def compare(self, key: EnvKey, old: int, new: int) -> DiffPage:
        return self.server.page(f"{_page(key)}diff/{old}..{new}.json", DIFF)

    def file(self, key: EnvKey, number: int, kind: ArtifactKind) -> bytes:
        return self.server.file(f"{_page(key)}{number}/{part(kind.value)}")

    def archive(self, key: EnvKey, number: int) -> tuple[ArchiveState, str]:
        path = f"/environment/{part(key.namespace, key.name)}/generation/{number}/"
        made = self.server.api("GET", path)
        return ArchiveState(made["archive"]), str(made["archive_message"])

    def places(self, key: EnvKey) -> Facts:
        return (("page", f"{self.server.url}{_page(key)}"),)

    def build(self, build_id: int) -> BuildPage:
        return self.server.page(f"{_page(self._key(build_id))}builds/{build_id}.json", BUILD)

    def record(self, build_id: int) -> BuildRecord:
        return self.build(build_id).build

    def builds(
        self, states: tuple[BuildState, ...], namespace: str, limit: int
    ) -> tuple[BuildRow, ...]:
        # its page shows one state, or all
        asked = [s.value for s in states] or [""]
        found = [row for state in asked for row in self._builds(state, namespace, limit)]
        return tuple(sorted(found, key=lambda row: row.build.id, reverse=True)[:limit])

    def _builds(self, state: str, namespace: str, limit: int) -> list[BuildRow]:
        found: list[BuildRow] = []
        page = pages = 1
        while page <= pages and len(found) < limit:
            listing = self.server.page(
                "/builds.json", BUILDS, state=state, namespace=namespace, page=page
            )
            found += listing.builds
            page, pages = page + 1, listing.pages
        return found

    def log(self, build: BuildRecord, start: int) -> bytes | None:
        self._keys[build.id] = build.key
        try:
            return self.server.file(f"{API}/build/{build.id}/logs/", start=start)
        except NotFound:
            return None

    def log_place(self, build: BuildRecord) -> str:
        return f"{self.server.url}{_page(build.key)}builds/{build.id}/log.txt"

    def sources(self) -> tuple[SourceRow, ...]:
        return self.server.page("/sources.json", SOURCES)

    def source_names(self) -> list[str]:
        return [row.record.name for row in self.sources()]

    def deliveries(self, source: str) -> tuple[DeliveryRecord, ...]:
        return self.server.page("/source.json", SOURCE, name=source).deliveries

    def namespaces(self) -> list[Answer]:
        rows = self.rows({}, retired=False)
        known = {n["name"]: n["metadata_"] for n in self.server.api("GET", "/namespace/")}
        names = known.keys() | {row.key.namespace for row in rows}
        return [
            {
                "name": name,
                "environments": sum(row.key.namespace == name for row in rows),
                "attention": sum(row.key.namespace == name and row.attention for row in rows),
                "made_by": known.get(name, {}).get("made_by", ""),
            }
            for name in sorted(names)
        ]

    def grants(self) -> list[Answer]:
        names = ("pattern", "role", "user", "group", "by")
        return [{n: g[n] for n in names} for g in self.server.api("GET", "/grant/")]

    def default_namespace(self) -> str:
        found = str(self.server.api("GET", "/permission/")["primary_namespace"])
        if not found:
            raise Conflict("it is not said in which namespace", hint="say it by --namespace")
        return found

    def tokens(self) -> tuple[TokenRecord, ...]:
        return tuple(_token(t) for t in self.server.api("GET", "/token/"))

    # ------------------------------------------------------------ asking

    def ask(self, verb: str, *, timeout: float = SOON, **arguments: Any) -> Answer:
        return there_asking.ask(self.server, verb, arguments, timeout)

    def edit(self, key: EnvKey, wanted: Answer, author: tuple[str, str] | None) -> Answer:
        if author is not None:
            raise Conflict(
                "the server names the author itself, by the token",
                hint="leave --author out, or edit on the machine of the server",
            )
        return there_asking.edit(self.server, key, wanted)

    # ------------------------------------------------------------ waiting

    def works(self) -> bool:
        """Its daemon is what answers."""
        return True

    def work_off(self) -> None:
        """That is for the daemon alone."""

    def _key(self, build_id: int) -> EnvKey:
        if build_id not in self._keys:
            found = self.server.api("GET", f"/build/{build_id}/")
            namespace, _, name = str(found["environment"]).partition("/")
            self._keys[build_id] = EnvKey(namespace, name)
        return self._keys[build_id]


def _page(key: EnvKey) -> str:
    return f"/{part(key.namespace, key.name)}/"


def _token(told: Mapping[str, Any]) -> TokenRecord:
    """Whose it is and who made it is not told elsewhere."""
    expires, used, revoked = (
        MOMENT.validate_python(told[f"{what}_on"]) for what in ("expires", "used", "revoked")
    )
    return TokenRecord(
        id=0,
        name=str(told["name"]),
        namespaces=tuple(told["namespaces"]),
        role=Role(told["role"]),
        owner="",
        created_at=datetime.fromisoformat(told["created_on"]),
        created_by="",
        expires_at=expires,
        used_at=used,
        revoked_at=revoked,
    )
