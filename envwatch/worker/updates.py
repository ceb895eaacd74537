"""What a scheduled update would bring, found out by a solve, with nothing built."""

from __future__ import annotations

import logging

from envwatch import diff, packagerules
from envwatch.catalog.records import EnvironmentRecord
from envwatch.executors import Ending
from envwatch.model import Ask, Composition
from envwatch.worker import Worker
from envwatch.worker.jobs import parse
from envwatch.worker.preview import solve

logger = logging.getLogger(__name__)


def look_for_update(worker: Worker, env: EnvironmentRecord) -> str:
    """Note which conda packages an update would change; what was noted, empty for nothing."""
    if env.current is None:
        return ""
    current = worker.catalog.generations.get(env.key, env.current)
    if current.asked_digest != env.asked_digest:
        return ""  # a commit waits to be built, and says more than an update could
    outcome = solve(worker, _ask(worker, env), "", scheduled=True)
    failure = outcome.result.failure if outcome.result else None
    if outcome.ending is not Ending.RESULT or outcome.result is None or failure:
        why = failure.message if failure else outcome.detail
        logger.warning("%s: no update could be looked for: %s", env.key, why)
        return ""
    old = worker.catalog.builds.packages(current.lock_digest)
    told = diff.in_words(diff.solved(old, outcome.result.packages))
    worker.catalog.generations.offer(env.id, told)
    return told


def _ask(worker: Worker, env: EnvironmentRecord) -> Ask:
    """What is asked for, without the lock beside it: that is what an update leaves."""
    text = worker.catalog.builds.spec(env.spec_id)
    return Ask(
        env.key,
        env.path,
        packagerules.applied(parse(text, env.path), worker.settings().namespace(env.key.namespace)),
        text.text,
        env.asked_digest,
        composition=text.composition or Composition(),
    )
