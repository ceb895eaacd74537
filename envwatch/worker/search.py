"""What the channels of a namespace have, looked up by a child."""

from __future__ import annotations

from pathlib import Path

from envwatch import plan
from envwatch.errors import Conflict
from envwatch.executors import Ending, Outcome
from envwatch.model import EnvKey, Job, JobKind, Package, PackageQuery, Spec
from envwatch.settings import host_platform
from envwatch.worker import Worker
from envwatch.worker.preview import aside

PATIENCE = 60.0  # seconds: somebody waits for it
NOTHING = Spec("", (), (), (), (), (), "", "")


def search(worker: Worker, namespace: str, query: PackageQuery) -> tuple[Package, ...]:
    """Raises Conflict where a channel cannot be read."""
    outcome = aside(
        worker, namespace, lambda tmp: _job(worker, namespace, query, tmp), most=PATIENCE
    )
    return _found(outcome)


def _job(worker: Worker, namespace: str, query: PackageQuery, tmp: Path) -> Job:
    settings = worker.settings()
    rules = settings.namespace(namespace)
    return Job(
        kind=JobKind.SEARCH,
        build_id=0,
        key=EnvKey(namespace, ""),
        spec=NOTHING,
        text="",
        channels=plan.channels_of(NOTHING, rules, settings.network),
        platforms=(host_platform(),),
        folders=worker.store.aside(tmp, namespace),
        network=settings.network,
        solve=rules.solve,
        memory=rules.limits.memory,
        query=query,
    )


def _found(outcome: Outcome) -> tuple[Package, ...]:
    result = outcome.result
    if outcome.ending is not Ending.RESULT or result is None:
        raise Conflict(outcome.detail or "the search was stopped", hint="try again")
    if result.failure is not None:
        raise Conflict(result.failure.message, hint=result.failure.hint)
    return result.packages
