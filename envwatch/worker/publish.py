"""From a result to what people see, in an order in which each step may be the last.

The record is on disk already; then: catalog, link, kernels, artifacts. Everything after the
catalog is derived from it, and made again at each start.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from envwatch import artifacts, kernels
from envwatch.catalog import Catalog
from envwatch.catalog.records import BuildRecord, EnvironmentRecord, GenerationRecord
from envwatch.model import ArchiveState, BuildState, Result
from envwatch.settings import Settings
from envwatch.storage import Storage
from envwatch.store import Store
from envwatch.worker import records
from envwatch.worker.jobs import is_scheduled, page_url

logger = logging.getLogger(__name__)


class Step(StrEnum):
    """The steps of publishing, in order. A crash may come after each."""

    RECOVERING = "recovering"
    CLAIMED = "claimed"
    RECORDED = "recorded"
    SHELTERED = "sheltered"
    CATALOGUED = "catalogued"
    LINKED = "linked"
    KERNELS = "kernels"
    ARTIFACTS = "artifacts"


Reached = Callable[[Step | BuildState], None]


def nothing(_: Step | BuildState) -> None:
    """Nobody wants to know of steps."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """Makes links, kernels and artifacts follow the catalog."""

    catalog: Catalog
    store: Store
    storage: Storage
    settings: Callable[[], Settings]
    reached: Reached = nothing

    def publish(self, build: BuildRecord, result: Result) -> int:
        """Make the next generation; its number."""
        self.reached(Step.RECORDED)
        self._shelter(build, result)
        self.reached(Step.SHELTERED)
        env, number = self.catalog.generations.publish(
            build, result, candidate=self._is_candidate(build)
        )
        self.reached(Step.CATALOGUED)
        self.converge(env)
        generation = self.catalog.generations.get(env.key, number)
        self.keep(generation)
        if generation.build_id != build.id:
            # it fills a generation that another build had made
            records.keep_ending(self.store, build.id, BuildState.READY, None)
        self.offer(generation)
        logger.info("%s: #%d published by build %d", env.key, number, build.id)
        return number

    def converge(self, env: EnvironmentRecord) -> None:
        """Make the link and the kernels of one environment what the catalog says."""
        current = self._current(env)
        namespace = self.settings().namespace(env.key.namespace)
        if current is None:
            self.store.unpoint(env.key)
        else:
            self.store.point(env.key, current.prefix, mode=namespace.mode, group=namespace.group)
        self.reached(Step.LINKED)
        self._apart(lambda: self._kernels(env, current), "its kernels")
        self.reached(Step.KERNELS)

    def offer(self, generation: GenerationRecord) -> None:
        """Put the files of a generation into the storage, and ask for its archive if wanted."""
        self._apart(lambda: self._artifacts(generation), f"the artifacts of #{generation.number}")
        self.reached(Step.ARTIFACTS)

    def keep(self, generation: GenerationRecord) -> None:
        """Write beside the record of its build what the catalog says of a generation."""
        self._apart(
            lambda: records.keep_published(self.store, generation),
            f"the record of {generation.key} #{generation.number}",
        )

    def _is_candidate(self, build: BuildRecord) -> bool:
        policy = self.settings().namespace(build.key.namespace).update_policy
        return policy == "candidate" and is_scheduled(build)

    def _current(self, env: EnvironmentRecord) -> GenerationRecord | None:
        if env.retired_at is not None or env.current is None:
            return None
        current = self.catalog.generations.get(env.key, env.current)
        # after a restore its files are still to be made: no link leads to nothing
        return None if current.pruned_at is not None else current

    def _shelter(self, build: BuildRecord, result: Result) -> None:
        namespace = self.settings().namespace(build.key.namespace)
        if result.prefix is not None:
            self.store.shelter(result.prefix, mode=namespace.mode, group=namespace.group)

    def _kernels(self, env: EnvironmentRecord, current: GenerationRecord | None) -> None:
        namespace = self.settings().namespace(env.key.namespace)
        folder = kernels.Folder(self.store.root, mode=namespace.mode, group=namespace.group)
        if current is None:
            folder.withdraw(env.key)
        else:
            folder.publish(
                env.key,
                current.prefix,
                link=self.store.link(env.key),
                url=page_url(self.settings(), env.key),
                shown=env.wishes.kernel if env.wishes else "",
            )

    def _artifacts(self, generation: GenerationRecord) -> None:
        made = artifacts.publish(
            self.store.record(generation.build_id),
            generation.key,
            generation.number,
            self.storage,
            log=self.store.log(generation.build_id),
        )
        self.catalog.generations.keep_artifacts(generation.id, made)
        namespace = self.settings().namespace(generation.key.namespace)
        if namespace.archives == "always" and generation.archive is ArchiveState.NONE:
            self.catalog.generations.set_archive(generation.id, ArchiveState.QUEUED)

    def _apart(self, work: Callable[[], None], what: str) -> None:
        """After publishing nothing may fail the build: it is live."""
        try:
            work()
        except Exception:
            logger.exception("%s could not be made; they are made again at the next start", what)
