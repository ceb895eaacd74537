"""Work that no commit asks for: archives, retention, verification, scheduled updates."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from envwatch import artifacts, retention, wishes
from envwatch.catalog.records import EnvironmentRecord, GenerationRecord
from envwatch.catalog.schema import Mode, Reason
from envwatch.errors import EnvwatchError
from envwatch.executors import Ending, Outcome
from envwatch.model import (
    ArchiveState,
    BuildState,
    EnvKey,
    FailureKind,
    Folders,
    Job,
    JobKind,
    Phase,
    Progress,
)
from envwatch.retention import GenerationFacts
from envwatch.settings import host_platform
from envwatch.worker import Worker
from envwatch.worker.jobs import SCHEDULE, parse
from envwatch.worker.updates import look_for_update

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What retention decided for one generation, and why."""

    key: EnvKey
    number: int
    prefix: Path
    goes: bool
    reason: str


# ---------------------------------------------------------------- archives


def make_next_archive(worker: Worker) -> bool:
    """Make the next archive that is asked for; False where none is."""
    generations = worker.catalog.generations
    if not generations.archives(ArchiveState.QUEUED):
        return False
    generation = generations.claim_archive()
    if generation is None:
        return False
    job = _side_job(worker, generation, JobKind.PACK)
    outcome = _run_aside(worker, job)
    problem = _problem(outcome)
    if not problem:
        _keep_archives(worker, generation, job.folders.tmp)
    worker.store.clear(job.folders.tmp)
    if problem:
        logger.warning("archive of %s #%d: %s", generation.key, generation.number, problem)
        generations.set_archive(generation.id, ArchiveState.FAILED, problem)
        return True
    generations.set_archive(generation.id, ArchiveState.READY)
    logger.info("archive of %s #%d is ready", generation.key, generation.number)
    return True


def _keep_archives(worker: Worker, generation: GenerationRecord, made: Path) -> None:
    known = worker.catalog.generations.artifacts(generation.id)
    for kind in artifacts.ARCHIVES:
        known = artifacts.add_archive(
            made / kind,
            kind,
            generation.key,
            generation.number,
            worker.publisher.storage,
            known,
        )
    worker.catalog.generations.keep_artifacts(generation.id, known)


def _side_job(worker: Worker, generation: GenerationRecord, kind: JobKind) -> Job:
    """A job on a finished prefix: its record and log lie apart from those of its build."""
    text = worker.catalog.builds.spec(generation.spec_id)
    parsed = parse(text, "environment.yml")
    name = f"{kind}-{generation.build_id}"
    tmp = worker.store.root / "tmp" / name
    folders = worker.store.folders(generation.build_id, "", generation.key.namespace)
    return Job(
        kind=kind,
        build_id=generation.build_id,
        key=generation.key,
        spec=parsed,
        text=text.text,
        channels=(),
        platforms=(host_platform(),),
        folders=Folders(
            prefix=generation.prefix,
            record=tmp,
            tmp=tmp,
            pkgs=folders.pkgs,
            pyc=folders.pyc,
            uv=folders.uv,
            repodata=folders.repodata,
        ),
    )


def _run_aside(worker: Worker, job: Job) -> Outcome:
    job.folders.tmp.mkdir(parents=True, exist_ok=True)
    return worker.executor.run(
        job,
        log=job.folders.tmp / "log",
        limits=worker.settings().namespace(job.key.namespace).limits,
        beat=_unheard,
    )


def _unheard(_: Progress | None, __: tuple[Phase, ...]) -> BuildState | None:
    return None


def _problem(outcome: Outcome) -> str:
    if outcome.ending is not Ending.RESULT or outcome.result is None:
        return outcome.detail or "it was stopped"
    return outcome.result.failure.message if outcome.result.failure else ""


# ---------------------------------------------------------------- verification


def verify(worker: Worker, generations: Iterable[GenerationRecord]) -> dict[str, str]:
    """Compare published files with their records; what is damaged, by `namespace/name#number`."""
    damaged: dict[str, str] = {}
    for generation in generations:
        if generation.pruned_at is not None:
            continue
        job = _side_job(worker, generation, JobKind.VERIFY)
        problem = _problem(_run_aside(worker, job))
        worker.store.clear(job.folders.tmp)
        worker.catalog.generations.verified(generation.id, problem)
        if problem:
            logger.error("%s #%d is damaged: %s", generation.key, generation.number, problem)
            damaged[f"{generation.key}#{generation.number}"] = problem
    return damaged


def repair(worker: Worker, env: EnvironmentRecord) -> int | None:
    """Build a damaged current generation anew from its lock; the id of the build."""
    if env.current is None:
        return None
    current = worker.catalog.generations.get(env.key, env.current)
    if not current.damaged:
        return None
    return worker.catalog.builds.enqueue(env, Mode.LOCK, Reason.REPAIR).id


# ---------------------------------------------------------------- retention


