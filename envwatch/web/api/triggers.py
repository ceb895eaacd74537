"""What is asked for by name: a new build, a fresh solve, an archive."""

from __future__ import annotations

from pydantic import BaseModel, Field

from envwatch.catalog.records import BuildRecord
from envwatch.errors import Conflict
from envwatch.model import ArchiveState
from envwatch.settings import Role
from envwatch.web.api import finding
from envwatch.web.api.reading import Input
from envwatch.web.api.routes import Routes
from envwatch.web.context import site


class Rebuild(Input):
    generation: int | None = Field(None, ge=1, le=2**53)


class Asked(BaseModel):
    """The build that was asked for."""

    build: int
    environment: str
    state: str


class Archive(BaseModel):
    """How the archives of a generation stand: queued, making, ready, failed."""

    environment: str
    generation: int
    archive: str


def add(routes: Routes) -> None:
    one = "/environment/<namespace>/<name>/"
    more = {"tag": "generation", "costly": True}
    routes.put(f"{one}rebuild/", body=Rebuild, answer=Asked, **more)(rebuild_environment)
    routes.put(f"{one}update/", answer=Asked, **more)(update)
    routes.put(f"{one}generation/<int:number>/archive/", answer=Archive, **more)(archive)


def rebuild_environment(namespace: str, name: str, body: Rebuild) -> Asked:
    """Build again what is asked for, or make the files of a generation anew."""
    env = finding.environment(namespace, name, Role.DEVELOPER)
    made = finding.actions().rebuild(env.key, by=finding.author(), generation=body.generation)
    finding.audit("rebuild", env.key, f"build {made.id}")
    return _asked(made)


def update(namespace: str, name: str) -> Asked:
    """Solve afresh: take the newest packages that fit."""
    env = finding.environment(namespace, name, Role.DEVELOPER)
    made = finding.actions().update(env.key, by=finding.author())
    finding.audit("update", env.key, f"build {made.id}")
    return _asked(made)


def archive(namespace: str, name: str, number: int) -> Archive:
    """Have the archives of a generation made, for who may see it."""
    context = site().context
    made = finding.generation(namespace, name, number, Role.VIEWER)
    if made.pruned_at is not None:
        raise Conflict(f"{made.key}: the files of #{number} were pruned")
    if made.archive in (ArchiveState.NONE, ArchiveState.FAILED):
        context.ask_archive(made.key, number)
        made = context.catalog.generations.get(made.key, number)
    return Archive(
        environment=str(made.key),
        generation=number,
        archive=made.archive.value,
    )


def _asked(made: BuildRecord) -> Asked:
    return Asked(build=made.id, environment=str(made.key), state=made.state.value)
