"""What a scheduled update would bring, found out by a solve, with nothing built."""

from __future__ import annotations

import logging

from envwatch import diff
from envwatch.catalog.records import EnvironmentRecord
from envwatch.diff import PackageDiff
from envwatch.executors import Ending
from envwatch.model import Ask, Composition, Manager, Package
from envwatch.worker import Worker
from envwatch.worker.jobs import parse
from envwatch.worker.preview import solve

logger = logging.getLogger(__name__)

MOST_NAMED = 5  # packages that are told by name


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
    told = in_words(diff.packages(_conda(old), _conda(outcome.result.packages)))
    worker.catalog.generations.offer(env.id, told)
    return told


def in_words(changes: PackageDiff) -> str:
    """`tiny 1.0 -> 2.0, + other 1.0, and 3 more`; empty where nothing changes."""
    moved = sorted(
        (*changes.upgraded, *changes.downgraded, *changes.rebuilt), key=lambda c: c.new.name
    )
    told = [f"{c.old.name} {_version(c.old, c.new)} -> {_version(c.new, c.old)}" for c in moved]
    told += [f"+ {p.name} {p.version}" for p in changes.added]
    told += [f"- {p.name} {p.version}" for p in changes.removed]
    rest = len(told) - MOST_NAMED
    return ", ".join([*told[:MOST_NAMED], *([f"and {rest} more"] if rest > 0 else [])])


def _version(package: Package, other: Package) -> str:
    """With the build, where the version alone would not tell the two apart."""
    if package.version != other.version:
        return package.version
    return f"{package.version} {package.build}"


def _conda(packages: tuple[Package, ...]) -> tuple[Package, ...]:
    """A solve does not say what pip would bring."""
    return tuple(p for p in packages if p.manager is Manager.CONDA)


def _ask(worker: Worker, env: EnvironmentRecord) -> Ask:
    """What is asked for, without the lock beside it: that is what an update leaves."""
    text = worker.catalog.builds.spec(env.spec_id)
    return Ask(
        env.key,
        env.path,
        parse(text, env.path),
        text.text,
        env.asked_digest,
        composition=text.composition or Composition(),
    )
