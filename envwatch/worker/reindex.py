"""The catalog made again from what is on disk: records of builds, links, prefixes, artifacts.

What no record tells is taken as it does least harm: nothing becomes deletable by it, and the next
look at the sources puts right what they know better.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from envwatch import artifacts, layers
from envwatch.catalog import Catalog
from envwatch.catalog.asks import spec_digest
from envwatch.catalog.records import (
    BuildRecord,
    EnvironmentRecord,
    GenerationRecord,
    SpecRecord,
)
from envwatch.catalog.restore import Remembered, restore
from envwatch.errors import SpecError
from envwatch.model import (
    ArchiveState,
    ArtifactKind,
    BuildState,
    Composition,
    EnvKey,
    Failure,
    FailureKind,
    Result,
    Spec,
)
from envwatch.storage import Storage
from envwatch.store import Store
from envwatch.worker import records
from envwatch.worker.records import Ended

T = TypeVar("T")

UNKNOWN_END = Failure("BuildKilled", FailureKind.STALLED, "how it ended is not on record")


@dataclass(frozen=True, slots=True)
class Reindexed:
    """What was found on disk; `problems` are records that could not be used."""

    environments: int
    builds: int
    generations: int
    problems: tuple[str, ...]
    aside: Path | None = None


def reindex(catalog: Catalog, store: Store, storage: Storage) -> Reindexed:
    """Fill an empty catalog from the records on disk."""
    problems: list[str] = []
    found = [r for folder in _folders(store) if (r := _read(store, folder, problems)) is not None]
    environments: list[EnvironmentRecord] = []
    builds: list[Remembered] = []
    for key, some in groupby(sorted(found, key=_by_environment), key=lambda r: r.build.key):
        env, its_builds = _environment(key, list(some), store, storage)
        environments.append(env)
        builds += its_builds
    builds.sort(key=lambda r: r.build.id)
    restore(catalog.database, environments, builds)
    generations = [r.generation for r in builds if r.generation is not None]
    for generation in generations:
        kept = artifacts.kept(generation.key, generation.number, storage)
        catalog.generations.keep_artifacts(generation.id, kept)
    return Reindexed(len(environments), len(builds), len(generations), tuple(problems))


# ---------------------------------------------------------------- one record


def _folders(store: Store) -> Iterator[Path]:
    """The folders of builds, in the order of their numbers."""
    folders = [p for p in (store.root / "records").iterdir() if p.name.isdecimal()]
    yield from sorted(folders, key=lambda p: int(p.name))


def _read(store: Store, folder: Path, problems: list[str]) -> Remembered | None:
    """One build as its record tells of it, None where it cannot be used."""
    try:
        origin = records.ORIGIN.validate_json((folder / records.ORIGIN_FILE).read_bytes())
        text = (folder / ArtifactKind.SPEC).read_text()
        if origin.build.solve_only:
            # solved again at the next look: its number may come again, and what it left must not
            shutil.rmtree(folder)
            store.log(origin.build.id).unlink(missing_ok=True)
            return None
        published = _optional(folder / records.PUBLISHED_FILE, records.PUBLISHED)
        ended = _optional(folder / records.ENDING_FILE, records.ENDED)
        composition = _optional(folder / records.COMPOSITION_FILE, records.COMPOSITION)
    except (OSError, ValueError) as e:
        reason = "it cannot be understood" if isinstance(e, ValidationError) else e
        problems.append(f"{folder}: this record is left out: {reason}")
        return None
    build = origin.build
    result = records.result(store, build.id)
    return Remembered(
        build=_build(build, result, published, ended),
        spec=_spec(build, text, folder / records.BESIDE, composition),
        generation=published,
        commit=origin.commit,
        packages=result.packages if result else (),
    )


def _optional(path: Path, adapter: TypeAdapter[T]) -> T | None:
    return adapter.validate_json(path.read_bytes()) if path.exists() else None


def _spec(
    origin: BuildRecord, text: str, beside: Path, composition: Composition | None
) -> SpecRecord:
    lock_text = beside.read_text() if beside.exists() else ""
    parsed = _parsed(text, origin.path, composition)
    return SpecRecord(
        id=origin.spec_id,
        digest=spec_digest(text, lock_text, composition),
        text=text,
        lock_text=lock_text,
        messages=parsed.messages if parsed else (),
        composition=composition,
    )


def _parsed(text: str, path: str, composition: Composition | None) -> Spec | None:
    try:
        return layers.read(text, path, composition or Composition())
    except SpecError:
        return None  # the rules changed since


def _build(
    origin: BuildRecord,
    result: Result | None,
    published: GenerationRecord | None,
    ended: Ended | None,
) -> BuildRecord:
    """The build as it ended; as it was claimed where that is not on record."""
    if published is not None and result is not None:
        return _ready(origin, result, published)
    if ended is None:
        return origin
    build = replace(origin, state=ended.state, ended_at=ended.at, progress=None)
    if ended.result is None:
        return build
    return replace(
        build,
        failure=ended.result.failure,
        phases=ended.result.phases,
        messages=ended.result.messages,
    )


def _ready(origin: BuildRecord, result: Result, generation: GenerationRecord) -> BuildRecord:
    return replace(
        origin,
        state=BuildState.READY,
        ended_at=generation.published_at,
        progress=None,
        retry_at=None,
        phases=result.phases,
        messages=result.messages,
        lock_digest=result.lock_digest,
        prefix_digest=result.prefix_digest,
        prefix=str(result.prefix),
        reused=result.reused,
        size=result.size,
        own_size=result.own_size,
        generation=generation.number,
    )


# ---------------------------------------------------------------- one environment


def _by_environment(remembered: Remembered) -> tuple[EnvKey, int]:
    return remembered.build.key, remembered.build.id


def _environment(
    key: EnvKey, found: Sequence[Remembered], store: Store, storage: Storage
) -> tuple[EnvironmentRecord, list[Remembered]]:
    """An environment and its builds, oldest first."""
    now = datetime.now(UTC)
    last = found[-1]
    kept = [g for r in found if (g := r.generation) is not None and _is_whole(g)]
    current, held = _current(kept, store.pointed(key))
    published = any(r.generation for r in found)
    parsed = _parsed(last.spec.text, last.build.path, last.spec.composition)
    env = EnvironmentRecord(
        id=last.build.environment_id,
        key=key,
        source=last.build.source,
        path=last.build.path,
        description=parsed.description if parsed else "",
        asked_digest=last.build.asked_digest,
        ask=last.build.ask,
        spec_id=last.spec.id,
        revision=last.build.revision,
        asked_at=last.build.queued_at,
        invalid=None,
        current=current,
        held=held,
        created_at=found[0].build.queued_at,
        changed_at=last.build.ended_at or last.build.queued_at,
        retired_at=now if published and not store.link(key).is_symlink() else None,
    )
    return env, [_settled(r, env, storage, now, newest=r is last) for r in found]


def _is_whole(generation: GenerationRecord) -> bool:
    return generation.pruned_at is None and generation.prefix.is_dir()


def _current(kept: Sequence[GenerationRecord], pointed: Path | None) -> tuple[int | None, bool]:
    """Which generation is current, and whether a person holds it there: the link says so."""
    if not kept:
        return None, False
    # who was taken by a merge is on record as a candidate still, and has the link
    kept = [g for g in kept if not g.candidate or g.prefix == pointed] or kept
    newest = max(kept, key=lambda g: (g.ask, g.number))
    linked = [g.number for g in kept if g.prefix == pointed]
    if newest.prefix == pointed or not linked:
        return newest.number, False
    return max(linked), True


def _settled(
    remembered: Remembered,
    env: EnvironmentRecord,
    storage: Storage,
    now: datetime,
    *,
    newest: bool,
) -> Remembered:
    """A build and its generation, as the disk shows them by now."""
    build = replace(remembered.build, environment_id=env.id)
    if build.state.running and not newest:
        # the newest one is left to recovery, which publishes it or queues it again
        build = replace(
            build, state=BuildState.FAILED, ended_at=build.started_at, failure=UNKNOWN_END
        )
    made = remembered.generation
    if made is not None:
        made = replace(
            made,
            environment_id=env.id,
            # since when is not on record: grace must not end too early
            ceased_at=None if made.number == env.current else now,
            pruned_at=None if _is_whole(made) else made.pruned_at or now,
            archive=_archive(made, storage),
            archive_message="",
            candidate=made.candidate and made.number > (env.current or 0),
        )
    return replace(remembered, build=build, generation=made)


def _archive(generation: GenerationRecord, storage: Storage) -> ArchiveState:
    places = (
        artifacts.storage_key(kind, generation.key, generation.number)
        for kind in artifacts.ARCHIVES
    )
    return ArchiveState.READY if all(map(storage.exists, places)) else ArchiveState.NONE
