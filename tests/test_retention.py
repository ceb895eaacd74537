"""Retention: what stays, what may go, and that nothing that is needed ever goes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from envwatch.retention import Expired, GenerationFacts, expired, explain
from envwatch.settings import Retention

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
NOTHING = Retention(keep_last=0, keep_days=0, grace=0)


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def old(number: int, prefix: str = "") -> GenerationFacts:
    """A generation that no rule keeps."""
    return GenerationFacts(number, prefix or f"p{number}", ago(400 - number), ago(399 - number))


@st.composite
def histories(draw: st.DrawFn) -> list[GenerationFacts]:
    """Generations as they come about: numbered, in order of time, prefixes used again."""
    count = draw(st.integers(0, 12))
    current = draw(st.integers(0, count))
    days = sorted(draw(st.lists(st.floats(0, 90), min_size=count, max_size=count)), reverse=True)
    return [
        GenerationFacts(
            number=index + 1,
            prefix_id=draw(st.sampled_from("abcd")),
            published_at=ago(day),
            ceased_at=None if index == current else draw(st.sampled_from([None, ago(day / 2)])),
            current=index == current,
            pinned=draw(st.booleans()),
            held=index == current and draw(st.booleans()),
            labels=draw(st.sampled_from([(), (), ("release",)])),
        )
        for index, day in enumerate(days)
    ]


policies = st.builds(
    Retention,
    keep_last=st.integers(0, 8),
    keep_days=st.floats(0, 90),
    grace=st.floats(0, 90 * 86400),
)
uses = st.frozensets(st.sampled_from("abcd"), max_size=2)


@given(histories(), policies, uses)
def test_nothing_that_is_needed_goes(
    history: list[GenerationFacts], policy: Retention, in_use: frozenset[str]
) -> None:
    gone = expired(history, policy, now=NOW, in_use=in_use)
    newest = {g.number for g in history[max(0, len(history) - policy.keep_last) :]}
    for g in (g for g in history if g.number in gone.generations):
        assert not any((g.current, g.held, g.pinned, g.labels))
        assert g.number not in newest
        assert g.prefix_id not in in_use
        assert NOW - g.published_at >= timedelta(days=policy.keep_days)
        assert not g.ceased_at or NOW - g.ceased_at >= timedelta(seconds=policy.grace)


@given(histories(), policies, uses)
def test_a_prefix_goes_only_with_the_last_generation_on_it(
    history: list[GenerationFacts], policy: Retention, in_use: frozenset[str]
) -> None:
    gone = expired(history, policy, now=NOW, in_use=in_use)
    kept = {g.prefix_id for g in history if g.number not in gone.generations}
    assert not set(gone.prefixes) & (kept | in_use)
    assert set(gone.prefixes) | kept >= {g.prefix_id for g in history}


@given(histories(), policies, uses)
def test_each_generation_goes_or_has_a_reason_to_stay(
    history: list[GenerationFacts], policy: Retention, in_use: frozenset[str]
) -> None:
    gone = expired(history, policy, now=NOW, in_use=in_use).generations
    reasons = explain(history, policy, now=NOW, in_use=in_use)
    assert sorted([*gone, *(number for number, _ in reasons)]) == [g.number for g in history]
    assert all(reason for _, reason in reasons)


@given(histories(), policies, policies)
def test_a_wider_policy_never_removes_more(
    history: list[GenerationFacts], one: Retention, two: Retention
) -> None:
    wider = Retention(
        max(one.keep_last, two.keep_last),
        max(one.keep_days, two.keep_days),
        max(one.grace, two.grace),
    )
    assert set(expired(history, wider, now=NOW).generations) <= set(
        expired(history, one, now=NOW).generations
    )


@given(histories(), policies, st.floats(0.001, 1000))
def test_what_may_go_now_may_go_later(
    history: list[GenerationFacts], policy: Retention, days: float
) -> None:
    later = expired(history, policy, now=NOW + timedelta(days=days))
    assert set(expired(history, policy, now=NOW).generations) <= set(later.generations)


@given(histories().filter(bool), policies, st.floats(0.001, 1000))
def test_nothing_goes_while_the_clock_is_behind(
    history: list[GenerationFacts], policy: Retention, days: float
) -> None:
    newest = max(g.published_at for g in history)
    assert expired(history, policy, now=newest - timedelta(days=days)) == Expired()


def test_what_no_rule_keeps_goes_with_its_prefix() -> None:
    assert expired([old(1), old(2)], NOTHING, now=NOW) == Expired((1, 2), ("p1", "p2"))


def test_a_prefix_that_a_kept_generation_uses_again_stays() -> None:
    reverted = replace(old(3, "p1"), current=True, ceased_at=None)
    assert expired([old(1), old(2), reverted], NOTHING, now=NOW) == Expired((1, 2), ("p2",))


def test_the_reason_to_stay_is_told_newest_first() -> None:
    history = [
        replace(old(1), pinned=True),
        replace(old(2), labels=("june", "paper")),
        replace(old(3), ceased_at=ago(1)),
        old(4),
        replace(old(5), published_at=ago(3)),
        replace(old(6), held=True),
        replace(old(7), current=True, ceased_at=None),
        old(8),
    ]
    policy = Retention(keep_last=1, keep_days=5, grace=2 * 86400)
    assert explain(history, policy, now=NOW, in_use=frozenset({"p4"})) == (
        (8, "one of the last 1"),
        (7, "current"),
        (6, "held"),
        (5, "younger than 5 days"),
        (4, "in use by a process"),
        (3, "was current until 2026-05-31 12:00 UTC"),
        (2, "labelled june, paper"),
        (1, "pinned"),
    )
