"""Each metric is moved by what it tells of."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families
from web_helpers import (
    DASK,
    DEMO,
    INVALID,
    NO_NUMPYY,
    NOT_A_LIST,
    Stand,
    ask,
    claim,
    commit,
    fail,
    packages,
    publish,
    result,
)

from envwatch.model import ArchiveState
from envwatch.web import Health

NAME = "envwatch_"


def read(made: Stand) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(made.text("/metrics"))
    return {(s.name, frozenset(s.labels.items())): s.value for f in families for s in f.samples}


def value(made: Stand, name: str, **labels: str) -> float | None:
    return read(made).get((NAME + name, frozenset(labels.items())))


def test_environments_are_counted_by_namespace_and_state(empty: Stand) -> None:
    commit(empty.catalog, ask(DEMO, "d"))
    assert value(empty, "environments", namespace="analyst", state="building") == 1
    publish(empty.catalog)
    assert value(empty, "environments", namespace="analyst", state="building") == 0
    assert value(empty, "environments", namespace="analyst", state="ready") == 1
    commit(empty.catalog, ask(DEMO, "e"))
    fail(empty.catalog, NO_NUMPYY)
    assert value(empty, "environments", namespace="analyst", state="failed") == 1


def test_a_retired_environment_is_not_counted(empty: Stand) -> None:
    commit(empty.catalog, ask(DEMO, "d"))
    commit(empty.catalog, retire=(DEMO,))
    assert value(empty, "environments", namespace="analyst", state="building") is None


def test_a_refused_file_is_counted(filled: Stand) -> None:
    assert value(filled, "environments_invalid", namespace="analyst") == 1
    commit(filled.catalog, invalid=((DASK, NOT_A_LIST),))
    assert value(filled, "environments_invalid", namespace="global") == 1


def test_held_environments_are_counted(filled: Stand) -> None:
    before = value(filled, "environments_held")
    filled.catalog.generations.hold(INVALID, None, by="ada")
    assert value(filled, "environments_held") == before + 1


def test_the_queue_grows_and_shrinks(empty: Stand) -> None:
    assert (value(empty, "queue_depth"), value(empty, "queue_oldest_seconds")) == (0, 0)
    commit(empty.catalog, ask(DEMO, "d"))
    assert value(empty, "queue_depth") == 1
    assert value(empty, "queue_oldest_seconds") > 0
    claim(empty.catalog)
    assert (value(empty, "queue_depth"), value(empty, "queue_oldest_seconds")) == (0, 0)


def test_builds_are_counted_by_state(empty: Stand) -> None:
    commit(empty.catalog, ask(DEMO, "d"))
    assert value(empty, "builds", state="queued") == 1
    fail(empty.catalog, NO_NUMPYY)
    assert (value(empty, "builds", state="queued"), value(empty, "builds", state="failed")) == (
        0,
        1,
    )


def test_phases_of_ended_builds_fill_the_histogram(empty: Stand) -> None:
    commit(empty.catalog, ask(DEMO, "d"))
    publish(empty.catalog)
    labels = {"phase": "solving"}
    assert value(empty, "build_phase_seconds_count", **labels) == 1
    assert value(empty, "build_phase_seconds_sum", **labels) == pytest.approx(4.2)
    assert value(empty, "build_phase_seconds_bucket", le="2.5", **labels) == 0
    assert value(empty, "build_phase_seconds_bucket", le="5.0", **labels) == 1
    assert value(empty, "build_phase_seconds_bucket", le="+Inf", **labels) == 1


def test_a_running_build_is_not_in_the_histogram(filled: Stand) -> None:
    ended = sum(
        count
        for (name, labels), count in read(filled).items()
        if name == "envwatch_builds" and dict(labels)["state"] in ("ready", "failed")
    )
    assert value(filled, "build_phase_seconds_count", phase="solving") == ended


def test_a_source_that_fails_is_seen(empty: Stand) -> None:
    assert value(empty, "source_last_success_timestamp_seconds", source="team") == 0
    commit(empty.catalog, ask(DEMO, "d"))
    assert value(empty, "source_last_success_timestamp_seconds", source="team") > 1.7e9
    empty.catalog.sources.failed("team", "key refused", "", stalled=True)
    empty.catalog.sources.failed("team", "key refused", "", stalled=True)
    assert value(empty, "source_failures", source="team") == 2
    assert value(empty, "source_state", source="team", state="stalled") == 1
    assert value(empty, "source_state", source="team", state="ok") == 0


def test_the_store_counts_a_shared_prefix_once(empty: Stand) -> None:
    commit(empty.catalog, ask(DEMO, "d"))
    first = claim(empty.catalog)
    empty.catalog.generations.publish(first, result(first, packages(6), own_size=700))
    commit(empty.catalog, ask(DEMO, "e"))
    second = claim(empty.catalog)
    again = result(first, packages(6), own_size=700)
    empty.catalog.generations.publish(second, again)
    assert value(empty, "generations") == 2
    assert value(empty, "store_bytes") == 700


def test_pruning_frees_the_store(filled: Stand) -> None:
    before = value(filled, "store_bytes")
    filled.catalog.generations.prune([filled.catalog.generations.get(DEMO, 1).id])
    assert value(filled, "generations_pruned") == 1
    assert value(filled, "store_bytes") == before - 5_000_000


def test_damage_is_seen(filled: Stand) -> None:
    filled.catalog.generations.verified(filled.catalog.generations.get(DEMO, 3).id, "bin/x: gone")
    assert value(filled, "generations_damaged") == 1


def test_archives_are_counted_by_state(filled: Stand) -> None:
    generation = filled.catalog.generations.get(DEMO, 3)
    filled.catalog.generations.set_archive(generation.id, ArchiveState.QUEUED)
    assert value(filled, "archives", state="queued") == 1


def test_the_daemons_own_state_is_told(empty: Stand) -> None:
    assert (value(empty, "alive"), value(empty, "ready")) == (1, 1)
    empty.health = Health(alive=True, ready=False)
    assert (value(empty, "alive"), value(empty, "ready")) == (1, 0)
    assert value(empty, "start_time_seconds") > 1.7e9
    assert any(name == "envwatch_info" for name, _ in read(empty))


def test_every_metric_is_in_the_documentation(filled: Stand) -> None:
    from test_pages import DOCS

    endings = ("_bucket", "_count", "_sum")
    names = {n for n, _ in read(filled)}
    plain = {next((n.removesuffix(e) for e in endings if n.endswith(e)), n) for n in names}
    text = DOCS.read_text()
    assert [n for n in sorted(plain) if f"`{n}`" not in text] == []
