"""The durable records of builds: what a child left, read back; origins; reused generations."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from envwatch.catalog.records import BuildRecord, GenerationRecord, SpecRecord
from envwatch.model import ArtifactKind, BuildState, Commit, Composition, Result
from envwatch.store import Store, write_durably

RESULT = TypeAdapter(Result)
RECORD = "result.json"
ORIGIN_FILE = "origin.json"
LOCK = "lock"
PUBLISHED_FILE = "generation.json"
ENDING_FILE = "ending.json"
COMPOSITION_FILE = "composition.json"
BESIDE = "committed.conda-lock.yml"
MADE = (
    ArtifactKind.PINNED,
    ArtifactKind.LOCK,
    ArtifactKind.EXPLICIT,
    ArtifactKind.PACKAGES,
)


@dataclass(frozen=True, slots=True)
class Origin:
    """A build as it was claimed, and the commit that it was made for."""

    build: BuildRecord
    commit: Commit | None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a build ended that published nothing."""

    state: BuildState
    at: datetime
    result: Result | None


COMPOSITION = TypeAdapter(Composition)
ORIGIN = TypeAdapter(Origin)
PUBLISHED = TypeAdapter(GenerationRecord)
ENDED = TypeAdapter(Ended)


def keep_origin(store: Store, build: BuildRecord, text: SpecRecord, commit: Commit | None) -> None:
    """Write down where a build came from: the catalog can be made again from this."""
    folder = store.record(build.id)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ArtifactKind.SPEC).unlink(missing_ok=True)
    (folder / ArtifactKind.SPEC).write_text(text.text)
    if text.lock_text:
        (folder / BESIDE).write_text(text.lock_text)
    if text.composition is not None:
        write_durably(folder / COMPOSITION_FILE, COMPOSITION.dump_json(text.composition))
    write_durably(folder / ORIGIN_FILE, ORIGIN.dump_json(Origin(build, commit)))


def keep_published(store: Store, generation: GenerationRecord) -> None:
    """Write down what was published, for the day on which the catalog is lost."""
    path = store.record(generation.build_id) / PUBLISHED_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, PUBLISHED.dump_json(generation))


def is_kept(store: Store, generation: GenerationRecord) -> bool:
    return (store.record(generation.build_id) / PUBLISHED_FILE).exists()


def keep_ending(store: Store, build_id: int, state: BuildState, result: Result | None) -> None:
    """Write down how a build ended that published nothing."""
    folder = store.record(build_id)
    if folder.is_dir():
        ended = Ended(state, datetime.now(UTC), result)
        write_durably(folder / ENDING_FILE, ENDED.dump_json(ended))


def result(store: Store, build_id: int) -> Result | None:
    """The result that a child wrote, None where it wrote none."""
    try:
        return RESULT.validate_json((store.record(build_id) / RECORD).read_bytes())
    except (OSError, ValidationError):
        return None


def reuse(store: Store, build: BuildRecord, old: GenerationRecord) -> Result:
    """A new result on the lock and prefix of an old generation, with its own durable record."""
    folder, before = store.record(build.id), store.record(old.build_id)
    for kind in MADE:
        with suppress(FileNotFoundError):
            _link(before / kind, folder / kind)
    known = result(store, old.build_id) or Result(old.build_id)
    made = replace(
        known,
        build_id=build.id,
        prefix=old.prefix,
        prefix_digest=old.prefix_digest,
        lock_digest=old.lock_digest,
        size=old.size,
        own_size=0,
        kernels=old.kernels,
        python=old.python,
        reused=True,
        solved=False,
        phases=(),
        messages=(),
    )
    store.log(build.id).write_text(
        f"the lock and the files of #{old.number} (build {old.build_id}) serve again: "
        "nothing to solve, nothing to install\n"
    )
    write_durably(folder / RECORD, RESULT.dump_json(made))
    return made


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


@contextmanager
def after_child(store: Store, build_id: int, patience: float = 15.0) -> Iterator[bool]:
    """Wait until the child of a build is gone (it holds a lock all its life); is it?"""
    folder = store.record(build_id)
    if not folder.is_dir():
        yield True
        return
    with (folder / LOCK).open("a") as file:
        deadline = time.monotonic() + patience
        while True:
            try:
                flock(file, LOCK_EX | LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    yield False
                    return
                time.sleep(0.05)
        yield True
