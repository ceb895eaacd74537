"""What a change of files would mean, before it counts: refused, warned of, built, retired."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace

from envwatch.asking import Parse
from envwatch.catalog import Catalog
from envwatch.declared import declarations
from envwatch.edit import Outcome
from envwatch.errors import NotFound, SpecError
from envwatch.model import (
    Ask,
    EnvKey,
    FileOutcome,
    FileState,
    Level,
    Message,
    Plan,
    Snapshot,
)
from envwatch.plan import make_plan
from envwatch.reconcile import Parsed, rules_for
from envwatch.settings import Settings, SourceSettings


@dataclass(frozen=True, slots=True)
class Verdict:
    """`refused` is what this change breaks; what was broken before it is only warned of.

    `changed` are the environments that it builds, retires or breaks, and those that are made of
    one of its files, whatever keeps that from showing now.
    """

    refused: tuple[Message, ...]
    warned: tuple[Message, ...]
    outcomes: tuple[Outcome, ...]
    files: tuple[FileOutcome, ...]
    changed: frozenset[EnvKey]

    def key_of(self, path: str) -> EnvKey | None:
        """The environment that a file is for."""
        return next((f.key for f in self.files if f.path == path), None)

    def only(self, keys: Set[EnvKey], path: str) -> Verdict:
        """What of it is about some environments and the file of one of them."""
        return Verdict(
            tuple(m for m in self.refused if m.path == path),
            tuple(m for m in self.warned if m.path in (path, "")),
            tuple(o for o in self.outcomes if o.key in keys),
            tuple(f for f in self.files if f.path == path),
            self.changed & keys,
        )


@dataclass(frozen=True, slots=True)
class Judge:
    """Plans a change as the next look at its source would, and writes nothing."""

    catalog: Catalog
    settings: Callable[[], Settings]
    parse: Parse = field(default_factory=Parsed, compare=False)

    def __call__(self, source: SourceSettings, before: Snapshot, after: Snapshot) -> Verdict:
        plan, planned = self._plan(source, after), self._plan(source, before)
        known = {f.path: f.content for f in before.files}
        new = {f.path: f.content for f in after.files}
        differing = {path for path in known | new if known.get(path) != new.get(path)}
        touched = differing & new.keys()
        bad = [f for f in plan.files if f.state is FileState.REFUSED]
        broken = {f.path for f in planned.files if f.state is FileState.REFUSED}
        ours = [f for f in bad if f.path in touched or f.path not in broken]
        warned = [f.messages[0] for f in bad if f not in ours]
        warned += [
            m
            for f in plan.files
            if f.state is FileState.UNDERSTOOD and f.path in touched
            for m in f.messages
            if m.level is Level.WARNING
        ]
        outcomes = tuple(self._outcomes(plan, touched))
        refused = tuple(f.messages[0] for f in ours)
        changed = {key for key, _ in _moves(plan) ^ _moves(planned)}
        declared = (*self._parts(source, before), *self._parts(source, after))
        parts = (*self.catalog.sources.parts(source.name), *declared)
        changed |= {key for key, path in parts if path in differing}
        return Verdict(refused, tuple(warned), outcomes, plan.files, frozenset(changed))

    def owner(self, source: SourceSettings, snapshot: Snapshot, path: str) -> EnvKey | None:
        """The environment that a file of a snapshot is for, or was for before it broke."""
        found = self._plan(source, snapshot)
        key = next((f.key for f in found.files if f.path == path), None)
        kept = {key for key, _ in found.invalid}
        standing = self.catalog.sources.standing(source.name)
        before = [s.key for s in standing if s.key in kept and s.path == path]
        return before[0] if key is None and len(before) == 1 else key

    def alone(self, source: SourceSettings, snapshot: Snapshot, path: str) -> EnvKey | None:
        """The environment that a file would be for, if there were no other file."""
        single = replace(snapshot, files=tuple(f for f in snapshot.files if f.path == path))
        plan = make_plan(single, (), rules_for(self.settings(), source), self.parse)
        return next((f.key for f in plan.files), None)

    def _parts(self, source: SourceSettings, snapshot: Snapshot) -> Iterator[tuple[EnvKey, str]]:
        """What each `envwatch.yml` makes environments of, also of files that are not there."""
        rules = rules_for(self.settings(), source)
        for repo in declarations(snapshot.files).repo_files:
            for entry in repo.environments:
                named = entry.words.virtual_file or repo.defaults.virtual_file
                with suppress(SpecError):
                    key = rules.key(entry.name, repo.path)
                    yield from ((key, path) for path in (*(f.text for f in entry.files), named))

    def _plan(self, source: SourceSettings, snapshot: Snapshot) -> Plan:
        standing = self.catalog.sources.standing(source.name)
        return make_plan(snapshot, standing, rules_for(self.settings(), source), self.parse)

    def _outcomes(self, plan: Plan, touched: Iterable[str]) -> Iterator[Outcome]:
        for ask in plan.build:
            yield Outcome(ask.key, self._change(ask), self._url(ask.key))
        for ask in plan.touch:
            if ask.path in touched:
                yield Outcome(ask.key, "no change to build")
        for key in plan.retire:
            yield Outcome(key, "will be retired, for its file is gone")

    def _change(self, ask: Ask) -> str:
        try:
            env = self.catalog.generations.environment(ask.key)
        except NotFound:
            return "will be solved and built"
        known = self.catalog.generations.latest_asked(env.id, ask.digest)
        back = f"will go back to the lock of #{known.number}" if known else ""
        what = back or "will be solved and built"
        return f"{what}, and stays held at #{env.current}" if env.held else what

    def _url(self, key: EnvKey) -> str:
        return f"{self.settings().web.address}/{key.namespace}/{key.name}/"


def _moves(plan: Plan) -> frozenset[tuple[EnvKey, str]]:
    """What a plan has happen to which environment."""
    built = ((ask.key, ask.digest) for ask in plan.build)
    retired = ((key, "retired") for key in plan.retire)
    broken = ((key, "invalid") for key, _ in plan.invalid)
    return frozenset((*built, *retired, *broken))
