"""Builds: listed, looked at, their files; rebuilt, cancelled, deleted where that may be."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from flask import Response, send_file
from pydantic import Field

from envwatch.catalog.records import BuildRecord, GenerationRecord
from envwatch.errors import Conflict, NotFound
from envwatch.model import ArchiveState, ArtifactKind, EnvKey
from envwatch.settings import Role
from envwatch.views import listing
from envwatch.views.listing import Wanted
from envwatch.web import downloads
from envwatch.web.api import finding, shapes
from envwatch.web.api.envelope import answer
from envwatch.web.api.environments import states
from envwatch.web.api.reading import Sorting
from envwatch.web.api.routes import Listed, Routes, Told
from envwatch.web.context import site
from envwatch.web.visitor import visitor

WAITING = 4  # requests that may wait for an archive at once: each holds a thread


class BuildQuery(Sorting):
    environment_id: int | None = Field(None, ge=0, le=2**53)
    namespace: str = ""
    name: str = ""
    status: str = ""
    packages: tuple[str, ...] = Field((), max_length=20)
    artifact: str = ""


class PackageQuery(Sorting):
    """`exact` is a name, or as in conda-store `true`: then `search` is the whole name."""

    search: str = Field("", max_length=200)
    exact: str = Field("", max_length=200)
    build: str = Field("", max_length=200)
    distinct_on: tuple[str, ...] = ()

    def name(self) -> tuple[str, str]:
        """A part of the name, and the whole of it: what is empty takes all."""
        word = self.exact.lower()
        if self.search and word == "true":
            return "", self.search
        return self.search, "" if word == "false" else self.exact


@dataclass(frozen=True, slots=True)
class Files:
    """Sends the files of builds; only so many requests wait for an archive."""

    turns: threading.BoundedSemaphore

    def archive(self, build_id: int) -> Response:
        """The environment as a tar.gz, made when it is first asked for: that is waited for."""
        build = finding.build(build_id)
        made = _generation(build)
        if made.pruned_at is None and made.archive is not ArchiveState.FAILED:
            made = self._made(made)
        if made.archive in (ArchiveState.QUEUED, ArchiveState.MAKING, ArchiveState.NONE):
            response = answer(
                {"status": "ok", "data": None, "message": "the archive is being made"}, 202
            )
            response.headers["Retry-After"] = "5"
            return response
        return _file(build, ArtifactKind.TAR_GZ)

    def _made(self, made: GenerationRecord) -> GenerationRecord:
        context = site().context
        if made.archive is ArchiveState.NONE:
            context.ask_archive(made.key, made.number)
        end = time.monotonic() + context.patience
        database = context.catalog.database
        if not self.turns.acquire(blocking=False):
            return context.catalog.generations.get(made.key, made.number)
        try:
            while time.monotonic() < end:
                news = database.news
                made = context.catalog.generations.get(made.key, made.number)
                if made.archive in (ArchiveState.READY, ArchiveState.FAILED):
                    break
                database.wait(news, 1.0)
        finally:
            self.turns.release()
        return made


def add(routes: Routes) -> None:
    routes.get("/build/", query=BuildQuery, answer=shapes.Build, listed=True)(builds)
    one = "/build/<int:build_id>/"
    routes.get(one, answer=shapes.Build)(build)
    routes.put(one, answer=shapes.BuildId, costly=True)(rebuild)
    routes.delete(one, answer=None, costly=True)(delete)
    routes.put(f"{one}cancel/", answer=None)(cancel)
    listed = {"query": PackageQuery, "answer": shapes.CondaPackage, "listed": True}
    routes.get(f"{one}packages/", **listed)(packages)
    routes.get(f"{one}logs/", media="text/plain")(logs)
    routes.get(f"{one}yaml/", media="application/yaml")(yaml)
    for last in ("lockfile/", "conda-lock.yml", "conda-lock.yaml"):
        routes.get(one + last, media="application/yaml")(lockfile)
    of_env = "/environment/<namespace>/<name>/"
    for last in ("lockfile/", "conda-lock.yml", "conda-lock.yaml"):
        routes.get(of_env + last, media="application/yaml")(current_lockfile)
    files = Files(threading.BoundedSemaphore(WAITING))
    routes.get(f"{one}archive/", media="application/gzip", later=True)(files.archive)


def builds(query: BuildQuery) -> Listed:
    """Builds of what who asks may see, newest first."""
    wanted = Wanted(
        namespace=query.namespace,
        name=query.name,
        states=states(query.status),
        packages=query.packages,
        artifact=query.artifact.upper(),
        environment_id=query.environment_id,
    )
    span = query.span()
    part = listing.builds(site().context.catalog.database, visitor(), wanted, span)
    return Listed.of(part, finding.shaped(part.items), span)


def build(build_id: int) -> shapes.Build:
    """One build."""
    return finding.shaped([finding.build(build_id)])[0]


def rebuild(build_id: int) -> Told:
    """Build again what the environment asks for now, or make the files of this build anew."""
    old = finding.build(build_id, Role.DEVELOPER)
    env = site().context.catalog.generations.environment(old.key)
    if old.asked_digest != env.asked_digest:
        raise Conflict(
            f"build {old.id} was made for another state of {env.path}",
            hint="revert the commit, and its lock comes back",
        )
    made = finding.actions().rebuild(old.key, by=finding.author(), generation=old.generation)
    finding.audit("rebuild", old.key, f"build {made.id}, as build {old.id}")
    return Told(shapes.BuildId(build_id=made.id), "rebuild triggered")


def cancel(build_id: int) -> Told:
    """Stop a build: a queued one at once, a running one at its next beat."""
    old = finding.build(build_id, Role.DEVELOPER)
    finding.actions().cancel(old.id, by=finding.author())
    finding.audit("cancel", old.key, f"build {old.id}")
    return Told(None, f"build {old.id} canceled")


def delete(build_id: int) -> Told:
    """Delete the files of a build, if retention lets them go. Log, lock and history stay."""
    old = finding.build(build_id, Role.ADMIN)
    if not old.state.over:
        raise Conflict(f"build {old.id} is {old.state}", hint="cancel it")
    if old.generation is None:
        raise Conflict(f"build {old.id} left no files", hint="its log stays, as all history does")
    finding.actions().drop(old.key, old.generation)
    finding.audit("delete build", old.key, f"#{old.generation} of build {old.id}")
    return Told(None, f"the files of #{old.generation} are deleted")


def packages(build_id: int, query: PackageQuery) -> Listed:
    """The packages of a build, those of pip too."""
    found = finding.build(build_id)
    span = query.span()
    search, exact = query.name()
    part = listing.packages(
        site().context.catalog.database,
        visitor(),
        lock=found.lock_digest,
        search=search,
        exact=exact,
        build=query.build,
        span=span,
    )
    return Listed.of(part, tuple(shapes.package(p) for p in part.items), span)


def logs(build_id: int) -> Response:
    """The log as it is by now, as text."""
    found = finding.build(build_id)
    path = site().context.log_path(found.id)
    if not path.is_file():
        if found.generation is not None:
            return _file(found, ArtifactKind.LOG)
        raise NotFound(f"build `{build_id}` has no log", hint="it may not have begun yet")
    response = send_file(path, "text/plain; charset=utf-8", conditional=True, etag=False)
    response.headers["Cache-Control"] = "no-store"
    return response


def yaml(build_id: int) -> Response:
    """The environment file with exact versions."""
    return _file(finding.build(build_id), ArtifactKind.PINNED)


def lockfile(build_id: int) -> Response:
    """The conda-lock.yml."""
    return _file(finding.build(build_id), ArtifactKind.LOCK)


def current_lockfile(namespace: str, name: str) -> Response:
    """The conda-lock.yml of what is in use."""
    env = finding.environment(namespace, name)
    if env.current is None:
        raise NotFound(f"{env.key}: nothing is published yet")
    return _sent(env.key, env.current, ArtifactKind.LOCK)


def _file(build: BuildRecord, kind: ArtifactKind) -> Response:
    return _sent(build.key, _generation(build).number, kind)


def _generation(build: BuildRecord) -> GenerationRecord:
    if build.generation is None:
        raise NotFound(f"build `{build.id}` is {build.state}: it has no files")
    return site().context.catalog.generations.get(build.key, build.generation)


def _sent(key: EnvKey, number: int, kind: ArtifactKind) -> Response:
    made = site().context.catalog.generations.get(key, number)
    return downloads.send(made, kind, cache="private, no-cache")
