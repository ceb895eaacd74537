"""A commit that a hook named is looked for until it shows, and not for ever."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from envwatch.watch import Dirty, Expected

OLD, NEW, OTHER = "a" * 40, "b" * 40, "c" * 40


@dataclass
class Remote:
    """A source by the hands of a clock: what it shows, when it was looked at, what was given up."""

    now: float = 1000.0
    tip: str = OLD
    looks: list[float] = field(default_factory=list)
    missed: list[tuple[str, str]] = field(default_factory=list)
    seen: str = OLD

    def __post_init__(self) -> None:
        self.dirty = Dirty(lambda: self.now)
        self.expected = Expected(
            self.dirty.mark,
            lambda _: self.seen,
            lambda source, revision: self.missed.append((source, revision)),
            lambda: self.now,
        )

    def run(self, seconds: float, *, error: bool = False) -> None:
        """As the reconciler does it, by steps of a tenth of a second."""
        for _ in range(round(seconds * 10)):
            self.expected.turn(5.0)
            if name := self.dirty.take(0):
                self.looks.append(round(self.now - 1000.0, 1))
                self.seen = self.seen if error else self.tip
                self.dirty.done(name, error)
                self.expected.looked(name)
            self.now += 0.1


@pytest.fixture
def remote() -> Remote:
    return Remote()


def test_a_commit_that_is_there_is_looked_for_once(remote: Remote) -> None:
    remote.tip = NEW
    remote.expected.wake("team", expect=NEW)
    remote.run(100)
    assert (remote.looks, remote.missed) == ([0.0], [])


def test_a_commit_that_does_not_show_is_looked_for_at_growing_distances(remote: Remote) -> None:
    remote.expected.wake("team", expect=NEW)
    remote.run(100)
    assert remote.looks == pytest.approx([0, 1, 3, 7, 15, 31, 60], abs=0.55)


def test_what_never_shows_is_told_once(remote: Remote) -> None:
    remote.expected.wake("team", expect=NEW)
    remote.run(200)
    assert remote.missed == [("team", NEW)]


def test_a_commit_that_shows_late_ends_the_looking(remote: Remote) -> None:
    remote.expected.wake("team", expect=NEW)
    remote.run(5)
    remote.tip = NEW
    remote.run(100)
    assert remote.looks == pytest.approx([0, 1, 3, 7], abs=0.35)
    assert (remote.seen, remote.missed) == (NEW, [])


def test_another_new_commit_ends_the_looking_too(remote: Remote) -> None:
    remote.expected.wake("team", expect=NEW)
    remote.run(2)
    remote.tip = OTHER
    remote.run(100)
    assert len(remote.looks) == 3
    assert remote.missed == []


def test_a_commit_that_is_the_tip_already_needs_no_second_look(remote: Remote) -> None:
    remote.expected.wake("team", expect=OLD)
    remote.run(100)
    assert (remote.looks, remote.missed) == ([0.0], [])


def test_a_hook_without_a_commit_is_one_look(remote: Remote) -> None:
    remote.expected.wake("team")
    remote.run(100)
    assert remote.looks == [0.0]


def test_a_later_hook_begins_anew(remote: Remote) -> None:
    remote.expected.wake("team", expect=NEW)
    remote.run(20)
    remote.expected.wake("team", expect=OTHER)
    remote.run(100)
    after = [round(look - 20, 1) for look in remote.looks if look >= 20]
    assert after == pytest.approx([0, 1, 3, 7, 15, 31, 60], abs=0.55)
    assert remote.missed == [("team", OTHER)]


def test_each_source_has_its_own_commit(remote: Remote) -> None:
    remote.expected.wake("team", expect=NEW)
    remote.expected.wake("other", expect=OLD)
    remote.run(2)
    assert len(remote.looks) == 3, "team twice, the other once"


def test_a_remote_that_is_away_is_not_hammered(remote: Remote) -> None:
    remote.expected.wake("team", expect=NEW)
    remote.run(60, error=True)
    assert len(remote.looks) < 20


def test_waiting_ends_when_the_next_look_is_due(remote: Remote) -> None:
    assert remote.expected.turn(5.0) == 5.0
    remote.expected.wake("team", expect=NEW)
    remote.run(0.5)
    assert remote.expected.turn(5.0) == pytest.approx(0.5, abs=0.11)


def test_a_late_hook_hastens_a_poll_and_another_branch_does_not(remote: Remote) -> None:
    remote.dirty.mark("team", quiet=5.0)
    remote.expected.wake("team", patient=True)
    assert remote.dirty.take(0) is None
    remote.expected.wake("team")
    assert remote.dirty.take(0) == "team"
