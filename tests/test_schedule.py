"""The calendar: each chore is due at the right time, and what was missed is caught up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from catalog_helpers import ask, declare
from waiting import wait_for

from envwatch.catalog import Catalog, open_catalog, schema
from envwatch.daemon.schedule import Cron, Schedule, chores, next_after, own_updates
from envwatch.model import Plan, Wishes
from envwatch.settings import NamespaceSettings, RepoRules, ScheduleSettings, Settings

# a Thursday
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SETTINGS = Settings(
    Path("/nowhere"),
    namespaces=(NamespaceSettings("team", update="0 4 * * 1"), NamespaceSettings("plain")),
    schedule=ScheduleSettings(retention="15 1 * * *", verify="30 3 * * *"),
)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = open_catalog(tmp_path / "catalog.sqlite", durable=False)
    yield catalog
    catalog.close()


def ran(catalog: Catalog, chore: str, moment: datetime) -> None:
    """As if a chore had last run then."""
    catalog.ran(chore)
    with catalog.database.write() as c:
        c.execute(schema.chore.update().values(ran_at=moment).where(schema.chore.c.name == chore))


def started(catalog: Catalog, settings: Settings = SETTINGS) -> list[str]:
    """The chores that a start puts into the queue at once."""
    put: list[str] = []
    schedule = Schedule(catalog, put.append)
    schedule.start(settings)
    schedule.stop()
    return put


@pytest.mark.parametrize(
    ("chore", "due"),
    [
        ("retention", datetime(2026, 1, 2, 1, 15, tzinfo=UTC)),
        ("verify", datetime(2026, 1, 2, 3, 30, tzinfo=UTC)),
        ("update:team", datetime(2026, 1, 5, 4, tzinfo=UTC)),
        ("retry-stalled", datetime(2026, 1, 2, tzinfo=UTC)),
    ],
)
def test_each_chore_is_due_at_its_time(chore: str, due: datetime) -> None:
    assert next_after(chores(SETTINGS)[chore], NOON) == due


def test_only_what_is_asked_for_is_scheduled() -> None:
    off = Settings(
        Path("/nowhere"),
        namespaces=(NamespaceSettings("team", update="latest"),),
        schedule=ScheduleSettings(retention="", verify=""),
    )
    assert sorted(chores(off)) == ["retry-stalled"]


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("@hourly", datetime(2026, 1, 1, 13, tzinfo=UTC)),
        ("@daily", datetime(2026, 1, 2, tzinfo=UTC)),
        ("@weekly", datetime(2026, 1, 4, tzinfo=UTC)),
        ("@monthly", datetime(2026, 2, 1, tzinfo=UTC)),
        (" @Daily ", datetime(2026, 1, 2, tzinfo=UTC)),
    ],
)
def test_names_of_times_mean_what_the_config_says(text: str, due: datetime) -> None:
    assert next_after(text, NOON) == due


@pytest.mark.parametrize("day", range(7))
def test_weekdays_count_from_sunday(day: int) -> None:
    sunday = datetime(2026, 1, 4, 6, tzinfo=UTC)
    due = Cron(f"0 6 * * {day}").get_next_fire_time(None, NOON)
    assert due == sunday + timedelta(days=day if day <= 4 else day - 7)


def test_the_scheduler_waits_for_the_times_of_the_config(catalog: Catalog) -> None:
    schedule = Schedule(catalog, lambda _: None)
    schedule.start(SETTINGS)
    try:
        upcoming = schedule.upcoming()
        assert {name: (at.hour, at.minute) for name, at in upcoming.items()} == {
            "retention": (1, 15),
            "verify": (3, 30),
            "update:team": (4, 0),
            "retry-stalled": (0, 0),
        }
        assert upcoming["update:team"].weekday() == 0
    finally:
        schedule.stop()


def test_a_first_start_owes_nothing(catalog: Catalog) -> None:
    assert started(catalog) == []
    assert catalog.last_run("retention") is not None


def test_what_was_missed_while_no_daemon_ran_runs_at_the_start(catalog: Catalog) -> None:
    started(catalog)
    ran(catalog, "verify", datetime.now(UTC) - timedelta(days=2))
    assert started(catalog) == ["verify"]


def test_what_ran_in_time_is_not_run_again_by_a_restart(catalog: Catalog) -> None:
    started(catalog)
    ran(catalog, "update:team", datetime.now(UTC) - timedelta(days=8))
    assert started(catalog) == ["update:team"]
    catalog.ran("update:team")
    assert started(catalog) == []


def test_a_reload_takes_over_other_times(catalog: Catalog) -> None:
    schedule = Schedule(catalog, lambda _: None)
    schedule.start(SETTINGS)
    try:
        schedule.load(Settings(Path("/nowhere"), schedule=ScheduleSettings("45 5 * * *", "")))
        upcoming = schedule.upcoming()
        assert sorted(upcoming) == ["retention", "retry-stalled"]
        assert (upcoming["retention"].hour, upcoming["retention"].minute) == (5, 45)
    finally:
        schedule.stop()


def test_a_chore_that_is_due_reaches_the_queue(catalog: Catalog) -> None:
    put: list[str] = []
    schedule = Schedule(catalog, put.append)
    schedule.start(SETTINGS)
    try:
        schedule._scheduler.modify_job("retention", next_run_time=datetime.now(UTC))
        wait_for(lambda: put, what="the chore")
        assert put == ["retention"]
        assert schedule.upcoming()["retention"] > datetime.now(UTC)
    finally:
        schedule.stop()


def asks_for(catalog: Catalog, update: str) -> None:
    """As if the repository had asked for this time of update."""
    declare(catalog, "team")
    wished = replace(ask("d"), wishes=Wishes(update=update))
    known = catalog.sources.standing("team")
    plan = Plan("team", update, None)
    plan = replace(plan, touch=(wished,)) if known else replace(plan, build=(wished,))
    catalog.sources.apply(plan, fingerprint=update, rules="")


def test_an_environment_may_have_a_time_of_its_own(catalog: Catalog) -> None:
    rules = RepoRules(allow=("update",))
    settings = replace(SETTINGS, namespaces=(NamespaceSettings("analyst", repo=rules),))
    schedule = Schedule(catalog, lambda _: None)
    schedule.start(settings)
    assert "update-one:analyst/demo" not in schedule.upcoming()
    asks_for(catalog, "0 5 * * 1")
    schedule.follow(settings)
    due = schedule.upcoming()["update-one:analyst/demo"]
    assert (due.weekday(), due.hour) == (0, 5)
    asks_for(catalog, "off")
    schedule.follow(settings)
    assert "update-one:analyst/demo" not in schedule.upcoming()
    schedule.stop()


def test_a_time_that_the_operator_does_not_allow_any_more_is_not_kept(catalog: Catalog) -> None:
    asks_for(catalog, "@weekly")
    (found,) = catalog.updates()
    assert own_updates(SETTINGS, [found]) == {}
