"""What conda-store has no words for: generations, diffs, events, the audit trail."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from envwatch.catalog.records import EnvironmentRecord
from envwatch.diff import PackageDiff
from envwatch.model import EnvKey
from envwatch.settings import Role
from envwatch.views import listing, pages
from envwatch.web.api import finding
from envwatch.web.api.envelope import BadRequest
from envwatch.web.api.reading import Input, Paging
from envwatch.web.api.routes import Listed, Routes
from envwatch.web.context import site
from envwatch.web.visitor import need_all, visitor

ENV = "/environment/<namespace>/<name>/"


class Generation(BaseModel):
    number: int
    build_id: int
    revision: str
    reason: str
    size: int
    own_size: int
    published_on: datetime
    current: bool
    pinned: bool
    candidate: bool
    pruned_on: datetime | None
    damaged: str
    archive: str
    archive_message: str
    python: str


class Standing(BaseModel):
    """What is in use, and whether it is held there."""

    environment: str
    current: int | None
    held: bool


class HoldBody(Input):
    generation: int | None = Field(None, ge=1, le=2**53)


class Diff(BaseModel):
    old: int
    new: int
    spec: tuple[tuple[str, str], ...]
    packages: PackageDiff


class Event(BaseModel):
    id: int
    at: datetime
    environment: str
    type: str
    message: str


class EventQuery(Input):
    """`after` is the id of the last event that is known."""

    namespace: str = ""
    name: str = ""
    after: int = Field(0, ge=0, le=2**53)
    limit: int = Field(100, ge=1, le=1000)


class Audit(BaseModel):
    id: int
    at: datetime
    person: str
    token: str
    action: str
    namespace: str
    name: str
    detail: str


class AuditQuery(Input):
    """`before` is the id of the oldest entry that is known."""

    namespace: str = ""
    before: int | None = Field(None, ge=1, le=2**53)
    limit: int = Field(100, ge=1, le=1000)


class DiffQuery(Input):
    old: int = Field(ge=1, le=2**53)
    new: int = Field(ge=1, le=2**53)


def add(routes: Routes) -> None:
    one = f"{ENV}generation/<int:number>/"
    many = {"query": Paging, "answer": Generation, "listed": True, "tag": "generation"}
    routes.get(f"{ENV}generation/", **many)(generations)
    routes.get(one, answer=Generation, tag="generation")(generation)
    routes.put(f"{one}activate/", answer=Standing, tag="generation", costly=True)(activate)
    routes.put(f"{one}pin/", answer=Generation, tag="generation")(pin)
    routes.delete(f"{one}pin/", answer=Generation, tag="generation")(unpin)
    routes.put(f"{ENV}hold/", body=HoldBody, answer=Standing, tag="generation")(hold)
    routes.delete(f"{ENV}hold/", answer=Standing, tag="generation")(release)
    routes.get(f"{ENV}diff/", query=DiffQuery, answer=Diff, tag="generation")(diff)
    routes.get("/event/", query=EventQuery, answer=tuple[Event, ...])(events)
    routes.get("/audit/", query=AuditQuery, answer=tuple[Audit, ...])(audit)


def generations(namespace: str, name: str, query: Paging) -> Listed:
    """The generations of an environment, newest first, also of a retired one."""
    env = finding.environment(namespace, name, retired=True)
    found = site().context.catalog.generations.of(env.id)
    span = query.span(whole=True)
    return Listed.cut(found, span, lambda g: _shown(env, g.number))


def generation(namespace: str, name: str, number: int) -> Generation:
    """One generation."""
    return _shown(finding.environment(namespace, name, retired=True), number)


def activate(namespace: str, name: str, number: int) -> Standing:
    """Make a generation current, and hold it there."""
    env = finding.environment(namespace, name, Role.DEVELOPER)
    made = finding.actions().activate(env.key, number, by=finding.author())
    finding.audit("activate", env.key, f"#{number}")
    return _standing(made)


def pin(namespace: str, name: str, number: int) -> Generation:
    """Keep the files of a generation, whatever retention says."""
    return _pinned(namespace, name, number, pinned=True)


def unpin(namespace: str, name: str, number: int) -> Generation:
    """Let retention decide again."""
    return _pinned(namespace, name, number, pinned=False)


def _pinned(namespace: str, name: str, number: int, *, pinned: bool) -> Generation:
    env = finding.environment(namespace, name, Role.DEVELOPER, retired=True)
    finding.actions().pin(env.key, number, pinned=pinned)
    finding.audit("pin" if pinned else "unpin", env.key, f"#{number}")
    return _shown(env, number)


def hold(namespace: str, name: str, body: HoldBody) -> Standing:
    """Keep a generation, or what is current, in use until it is released."""
    env = finding.environment(namespace, name, Role.DEVELOPER)
    made = finding.actions().hold(env.key, body.generation, by=finding.author())
    finding.audit("hold", env.key, f"#{made.current}")
    return _standing(made)


def release(namespace: str, name: str) -> Standing:
    """Let the newest generation be in use again."""
    env = finding.environment(namespace, name, Role.DEVELOPER)
    made = finding.actions().release(env.key, by=finding.author())
    finding.audit("release", env.key, f"#{made.current}")
    return _standing(made)


def diff(namespace: str, name: str, query: DiffQuery) -> Diff:
    """What changed between two generations: lines of the file, and packages."""
    env = finding.environment(namespace, name, retired=True)
    found = pages.compare(site().context.catalog, env.key, query.old, query.new)
    spec = tuple((kind.value, line) for kind, line in found.spec)
    return Diff(old=query.old, new=query.new, spec=spec, packages=found.packages)


def events(query: EventQuery) -> tuple[Event, ...]:
    """What happened after an event, oldest first; poll with the last id."""
    if bool(query.namespace) != bool(query.name):
        raise BadRequest("`namespace` and `name` belong together")
    key = EnvKey(query.namespace, query.name) if query.name else None
    database = site().context.catalog.database
    found = listing.events(database, visitor(), key=key, after=query.after, limit=query.limit)
    return tuple(
        Event(id=e.id, at=e.at, environment=str(k), type=e.type, message=e.message)
        for k, e in found
    )


def audit(query: AuditQuery) -> tuple[Audit, ...]:
    """Who did what, newest first: for an admin of the namespace, or of all."""
    need_all(Role.ADMIN, query.namespace or "*")
    found = site().context.catalog.audits.all(
        namespace=query.namespace, before=query.before, limit=query.limit
    )
    return tuple(
        Audit(
            id=a.id, at=a.at, person=a.person, token=a.token, action=a.action,
            namespace=a.namespace, name=a.name, detail=a.detail,
        )
        for a in found
    )  # fmt: skip


def _standing(env: EnvironmentRecord) -> Standing:
    return Standing(environment=str(env.key), current=env.current, held=env.held)


def _shown(env: EnvironmentRecord, number: int) -> Generation:
    it = site().context.catalog.generations.get(env.key, number)
    return Generation(
        number=it.number,
        build_id=it.build_id,
        revision=it.revision,
        reason=it.reason.value,
        size=it.size,
        own_size=it.own_size,
        published_on=it.published_at,
        current=it.number == env.current and env.retired_at is None,
        pinned=it.pinned,
        candidate=it.candidate,
        pruned_on=it.pruned_at,
        damaged=it.damaged,
        archive=it.archive.value,
        archive_message=it.archive_message,
        python=it.python,
    )
