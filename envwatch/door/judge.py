"""What a change of files would mean, before it counts: refused, warned of, built, retired."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from envwatch.catalog import Catalog
from envwatch.edit import Outcome
from envwatch.errors import NotFound
from envwatch.model import Ask, EnvKey, FileOutcome, FileState, Level, Message, Plan, Snapshot
from envwatch.plan import make_plan
from envwatch.reconcile import rules_for
from envwatch.settings import Settings, SourceSettings


@dataclass(frozen=True, slots=True)
class Verdict:
    """`refused` is what this change breaks; what was broken before it is only warned of."""

    refused: tuple[Message, ...]
    warned: tuple[Message, ...]
    outcomes: tuple[Outcome, ...]
    files: tuple[FileOutcome, ...]

    def key_of(self, path: str) -> EnvKey | None:
        """The environment that a file is for."""
        return next((f.key for f in self.files if f.path == path), None)


@dataclass(frozen=True, slots=True)
class Judge:
    """Plans a change as the next look at its source would, and writes nothing."""

    catalog: Catalog
    settings: Callable[[], Settings]

    def __call__(self, source: SourceSettings, before: Snapshot, after: Snapshot) -> Verdict:
        plan, old = self._plan(source, after), self._plan(source, before)
        known = {f.path: f.content for f in before.files}
        touched = {f.path for f in after.files if known.get(f.path) != f.content}
        broken = {f.path for f in old.files if f.state is FileState.REFUSED}
        refused: list[Message] = []
        warned: list[Message] = []
        for file in plan.files:
            if file.state is FileState.REFUSED:
                ours = file.path in touched or file.path not in broken
                (refused if ours else warned).append(file.messages[0])
            elif file.path in touched:
                warned += [m for m in file.messages if m.level is Level.WARNING]
        outcomes = tuple(self._outcomes(plan, touched))
        return Verdict(tuple(refused), tuple(warned), outcomes, plan.files)

    def _plan(self, source: SourceSettings, snapshot: Snapshot) -> Plan:
        standing = self.catalog.sources.standing(source.name)
        return make_plan(snapshot, standing, rules_for(self.settings(), source))

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
