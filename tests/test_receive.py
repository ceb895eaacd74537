"""What is decided on a delivery: who is believed, what is noted, what is woken."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cli_helpers import make_place

from envwatch.catalog import Catalog, open_catalog
from envwatch.daemon import hooked
from envwatch.hooks.decision import Decision
from envwatch.receive import BURST, Answer, Receiver
from envwatch.settings import Settings, SourceKind, SourceSettings
from envwatch.views import pages

SHA, SHA2 = "b" * 40, "c" * 40
URL = "https://git.example.org/envs.git"


@dataclass
class Stand:
    """A receiver with its clocks, and what it woke."""

    catalog: Catalog
    secrets: Path
    sources: list[SourceSettings] = field(default_factory=list)
    woken: list[tuple[str, str, str]] = field(default_factory=list)
    now: float = 0.0
    wall: datetime = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)

    def __post_init__(self) -> None:
        self.restart()
        self.add("team", branch="main")

    def restart(self) -> None:
        settings = lambda: Settings(self.secrets, sources=tuple(self.sources))  # noqa: E731  # short
        self.receiver = Receiver(
            self.catalog, settings, self.wake, lambda: self.now, lambda: self.wall
        )

    def add(self, name: str, *, branch: str = "", url: str = URL, hook: bool = True) -> None:
        files = (self.secret(name),) if hook else ()
        self.sources.append(
            SourceSettings(name, SourceKind.GIT, name, url=url, branch=branch, hook_secrets=files)
        )

    def secret(self, name: str, text: str = "s3cret\n") -> Path:
        path = self.secrets / name
        path.write_text(text)
        return path

    def wake(
        self, source: str, *, expect: str = "", quiet: float = 0.0, patient: bool = False
    ) -> None:
        how = "as a poll" if patient else f"after {quiet:g} s" if quiet else "now"
        self.woken.append((source, how, expect))

    def send(
        self, body: Any = None, *, to: str = "team", key: str = "s3cret", **headers: str
    ) -> Answer:
        data = json.dumps({} if body is None else body).encode()
        signature = hmac.new(key.encode(), data, hashlib.sha256).hexdigest()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        given = {"x-hub-signature-256": f"sha256={signature}", "x-github-event": "push", **named}
        return self.receiver.receive(to, given, data)

    def push(self, ref: str = "refs/heads/main", sha: str = SHA, **more: str) -> Answer:
        return self.send({"ref": ref, "after": sha}, **more)

    def pass_time(self, **more: float) -> None:
        self.now += timedelta(**more).total_seconds()
        self.wall += timedelta(**more)

    @property
    def kept(self) -> list[tuple[str, int]]:
        return [(d.decision.value, d.repeats) for d in self.catalog.deliveries.of("team")]


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    catalog = open_catalog(tmp_path / "catalog.sqlite", durable=False)
    yield Stand(catalog, tmp_path)
    catalog.close()


# ---------------------------------------------------------------- believed or not


def test_a_signed_push_wakes_and_says_which_commit_to_expect(stand: Stand) -> None:
    answer = stand.push(x_github_delivery="72d3162e")
    assert (answer.decision, answer.delivery) == (Decision.WOKEN, "72d3162e")
    assert stand.woken == [("team", "now", SHA)]
    kept = stand.catalog.deliveries.of("team")[0]
    assert (kept.forge, kept.event, kept.name) == ("github", "push", "72d3162e")
    assert (kept.ref, kept.revision, kept.status) == ("refs/heads/main", SHA, 202)
    assert kept.at == stand.wall


def test_a_forged_push_wakes_nothing_and_is_listed(stand: Stand) -> None:
    answer = stand.push(key="guessed")
    assert answer.decision is Decision.REFUSED
    assert (stand.woken, stand.kept) == ([], [("refused", 0)])
    kept = stand.catalog.deliveries.of("team")[0]
    assert (kept.status, kept.reason) == (401, "it is signed with a secret that is not known here")
    assert kept.revision == "", "what nobody signed names nothing"


@pytest.mark.parametrize("name", ["nobody", "silent", "locked", ""])
def test_who_has_no_secret_cannot_tell_which_sources_there_are(stand: Stand, name: str) -> None:
    stand.add("silent", hook=False)
    stand.add("locked")
    stand.secret("locked", "")
    assert stand.push(to=name, key="guessed") == stand.push(key="guessed")
    assert stand.receiver.too_large(name, {}) == stand.receiver.too_large("team", {})
    assert stand.woken == []
    assert stand.catalog.deliveries.of("nobody") == stand.catalog.deliveries.of("silent") == ()


def test_as_many_secrets_are_tried_where_there_are_none(stand: Stand) -> None:
    files = tuple(stand.secret(f"team{n}", f"s{n}") for n in range(3))
    stand.sources.append(SourceSettings("many", SourceKind.GIT, "t", url="x", hook_secrets=files))
    tried = [stand.receiver._padded(known) for known in ((), (b"a",), (b"a", b"b", b"c"))]
    assert [len(set(each)) for each in tried] == [3, 3, 3]
    assert tried[1][0] == b"a"


def test_what_is_refused_is_noted_behind_the_answer(stand: Stand) -> None:
    notes: list[Callable[[], None]] = []
    for name in ("team", "nobody"):
        stand.receiver.receive(name, {}, b"{}", notes.append)
    assert stand.kept == []
    for note in notes:
        note()
    assert stand.kept == [("refused", 0)]


def test_what_the_body_says_is_only_a_hint(stand: Stand) -> None:
    assert stand.send("nonsense").decision is Decision.WOKEN
    assert stand.send({"ref": ["x"], "after": {"y": 1}}).decision is Decision.WOKEN
    assert stand.woken == [("team", "now", "")] * 2


def test_a_trial_of_the_forge_wakes_nothing(stand: Stand) -> None:
    assert stand.send({"zen": "hi"}, x_github_event="ping").decision is Decision.PING
    assert (stand.woken, stand.kept) == ([], [("ping", 0)])


# ---------------------------------------------------------------- rotation


def test_a_secret_is_read_anew_for_each_delivery(stand: Stand) -> None:
    stand.secret("team", "newer\n")
    assert stand.push().decision is Decision.REFUSED
    assert stand.push(key="newer").decision is Decision.WOKEN


def test_old_and_new_secret_are_taken_side_by_side(stand: Stand) -> None:
    files = (stand.secret("old", "old"), stand.secret("new", "new\r\n"))
    stand.sources[0] = SourceSettings("team", SourceKind.GIT, "t", url=URL, hook_secrets=files)
    assert stand.push(key="old").decision is Decision.WOKEN
    assert stand.push(key="new", sha=SHA2).decision is Decision.WOKEN
    files[0].unlink()
    assert stand.push(key="old", sha="d" * 40).decision is Decision.REFUSED
    assert stand.push(key="new", sha="d" * 40).decision is Decision.WOKEN


@pytest.mark.parametrize("text", ["", "\n", "x" * 5000])
def test_a_file_without_a_secret_lets_nobody_in(stand: Stand, text: str) -> None:
    stand.secret("team", text)
    assert stand.push(key="").decision is Decision.REFUSED
    assert stand.push(key=text).decision is Decision.REFUSED
    assert (stand.woken, stand.kept) == ([], [("not checked", 0)] * 2)


def test_a_pipe_in_place_of_a_secret_holds_nobody_up(stand: Stand) -> None:
    (stand.secrets / "team").unlink()
    os.mkfifo(stand.secrets / "team")
    assert stand.push().decision is Decision.REFUSED


def test_a_secret_that_is_away_is_told_once_and_without_its_content(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    (stand.secrets / "team").unlink()
    with caplog.at_level(logging.ERROR):
        answers = [stand.push() for _ in range(9)]
    assert {a.decision for a in answers} == {Decision.REFUSED}
    assert [r for r in caplog.messages if "cannot be read" in r] == [
        f"hook for team: `{stand.secrets / 'team'}` cannot be read: No such file or directory"
    ]
    assert str(stand.secrets) not in stand.catalog.deliveries.of("team")[0].reason


# ---------------------------------------------------------------- replay


def test_the_same_delivery_again_wakes_nothing(stand: Stand) -> None:
    stand.push(x_github_delivery="1")
    answers = [stand.push(x_github_delivery="1") for _ in range(50)]
    assert {a.decision for a in answers} == {Decision.SEEN}
    assert stand.woken == [("team", "now", SHA)]
    assert stand.kept == [("woken", 50)], "repeats do not push out the others"


def test_the_same_delivery_is_known_after_a_restart(stand: Stand) -> None:
    stand.push(x_github_delivery="1")
    stand.restart()
    assert stand.push(x_github_delivery="1").decision is Decision.SEEN


def test_what_has_no_id_is_known_by_its_body(stand: Stand) -> None:
    assert stand.push().decision is Decision.WOKEN
    assert stand.push().decision is Decision.SEEN
    assert stand.push(sha=SHA2).decision is Decision.WOKEN


def test_another_body_under_a_used_id_is_not_lost(stand: Stand) -> None:
    stand.push(x_github_delivery="1")
    assert stand.push(sha=SHA2, x_github_delivery="1").decision is Decision.WOKEN


def test_a_forged_delivery_does_not_use_up_the_id_of_a_good_one(stand: Stand) -> None:
    stand.push(key="guessed", x_github_delivery="1")
    assert stand.push(x_github_delivery="1").decision is Decision.WOKEN


def test_the_same_delivery_wakes_again_after_ten_minutes(stand: Stand) -> None:
    stand.push()
    stand.pass_time(minutes=9, seconds=59)
    assert stand.push().decision is Decision.SEEN
    stand.pass_time(seconds=2)
    assert stand.push().decision is Decision.WOKEN


def test_one_source_does_not_use_up_the_delivery_of_another(stand: Stand) -> None:
    stand.add("other", url="https://git.example.org/other.git")
    assert stand.push(x_github_delivery="1").decision is Decision.WOKEN
    assert stand.push(x_github_delivery="1", to="other").decision is Decision.WOKEN


def test_of_many_at_the_same_time_one_wakes(stand: Stand) -> None:
    decided: list[Decision] = []
    start = threading.Barrier(8)

    def send() -> None:
        start.wait()
        decided.append(stand.push().decision)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(decided) == [Decision.SEEN] * 7 + [Decision.WOKEN]
    assert len(stand.woken) == 1


# ---------------------------------------------------------------- which ref


def test_another_branch_counts_as_a_poll(stand: Stand) -> None:
    assert stand.push("refs/heads/next").decision is Decision.ELSEWHERE
    assert stand.woken == [("team", "as a poll", "")]


def test_where_the_branch_is_the_repositorys_own_any_may_be_it(stand: Stand) -> None:
    stand.add("free", url="https://git.example.org/free.git")
    assert stand.push("refs/heads/next", to="free").decision is Decision.WOKEN
    assert stand.woken == [("free", "now", SHA)]


def test_a_branch_that_is_gone_is_looked_at_and_nothing_expected(stand: Stand) -> None:
    assert stand.push(sha="0" * 40).decision is Decision.WOKEN
    assert stand.woken == [("team", "now", "")]


def test_of_several_refs_the_one_that_is_followed_is_shown_and_expected(stand: Stand) -> None:
    changes = [
        {"refId": "refs/heads/next", "toHash": SHA2},
        {"refId": "refs/heads/main", "toHash": SHA},
    ]
    assert stand.send({"changes": changes}).decision is Decision.WOKEN
    assert stand.woken == [("team", "now", SHA)]
    assert stand.catalog.deliveries.of("team")[0].ref == "refs/heads/main"


def test_a_push_wakes_every_source_of_the_repository(stand: Stand) -> None:
    stand.add("next", branch="next", hook=False)
    stand.add("strange", branch="main", url="https://git.example.org/other.git")
    assert stand.push("refs/heads/next", SHA2).decision is Decision.WOKEN
    assert stand.woken == [("team", "as a poll", ""), ("next", "now", SHA2)]


@pytest.mark.parametrize(("branch", "noted"), [("main", ["hook-missed"]), ("", [])])
def test_what_never_came_is_noted_where_the_branch_is_sure(
    tmp_path: Path, branch: str, noted: list[str]
) -> None:
    place = make_place(tmp_path)
    more = f", branch: {branch}" if branch else ""
    text = place.config.read_text()
    place.config.write_text(text.replace("namespace: analyst", f"namespace: analyst{more}"))
    with place.parts() as parts:
        hooked.expected(parts)._missed("team", SHA)
        events = pages.source(parts.catalog, "team").source.events
    assert [e.type for e in events] == noted


# ---------------------------------------------------------------- floods


def test_a_flood_of_pushes_is_answered_so_and_looked_at_later(stand: Stand) -> None:
    answers = [stand.push(x_github_delivery=str(n)) for n in range(BURST + 50)]
    decided = [a.decision for a in answers]
    assert decided == [Decision.WOKEN] * BURST + [Decision.FLOODED] * 50
    assert stand.woken[-1] == ("team", "after 5 s", "")
    stand.pass_time(seconds=1)
    assert stand.push(x_github_delivery="later").decision is Decision.WOKEN


def test_a_flood_of_forged_ones_leaves_room_for_the_good_ones(stand: Stand) -> None:
    for _ in range(BURST * 3):
        assert stand.push(key="guessed").decision is Decision.REFUSED
    assert stand.push().decision is Decision.WOKEN


def test_a_flood_of_forged_ones_writes_little_and_pushes_nothing_out(stand: Stand) -> None:
    for n in range(30):
        stand.push(x_github_delivery=str(n))
    before = stand.catalog.database.version
    for _ in range(2000):
        stand.push(key="guessed")
    assert stand.catalog.database.version - before == 5
    stand.pass_time(minutes=1)
    stand.push(key="guessed")
    assert stand.kept[0] == ("refused", 1995), "those that were not listed are counted"
    assert stand.kept.count(("woken", 0)) == 30


def test_a_flood_of_one_source_is_not_that_of_another(stand: Stand) -> None:
    stand.add("other", url="https://git.example.org/other.git")
    for n in range(BURST + 1):
        stand.push(x_github_delivery=str(n))
    assert stand.push(to="other").decision is Decision.WOKEN


def test_a_hundred_are_kept_and_twenty_refused_ones(stand: Stand) -> None:
    for n in range(150):
        stand.push(x_github_delivery=str(n))
        stand.push(key="guessed")
        stand.pass_time(minutes=11)
    assert (stand.kept.count(("woken", 0)), len(stand.kept)) == (100, 120)
    assert stand.catalog.deliveries.of("team", limit=1)[0].decision is Decision.REFUSED


def test_none_is_forgotten_while_it_could_come_again(stand: Stand) -> None:
    for n in range(130):
        stand.push(x_github_delivery=str(n))
        stand.pass_time(seconds=1)
    assert stand.push(x_github_delivery="0").decision is Decision.SEEN


def test_what_came_of_deliveries_is_counted(stand: Stand) -> None:
    stand.push()
    stand.push()
    stand.push(key="guessed")
    stand.push(to="nobody")
    stand.receiver.too_large("team", {})
    counted = {decision: count for decision, count in stand.receiver.counted() if count}
    assert counted == {
        Decision.WOKEN: 1, Decision.SEEN: 1, Decision.REFUSED: 1, Decision.NO_HOOK: 1,
        Decision.TOO_LARGE: 1,
    }  # fmt: skip
