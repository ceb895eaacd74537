"""People and programs hear of each turn, at least once, and of nothing that did not turn."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from standin import Answer, Request, StandIn
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
from waiting import wait_for

from envwatch.model import EnvKey, FailureKind
from envwatch.settings import NotifierSettings, SourceKind, SourceSettings
from envwatch.teller.delivery import serve_notifier
from envwatch.telling import Letter, RecipientState

DEMO_IS = "environment analyst/demo"


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Stand]:
    """One environment is live, and everybody who listens has been told."""
    with stand(tmp_path) as made:
        declare(made.catalog)
        made.settings = replace(made.settings, sources=())
        made.tell()
        commit(made.catalog, "a", {DEMO: "1"})
        build_all(made.catalog)
        made.tell()
        assert made.events == [f"environment.published {DEMO_IS}"]
        made.hook.requests.clear()
        yield made


def test_a_generation_that_becomes_current_is_published(it: Stand) -> None:
    commit(it.catalog, "b", {DEMO: "2"})
    build_all(it.catalog)
    it.tell()
    (got,) = it.hook.requests
    assert got.json["type"] == "environment.published"
    assert got.json["data"]["generation"] == 2
    assert got.json["data"]["message"] == "#2 is current, before it #1"
    assert got.json["data"]["url"] == f"{URL}/analyst/demo/"


def test_one_that_is_held_back_is_not(it: Stand) -> None:
    it.catalog.generations.hold(DEMO, 1, by="ada")
    commit(it.catalog, "b", {DEMO: "2"})
    build_all(it.catalog)
    it.tell()
    assert it.events == []
    it.catalog.generations.release(DEMO, by="ada")
    it.tell()
    assert it.events == [f"environment.published {DEMO_IS}"]


def test_a_failure_is_told_once_and_its_end_once(it: Stand) -> None:
    for name in ("b", "c"):
        commit(it.catalog, name, {DEMO: name})
        fail(it.catalog)
        it.tell()
    assert it.events == [f"environment.broken {DEMO_IS}"]
    assert it.hook.requests[0].json["data"]["message"] == "build 2 failed: demo.yml:4: no `x`"
    assert it.hook.requests[0].json["data"]["stalled"] is True
    commit(it.catalog, "d", {DEMO: "d"})
    it.tell()
    build_all(it.catalog)
    it.tell()
    assert it.events[1:] == [f"environment.fixed {DEMO_IS}", f"environment.published {DEMO_IS}"]


def test_a_file_that_is_refused_breaks_and_a_good_one_fixes(it: Stand) -> None:
    commit(it.catalog, "b", {}, invalid=((DEMO, BROKEN),), files=(refused(),))
    it.tell()
    commit(it.catalog, "a", {DEMO: "1"})
    it.tell()
    assert it.events == [f"environment.broken {DEMO_IS}", f"environment.fixed {DEMO_IS}"]


def test_what_passes_by_itself_is_no_news_before_the_third_time(it: Stand) -> None:
    commit(it.catalog, "b", {DEMO: "2"})
    for _ in range(2):
        fail(it.catalog, FailureKind.TRANSIENT)
        it.tell()
        it.catalog.builds.retry_due(it.clock.now.replace(year=2100))
    assert it.events == []
    fail(it.catalog, FailureKind.TRANSIENT)
    it.tell()
    assert it.events == [f"environment.broken {DEMO_IS}"]
    assert "stalled" not in it.hook.requests[0].json["data"]


def test_a_source_that_needs_a_person_is_told(it: Stand) -> None:
    it.catalog.sources.failed("team", "key refused", "add the key", stalled=True)
    it.tell()
    it.catalog.sources.looked("team")
    it.tell()
    assert it.events == ["source.broken source team", "source.fixed source team"]
    assert it.hook.requests[0].json["data"]["message"] == "key refused (add the key)"


def test_a_source_that_fails_for_a_while_is_told(it: Stand) -> None:
    for _ in range(4):
        it.catalog.sources.failed("team", "timeout", "", stalled=False)
        it.tell()
    assert it.events == ["source.broken source team"]


def test_who_wants_only_what_needs_a_person_hears_only_that(it: Stand) -> None:
    (mine,) = it.settings.notify
    it.settings = replace(it.settings, notify=(replace(mine, events=("stalled",)),))
    it.tell()
    commit(it.catalog, "b", {DEMO: "2"})
    fail(it.catalog)
    it.tell()
    commit(it.catalog, "c", {DEMO: "3"})
    build_all(it.catalog)
    it.tell()
    assert it.events == [f"environment.stalled {DEMO_IS}"]


def test_who_wants_one_namespace_hears_of_no_other(it: Stand) -> None:
    (mine,) = it.settings.notify
    it.settings = replace(it.settings, notify=(replace(mine, namespaces=("ml", "team-*")),))
    it.tell()
    commit(it.catalog, "b", {DEMO: "1", EnvKey("team-x", "env"): "1"})
    build_all(it.catalog)
    it.catalog.sources.failed("team", "key refused", "", stalled=True)
    it.tell()
    assert it.events == ["environment.published environment team-x/env"]


def test_a_retired_environment_is_no_news(it: Stand) -> None:
    commit(it.catalog, "b", {OTHER: "1"})
    it.tell()
    assert it.events == []


def test_what_happened_while_no_daemon_ran_is_told(it: Stand) -> None:
    commit(it.catalog, "b", {DEMO: "2"})
    build_all(it.catalog)
    it.restart()
    it.tell()
    assert it.events == [f"environment.published {DEMO_IS}"]


def test_a_new_notifier_starts_at_now(it: Stand, tmp_path: Path) -> None:
    with StandIn() as other:
        second = NotifierSettings(
            "second", "webhook", url=other.url, secret_file=tmp_path / "secret"
        )
        commit(it.catalog, "b", {DEMO: "2"})
        build_all(it.catalog)
        it.settings = replace(it.settings, notify=(*it.settings.notify, second))
        it.tell()
        assert other.requests == []
        commit(it.catalog, "c", {DEMO: "3"})
        build_all(it.catalog)
        it.tell()
        assert [r.json["data"]["generation"] for r in other.requests] == [3]
    assert [r.json["data"]["generation"] for r in it.hook.requests] == [2, 3]


def test_the_first_notifier_does_not_hear_what_nobody_looked_at(it: Stand) -> None:
    mine = it.settings.notify
    it.settings = replace(it.settings, notify=())
    it.tell()
    commit(it.catalog, "b", {DEMO: "2"})
    build_all(it.catalog)
    it.settings = replace(it.settings, notify=mine)
    it.tell()
    assert it.events == []


# ---------------------------------------------------------------- delivery


def test_a_receiver_that_was_away_gets_everything_in_its_order(it: Stand) -> None:
    it.hook.down()
    for n in range(2, 6):
        commit(it.catalog, str(n), {DEMO: str(n)})
        build_all(it.catalog)
        it.tell(minutes=20)
    told = it.recipient("notifier")
    assert (told.state, told.waiting) == (RecipientState.FAILING, 4)
    it.hook.up()
    it.tell(minutes=20)
    assert [r.json["data"]["generation"] for r in it.hook.requests] == [2, 3, 4, 5]
    assert it.recipient("notifier").delivered == 5


def test_the_same_event_keeps_its_id_however_often_it_is_sent(it: Stand) -> None:
    it.hook.fault = lambda _: Answer(503)
    commit(it.catalog, "b", {DEMO: "2"})
    build_all(it.catalog)
    it.tell()
    it.hook.fault = lambda _: None
    it.tell(minutes=20)
    first, second = it.hook.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


def test_a_dead_notifier_does_not_hold_up_another(it: Stand, tmp_path: Path) -> None:
    hangs = threading.Event()
    with StandIn() as dead:
        dead.fault = lambda _: hangs.wait(30) and None
        slow = NotifierSettings("slow", "webhook", url=dead.url, secret_file=tmp_path / "secret")
        it.settings = replace(it.settings, notify=(slow, *it.settings.notify))
        it.tell()
        commit(it.catalog, "b", {DEMO: "2"})
        build_all(it.catalog)
        try:
            it.teller.look()
            wait_for(lambda: it.events == [f"environment.published {DEMO_IS}"])
        finally:
            hangs.set()
            it.teller.flush(30)


class Faulty:
    """A notifier with a fault of its own."""

    def __init__(self) -> None:
        self.sent = 0

    def send(self, _: Letter) -> str:
        self.sent += 1
        raise ValueError("boom")


def test_a_fault_of_ours_is_tried_again_later_and_not_for_ever(it: Stand) -> None:
    it.hook.down()
    commit(it.catalog, "b", {DEMO: "2"})
    build_all(it.catalog)
    it.tell()
    it.clock.pass_(minutes=20)
    faulty = Faulty()
    serve_notifier(it.catalog, "mine", faulty, threading.Event(), it.clock)
    assert faulty.sent == 1
    told = it.recipient("notifier")
    assert (told.waiting, told.message) == (1, "a fault in envwatch: ValueError")


def test_after_days_a_message_is_given_up_and_the_next_one_goes_on(it: Stand) -> None:
    it.hook.down()
    commit(it.catalog, "b", {DEMO: "2"})
    build_all(it.catalog)
    it.tell()
    it.tell(days=4)
    told = it.recipient("notifier")
    assert (told.waiting, told.given_up) == (0, 1)
    it.hook.up()
    commit(it.catalog, "c", {DEMO: "3"})
    build_all(it.catalog)
    it.tell(hours=1)
    assert [r.json["data"]["generation"] for r in it.hook.requests] == [3]


CHILD = """
import sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from telling_helpers import *
from envwatch.settings import NotifierSettings
folder = Path(sys.argv[1])
mine = NotifierSettings("mine", "webhook", url=(folder / "url").read_text(),
                        secret_file=folder / "secret")
