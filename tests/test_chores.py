"""What no commit asks for: archives, verification, repair, retention, updates. On real prefixes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from envwatch.catalog.records import EnvironmentRecord, GenerationRecord
from envwatch.catalog.schema import Reason
from envwatch.daemon import run_chore
from envwatch.daemon.parts import Parts, assemble
from envwatch.model import ArchiveState, ArtifactKind, BuildState, EnvKey
from envwatch.settings import NamespaceSettings, Retention, Settings, SourceKind, SourceSettings
from envwatch.worker import chores

KEY = EnvKey("analyst", "demo")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "specs"
    folder.mkdir()
    return folder


@pytest.fixture
def parts(tmp_path: Path, folder: Path, channel: Path) -> Iterator[Parts]:
    url = channel.as_uri()
    retention = Retention(keep_last=1, keep_days=0, grace=0)
    namespace = NamespaceSettings(
        "analyst", channels=(url,), allowed_channels=(url,), retention=retention
    )
    source = SourceSettings("team", SourceKind.DIRECTORY, "analyst", directory=folder)
    settings = Settings(tmp_path / "root", sources=(source,), namespaces=(namespace,))
    with assemble(settings) as parts:
        parts.executor.start()
        yield parts
        parts.executor.stop()


def build(parts: Parts, folder: Path, *dependencies: str) -> GenerationRecord:
    """Ask for these packages and build; the newest generation."""
    text = "name: demo\ndependencies: [" + ", ".join(dependencies) + "]\n"
    (folder / "demo.yml").write_text(text)
    parts.look("team")
    assert parts.worker.run_one()
    return parts.catalog.generations.of(env(parts).id)[0]


def env(parts: Parts) -> EnvironmentRecord:
    return parts.catalog.generations.environment(KEY)


def newest(parts: Parts) -> GenerationRecord:
    return parts.catalog.generations.of(env(parts).id)[0]


def damage(generation: GenerationRecord) -> Path:
    path = generation.prefix / "share/tiny/version"
    path.chmod(0o644)
    path.unlink()
    path.write_text("not what was published")
    return path


def test_an_archive_is_made_when_it_is_asked_for(parts: Parts, folder: Path) -> None:
    generation = build(parts, folder, "tiny")
    assert not chores.make_next_archive(parts.worker)
    parts.operations.ask_archive(KEY, generation.number)
    assert chores.make_next_archive(parts.worker)
    assert newest(parts).archive is ArchiveState.READY
    kinds = {a.kind for a in parts.catalog.generations.artifacts(generation.id)}
    assert {ArtifactKind.TAR_ZST, ArtifactKind.TAR_GZ, ArtifactKind.SUMS} <= kinds
    assert not list((parts.store.root / "tmp").iterdir())


def test_archives_can_be_made_always(parts: Parts, folder: Path) -> None:
    settings = parts.settings()
    always = tuple(replace(n, archives="always") for n in settings.namespaces)
    parts.settings.replace(replace(settings, namespaces=always))
    build(parts, folder, "tiny")
    assert newest(parts).archive is ArchiveState.QUEUED


def test_verification_finds_a_changed_file_and_repair_builds_it_anew(
    parts: Parts, folder: Path
) -> None:
    generation = build(parts, folder, "tiny")
    assert chores.verify(parts.worker, [generation]) == {}
    damage(generation)
    run_chore(parts, "verify")
    assert "share/tiny/version" in newest(parts).damaged
    assert chores.repair(parts.worker, env(parts)) is not None
    assert parts.worker.run_one()
    repaired = newest(parts)
    assert repaired.number == 2
    assert repaired.prefix != generation.prefix
    assert chores.verify(parts.worker, [repaired]) == {}
    assert parts.store.pointed(KEY) == repaired.prefix


def test_what_is_whole_needs_no_repair(parts: Parts, folder: Path) -> None:
    build(parts, folder, "tiny")
    assert chores.repair(parts.worker, env(parts)) is None


def test_retention_prunes_what_it_listed_and_keeps_the_records(parts: Parts, folder: Path) -> None:
    first = build(parts, folder, "tiny=1.0")
    second = build(parts, folder, "tiny=2.0")
    listed = {v.number: v.goes for v in chores.prune(parts.worker, dry_run=True)}
    assert listed == {1: True, 2: False}
    assert first.prefix.is_dir(), "a dry run removes nothing"
    run_chore(parts, "retention")
    assert not first.prefix.exists()
    assert second.prefix.is_dir()
    assert (parts.store.record(first.build_id) / ArtifactKind.LOCK).exists()


@pytest.mark.parametrize("how", ["pinned", "held", "in use"])
def test_retention_never_removes(parts: Parts, folder: Path, how: str) -> None:
    first = build(parts, folder, "tiny=1.0")
    build(parts, folder, "tiny=2.0")
    if how == "pinned":
        parts.operations.pin(KEY, 1, pinned=True)
    elif how == "held":
        parts.operations.hold(KEY, 1, by="ada")
    with (first.prefix / "share/tiny/version").open() as _:
        if how == "in use":
            inside(first.prefix, lambda: chores.prune(parts.worker))
        else:
            chores.prune(parts.worker)
    assert first.prefix.is_dir()


def inside(folder: Path, work: object) -> None:
    """Do something while a process stands in a folder."""
    import subprocess

    with subprocess.Popen(("sleep", "60"), cwd=folder) as process:
        try:
            work()  # type: ignore[operator]  # a function
        finally:
            process.kill()


def test_a_pruned_generation_comes_back_from_its_lock(parts: Parts, folder: Path) -> None:
    first = build(parts, folder, "tiny=1.0")
    build(parts, folder, "tiny=2.0")
    chores.prune(parts.worker)
    again = build(parts, folder, "tiny=1.0")
    assert (again.number, again.reason) == (3, Reason.REVERT)
    assert again.lock_digest == first.lock_digest
    assert (again.prefix / "share/tiny/version").read_text() == "1.0"


def test_unused_packages_leave_the_cache(parts: Parts, folder: Path) -> None:
    build(parts, folder, "tiny=1.0")
    build(parts, folder, "tiny=2.0")
    pkgs = parts.store.root / "pkgs"
    before = len([p for p in pkgs.iterdir() if not p.name.startswith(".")])
    chores.prune(parts.worker)
    assert len([p for p in pkgs.iterdir() if not p.name.startswith(".")]) == before - 1


def test_a_scheduled_update_solves_afresh(parts: Parts, folder: Path) -> None:
    build(parts, folder, "tiny")
    run_chore(parts, "update:analyst")
    assert parts.worker.run_one()
    assert newest(parts).reason is Reason.UPDATE


def test_what_could_not_be_solved_is_tried_again(parts: Parts, folder: Path) -> None:
    (folder / "demo.yml").write_text("name: demo\ndependencies: [no-such-package]\n")
    parts.look("team")
    assert parts.worker.run_one()
    newest_build = parts.catalog.builds.of(env(parts).id)[0]
    assert newest_build.state is BuildState.FAILED
    run_chore(parts, "retry-stalled")
    assert parts.worker.run_one()
    assert len(parts.catalog.builds.of(env(parts).id)) == 2


def test_no_build_starts_below_the_floor(parts: Parts, folder: Path) -> None:
    settings = parts.settings()
    parts.settings.replace(replace(settings, space=replace(settings.space, floor=2**60)))
    (folder / "demo.yml").write_text("name: demo\ndependencies: [tiny]\n")
    parts.look("team")
    assert parts.worker.run_one()
    failed = parts.catalog.builds.of(env(parts).id)[0]
    assert failed.failure is not None
    assert failed.failure.error == "NoSpace"
    assert failed.retry_at is not None
