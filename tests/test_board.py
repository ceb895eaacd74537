"""What lists are made from: read once for a version of the catalog, and never older than it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from catalog_helpers import KEY, claim, commit, declare, failed, publish, result
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, insert

from envwatch.access import Visitor
from envwatch.catalog import Catalog, open_catalog, schema
from envwatch.catalog.database import read_database
from envwatch.model import BuildState, EnvKey, EnvState, Manager, Package, Progress
from envwatch.settings import Grant, Role
from envwatch.views import environments, listing, packages
from envwatch.views.board import board, state_of
from envwatch.views.listing import Span, Wanted
from envwatch.views.scope import EVERYTHING, has_environment, scope_of

OTHER = EnvKey("lab", "stats")
VIEWER = Role.VIEWER
NOW = datetime.now(UTC)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = open_catalog(tmp_path / "catalog.sqlite")
    declare(catalog, "team")
    yield catalog
    catalog.close()


def publish_with(catalog: Catalog, digest: str, *names: str, key: EnvKey = KEY) -> None:
    commit(catalog, digest, key)
    build = claim(catalog)
    found = tuple(Package(n, "1.0", "0", Manager.CONDA, "c") for n in names)
    catalog.generations.publish(build, replace(result(build), packages=found))


def users(catalog: Catalog, name: str) -> list[EnvKey]:
    return [u.key for u in packages.package_uses(catalog, name).uses]


# ---------------------------------------------------------------- as new as the catalog


def test_each_write_is_seen_by_the_next_question(catalog: Catalog) -> None:
    states = []
    commit(catalog, "one")
    states.append(environments.listing(catalog.database).rows[0].env)
    build = claim(catalog)
    catalog.generations.publish(build, result(build))
    states.append(environments.listing(catalog.database).rows[0].env)
    commit(catalog, "two")
    build = claim(catalog)
    catalog.builds.end(build.id, BuildState.FAILED, failed(build))
    states.append(environments.listing(catalog.database).rows[0].env)
    assert states == [EnvState.BUILDING, EnvState.READY, EnvState.FAILED]


def test_what_is_not_written_is_not_read_again(catalog: Catalog) -> None:
    publish(catalog, "one")
    first = environments.listing(catalog.database)
    assert board(catalog.database) is board(catalog.database)
    assert environments.listing(catalog.database).rows[0] is first.rows[0]


def test_how_far_a_build_is_is_told_and_no_list_is_made_anew(catalog: Catalog) -> None:
    commit(catalog, "one")
    build = claim(catalog)
    of = board(catalog.database)
    for done in (10, 20):
        catalog.builds.beat(build.id, Progress(BuildState.DOWNLOADING, done, 100), ())
        progress = environments.listing(catalog.database).rows[0].progress
        assert progress is not None
        assert progress.done == done
    assert board(catalog.database) is of


def test_a_reader_of_what_another_process_writes_sees_it(catalog: Catalog, tmp_path: Path) -> None:
    reader = read_database(tmp_path / "catalog.sqlite")
    assert environments.listing(reader).total == 0
    publish(catalog, "one")
    assert environments.listing(reader).total == 1
    reader.close()


def test_a_package_is_found_by_the_lock_that_is_in_use_now(catalog: Catalog) -> None:
    publish_with(catalog, "one", "numpy", "pandas")
    publish_with(catalog, "other", "numpy", key=OTHER)
    assert (users(catalog, "numpy"), users(catalog, "pandas")) == ([KEY, OTHER], [KEY])
    publish_with(catalog, "two", "polars")
    found = [users(catalog, n) for n in ("numpy", "pandas", "polars", "panda")]
    assert found == [[OTHER], [], [KEY], []]


def test_nothing_is_found_in_what_is_not_seen(catalog: Catalog) -> None:
    publish_with(catalog, "one", "numpy")
    publish_with(catalog, "other", "numpy", key=OTHER)
    scope = scope_of([Grant("lab/*", VIEWER)])
    assert [u.key for u in packages.package_uses(catalog, "numpy", scope=scope).uses] == [OTHER]
    assert [r.key for r in environments.listing(catalog.database, scope=scope).rows] == [OTHER]
    who = Visitor("ada", (Grant("lab/*", VIEWER),))
    wanted = Wanted(packages=("numpy",))
    part = listing.environments(catalog.database, who, wanted, Span())
    assert [e.key for e in part.items] == [OTHER]


# ---------------------------------------------------------------- chosen and ordered


def test_a_search_knows_no_case_in_any_language(catalog: Catalog) -> None:
    publish(catalog, "one")
    with catalog.database.write() as c:
        c.execute(schema.environment.update().values(description="Für die Ökologie"))
    for search, found in (("ÖKO", 1), ("für DEMO", 1), ("analyst/demo", 1), ("für die katz", 0)):
        assert environments.listing(catalog.database, search=search).total == found, search


def test_a_list_for_programs_is_ordered_as_asked(catalog: Catalog) -> None:
    keys = [EnvKey(n, e) for n, e in (("b", "y"), ("a", "z"), ("b", "x"), ("a", "y"))]
    for i, key in enumerate(keys):
        commit(catalog, f"d{i}", key)
    who = Visitor("ada", (Grant("*/*", VIEWER),))

    def listed(*order: str, down: bool = False, **part: int) -> list[str]:
        span = Span(order=order, down=down, **part)
        found = listing.environments(catalog.database, who, Wanted(), span)
        assert found.total == 4
        return [str(e.key) for e in found.items]

    assert listed() == ["a/y", "a/z", "b/x", "b/y"]
    assert listed(down=True) == ["b/y", "b/x", "a/z", "a/y"]
    assert listed("name") == ["b/x", "a/y", "b/y", "a/z"]
    assert listed("namespace", down=True) == ["b/x", "b/y", "a/y", "a/z"]
    assert listed("id") == ["b/y", "a/z", "b/x", "a/y"]
    assert listed(page=2, size=3) == ["b/y"]
    assert listed(page=9, size=3) == []


@pytest.mark.parametrize(
    ("serving", "newest", "solved", "state"),
    [
        (False, None, False, EnvState.MISSING),
        (True, None, False, EnvState.READY),
        (True, BuildState.QUEUED, False, EnvState.BUILDING),
        (True, BuildState.SOLVING, False, EnvState.BUILDING),
        (True, BuildState.FAILED, False, EnvState.FAILED),
        (True, BuildState.TIMED_OUT, False, EnvState.FAILED),
        (True, BuildState.CANCELLED, False, EnvState.READY),
        (False, BuildState.CANCELLED, False, EnvState.MISSING),
        (False, BuildState.READY, True, EnvState.SOLVED),
        (False, BuildState.READY, False, EnvState.MISSING),
    ],
)
def test_the_newest_build_and_what_is_in_use_decide_the_state(
    serving: bool, newest: BuildState | None, solved: bool, state: EnvState
) -> None:
    assert state_of(serving=serving, newest=newest, solved=solved) is state


# ---------------------------------------------------------------- what is seen

WORDS = st.text("ab-", min_size=1, max_size=3)
PARTS = st.text("ab-*", min_size=1, max_size=3)
GRANTS = st.builds(lambda n, e: Grant(f"{n}/{e}", VIEWER), PARTS, PARTS)


MEMORY = create_engine("sqlite://")
schema.environment.create(MEMORY)
ROW = {
    "source": "team", "path": "x.yml", "asked_digest": "", "ask": 1, "spec_id": 1, "revision": "",
    "asked_at": NOW, "created_at": NOW, "changed_at": NOW,
}  # fmt: skip


@settings(deadline=None)
@given(st.lists(GRANTS, max_size=4), WORDS, WORDS, st.just("") | WORDS)
def test_queries_and_lists_agree_on_what_is_seen(
    grants: list[Grant], namespace: str, name: str, preview_of: str
) -> None:
    key, scope = EnvKey(namespace, name), scope_of(grants)
    row = {**ROW, "namespace": namespace, "name": name, "preview_of": preview_of}
    with MEMORY.connect() as c:  # nothing is committed
        c.execute(insert(schema.environment).values(row))
        assert has_environment(c, key, EVERYTHING)
        assert has_environment(c, key, scope) == scope.shows(key, preview_of)
    assert EVERYTHING.shows(key, preview_of)
