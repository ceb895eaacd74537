"""Source → plan → catalog: the only way by which a source queues a build."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict

from envwatch.catalog import Catalog
from envwatch.catalog.records import EnvironmentRecord, SourceRecord
from envwatch.catalog.schema import SourceState
from envwatch.errors import SourceError
from envwatch.model import Plan, SourceFile, Spec
from envwatch.plan import Rules, make_plan, parse_file
from envwatch.settings import Settings, SourceSettings, host_platform
from envwatch.sources import Source

logger = logging.getLogger(__name__)

REMEMBERED = 20_000  # parsed files kept, so that a pass parses only what is new

Changed = Callable[[EnvironmentRecord], None]


def rules_for(
    settings: Settings, source: SourceSettings, *, confirmed_empty: bool = False
) -> Rules:
    """What holds for the files of one source."""
    return Rules(
        namespace=settings.namespace(source.namespace),
        network=settings.network,
        platforms=(host_platform(),),
        confirmed_empty=confirmed_empty,
    )


class Reconciler:
    """Looks at sources and writes into the catalog what must change.

    `changed` is told of each environment whose link may have to move without a build.
    """

    def __init__(
        self,
        catalog: Catalog,
        settings: Settings,
        sources: Mapping[str, Source],
        changed: Changed,
    ) -> None:
        self._catalog = catalog
        self._settings = settings
        self._sources = sources
        self._changed = changed
        self._parsed = _Parsed()
        self._suspect: set[str] = set()

    def look(self, name: str, *, force: bool = False) -> Plan | None:
        """Bring the catalog up to what one source says now; None where nothing is new.

        Raises SourceError after noting it: the caller decides when to look again.
        """
        source, record = self._sources.get(name), self._catalog.sources.get(name)
        if source is None or record is None:
            return None
        rules = rules_for(self._settings, source.settings, confirmed_empty=record.confirmed_empty)
        identity = _identity(rules, source.settings)
        try:
            fingerprint = source.fingerprint()
            if not force and self._is_known(record, fingerprint, identity):
                self._catalog.sources.looked(name)
                return None
            plan = self._plan(source, rules, fingerprint)
        except SourceError as e:
            self._failed(name, e)
            raise
        self._apply(plan, fingerprint, identity)
        return plan

    def plan(self, name: str) -> Plan:
        """What a look would change now, with nothing of it noted. Raises SourceError."""
        source, record = self._sources[name], self._catalog.sources.get(name)
        confirmed = record is not None and record.confirmed_empty
        return self._plan(
            source, rules_for(self._settings, source.settings, confirmed_empty=confirmed)
        )

    def _is_known(self, record: SourceRecord, fingerprint: str, identity: str) -> bool:
        if record.name in self._suspect or record.state is SourceState.EMPTY:
            return False
        return bool(fingerprint) and (record.fingerprint, record.rules) == (fingerprint, identity)

    def _plan(self, source: Source, rules: Rules, seen: str = "") -> Plan:
        standing = self._catalog.sources.standing(source.name)
        return make_plan(source.snapshot(seen), standing, rules, self._parsed)

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
            self._suspect |= set(self._sources) - {plan.source}
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


def _identity(rules: Rules, source: SourceSettings) -> str:
    """Names the settings by which files are understood: other settings, other plan."""
    text = json.dumps([asdict(rules), asdict(source)], default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class _Parsed:
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
