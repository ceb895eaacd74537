"""The catalog: asking, claiming, publishing, holding, and what a crash may not undo."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from catalog_helpers import KEY, SPEC, claim, commit, declare, failed, publish, result

from envwatch.catalog import Catalog, open_catalog
from envwatch.catalog.records import BuildRecord
from envwatch.catalog.schema import Mode, Reason, SourceState, metadata
from envwatch.errors import CatalogError, Conflict, NotFound
from envwatch.model import BuildState, EnvKey, FailureKind, Plan, Progress


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = open_catalog(tmp_path / "catalog.sqlite", durable=False)
    declare(catalog, "team")
    yield catalog
    catalog.close()


def states(catalog: Catalog) -> list[BuildState]:
    env = catalog.generations.environment(KEY)
    return [b.state for b in reversed(catalog.builds.of(env.id))]


def current(catalog: Catalog) -> int | None:
    return catalog.generations.environment(KEY).current


def test_the_migrations_make_the_tables_of_the_schema(catalog: Catalog) -> None:
    with catalog.database.read() as c:
        context = MigrationContext.configure(c, opts={"compare_type": False})
        assert compare_metadata(context, metadata) == []


def test_a_commit_queues_a_build(catalog: Catalog) -> None:
    commit(catalog, "a")
    build = claim(catalog)
    assert (build.key, build.mode, build.reason) == (KEY, Mode.SOLVE, Reason.COMMIT)
    assert build.revision == "rev-a"


def test_the_same_again_queues_nothing(catalog: Catalog) -> None:
    publish(catalog, "a")
    commit(catalog, "a")
    assert catalog.builds.claim() is None


def test_a_published_build_is_current(catalog: Catalog) -> None:
    assert publish(catalog, "a") == 1
    assert publish(catalog, "b") == 2
    assert current(catalog) == 2


def test_publishing_twice_makes_one_generation(catalog: Catalog) -> None:
    commit(catalog, "a")
    build = claim(catalog)
    first = catalog.generations.publish(build, result(build))[1]
    assert catalog.generations.publish(build, result(build))[1] == first


def test_a_revert_asks_for_the_old_lock(catalog: Catalog) -> None:
    publish(catalog, "a")
    publish(catalog, "b")
    commit(catalog, "a")
    build = claim(catalog)
    assert (build.mode, build.reason) == (Mode.REUSE, Reason.REVERT)


def test_a_revert_of_what_never_became_ready_needs_no_build(catalog: Catalog) -> None:
    publish(catalog, "a")
    commit(catalog, "b")
    commit(catalog, "a")
    assert catalog.builds.claim() is None
    assert states(catalog) == [BuildState.READY, BuildState.SUPERSEDED]


def test_a_newer_commit_supersedes_a_queued_build(catalog: Catalog) -> None:
    commit(catalog, "a")
    commit(catalog, "b")
    assert claim(catalog).asked_digest == "b"
    assert states(catalog)[0] is BuildState.SUPERSEDED


def test_a_newer_commit_stops_a_build_that_is_still_solving(catalog: Catalog) -> None:
    commit(catalog, "a")
    build = claim(catalog)
    commit(catalog, "b")
    assert catalog.builds.beat(build.id, None, ()) is BuildState.SUPERSEDED


def test_a_build_that_links_already_is_not_stopped_and_does_not_become_current(
    catalog: Catalog,
) -> None:
    commit(catalog, "a")
    old = claim(catalog)
    catalog.builds.beat(old.id, Progress(BuildState.LINKING), ())
    commit(catalog, "b")
    assert catalog.builds.beat(old.id, None, ()) is None
    assert catalog.builds.claim() is None, "one running build for each environment"
    catalog.generations.publish(old, result(old))
    new = claim(catalog)
    catalog.generations.publish(new, result(new))
    assert current(catalog) == 2


def test_a_late_build_of_an_older_ask_does_not_become_current(catalog: Catalog) -> None:
    commit(catalog, "a")
    late = claim(catalog)
    catalog.builds.beat(late.id, Progress(BuildState.LINKING), ())
    commit(catalog, "b")
    with catalog.database.write() as c:
        c.exec_driver_sql("UPDATE build SET state = 'queued' WHERE ask = 2")
    env = catalog.generations.environment(KEY)
    newer = replace(late, id=next(b.id for b in catalog.builds.of(env.id) if b.ask == 2), ask=2)
    catalog.generations.publish(newer, result(newer))
    assert catalog.generations.publish(late, result(late))[1] == 2
    assert current(catalog) == 1


def test_a_failed_build_leaves_the_current_one(catalog: Catalog) -> None:
    publish(catalog, "a")
    commit(catalog, "b")
    build = claim(catalog)
    catalog.builds.end(build.id, BuildState.FAILED, failed(build))
    assert current(catalog) == 1
    assert states(catalog)[-1] is BuildState.FAILED


def test_a_passing_failure_is_tried_again_later_and_a_lasting_one_is_not(catalog: Catalog) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    for kind, again in ((FailureKind.STALLED, 0), (FailureKind.TRANSIENT, 1)):
        commit(catalog, kind.value)
        build = claim(catalog)
        catalog.builds.end(build.id, BuildState.FAILED, failed(build, kind))
        assert catalog.builds.retry_due(datetime.now(UTC)) == 0
        assert catalog.builds.retry_due(later) == again
    assert claim(catalog).attempt == 2


def test_a_retry_is_dropped_when_something_newer_is_asked_for(catalog: Catalog) -> None:
    commit(catalog, "a")
    build = claim(catalog)
    catalog.builds.end(build.id, BuildState.FAILED, failed(build, FailureKind.TRANSIENT))
    commit(catalog, "b")
    assert catalog.builds.retry_due(datetime.now(UTC) + timedelta(hours=1)) == 0


def test_a_held_environment_stays_and_a_release_lets_it_go(catalog: Catalog) -> None:
    publish(catalog, "a")
    publish(catalog, "b")
    catalog.generations.hold(KEY, 1, by="ada")
    publish(catalog, "c")
    assert current(catalog) == 1
    assert catalog.generations.release(KEY, by="ada").current == 3


def test_holding_what_is_not_there_is_refused(catalog: Catalog) -> None:
    commit(catalog, "a")
    with pytest.raises(Conflict):
        catalog.generations.hold(KEY, None, by="ada")
    with pytest.raises(NotFound):
        catalog.generations.hold(KEY, 7, by="ada")


def test_pruning_never_takes_the_current_or_a_pinned_one(catalog: Catalog) -> None:
    for digest in "abc":
        publish(catalog, digest)
    catalog.generations.pin(KEY, 1, pinned=True)
    env = catalog.generations.environment(KEY)
    catalog.generations.prune([g.id for g in catalog.generations.of(env.id)])
    pruned = {g.number for g in catalog.generations.of(env.id) if g.pruned_at}
    assert pruned == {2}


def test_a_retired_environment_keeps_its_history_and_comes_back(catalog: Catalog) -> None:
    publish(catalog, "a")
    catalog.sources.apply(Plan("team", "r", None, retire=(KEY,)), fingerprint="", rules="")
    assert catalog.generations.environments() == ()
    assert catalog.generations.get(KEY, 1).number == 1
    commit(catalog, "a")
    assert [e.key for e in catalog.generations.environments()] == [KEY]
    assert catalog.builds.claim() is None, "its generation is still there"


def test_a_retired_environment_without_a_generation_is_built_when_it_comes_back(
    catalog: Catalog,
) -> None:
    commit(catalog, "a")
    catalog.sources.apply(Plan("team", "r", None, retire=(KEY,)), fingerprint="", rules="")
    assert catalog.builds.claim() is None
    commit(catalog, "a")
    assert claim(catalog).reason is Reason.RESTORED


def test_four_threads_never_claim_the_same_build(catalog: Catalog) -> None:
    for n in range(20):
        commit(catalog, "a", EnvKey("analyst", f"e{n}"))
    claimed: list[int] = []

    def work() -> None:
        while (build := catalog.builds.claim()) is not None:
            claimed.append(build.id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(set(claimed))
    assert len(claimed) == 20


def test_a_busy_namespace_does_not_hold_up_another(catalog: Catalog) -> None:
    for n in range(3):
        commit(catalog, "a", EnvKey("busy", f"e{n}"))
    commit(catalog, "a", EnvKey("calm", "e"))
    assert [claim(catalog).key.namespace for _ in range(2)] == ["busy", "calm"]


def test_an_interrupted_build_is_queued_again(catalog: Catalog) -> None:
    commit(catalog, "a")
    build = claim(catalog)
    assert [b.id for b in catalog.builds.interrupted()] == [build.id]
    again = claim(catalog)
    assert (again.reason, again.attempt) == (Reason.INTERRUPTED, 1)


def test_a_cancelled_build_is_not_queued_again(catalog: Catalog) -> None:
    commit(catalog, "a")
    build = claim(catalog)
    catalog.builds.cancel(build.id, by="ada")
    catalog.builds.interrupted()
    assert catalog.builds.claim() is None
    assert states(catalog) == [BuildState.CANCELLED]


def test_ids_are_never_used_again(catalog: Catalog) -> None:
    commit(catalog, "a")
    first = claim(catalog).id
    with catalog.database.write() as c:
        c.exec_driver_sql("DELETE FROM build")
    env = catalog.generations.environment(KEY)
    assert catalog.builds.enqueue(env, Mode.SOLVE, Reason.REBUILD).id > first


def test_a_source_that_fails_is_counted_and_recovers(catalog: Catalog) -> None:
    for _ in range(2):
        catalog.sources.failed("team", "no route", "", stalled=False)
    source = catalog.sources.get("team")
    assert source is not None
    assert (source.state, source.failures) == (SourceState.FAILING, 2)
    catalog.sources.looked("team")
    again = catalog.sources.get("team")
    assert again is not None
    assert (again.state, again.failures, again.message) == (SourceState.OK, 0, "")


def test_every_write_is_news_and_no_read_is(catalog: Catalog) -> None:
    before = catalog.database.version
    catalog.sources.all()
    assert catalog.database.version == before
    commit(catalog, "a")
    assert catalog.database.version > before


def test_looks_and_beats_wake_nobody(catalog: Catalog) -> None:
    commit(catalog, "a")
    version, news = catalog.database.version, catalog.database.news
    catalog.sources.looked("team")
    catalog.builds.beat(1, Progress(BuildState.SOLVING), ())
    assert catalog.database.version == version + 2
    assert catalog.database.news == news


def test_a_claim_that_finds_nothing_wakes_nobody(catalog: Catalog) -> None:
    commit(catalog, "a")
    claim(catalog)
    (env,) = catalog.generations.environments()
    catalog.builds.enqueue(env, Mode.SOLVE, Reason.REBUILD)
    news = catalog.database.news
    assert catalog.builds.claim() is None
    assert catalog.database.news == news


def test_records_survive_json(catalog: Catalog) -> None:
    from pydantic import TypeAdapter

    commit(catalog, "a")
    adapter = TypeAdapter(BuildRecord)
    build = claim(catalog)
    assert adapter.validate_json(adapter.dump_json(build)) == build


def test_a_newer_catalog_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    open_catalog(path).close()
    with sqlite3.connect(path) as c:
        c.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CatalogError, match="newer"):
        open_catalog(path)


@pytest.mark.parametrize("damage", [b"", b"this is not a database" * 100])
def test_a_damaged_catalog_is_said_so(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "catalog.sqlite"
    open_catalog(path).close()
    data = path.read_bytes()
    path.write_bytes(damage or data[: len(data) // 2])
    with pytest.raises(CatalogError, match=r"rebuild-index"):
        open_catalog(path)


def test_a_spec_is_kept_once(catalog: Catalog) -> None:
    commit(catalog, "a")
    commit(catalog, "a", EnvKey("analyst", "other"))
    with catalog.database.read() as c:
        assert c.exec_driver_sql("SELECT count(*) FROM spec").scalar() == 1
    assert SPEC.messages == ()
