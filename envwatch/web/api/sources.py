"""Sources, what became of their files, and of each of their revisions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from envwatch.errors import NotFound
from envwatch.model import EnvKey, FileOutcome
from envwatch.settings import Role
from envwatch.views import pages
from envwatch.views import revisions as views
from envwatch.views.commits import KnownRevision
from envwatch.web.api import finding
from envwatch.web.api.reading import Paging
from envwatch.web.api.routes import Listed, Routes
from envwatch.web.context import site
from envwatch.web.seeing import scope, seen_sources
from envwatch.web.visitor import hidden, need_all, visitor


class Source(BaseModel):
    name: str
    namespace: str
    kind: str
    place: str
    branch: str
    revision: str
    state: str
    message: str
    hint: str
    looked_on: datetime | None


class SourceFiles(Source):
    understood: int
    ignored: int
    refused: int
    files: tuple[FileOutcome, ...]


class RevisionBuild(BaseModel):
    id: int
    environment: str
    state: str


class Revision(BaseModel):
    """A commit, and the builds that were made of it: none where it changed no environment."""

    revision: str
    author: str
    subject: str
    committed_on: datetime | None
    seen_on: datetime
    signature: str
    builds: tuple[RevisionBuild, ...]


def add(routes: Routes) -> None:
    routes.get("/source/", answer=Source, query=Paging, listed=True)(sources)
    routes.get("/source/<name>/", answer=SourceFiles)(source)
    routes.put("/source/<name>/sync/", answer=None, costly=True)(sync)
    many = {"query": Paging, "answer": Revision, "listed": True}
    routes.get("/source/<name>/revision/", **many)(revisions)
    routes.get("/source/<name>/revision/<revision>/", answer=Revision)(revision)


def sources(query: Paging) -> Listed:
    """The sources of namespaces of which everything is seen."""
    span, catalog = query.span(whole=True), site().context.catalog
    seen = seen_sources()
    found = [s for s in catalog.sources.all() if s.name in seen]
    return Listed.cut(found, span, lambda s: Source(**_source(s.name)))


def source(name: str) -> SourceFiles:
    """One source and its files."""
    _visible(name, Role.VIEWER)
    row = pages.source(site().context.catalog, name).source
    return SourceFiles(
        **_source(name),
        understood=row.understood,
        ignored=row.ignored,
        refused=row.refused,
        files=row.files,
    )


def sync(name: str) -> None:
    """Look at a source now."""
    namespace = _visible(name, Role.DEVELOPER)
    finding.actions().sync(name)
    finding.audit("sync", EnvKey(namespace, ""), name)


def _visible(name: str, role: Role) -> str:
    record = site().context.catalog.sources.get(name)
    if record is None or name not in seen_sources():
        raise hidden(visitor(), f"there is no source `{name}`")
    need_all(role, record.namespace)
    return record.namespace


def revisions(name: str, query: Paging) -> Listed:
    """The revisions of a source that were its tip when it was looked at, the newest first."""
    _visible(name, Role.VIEWER)
    span = query.span()
    part = views.revisions(site().context.catalog.database, name, span, scope())
    return Listed.of(part, tuple(_revision(r) for r in part.items), span)


def revision(name: str, revision: str) -> Revision:
    """One revision by its whole name: has what it asked for been built?"""
    _visible(name, Role.VIEWER)
    found = views.revision(site().context.catalog.database, name, revision, scope())
    if found is None:
        hint = "it shows once it was the tip when the source was looked at"
        raise NotFound(f"source `{name}` has shown no revision `{revision[:64]}`", hint=hint)
    return _revision(found)


def _revision(it: KnownRevision) -> Revision:
    return Revision(
        revision=it.commit.revision,
        author=it.commit.author,
        subject=it.commit.subject,
        committed_on=it.commit.at,
        seen_on=it.seen_at,
        signature=it.commit.signature,
        builds=tuple(
            RevisionBuild(id=b.id, environment=str(b.key), state=b.state.value) for b in it.builds
        ),
    )


def _source(name: str) -> dict[str, Any]:
    it = site().context.catalog.sources.get(name)
    if it is None:
        raise NotFound(f"there is no source `{name}`")
    return {
        "name": it.name,
        "namespace": it.namespace,
        "kind": it.kind,
        "place": it.place,
        "branch": it.branch,
        "revision": it.revision,
        "state": it.state.value,
        "message": it.message,
        "hint": it.hint,
        "looked_on": it.looked_at,
    }
