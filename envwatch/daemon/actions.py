"""The actions of the API, done with the parts of the daemon."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import BoundedSemaphore

from envwatch.catalog.records import BuildRecord, EnvironmentRecord
from envwatch.daemon.parts import Parts, make_namespace
from envwatch.edit import Edit, Edited, FileText
from envwatch.errors import Busy, Conflict, NotFound, SpecError
from envwatch.model import (
    EnvKey,
    Failure,
    FileState,
    Message,
    Package,
    PackageQuery,
    Plan,
    Snapshot,
    SourceFile,
)
from envwatch.plan import make_plan
from envwatch.reconcile import rules_for
from envwatch.settings import SourceKind, SourceSettings
from envwatch.web.actions import Planned
from envwatch.worker import chores
from envwatch.worker.preview import afresh, preview
from envwatch.worker.search import search

FILE = "environment.yml"
PLACES = 2
WAITING = 4
PATIENCE = 20.0  # seconds that somebody waits for a place


@dataclass(frozen=True, slots=True)
class DaemonActions:
    """As `Actions` of the web."""

    parts: Parts
    # solves and searches for people have places of their own beside the builds
    places: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(PLACES))
    # … and few wait for one: each holds a thread of the pages
    room: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(PLACES + WAITING))

    def rebuild(self, key: EnvKey, *, by: str, generation: int | None = None) -> BuildRecord:
        return self.parts.operations.rebuild(key, by=by, generation=generation)

    def update(self, key: EnvKey, *, by: str) -> BuildRecord:
        return self.parts.operations.update(key, by=by)

    def cancel(self, build_id: int, *, by: str) -> BuildRecord:
        return self.parts.operations.cancel(build_id, by=by)

    def activate(self, key: EnvKey, number: int, *, by: str) -> EnvironmentRecord:
        env = self.parts.operations.activate(key, number, by=by)
        # that a candidate was taken must outlive the catalog
        self.parts.publisher.keep(self.parts.catalog.generations.get(key, number))
        return env

    def hold(self, key: EnvKey, number: int | None, *, by: str) -> EnvironmentRecord:
        return self.parts.operations.hold(key, number, by=by)

    def release(self, key: EnvKey, *, by: str) -> EnvironmentRecord:
        return self.parts.operations.release(key, by=by)

    def pin(self, key: EnvKey, number: int, *, pinned: bool) -> None:
        self.parts.operations.pin(key, number, pinned=pinned)
        # a pin is a promise: it must outlive the catalog
        self.parts.publisher.keep(self.parts.catalog.generations.get(key, number))

    def drop(self, key: EnvKey, number: int) -> None:
        verdicts = chores.prune(self.parts.worker, dry_run=True)
        found = next((v for v in verdicts if (v.key, v.number) == (key, number)), None)
        if found is None:
            raise Conflict(f"{key}: the files of #{number} are gone already")
        if not found.goes:
            raise Conflict(
                f"{key}: #{number} is kept: {found.reason}",
                hint="what retention lets go is deleted by itself",
            )
        chores.prune(self.parts.worker)

    def make_own_namespace(self, name: str) -> bool:
        with self.parts.roster.writing:
            if any(s.namespace == name for s in self.parts.settings().sources):
                return False
            make_namespace(self.parts, name, by=name)
        return True

    def sync(self, source: str) -> None:
        self.parts.operations.sync(source)

    def make_namespace(self, name: str, *, by: str) -> None:
        make_namespace(self.parts, name, by=by)

    def file(self, key: EnvKey) -> FileText:
        return self.parts.editor.read(key)

    def edit(self, wanted: Edit) -> Edited:
        made = self.parts.editor.edit(wanted)
        if made.changed and made.live:
            self.parts.look(made.source)
        return made

    def plan(self, namespace: str, text: str, path: str = "") -> Planned:
        plan = self._plan(namespace, text, path or FILE)
        said = _said(plan)
        if _is_refused(plan):
            return Planned("refused", messages=said or _no_environment())
        with self._place():
            found = preview(self.parts.worker, plan).proposals[0]
        messages = tuple(dict.fromkeys((*said, *found.messages)))
        return Planned(
            found.move.value,
            found.key,
            found.against,
            found.diff,
            found.failure,
            messages,
            found.packages,
        )

    def read(self, namespace: str, text: str, path: str = "") -> tuple[Message, ...]:
        return _said(self._plan(namespace, text, path or FILE))

    def search(self, namespace: str, query: PackageQuery) -> tuple[Package, ...]:
        with self._place():
            return search(self.parts.worker, namespace, query)

    @contextmanager
    def _place(self) -> Iterator[None]:
        busy = Busy("many ask for a solve at the moment", hint="try again in a minute")
        if not self.room.acquire(blocking=False):
            raise busy
        try:
            if not self.places.acquire(timeout=PATIENCE):
                raise busy
            try:
                yield
            finally:
                self.places.release()
        finally:
            self.room.release()

    def solve(self, namespace: str, text: str) -> tuple[Package, ...]:
        plan = self._plan(namespace, text, FILE)
        if _is_refused(plan):
            first = _said(plan)[0]
            raise SpecError(first.text, line=first.line, column=first.column, hint=first.hint)
        # it is for who need not see what is there: an environment of this name must not show
        with self._place():
            found = afresh(self.parts.worker, plan.build[0])
        if found.failure is not None:
            raise _unsolved(found.failure)
        return found.packages

    def _plan(self, namespace: str, text: str, path: str) -> Plan:
        """As if the text were the only file of a new source."""
        settings = self.parts.settings()
        source = next((s for s in settings.sources if s.namespace == namespace), None)
        if source is None:
            source = SourceSettings("-", SourceKind.MANAGED, namespace)
        data = text.encode("utf-8", "replace")
        file = SourceFile(path, hashlib.sha256(data).hexdigest(), data)
        return make_plan(Snapshot("-", "", (file,)), (), rules_for(settings, source))


def _no_environment() -> tuple[Message, ...]:
    raise NotFound("this is not an environment: it has no `dependencies`")


def _is_refused(plan: Plan) -> bool:
    return not plan.build or any(f.state is FileState.REFUSED for f in plan.files)


def _said(plan: Plan) -> tuple[Message, ...]:
    return tuple(m for f in plan.files for m in f.messages)


def _unsolved(failure: Failure) -> Conflict:
    return Conflict(failure.message, hint=failure.hint)