catalog = open_catalog(folder / "catalog.sqlite")
settings = Settings(folder, notify=(mine,))
Teller(catalog, lambda: settings).flush(30)
catalog.close()
"""


@pytest.fixture
def child(it: Stand, tmp_path: Path) -> Callable[[], subprocess.Popen[bytes]]:
    """Starts a process that tells what is due, and ends."""
    (tmp_path / "url").write_text(it.hook.url)

    def start() -> subprocess.Popen[bytes]:
        here = str(Path(__file__).parent)
        return subprocess.Popen((sys.executable, "-c", CHILD, str(tmp_path), here))

    return start


def test_a_kill_between_the_answer_and_the_note_delivers_twice_and_never_not(
    it: Stand, child: Callable[[], subprocess.Popen[bytes]]
) -> None:
    commit(it.catalog, "b", {DEMO: "2"})
    build_all(it.catalog)
    running = child()

    def kill(_: Request) -> None:
        running.send_signal(signal.SIGKILL)
        running.wait()

    it.hook.fault = kill
    assert running.wait(60) == -signal.SIGKILL
    it.hook.fault = lambda _: None
    assert child().wait(60) == 0
    first, second = it.hook.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert json.loads(second.body)["data"]["generation"] == 2


def test_two_processes_do_not_tell_the_same_turn_twice(
    it: Stand, child: Callable[[], subprocess.Popen[bytes]]
) -> None:
    commit(it.catalog, "b", {DEMO: "2"})
    build_all(it.catalog)
    assert child().wait(60) == 0
    assert child().wait(60) == 0
    assert it.events == [f"environment.published {DEMO_IS}"]


# ---------------------------------------------------------------- the loop


def test_the_loop_tells_by_itself_beats_and_ends(it: Stand) -> None:
    stop, beats = threading.Event(), []
    loop = threading.Thread(target=it.teller.loop, args=(stop, lambda: beats.append(1)))
    loop.start()
    commit(it.catalog, "b", {DEMO: "2"})
    build_all(it.catalog)
    wait_for(lambda: it.events)
    wait_for(lambda: it.recipient("notifier").waiting == 0)
    stop.set()
    it.catalog.database.wake()
    loop.join(30)
    assert not loop.is_alive()
    assert beats


def test_where_nobody_is_to_be_told_nothing_is_looked_at(it: Stand) -> None:
    team = SourceSettings("team", SourceKind.GIT, "analyst", url="/team")
    it.settings = replace(it.settings, notify=(), sources=(team,))
    commit(it.catalog, "b", {DEMO: "2"})
    build_all(it.catalog)
    it.tell()
    assert it.catalog.recipients.all() == ()
    assert it.catalog.notices.known()[DEMO_IS].current == 1
