"""What the next look at a source would change, solved, with nothing of it done."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from envwatch import diff, plan, policy
from envwatch.catalog.records import GenerationRecord
from envwatch.diff import PackageDiff
from envwatch.digests import BARE_PART, of_text
from envwatch.executors import Ending, Outcome
from envwatch.model import (
    Ask,
    BuildState,
    EnvKey,
    Failure,
    FailureKind,
    Folders,
    Job,
    JobKind,
    Message,
    Package,
    Phase,
    Plan,
    Progress,
)
from envwatch.settings import NamespaceSettings, Settings, host_platform
from envwatch.worker import Worker
from envwatch.worker.jobs import lock_text, solve_options


class Move(StrEnum):
    """What would become of one environment."""

    NEW = "new"
    CHANGED = "changed"
    REVERTED = "reverted"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Proposal:
    """One environment that would be built, and the packages against those of `against`.

    `against` is the number of its current generation, None where it has none. `packages` are all
    that it would have.
    """

    key: EnvKey
    path: str
    move: Move
    against: int | None = None
    diff: PackageDiff | None = None
    failure: Failure | None = None
    messages: tuple[Message, ...] = ()
    packages: tuple[Package, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """What one source would change; `refused` are its files that cannot be used."""

    source: str
    revision: str
    proposals: tuple[Proposal, ...]
    retire: tuple[EnvKey, ...]
    refused: tuple[Message, ...]
    empty: bool

    @property
    def ok(self) -> bool:
        return not self.refused and not any(p.failure for p in self.proposals)


def preview(worker: Worker, wanted: Plan) -> Preview:
    """Solve what a plan would build. Writes below `<root>/tmp` and the caches only."""
    known = {e.key: e.id for e in worker.catalog.generations.environments(retired=True)}
    return Preview(
        source=wanted.source,
        revision=wanted.revision,
        proposals=tuple(_propose(worker, ask, known.get(ask.key)) for ask in wanted.build),
        retire=() if wanted.empty else wanted.retire,
        refused=tuple(m for f in wanted.files if f.state == "refused" for m in f.messages),
        empty=wanted.empty,
    )


def afresh(worker: Worker, ask: Ask) -> Proposal:
    """Solved as if there were no environment of its name."""
    return _solved(Proposal(ask.key, ask.path, Move.NEW), solve(worker, ask, ""), ())


def _propose(worker: Worker, ask: Ask, environment_id: int | None) -> Proposal:
    made = worker.catalog.generations.of(environment_id) if environment_id is not None else ()
    current = _current(worker, ask.key) if made else None
    old = worker.catalog.builds.packages(current.lock_digest) if current else ()
    proposal = Proposal(ask.key, ask.path, Move.CHANGED, current.number if current else None)
    made = tuple(g for g in made if not g.candidate)
    if made and _serves(made[0], ask):
        return replace(proposal, move=Move.SAME, packages=tuple(old))
    known = next((g for g in made if _serves(g, ask)), None)
    if known is not None:
        new = worker.catalog.builds.packages(known.lock_digest)
        return replace(
            proposal, move=Move.REVERTED, diff=diff.packages(old, new), packages=tuple(new)
        )
    previous = lock_text(worker.store, made[0]) if made else ""
    proposal = replace(proposal, move=Move.CHANGED if made else Move.NEW)
    return _solved(proposal, solve(worker, ask, previous), old)


def _serves(made: GenerationRecord, ask: Ask) -> bool:
    """Was it made for this, or is it what the lock that came beside the file is of?"""
    if made.asked_digest == ask.digest or not ask.lock_text:
        return made.asked_digest == ask.digest
    same = made.asked_digest[:BARE_PART] == ask.digest[:BARE_PART]
    return same and made.lock_file_digest == of_text(ask.lock_text)


def _current(worker: Worker, key: EnvKey) -> GenerationRecord | None:
    env = worker.catalog.generations.environment(key)
    return worker.catalog.generations.get(key, env.current) if env.current is not None else None


def _solved(proposal: Proposal, outcome: Outcome, old: Iterable[Package]) -> Proposal:
    result = outcome.result
    if outcome.ending is not Ending.RESULT or result is None:
        failure = Failure(
            "BuildKilled", FailureKind.TRANSIENT, outcome.detail or "the solve was stopped"
        )
        return replace(proposal, failure=failure)
    if result.failure is not None:
        return replace(proposal, failure=result.failure, messages=result.messages)
    changes = diff.packages(tuple(old), result.packages)
    return replace(proposal, diff=changes, messages=result.messages, packages=result.packages)


def solve(worker: Worker, ask: Ask, previous: str, *, scheduled: bool = False) -> Outcome:
    """Choose the packages and install none; as a scheduled update would, where it is for one."""
    settings, namespace = worker.settings(), ask.key.namespace
    return aside(
        worker,
        namespace,
        lambda tmp: _job(
            ask, previous, settings, worker.store.aside(tmp, namespace), scheduled=scheduled
        ),
    )


def aside(
    worker: Worker, namespace: str, make: Callable[[Path], Job], *, most: float = 0.0
) -> Outcome:
    """A job of which nothing is kept but what it came to; its folder goes with it.

    `most` are the seconds that it may take, 0 as long as a build.
    """
    tmp = worker.store.root / "tmp" / f"plan-{uuid.uuid4().hex}"
    tmp.mkdir(parents=True)
    limits = worker.settings().namespace(namespace).limits
    if most:
        limits = replace(limits, timeout=min(most, limits.timeout or most))
    try:
        return worker.executor.run(make(tmp), log=tmp / "log", limits=limits, beat=_unheard)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


def _job(ask: Ask, previous: str, settings: Settings, folders: Folders, *, scheduled: bool) -> Job:
    namespace = settings.namespace(ask.key.namespace)
    rules = plan.Rules(namespace, settings.network, (host_platform(),))
    return Job(
        kind=JobKind.SOLVE,
        build_id=0,
        key=ask.key,
        spec=ask.spec,
        text=ask.text,
        channels=plan.channels_of(ask.spec, namespace, settings.network),
        platforms=plan.platforms_of(ask.spec, rules),
        folders=folders,
        network=settings.network,
        pip=namespace.pip,
        solve=solve_options(namespace, scheduled=scheduled),
        fresh=scheduled,
        lock_text=ask.lock_text,
        previous_lock_text=previous,
        allowed_channels=_allowed(namespace, settings),
        memory=namespace.limits.memory,
        composition=ask.composition,
    )


def _allowed(namespace: NamespaceSettings, settings: Settings) -> tuple[str, ...]:
    return policy.allowed_urls(
        default=namespace.channels,
        allowed=namespace.allowed_channels,
        alias=settings.network.alias,
    )


def _unheard(_: Progress | None, __: tuple[Phase, ...]) -> BuildState | None:
    return None
