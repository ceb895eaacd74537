"""`rebuild-index`: the catalog is lost, and what lies on disk tells it again."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cli_helpers import KEY, Place, ask, claim, fail, make_place, publish, result, text

from envwatch import artifacts, spec
from envwatch.catalog import Catalog, read_catalog
from envwatch.daemon.index import rebuild_index
from envwatch.errors import CatalogError, RootInUse
from envwatch.model import ArchiveState, Ask, BuildState, EnvKey, Plan, Preview, Result
from envwatch.views import environments, pages
from envwatch.worker import Worker, records
from envwatch.worker.recover import recover
from envwatch.worker.reindex import Reindexed

OTHER = EnvKey("analyst", "other")
GONE = EnvKey("analyst", "gone")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


def drop(place: Place) -> None:
    for file in place.root.glob("catalog.sqlite*"):
        file.unlink()


def rebuilt(place: Place) -> Reindexed:
    drop(place)
    return rebuild_index(place.settings)


def seen(place: Place) -> dict[str, Any]:
    """All that people see, but for what no record tells."""
    with closing(read_catalog(place.store.catalog)) as catalog:
        return {
            "list": environments.listing(catalog.database).rows,
            "retired": [r.key for r in environments.listing(catalog.database, retired=True).rows],
            "pages": [_page(catalog, e.key) for e in catalog.generations.environments()],
            "builds": [_build(catalog, n + 1) for n in range(catalog.builds.newest_id())],
            "diffs": [pages.compare(catalog, KEY, 1, 3).packages],
        }


def _page(catalog: Catalog, key: EnvKey) -> Any:
    page = pages.environment(catalog, key)
    record = replace(
        page.record, asked_at=page.record.created_at, changed_at=page.record.created_at
    )
    row = replace(page.row, changed_at=record.changed_at)
    # since when an old generation is not current any more is not on record
    generations = [
        replace(g, generation=replace(g.generation, ceased_at=None)) for g in page.generations
    ]
    # the record of an ending is written a moment after the catalog
    points = [(p.build_id, p.size, p.ok) for p in page.points]
    builds = [replace(b, build=replace(b.build, ended_at=None), seconds=None) for b in page.builds]
    page = replace(page, row=row, record=record, generations=tuple(generations))
    return replace(page, builds=tuple(builds), points=(), events=()), points


def _build(catalog: Catalog, build_id: int) -> Any:
    page = pages.build(catalog, build_id)
    generation = replace(page.generation, ceased_at=None) if page.generation else None
    build = replace(page.build, ended_at=None)
    return replace(page, build=build, generation=generation, seconds=None)


def test_people_see_what_they_saw_before(place: Place) -> None:
    with place.parts() as parts:
        publish(parts, "1.0", GONE)
        parts.publisher.converge(_retire(parts.catalog, GONE))
        for version in ("1.0", "2.0", "3.0"):
            publish(parts, version)
        fail(parts, "9.9", OTHER)
    before = seen(place)
    made = rebuilt(place)
    assert (made.environments, made.builds, made.generations, made.problems) == (3, 5, 4, ())
    after = seen(place)
    for what in ("retired", "builds", "diffs", "pages"):
        assert after[what] == before[what], what
    assert [r.key for r in after["list"]] == [r.key for r in before["list"]]


def _retire(catalog: Catalog, key: EnvKey) -> Any:
    return catalog.sources.apply(Plan("team", "r", None, retire=(key,)), fingerprint="", rules="")[
        0
    ]


def test_a_generation_that_was_held_stays_current(place: Place) -> None:
    with place.parts() as parts:
        publish(parts, "1.0")
        publish(parts, "2.0")
        parts.operations.hold(KEY, 1, by="ada")
    rebuilt(place)
    with place.parts() as parts:
        recover(parts.worker)
        env = parts.catalog.generations.environment(KEY)
        assert (env.current, env.held) == (1, True)
    assert (place.store.link(KEY) / "bin/tiny").read_text() == "1.0\n"


def test_pins_and_archives_outlive_the_catalog(place: Place) -> None:
    with place.parts() as parts:
        publish(parts, "1.0")
        publish(parts, "2.0")
        archive(parts.worker, 1)
    place.cli("env", "pin", "analyst/demo", 1)
    rebuilt(place)
    with closing(read_catalog(place.store.catalog)) as catalog:
        made = catalog.generations.get(KEY, 1)
        assert (made.pinned, made.archive) == (True, ArchiveState.READY)
        assert {a.kind for a in catalog.generations.artifacts(made.id)} >= set(artifacts.ARCHIVES)
        assert catalog.generations.get(KEY, 2).archive is ArchiveState.NONE


def archive(worker: Worker, number: int) -> None:
    made = worker.catalog.generations.get(KEY, number)
    known = worker.catalog.generations.artifacts(made.id)
    for kind in artifacts.ARCHIVES:
        file = worker.store.root / "tmp" / kind
        file.write_text("packed")
        known = artifacts.add_archive(file, kind, KEY, number, worker.publisher.storage, known)
        file.unlink()


def test_what_was_pruned_stays_pruned(place: Place) -> None:
    with place.parts() as parts:
        publish(parts, "1.0")
        publish(parts, "2.0")
        shutil.rmtree(parts.catalog.generations.get(KEY, 1).prefix)
    rebuilt(place)
    with closing(read_catalog(place.store.catalog)) as catalog:
        assert catalog.generations.get(KEY, 1).pruned_at is not None
        assert catalog.generations.get(KEY, 2).pruned_at is None


def test_the_next_start_changes_nothing_and_numbers_go_on(place: Place) -> None:
    with place.parts() as parts:
        publish(parts, "1.0")
        publish(parts, "2.0")
    rebuilt(place)
    with place.parts() as parts:
        recover(parts.worker)
        assert (place.store.link(KEY) / "bin/tiny").read_text() == "2.0\n"
        ask(parts, "2.0")
        assert parts.catalog.builds.claim() is None
        assert publish(parts, "3.0") == 3
        assert parts.catalog.builds.newest_id() == 3


def test_a_build_that_ran_when_the_catalog_was_lost_is_published_or_queued_again(
    place: Place,
) -> None:
    with place.parts() as parts:
        publish(parts, "1.0")
        ask(parts, "2.0")
        result(parts, claim(parts), "2.0")
        ask(parts, "3.0", OTHER)
        claim(parts)
    rebuilt(place)
    with place.parts() as parts:
        recover(parts.worker)
        assert parts.catalog.generations.environment(KEY).current == 2
        other = parts.catalog.generations.environment(OTHER)
        states = [b.state for b in parts.catalog.builds.of(other.id)]
        assert states == [BuildState.QUEUED, BuildState.FAILED]


def test_a_record_that_cannot_be_used_does_not_stop_the_others(place: Place) -> None:
    with place.parts() as parts:
        publish(parts, "1.0")
        publish(parts, "2.0", OTHER)
    (place.store.record(1) / records.ORIGIN_FILE).write_text("{}")
    made = rebuilt(place)
    assert (made.builds, len(made.problems)) == (1, 1)
    assert made.problems[0].startswith(f"{place.store.record(1)}: this record is left out")


def test_a_lost_record_of_a_generation_is_written_again_at_the_next_start(place: Place) -> None:
    with place.parts() as parts:
        publish(parts, "1.0")
        kept = place.store.record(1) / records.PUBLISHED_FILE
        before = kept.read_bytes()
        kept.unlink()
        recover(parts.worker)
    assert kept.read_bytes() == before


def test_no_daemon_starts_with_an_empty_catalog_on_a_filled_root(place: Place) -> None:
    with place.parts() as parts:
        publish(parts, "1.0")
    drop(place)
    with pytest.raises(CatalogError, match="records of builds, and no catalog"), place.parts():
        pass
    assert (place.store.link(KEY) / "bin/tiny").exists()


def test_the_command_moves_the_old_catalog_aside_and_may_run_again(place: Place) -> None:
    with place.parts() as parts:
        publish(parts, "1.0")
    (place.root / "catalog.sqlite").write_text("not a database, but long enough to be one")
    assert place.cli("env", "list").code == 1
    first, second = place.cli("rebuild-index"), place.cli("rebuild-index", "--json")
    assert (first.code, second.code) == (0, 0)
    assert first.err.splitlines()[-1] == "1 environments, 1 builds, 1 generations"
    assert (place.root / "catalog.sqlite.1").read_text().startswith("not a database")
    assert second.json["aside"] == str(place.root / "catalog.sqlite.2")
    assert "#1 serving" in place.cli("env", "list").out


def test_a_journal_that_a_kill_left_behind_does_not_enter_the_new_catalog(place: Place) -> None:
    with place.parts() as parts:
        publish(parts, "1.0")
    drop(place)
    (place.root / "catalog.sqlite-wal").write_bytes(b"old")
    rebuild_index(place.settings)
    assert (place.root / "catalog.sqlite.1-wal").read_bytes() == b"old"
    assert not (place.root / "catalog.sqlite-wal").exists()


def test_it_is_refused_while_a_daemon_holds_the_root(place: Place) -> None:
    with place.parts(), pytest.raises(RootInUse):
        rebuild_index(place.settings)


def test_what_was_only_solved_is_forgotten_and_its_number_is_free(place: Place) -> None:
    key = EnvKey("analyst", "demo-pr-7")
    with place.parts() as parts:
        publish(parts, "1.0")
        parsed = spec.parse(text("2.0").encode(), path="demo.yml")
        assert parsed is not None
        wanted = Ask(key, "demo.yml", parsed, text("2.0"), "d" * 64, preview=Preview("demo", False))
        parts.catalog.sources.apply(
            Plan("team@pr-7", "1" * 40, None, build=(wanted,)), fingerprint="", rules=""
        )
        build = claim(parts)
        parts.catalog.builds.solved(build.id, Result(build.id, lock_digest="l" * 64))
    assert (place.store.record(build.id).exists(), build.solve_only) == (True, True)
    assert rebuilt(place).environments == 1
    assert not place.store.record(build.id).exists()
    assert not place.store.log(build.id).exists()
