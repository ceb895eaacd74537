"""What a person may ask for. Used by the control socket, the pages and the command line alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from envwatch.catalog import Catalog
from envwatch.catalog.records import BuildRecord, EnvironmentRecord
from envwatch.catalog.schema import Mode, Reason
from envwatch.errors import Conflict, NotFound
from envwatch.model import ArchiveState, EnvKey


@dataclass(frozen=True, slots=True)
class Operations:
    """Each asks the catalog for one change and says what came of it.

    `converge` makes link and kernels follow; `mark` wakes a source.
    """

    catalog: Catalog
    converge: Callable[[EnvironmentRecord], None]
    mark: Callable[[str], None]

    def rebuild(self, key: EnvKey, *, by: str, generation: int | None = None) -> BuildRecord:
        """Try again what is asked for now; with `generation`, make its prefix anew."""
        env = self._living(key)
        if generation is None:
            return self.catalog.builds.enqueue(env, Mode.SOLVE, Reason.REBUILD, by=by)
        old = self.catalog.generations.get(key, generation)
        if old.asked_digest != env.asked_digest:
            raise Conflict(
                f"{key}: #{generation} was made for another state of {env.path}",
                hint="revert the commit, and envwatch brings its lock back",
            )
        return self.catalog.builds.enqueue(env, Mode.LOCK, Reason.REBUILD, by=by)

    def update(self, key: EnvKey, *, by: str) -> BuildRecord:
        """Solve afresh, preferring nothing of the previous lock."""
        return self.catalog.builds.enqueue(self._living(key), Mode.UPDATE, Reason.UPDATE, by=by)

    def cancel(self, build_id: int, *, by: str) -> BuildRecord:
        build = self.catalog.builds.get(build_id)
        if build.state.over:
            raise Conflict(f"build {build_id} is over: {build.state}")
        return self.catalog.builds.cancel(build_id, by=by)

    def activate(self, key: EnvKey, number: int, *, by: str) -> EnvironmentRecord:
        """Make a generation current and hold it there: commits would move the link again.

        A candidate that waits is taken instead, and holds up nothing that comes later.
        """
        env = self._living(key)
        generation = self.catalog.generations.get(key, number)
        if not generation.candidate or number < (env.current or 0) or generation.pruned_at:
            return self.hold(key, number, by=by)
        env = self.catalog.generations.take(key, number, by=by)
        self.converge(env)
        return env

    def hold(self, key: EnvKey, number: int | None, *, by: str) -> EnvironmentRecord:
        self._living(key)
        env = self.catalog.generations.hold(key, number, by=by)
        self.converge(env)
        return env

    def release(self, key: EnvKey, *, by: str) -> EnvironmentRecord:
        env = self.catalog.generations.release(key, by=by)
        self.converge(env)
        return env

    def pin(self, key: EnvKey, number: int, *, pinned: bool) -> None:
        self.catalog.generations.pin(key, number, pinned=pinned)

    def ask_archive(self, key: EnvKey, number: int) -> ArchiveState:
        """Have the archive of a generation made, if it is not there yet."""
        generation = self.catalog.generations.get(key, number)
        if generation.archive in (ArchiveState.READY, ArchiveState.QUEUED, ArchiveState.MAKING):
            return generation.archive
        if generation.pruned_at is not None:
            raise Conflict(f"{key}: the files of #{number} were pruned")
        self.catalog.generations.set_archive(generation.id, ArchiveState.QUEUED)
        return ArchiveState.QUEUED

    def sync(self, source: str) -> None:
        """Look at a source now."""
        if self.catalog.sources.get(source) is None:
            raise NotFound(f"there is no source `{source}`", hint="see `envwatch source list`")
        self.mark(source)

    def confirm_empty(self, source: str) -> None:
        """The emptiness of a source is meant: retire what it asked for."""
        self.sync(source)
        self.catalog.sources.confirm_empty(source)
        self.mark(source)

    def _living(self, key: EnvKey) -> EnvironmentRecord:
        env = self.catalog.generations.environment(key)
        if env.retired_at is not None:
            raise Conflict(
                f"{key} is retired: its file is gone", hint="bring the file back, and it returns"
            )
        return env
