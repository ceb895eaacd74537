"""What becomes of locks and of scheduled updates is on the pages and in their twins."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from web_helpers import DEMO, Stand, ask, claim, commit, packages, publish, result

from envwatch.catalog.schema import Mode, Reason

SOURCE, TWIN = "/source?name=team", "/source.json?name=team"


@pytest.fixture
def written(empty: Stand) -> Stand:
    """A source whose locks are on its branch."""
    locks = empty.catalog.writebacks
    locks.declare(["team"])
    locks.written("team", "d", ("a" * 40, "b" * 40), 3, "3 locks on `envwatch/locks`")
    return empty


def test_a_source_without_locks_to_write_says_nothing_of_them(empty: Stand) -> None:
    assert "<dt>locks</dt>" not in empty.text(SOURCE)
    assert json.loads(empty.text(TWIN))["source"]["locks"] is None


def test_the_last_commit_is_on_the_page_of_the_source(written: Stand) -> None:
    page = written.text(SOURCE)
    assert f"<code>{'a' * 12}</code>" in page
    assert "3 locks, " in page
    assert "<strong>locks-written</strong>" in page
    told = json.loads(written.text(TWIN))["source"]["locks"]
    assert (told["state"], told["revision"], told["base"]) == ("ok", "a" * 40, "b" * 40)


def test_why_locks_are_not_written_is_on_both_pages_of_sources(written: Stand) -> None:
    written.catalog.writebacks.failed("team", "it holds <b>", "delete it", stalled=True, wait=9)
    for path in (SOURCE, "/sources"):
        page = written.text(path)
        assert "s-stalled" in page
        assert "it holds &lt;b&gt;" in page
        assert "delete it" in page


def test_what_it_waits_for_is_no_error(written: Stand) -> None:
    written.catalog.writebacks.wait("team", "waits until what is being built is built")
    page = written.text(SOURCE)
    assert '<span class="message"><span class="text">waits until' in page


def test_a_candidate_is_on_the_pages_with_the_command_that_takes_it(empty: Stand) -> None:
    commit(empty.catalog, ask(DEMO, "d1"))
    publish(empty.catalog)
    env = empty.catalog.generations.environment(DEMO)
    empty.catalog.builds.enqueue(env, Mode.UPDATE, Reason.UPDATE, by="schedule")
    build = claim(empty.catalog)
    made = replace(result(build, packages(6, "2.2.0")), lock_digest="other")
    empty.catalog.generations.publish(build, made, candidate=True)
    page = empty.text("/analyst/demo/")
    assert "Candidate #2 waits." in page
    assert "/analyst/demo/diff/1..2" in page
    assert "envwatch env activate analyst/demo 2" in page
    assert "#1 serving, candidate #2 waits" in empty.text("/")
    assert json.loads(empty.text("/analyst/demo/index.json"))["row"]["candidate"] == 2


def test_what_an_update_would_change_is_on_the_page(empty: Stand) -> None:
    commit(empty.catalog, ask(DEMO, "d1"))
    publish(empty.catalog)
    env = empty.catalog.generations.environment(DEMO)
    empty.catalog.generations.offer(env.id, "tiny 1.0 -> 1.5")
    page = empty.text("/analyst/demo/")
    assert "tiny 1.0 -&gt; 1.5" in page
    assert "envwatch env update analyst/demo" in page


def test_failures_are_counted_in_the_metrics(written: Stand) -> None:
    assert 'envwatch_write_back_failures{source="team"} 0.0' in written.text("/metrics")
    written.catalog.writebacks.failed("team", "away", "", stalled=False, wait=9)
    assert 'envwatch_write_back_failures{source="team"} 1.0' in written.text("/metrics")
