"""Every commit gets its statuses: none is lost, none comes late, none waits for another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from standin import Answer, Request
from telling_helpers import (
    BROKEN,
    DEMO,
    OTHER,
    URL,
    Stand,
    build_all,
    commit,
    declare,
    fail,
    refused,
    stand,
)

from envwatch.catalog.schema import Mode, Reason
from envwatch.model import BuildState, EnvKey, FailureKind, Progress
from envwatch.telling import RecipientState
from envwatch.views import pages

D = "envwatch/analyst/demo"
ELSE = "envwatch/analyst/other"


@pytest.fixture(params=["github", "gitlab", "gitea"])
def each(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    """One stand for each kind of forge."""
    with stand(tmp_path, kind=request.param, notify=()) as made:
        declare(made.catalog)
        yield made


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Stand]:
    with stand(tmp_path, notify=()) as made:
        declare(made.catalog)
        yield made


def test_a_commit_goes_from_pending_to_success(each: Stand) -> None:
    a = commit(each.catalog, "a", {DEMO: "1"})
    each.tell()
    assert set(each.states(a).values()) <= {"pending", "running"}
    build_all(each.catalog)
    each.tell()
    assert each.states(a) == {"envwatch": "success", D: "success"}
    assert each.texts(a)[D] == "#1 is current"


def test_an_environment_that_did_not_change_has_its_status_too(each: Stand) -> None:
    commit(each.catalog, "a", {DEMO: "1", OTHER: "1"})
    build_all(each.catalog)
    b = commit(each.catalog, "b", {DEMO: "2", OTHER: "1"})
    build_all(each.catalog)
    each.tell()
    assert each.texts(b)[D] == "#2 is current"
    assert each.texts(b)[ELSE] == "no change: #1 is current"
    assert each.states(b)["envwatch"] == "success"


def test_a_commit_that_changes_nothing_at_all_has_its_statuses(it: Stand) -> None:
    commit(it.catalog, "a", {DEMO: "1"})
    build_all(it.catalog)
    b = commit(it.catalog, "b", {DEMO: "1"})
    it.tell()
    assert it.states(b) == {"envwatch": "success", D: "success"}


def test_a_file_that_is_refused_fails_with_its_line(each: Stand) -> None:
    commit(each.catalog, "a", {DEMO: "1", OTHER: "1"})
    build_all(each.catalog)
    b = commit(each.catalog, "b", {OTHER: "1"}, invalid=((DEMO, BROKEN),), files=(refused(),))
    each.tell()
    assert each.states(b)[D] in ("failure", "failed")
    assert each.texts(b)[D] == "demo.yml:2:3: `dependencies` must be a list"
    assert each.states(b)[ELSE] == "success"
    assert each.texts(b)["envwatch"].startswith("analyst/demo: demo.yml:2:3: ")
    assert "envwatch/demo.yml" not in each.states(b)


def test_a_new_file_that_is_refused_fails_under_its_path(it: Stand) -> None:
    a = commit(it.catalog, "a", {}, files=(refused("new/env.yml"),))
    it.tell()
    assert it.states(a) == {"envwatch": "failure", "envwatch/new/env.yml": "failure"}


def test_a_failed_build_fails_with_its_reason_and_place(it: Stand) -> None:
    a = commit(it.catalog, "a", {DEMO: "1"})
    fail(it.catalog)
    it.tell()
    assert it.states(a) == {"envwatch": "failure", D: "failure"}
    assert it.texts(a)[D] == "demo.yml:4: no `x`"


def test_a_retry_that_succeeds_makes_a_failure_good(it: Stand) -> None:
    a = commit(it.catalog, "a", {DEMO: "1"})
    fail(it.catalog, FailureKind.TRANSIENT)
    it.tell()
    assert it.texts(a)[D] == "is tried again: demo.yml:4: no `x`"
    it.catalog.builds.retry_due(it.clock.now.replace(year=2100))
    build_all(it.catalog)
    it.tell()
    assert it.states(a) == {"envwatch": "success", D: "success"}


def test_a_held_environment_is_a_success_that_says_so(it: Stand) -> None:
    commit(it.catalog, "a", {DEMO: "1"})
    build_all(it.catalog)
    it.catalog.generations.hold(DEMO, 1, by="ada")
    b = commit(it.catalog, "b", {DEMO: "2"})
    build_all(it.catalog)
    it.tell()
    assert it.texts(b)[D] == "held at #1, #2 ready"
    assert it.states(b)[D] == "success"


def test_a_later_update_does_not_take_back_what_a_commit_came_to(it: Stand) -> None:
    a = commit(it.catalog, "a", {DEMO: "1"})
    build_all(it.catalog)
    it.tell()
    env = it.catalog.generations.environment(DEMO)
    it.catalog.builds.enqueue(env, Mode.UPDATE, Reason.UPDATE)
    fail(it.catalog)
    it.tell(minutes=5)
    assert it.states(a) == {"envwatch": "success", D: "success"}


def test_an_older_commit_gets_a_last_word(each: Stand) -> None:
    a = commit(each.catalog, "a", {DEMO: "1"})
    each.tell()
    b = commit(each.catalog, "b", {DEMO: "2"})
    build_all(each.catalog)
    each.tell(minutes=1)
    assert each.texts(a)[D] == f"superseded by {b[:7]}"
    assert set(each.states(a).values()) <= {"error", "canceled"}
    assert each.states(b) == {"envwatch": "success", D: "success"}


def test_an_older_commit_goes_on_where_the_newer_one_changed_nothing(it: Stand) -> None:
    a = commit(it.catalog, "a", {DEMO: "1"})
    it.tell()
    b = commit(it.catalog, "b", {DEMO: "1", OTHER: "1"})
    it.tell(minutes=1)
    assert it.states(a)[D] == "pending"
    build_all(it.catalog)
    it.tell(minutes=1)
    assert it.states(a) == {"envwatch": "success", D: "success"}
    assert it.states(b) == {"envwatch": "success", D: "success", ELSE: "success"}


def test_a_reset_to_an_older_commit_tells_how_it_is_now(it: Stand) -> None:
    a = commit(it.catalog, "a", {DEMO: "1"})
    build_all(it.catalog)
    it.tell()
    commit(it.catalog, "b", {DEMO: "2"})
    build_all(it.catalog)
    it.tell()
    assert commit(it.catalog, "a", {DEMO: "1"}) == a
    build_all(it.catalog)
    it.tell()
    assert it.texts(a)[D] == "#3 is current"


def test_links_lead_to_the_pages(it: Stand) -> None:
    commit(it.catalog, "a", {DEMO: "1", OTHER: "1"})
    fail(it.catalog)
    build_all(it.catalog)
    it.tell()
    links = {r.json["context"]: r.json["target_url"] for r in it.forge.requests}
    assert links == {
        "envwatch": f"{URL}/source?name=team",
        D: f"{URL}/analyst/demo/builds/1",
        ELSE: f"{URL}/analyst/other/",
    }


def test_what_was_acknowledged_is_not_sent_again(it: Stand) -> None:
    commit(it.catalog, "a", {DEMO: "1"})
    build_all(it.catalog)
    it.tell()
    before = len(it.forge.requests)
    it.restart()
    it.tell(hours=1)
    assert len(it.forge.requests) == before


def test_phases_of_a_build_are_told_now_and_then(it: Stand) -> None:
    a = commit(it.catalog, "a", {DEMO: "1"})
    it.tell()
    build = it.catalog.builds.claim()
    assert build is not None
    for state in (BuildState.SOLVING, BuildState.DOWNLOADING, BuildState.LINKING):
        it.catalog.builds.beat(build.id, Progress(state), ())
        it.tell(seconds=5)
    assert it.texts(a)[D] == "build 1: queued"
    it.tell(seconds=30)
    assert it.texts(a)[D] == "build 1: linking"


# ---------------------------------------------------------------- when the forge is away


def test_a_forge_that_was_dead_for_a_while_is_told_everything(each: Stand) -> None:
    each.forge.down()
    revisions = []
    for n in range(5):
        revisions.append(commit(each.catalog, f"c{n}", {DEMO: str(n), OTHER: "1"}))
        build_all(each.catalog)
        each.tell(minutes=10)
    assert each.recipient("forge").state is RecipientState.FAILING
    each.forge.up()
    each.tell(minutes=20)
    assert all(
        each.states(r) == {"envwatch": "success", D: "success", ELSE: "success"} for r in revisions
    )
    assert len(each.forge.history) == 15, "the last word on each, and no older one"
    assert each.recipient("forge").waiting == 0


def test_the_newest_commit_is_told_first(it: Stand) -> None:
    it.forge.down()
    commit(it.catalog, "a", {DEMO: "1"})
    build_all(it.catalog)
    it.tell()
    b = commit(it.catalog, "b", {DEMO: "2"})
    build_all(it.catalog)
    it.forge.up()
    it.tell(minutes=20)
    assert it.forge.history[0][:2] == (b, "envwatch")


def test_no_old_state_arrives_after_a_newer_one(it: Stand) -> None:
    it.forge.down()
    a = commit(it.catalog, "a", {DEMO: "1"})
    it.tell()
    fail(it.catalog)
    it.tell(minutes=20)
    it.forge.up()
    env = it.catalog.generations.environment(DEMO)
    it.catalog.builds.enqueue(env, Mode.SOLVE, Reason.REBUILD)
    build_all(it.catalog)
    it.tell(minutes=20)
    assert [(c, s) for r, c, s, _ in it.forge.history if r == a] == [
        ("envwatch", "success"),
        (D, "success"),
    ]


def test_what_changes_while_it_is_told_is_told_too(it: Stand) -> None:
    a = commit(it.catalog, "a", {DEMO: "1"})
    once = threading.Event()

    def change(request: Request) -> None:
        if request.json["context"] == D and not once.is_set():
            once.set()
            build_all(it.catalog)

    it.forge.fault = change
    it.tell()
    it.tell(minutes=1)
    assert it.states(a) == {"envwatch": "success", D: "success"}


def test_a_forge_that_refuses_the_token_is_stalled_until_a_person_acts(it: Stand) -> None:
    (it.settings.root / "token").write_text("expired")
    a = commit(it.catalog, "a", {DEMO: "1"})
    build_all(it.catalog)
    it.tell()
    told = it.recipient("forge")
    assert (told.state, told.failures, told.waiting) == (RecipientState.STALLED, 1, 2)
    assert told.message.endswith("answers 401: 401 Unauthorized")
    (it.settings.root / "token").write_text("s3cret-token-of-the-forge")
    it.restart()
    it.tell()
    assert it.states(a) == {"envwatch": "success", D: "success"}
    assert it.recipient("forge").state is RecipientState.OK


def test_a_limited_forge_is_left_alone_as_long_as_it_says(it: Stand) -> None:
    limit = {"X-RateLimit-Remaining": "0", "Retry-After": "1800"}
    it.forge.fault = lambda _: Answer(403, {"message": "API rate limit exceeded"}, limit)
    a = commit(it.catalog, "a", {DEMO: "1"})
    it.tell()
    it.forge.fault = lambda _: None
    it.tell(minutes=29)
    assert len(it.forge.requests) == 1
    it.tell(minutes=2)
    assert set(it.states(a)) == {"envwatch", D}


def test_one_status_that_is_refused_does_not_hold_up_the_others(it: Stand) -> None:
    def refuse(request: Request) -> Answer | None:
        bad = request.json["context"] == D
        return Answer(422, {"message": "No commit found for SHA"}) if bad else None

    it.forge.fault = refuse
    a = commit(it.catalog, "a", {DEMO: "1", OTHER: "1"})
    build_all(it.catalog)
    it.tell()
    assert set(it.states(a)) == {"envwatch", ELSE}
    it.forge.fault = lambda _: None
    it.tell(minutes=20)
    assert set(it.states(a)) == {"envwatch", ELSE, D}


def test_a_commit_that_is_gone_does_not_hold_up_the_one_that_is_there(it: Stand) -> None:
    a = commit(it.catalog, "a", {DEMO: "1"})
    it.tell()
    it.forge.fault = lambda r: Answer(404, {"message": "Not Found"}) if a in r.path else None
    b = commit(it.catalog, "b", {DEMO: "2"})
    it.tell(minutes=1)
    build_all(it.catalog)
    it.tell()
    assert it.states(b) == {"envwatch": "success", D: "success"}


def test_after_days_a_status_is_given_up_and_the_story_says_so(it: Stand) -> None:
    it.forge.down()
    commit(it.catalog, "a", {DEMO: "1"})
    build_all(it.catalog)
    it.tell()
    it.tell(days=4)
    it.tell(hours=1)
    it.tell(hours=1)
    told = it.recipient("forge")
    assert (told.waiting, told.given_up) == (0, 2)
    events = pages.source(it.catalog, "team").source.events
    assert [e.type for e in events] == ["given-up", "given-up"]
    it.forge.up()
    it.restart()
    it.tell()
    assert len(it.forge.history) == 2, "a restart takes the newest commit up again"


def test_a_source_that_is_gone_is_told_nothing_more(it: Stand) -> None:
    it.forge.down()
    commit(it.catalog, "a", {DEMO: "1"})
    it.tell()
    it.settings = type(it.settings)(it.settings.root)
    it.forge.up()
    it.tell(days=1)
    assert it.forge.history == []
    assert it.catalog.recipients.all() == ()


def test_many_environments_are_one_look(it: Stand) -> None:
    keys = {EnvKey("analyst", f"env-{n:03}"): "1" for n in range(40)}
    a = commit(it.catalog, "a", keys)
    build_all(it.catalog)
    it.tell()
    assert len(it.states(a)) == 41
    assert it.texts(a)["envwatch"] == "40 environments are as asked for"