def prune(worker: Worker, *, dry_run: bool = False) -> tuple[Pruned, ...]:
    """Delete by retention, and tell for every generation why it goes or stays."""
    worker.store.empty_trash()
    verdicts: list[Pruned] = []
    going: list[GenerationRecord] = []
    for env in worker.catalog.generations.environments(retired=True):
        verdicts += _judge(worker, env, going)
    if not dry_run:
        _remove(worker, going)
    return tuple(verdicts)


def _judge(worker: Worker, env: EnvironmentRecord, going: list[GenerationRecord]) -> list[Pruned]:
    kept = [g for g in worker.catalog.generations.of(env.id) if g.pruned_at is None]
    if not kept:
        return []
    namespace = worker.settings().namespace(env.key.namespace)
    policy = wishes.retention(namespace.retention, env.wishes, namespace)
    facts = [_facts(env, g) for g in kept]
    used = frozenset(str(p) for p in worker.store.in_use({g.prefix for g in kept}))
    now = datetime.now(UTC)
    reasons = dict(retention.explain(facts, policy, now=now, in_use=used))
    expired = set(retention.expired(facts, policy, now=now, in_use=used).generations)
    going += [g for g in kept if g.number in expired]
    return [
        Pruned(env.key, g.number, g.prefix, g.number in expired, reasons.get(g.number, "expired"))
        for g in kept
    ]


def _facts(env: EnvironmentRecord, generation: GenerationRecord) -> GenerationFacts:
    return GenerationFacts(
        number=generation.number,
        prefix_id=str(generation.prefix),
        published_at=generation.published_at,
        ceased_at=generation.ceased_at,
        current=generation.number == env.current,
        pinned=generation.pinned,
        held=env.held and generation.number == env.current,
    )


def _remove(worker: Worker, going: list[GenerationRecord]) -> None:
    """Rows first, then files: a crash in between leaves garbage, never a promise unkept."""
    worker.catalog.generations.prune([g.id for g in going])
    kept = {g.prefix for g in worker.catalog.generations.all() if g.pruned_at is None}
    for prefix in {g.prefix for g in going} - kept:
        logger.info("prefix %s is pruned", prefix.name)
        worker.store.discard(prefix)
    worker.store.empty_trash()
    _drop_unlinked(worker.store.root / "pkgs", worker)
    _drop_unlinked_files(worker.store.root / "pyc")


def _drop_unlinked(pkgs: Path, worker: Worker) -> None:
    """Forget cached packages that no kept prefix has files of, while no build runs."""
    if worker.catalog.builds.in_state(*_BUSY):
        return
    referred = _referred(worker)
    for package in pkgs.iterdir():
        if package.name not in referred and not package.name.startswith("."):
            worker.store.discard(package)
    worker.store.empty_trash()


_BUSY = (BuildState.QUEUED, *(s for s in BuildState if s.running))


def _referred(worker: Worker) -> set[str]:
    """The archives (by sha256) that a kept generation needs for its own archive."""
    locks = {g.lock_digest for g in worker.catalog.generations.all() if g.pruned_at is None}
    return {p.sha256 for lock in locks for p in worker.catalog.builds.packages(lock)}


def _drop_unlinked_files(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent) / name
            if path.lstat().st_nlink == 1:
                path.unlink(missing_ok=True)


# ---------------------------------------------------------------- updates


def ask_update(worker: Worker, env: EnvironmentRecord) -> None:
    """Queue a fresh solve that prefers nothing of before, or only tell what it would change."""
    namespace = worker.settings().namespace(env.key.namespace)
    if namespace.update_policy != "notify" or env.current is None:
        worker.catalog.builds.enqueue(env, Mode.UPDATE, Reason.UPDATE, by=SCHEDULE)
        return
    try:
        look_for_update(worker, env)
    except (EnvwatchError, OSError) as e:
        # one file that the rules refuse by now must not stop the others
        logger.warning("%s: no update could be looked for: %s", env.key, e)


def update_namespace(worker: Worker, name: str) -> None:
    """Update the environments of a namespace that have no time of their own."""
    for env in _updatable(worker):
        namespace = worker.settings().namespace(env.key.namespace)
        # the branches of a source may make namespaces after a pattern
        mine = fnmatchcase(env.key.namespace, name)
        if mine and not wishes.update(namespace, env.wishes):
            ask_update(worker, env)


def update_environment(worker: Worker, key: str) -> None:
    """Update one environment, at the time that its repository asks for."""
    for env in _updatable(worker):
        if str(env.key) == key:
            ask_update(worker, env)


def _updatable(worker: Worker) -> Iterable[EnvironmentRecord]:
    """A preview follows its target, at no time of its own."""
    return (e for e in worker.catalog.generations.environments() if not e.preview_of)


def retry_stalled(worker: Worker) -> int:
    """Once a day: what could not be solved may be solvable now, for channels change."""
    queued = 0
    for env in worker.catalog.generations.environments():
        newest = worker.catalog.builds.of(env.id, limit=1)
        failure = newest[0].failure if newest else None
        if failure and failure.kind is FailureKind.STALLED and failure.error == "SolveError":
            worker.catalog.builds.enqueue(env, Mode.SOLVE, Reason.RETRY, by=SCHEDULE)
            queued += 1
    return queued
