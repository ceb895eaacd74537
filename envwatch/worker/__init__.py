"""Claims builds, runs them in children, publishes what comes of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from envwatch.catalog import Catalog
from envwatch.catalog.records import BuildRecord, GenerationRecord
from envwatch.catalog.schema import Mode
from envwatch.errors import BuildError, BuildKilled, BuildTimeout, EnvwatchError, SpecError
from envwatch.executors import Ending, Executor, Outcome
from envwatch.model import BuildState, Failure, FailureKind, Phase, Progress, Result
from envwatch.settings import Settings
from envwatch.store import Store
from envwatch.views.commits import commit
from envwatch.worker import records
from envwatch.worker.jobs import check_quota, check_space, make_job
from envwatch.worker.publish import Publisher, Step

logger = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds between two looks at the queue when nothing was written in between


@dataclass(frozen=True, slots=True)
class Worker:
    """One build at a time for each thread that runs `loop`."""

    catalog: Catalog
    store: Store
    executor: Executor
    publisher: Publisher
    settings: Callable[[], Settings]

    def loop(self, stop: threading.Event) -> None:
        """Run builds until told to stop."""
        while not stop.is_set():
            news = self.catalog.database.news
            try:
                if self.run_one():
                    continue
                self.catalog.builds.retry_due(datetime.now(UTC))
            except Exception:
                logger.exception("the worker goes on after an error")
                stop.wait(1.0)
            self.catalog.database.wait(news, PATIENCE)

    def run_one(self) -> bool:
        """Claim and run the next build; False where none waits."""
        settings = self.settings()
        build = self.catalog.builds.claim(lambda name: settings.namespace(name).quota.builds)
        if build is None:
            return False
        self.publisher.reached(Step.CLAIMED)
        try:
            self._run(build)
        except (EnvwatchError, OSError) as e:
            logger.warning("build %d of %s: %s", build.id, build.key, e)
            self._end(build, BuildState.FAILED, _failed(build.id, e))
        except Exception as e:
            logger.exception("build %d of %s", build.id, build.key)
            self._end(build, BuildState.FAILED, _failed(build.id, e))
        return True

    def _run(self, build: BuildRecord) -> None:
        logger.info("build %d of %s: %s", build.id, build.key, build.reason)
        self._keep_origin(build)
        old = self._reusable(build)
        if old is not None:
            result = records.reuse(self.store, build, old)
            self.publisher.publish(build, result)
            return
        settings = self.settings()
        namespace = settings.namespace(build.key.namespace)
        if not build.solve_only:
            newest = self.catalog.generations.of(build.environment_id, limit=1)
            check_space(self.store, settings, newest[0].size if newest else 0)
            check_quota(namespace, self.catalog.generations.size_of(namespace.name))
        job = make_job(build, self.catalog, self.store, settings)
        outcome = self.executor.run(
            job,
            log=self.store.log(build.id),
            limits=namespace.limits,
            beat=lambda progress, phases: self._beat(build, progress, phases),
        )
        self.store.clear(job.folders.tmp)
        self._conclude(build, outcome)

    def _keep_origin(self, build: BuildRecord) -> None:
        with self.catalog.database.read() as c:
            said = commit(c, build.source, build.revision)
        text = self.catalog.builds.spec(build.spec_id)
        records.keep_origin(self.store, build, text, said)

    def _beat(
        self, build: BuildRecord, progress: Progress | None, phases: tuple[Phase, ...]
    ) -> BuildState | None:
        stop = self.catalog.builds.beat(build.id, progress, phases)
        if progress is not None:
            self.publisher.reached(progress.state)
        return stop

    def _reusable(self, build: BuildRecord) -> GenerationRecord | None:
        """The generation whose lock and prefix serve again, with no solve and no install."""
        if build.mode is not Mode.REUSE:
            return None
        old = self.catalog.generations.latest_asked(build.environment_id, build.asked_digest)
        if old is None or old.pruned_at is not None or old.damaged or not old.prefix.is_dir():
            return None
        return old

    def _conclude(self, build: BuildRecord, outcome: Outcome) -> None:
        """What the child left → a generation, or an ending with its reason."""
        result = outcome.result
        if outcome.ending is Ending.RESULT and result is not None:
            if result.failure is None:
                self._take(build, result)
                return
            state = BuildState.FAILED
        elif outcome.ending is Ending.STOPPED:
            state, result = outcome.stop or BuildState.CANCELLED, None
        elif outcome.ending is Ending.LIMIT:
            state, result = BuildState.TIMED_OUT, _failed(build.id, _stopped(outcome.detail))
        else:
            state, result = BuildState.FAILED, _failed(build.id, _died(outcome.detail))
        self.store.discard(self.store.prefix(build.id, build.asked_digest))
        self._end(build, state, result)
        why = result.failure.message if result and result.failure else ""
        logger.info("build %d of %s: %s %s", build.id, build.key, state, why)

    def _take(self, build: BuildRecord, result: Result) -> None:
        """Publish what was built; of a preview that is only solved, keep which packages it has."""
        if not build.solve_only:
            self.publisher.publish(build, result)
            return
        self.catalog.builds.solved(build.id, result)
        logger.info("build %d of %s: %d packages", build.id, build.key, len(result.packages))

    def _end(self, build: BuildRecord, state: BuildState, result: Result | None) -> None:
        self.catalog.builds.end(build.id, state, result)
        records.keep_ending(self.store, build.id, state, result)


def _failed(build_id: int, error: Exception) -> Result:
    """A failure of which no child has written a record."""
    transient = error.retry if isinstance(error, EnvwatchError) else isinstance(error, OSError)
    line = error.line if isinstance(error, (BuildError, SpecError)) else 0
    failure = Failure(
        error=type(error).__name__,
        kind=FailureKind.TRANSIENT if transient else FailureKind.STALLED,
        message=error.message if isinstance(error, EnvwatchError) else f"{error}",
        hint=error.hint if isinstance(error, EnvwatchError) else "",
        line=line,
        path=error.path if isinstance(error, (BuildError, SpecError)) else "",
    )
    return Result(build_id, failure=failure)


def _stopped(detail: str) -> BuildTimeout:
    hint = "raise the limit, or make the environment smaller"
    return BuildTimeout(f"the build was stopped: {detail}", hint=hint)


def _died(detail: str) -> BuildKilled:
    hint = "the end of its log may tell why; out of memory is the commonest reason"
    return BuildKilled(f"{detail} without a result", hint=hint)
