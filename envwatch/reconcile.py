"""Source → plan → catalog: the only way by which a source queues a build."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache

from envwatch.catalog import Catalog
from envwatch.catalog.records import EnvironmentRecord, SourceRecord
from envwatch.catalog.schema import SourceState
from envwatch.errors import SourceError
from envwatch.model import (
    FileOutcome,
    FileState,
    Level,
    Message,
    Plan,
    Snapshot,
    SourceFile,
    Spec,
)
from envwatch.plan import Rules, make_plan, parse_file
from envwatch.previews import Target, narrowed
from envwatch.settings import Settings, SourceSettings, host_platform
from envwatch.sources import Source
from envwatch.sources.branches import Gathered
from envwatch.sources.family import Family
from envwatch.sources.roster import Roster

logger = logging.getLogger(__name__)

REMEMBERED = 20_000  # parsed files kept, so that a pass parses only what is new

Changed = Callable[[EnvironmentRecord], None]


def rules_for(
    settings: Settings, source: SourceSettings, *, confirmed_empty: bool = False
) -> Rules:
    """What holds for the files of one source."""
    return Rules(
        namespace=settings.namespace(source.namespace),
        rename=source.rename,
        network=settings.network,
        platforms=(host_platform(),),
        confirmed_empty=confirmed_empty,
    )


class Reconciler:
    """Looks at sources and writes into the catalog what must change.

    Different sources may be looked at at the same time: what takes long is reading them, and what
    is written is written by one at a time. `changed` is told of each environment whose link may
    have to move without a build, `mark` of each source that should be looked at as well.
    """

    def __init__(
        self,
        catalog: Catalog,
        settings: Callable[[], Settings],
        roster: Roster,
        changed: Changed,
        mark: Callable[[str], None],
    ) -> None:
        self._catalog = catalog
        self._settings = settings
        self._roster = roster
        self._changed = changed
        self._mark = mark
        self._parsed = Parsed()
        self._suspect: set[str] = set()

    def look(self, name: str, *, force: bool = False, since: float | None = None) -> Plan | None:
        """Bring the catalog up to what one source says now; None where nothing is new.

        What was known at `since` (monotonic) may be an answer that another source of the same
        repository has got. Raises SourceError after noting it: the caller decides when to look
        again.
        """
        looked, record = self._roster.get(name), self._catalog.sources.get(name)
        if looked is None or record is None:
            return None
        try:
            if isinstance(looked, Family):
                return self._gather(looked, record, since)
            return self._follow(looked, record, since, force=force)
        except SourceError as e:
            self._failed(name, e)
            raise

    def plan(self, name: str) -> Plan:
        """What a look would change now, with nothing of it noted. Raises SourceError."""
        source, record = self._roster.get(name), self._catalog.sources.get(name)
        if source is None or isinstance(source, Family):
            raise SourceError(f"`{name}` has no files of its own")
        confirmed = record is not None and record.confirmed_empty
        rules = rules_for(self._settings(), source.settings, confirmed_empty=confirmed)
        return self._plan(source.snapshot(), rules, source.settings, self._targets(source.settings))

    def _follow(
        self, source: Source, record: SourceRecord, since: float | None, *, force: bool
    ) -> Plan | None:
        rules = rules_for(self._settings(), source.settings, confirmed_empty=record.confirmed_empty)
        identity = _identity(rules, source.settings)
        base = source.settings.base
        if base and not self._is_read(base):
            return None  # all would seem new; it is looked at again once its target was read
        targets = self._targets(source.settings)
        if base:
            # what is asked for and current there decides what is a change
            identity = _mixed(identity, targets)
        fingerprint = source.fingerprint(since)
        if not force and self._is_known(record, fingerprint, identity):
            self._catalog.sources.looked(source.name)
            return None
        snapshot = source.snapshot(fingerprint)
        with self._roster.writing:
            if self._roster.get(source.name) is not source:
                return None  # the config was read again meanwhile
            plan = self._plan(snapshot, rules, source.settings, targets)
            self._apply(plan, fingerprint, identity)
        for name in self._roster.previews_of(source.name):
            self._mark(name)
        return plan

    def _gather(self, family: Family, record: SourceRecord, since: float | None) -> Plan | None:
        """Take over the branches that there are now: new ones are looked at, gone ones retire."""
        gathered = family.gather(since)
        with self._roster.writing:
            if self._roster.get(family.name) is not family:
                return None
            new = self._roster.take_in(family, gathered.members)
            roll = _roll(family, gathered)
            if not new and roll.revision == record.revision:
                self._catalog.sources.looked(family.name)
                return None
            self._dismiss(family, gathered)
            self._apply(roll, "", "")
        for name in new:
            self._mark(name)
        return roll

    def _dismiss(self, family: Family, gathered: Gathered) -> None:
        """Branches that are gone retire what they asked for; those that are here are declared."""
        present = {member.name for member in gathered.members}
        for name in set(self._catalog.sources.members(family.name)) - present:
            self._retire_all(name)
        places = [(member, member.place) for member in gathered.members]
        self._catalog.sources.declare(places, family=family.name)

    def _retire_all(self, name: str) -> None:
        """A branch is gone, and all that it asked for."""
        standing = self._catalog.sources.standing(name)
        gone = tuple(s.key for s in standing if s.source == name and not s.retired)
        self._apply(Plan(name, "", None, retire=gone), "", "")

    def _is_known(self, record: SourceRecord, fingerprint: str, identity: str) -> bool:
        if record.name in self._suspect or record.state is SourceState.EMPTY:
            return False
        return bool(fingerprint) and (record.fingerprint, record.rules) == (fingerprint, identity)

    def _plan(
        self,
        snapshot: Snapshot,
        rules: Rules,
        settings: SourceSettings,
        targets: tuple[Target, ...],
    ) -> Plan:
        standing = self._catalog.sources.standing(snapshot.source)
        plan = make_plan(snapshot, standing, rules, self._parsed)
        if not settings.base or settings.previews is None:
            return plan
        install = settings.previews.install
        return narrowed(plan, standing, targets, rename=settings.rename, install=install)

    def _targets(self, settings: SourceSettings) -> tuple[Target, ...]:
        """What a request is held against; nothing for a source that is none."""
        return self._catalog.sources.targets(settings.base) if settings.base else ()

    def _is_read(self, name: str) -> bool:
        record = self._catalog.sources.get(name)
        return record is not None and bool(record.revision)

    def _apply(self, plan: Plan, fingerprint: str, identity: str) -> None:
        self._suspect.discard(plan.source)
        if plan.empty:
            self._catalog.sources.empty(
                plan.source,
                "it shows no environment file where there were some: nothing was retired",
                f"if that is meant: `envwatch source confirm-empty {plan.source}`",
            )
            return
        changed = self._catalog.sources.apply(plan, fingerprint=fingerprint, rules=identity)
        if plan.retire:
            # a name that is free now may be what another source was refused
            self._suspect |= self._roster.names() - {plan.source}
        logger.info(
            "source %s at %s: %d to build, %d retired, %d refused",
            plan.source,
            plan.revision[:12],
            len(plan.build),
            len(plan.retire),
            sum(f.state == "refused" for f in plan.files),
        )
        for env in changed:
            self._changed(env)

    def _failed(self, name: str, error: SourceError) -> None:
        self._catalog.sources.failed(name, error.message, error.hint, stalled=not error.retry)
        logger.warning("source %s: %s", name, error)


def _roll(family: Family, gathered: Gathered) -> Plan:
    """The branches of a family as the files of its page; its revision names all of them."""
    followed = [
        FileOutcome(member.follows, FileState.UNDERSTOOD, messages=(_followed(member),))
        for member in gathered.members
    ]
    refused = [FileOutcome(m.path, FileState.REFUSED, messages=(m,)) for m in gathered.refused]
    left = [FileOutcome(m.path, FileState.IGNORED, messages=(m,)) for m in gathered.left]
    files = tuple(sorted([*followed, *refused, *left], key=lambda f: f.path))
    digest = hashlib.sha256(repr(gathered).encode()).hexdigest()
    return Plan(family.name, digest[:40], None, files=files)


def _followed(member: SourceSettings) -> Message:
    said = f": {member.title}" if member.title else ""
    return Message(Level.NOTE, f"followed as the source `{member.name}`{said}")


@lru_cache(maxsize=REMEMBERED)
def _identity(rules: Rules, source: SourceSettings) -> str:
    """Names the settings by which files are understood: other settings, other plan."""
    text = json.dumps([asdict(rules), asdict(source)], default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _mixed(identity: str, targets: tuple[Target, ...]) -> str:
    return hashlib.sha256(repr((identity, targets)).encode()).hexdigest()


class Parsed:
    """Parses each content once; errors are not remembered, for they are rare and short."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, bool], Spec | None] = {}
        self._lock = threading.Lock()

    def __call__(self, file: SourceFile, known: bool) -> Spec | None:  # as plan.Parse
        key = (file.path, file.content, known)
        with self._lock:
            if key in self._known:
                return self._known[key]
        parsed = parse_file(file, known)
        with self._lock:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[key] = parsed
        return parsed
