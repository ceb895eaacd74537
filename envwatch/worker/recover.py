"""At start: make everything on disk what the catalog says, and sweep what belongs to nobody."""

from __future__ import annotations

import logging

from envwatch import kernels
from envwatch.catalog.records import BuildRecord
from envwatch.model import RUNNING, ArchiveState
from envwatch.worker import Worker, records
from envwatch.worker.publish import Step

logger = logging.getLogger(__name__)


def recover(worker: Worker) -> None:
    """Safe to run again, and to be killed in: each step only follows the catalog."""
    for step in (_finish_interrupted, _repoint, _sweep, _offer_again):
        worker.publisher.reached(Step.RECOVERING)
        step(worker)


def _finish_interrupted(worker: Worker) -> None:
    """A build whose child had written its result is published, the others are queued again."""
    for build in worker.catalog.builds.in_state(*RUNNING):
        with records.after_child(worker.store, build.id) as gone:
            if gone:
                _publish_if_done(worker, build)
            else:
                logger.error("build %d: its child of an earlier daemon still runs", build.id)
    for build in worker.catalog.builds.interrupted():
        logger.warning("build %d of %s was interrupted", build.id, build.key)
        worker.store.discard(worker.store.prefix(build.id, build.asked_digest))


def _publish_if_done(worker: Worker, build: BuildRecord) -> None:
    result = records.result(worker.store, build.id)
    whole = result is not None and result.failure is None and result.prefix is not None
    if result is not None and whole and build.cancel is None:
        worker.publisher.publish(build, result)


def _repoint(worker: Worker) -> None:
    wanted = set()
    for env in worker.catalog.generations.environments(retired=True):
        worker.publisher.converge(env)
        wanted.add(env.key)
    for key, link in list(worker.store.links()):
        if key not in wanted and link.is_symlink():
            logger.warning("link %s belongs to no environment: removed", link)
            worker.store.unpoint(key)
    living = {e.key for e in worker.catalog.generations.environments()}
    kernels.sync(worker.store.root, living)


def _sweep(worker: Worker) -> None:
    kept = {g.prefix for g in worker.catalog.generations.all() if g.pruned_at is None}
    for prefix in list(worker.store.prefixes()):
        if prefix not in kept:
            logger.info("prefix %s belongs to no generation: removed", prefix.name)
            worker.store.discard(prefix)
    for left in (worker.store.root / "tmp").iterdir():
        worker.store.clear(left)


def _offer_again(worker: Worker) -> None:
    generations = worker.catalog.generations
    for generation in generations.all():
        if not records.is_kept(worker.store, generation):
            worker.publisher.keep(generation)
        if not generations.artifacts(generation.id):
            worker.publisher.offer(generation)
    for generation in generations.archives(ArchiveState.MAKING):
        generations.set_archive(generation.id, ArchiveState.QUEUED)
