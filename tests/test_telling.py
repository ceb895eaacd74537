"""The decisions: what a status says, and which turns are told. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envwatch.model import BuildState, EnvKey, Failure, FailureKind, Level, Message
from envwatch.telling import (
    BuildFacts,
    Condition,
    EnvFacts,
    Known,
    NoticeKind,
    Status,
    StatusState,
    Subject,
    env_condition,
    env_status,
    kind_for,
    refused_status,
    shortened,
    turns,
    whole,
)

KEY = EnvKey("analyst", "demo")
NOW = datetime(2026, 1, 31, tzinfo=UTC)
ENV = EnvFacts(KEY, 1, None, 17, held=False, ready=17, ready_revision="r", build=None)
WRONG = Message(Level.ERROR, "`dependencies` must be a list", "demo.yml", 4, 1)
NONE = Failure("SolveError", FailureKind.STALLED, "no `x`", "did you mean `y`?", line=3)


def build(state: BuildState, failure: Failure | None = None, **more: object) -> BuildFacts:
    return replace(BuildFacts(18, state, "demo.yml", failure), **more)  # type: ignore[arg-type]  # its own fields


@pytest.mark.parametrize(
    ("env", "state", "text"),
    [
        (ENV, StatusState.SUCCESS, "#17 is current"),
        (replace(ENV, ready_revision="other"), StatusState.SUCCESS, "no change: #17 is current"),
        (replace(ENV, invalid=WRONG), StatusState.FAILURE, str(WRONG)),
        (replace(ENV, held=True, ready=18), StatusState.SUCCESS, "held at #17, #18 ready"),
        (
            replace(ENV, ready=None, build=build(BuildState.QUEUED)),
            StatusState.PENDING,
            "build 18: queued",
        ),
        (
            replace(ENV, ready=None, build=build(BuildState.PIP)),
            StatusState.PENDING,
            "build 18: pip",
        ),
        (
            replace(ENV, ready=None, build=build(BuildState.FAILED, NONE)),
            StatusState.FAILURE,
            "demo.yml:3: no `x` (did you mean `y`?)",
        ),
        (
            replace(ENV, ready=None, build=build(BuildState.CANCELLED)),
            StatusState.CANCELLED,
            "build 18 was cancelled",
        ),
        (replace(ENV, ready=None), StatusState.PENDING, "waits to be built"),
        (replace(ENV, build=build(BuildState.FAILED, NONE)), StatusState.SUCCESS, "#17 is current"),
    ],
)
def test_a_status_says_what_the_commit_came_to(
    env: EnvFacts, state: StatusState, text: str
) -> None:
    made = env_status(env, "r", "envwatch")
    assert (made.context, made.state, made.description) == ("envwatch/analyst/demo", state, text)


def test_a_long_path_fits_into_the_name_of_a_status() -> None:
    made = refused_status("deep/" * 100 + "environment.yml", WRONG, "envwatch")
    assert len(made.context) <= 255
    assert made.context.endswith("deep/environment.yml")


def status(name: str, state: StatusState) -> Status:
    return Status(f"envwatch/{name}", state, "why")


def test_the_whole_names_what_is_wrong() -> None:
    good = [status(f"a/{n}", StatusState.SUCCESS) for n in range(3)]
    bad = [status(f"b/{n}", StatusState.FAILURE) for n in range(4)]
    assert whole(good, "envwatch").description == "3 environments are as asked for"
    assert whole([*good, bad[0]], "envwatch").description == "b/0: why"
    assert whole([*good, *bad], "envwatch").description == "4 of 7 failed: b/0, b/1, b/2, …"
    assert whole([], "envwatch").state is StatusState.SUCCESS


@given(st.lists(st.sampled_from(StatusState)))
def test_the_whole_is_good_only_if_all_are(states: list[StatusState]) -> None:
    made = whole([status(f"a/{n}", s) for n, s in enumerate(states)], "envwatch")
    assert (made.state is StatusState.SUCCESS) == (set(states) <= {StatusState.SUCCESS})
    assert (made.state is StatusState.FAILURE) == (StatusState.FAILURE in states)


@given(st.text(), st.integers(1, 300))
def test_what_is_shortened_fits_and_is_one_line(text: str, most: int) -> None:
    made = shortened(text, most)
    assert len(made) <= most
    assert "\n" not in made


@pytest.mark.parametrize(
    ("found", "condition"),
    [
        (None, Condition.GOOD),
        (build(BuildState.READY), Condition.GOOD),
        (build(BuildState.LINKING), None),
        (build(BuildState.CANCELLED), None),
        (build(BuildState.FAILED, NONE), Condition.STALLED),
        (build(BuildState.TIMED_OUT), Condition.STALLED),
        (build(BuildState.FAILED, replace(NONE, kind=FailureKind.TRANSIENT), again=True), None),
        (
            build(
                BuildState.FAILED,
                replace(NONE, kind=FailureKind.TRANSIENT),
                again=True,
                attempt=3,
            ),
            Condition.FAILING,
        ),
        (
            build(BuildState.FAILED, replace(NONE, kind=FailureKind.TRANSIENT), attempt=8),
            Condition.STALLED,
        ),
    ],
)
def test_the_condition_is_that_of_the_newest_build(
    found: BuildFacts | None, condition: Condition | None
) -> None:
    assert env_condition(replace(ENV, build=found))[0] is condition


def subject(condition: Condition | None, current: int | None = 1) -> Subject:
    return Subject("analyst/demo", "analyst", condition, KEY, current, message="why")


@pytest.mark.parametrize(
    ("old", "new", "kinds"),
    [
        (Condition.GOOD, Condition.FAILING, (NoticeKind.BROKEN,)),
        (Condition.GOOD, Condition.STALLED, (NoticeKind.BROKEN, NoticeKind.STALLED)),
        (Condition.FAILING, Condition.STALLED, (NoticeKind.STALLED,)),
        (Condition.STALLED, Condition.FAILING, ()),
        (Condition.FAILING, Condition.GOOD, (NoticeKind.FIXED,)),
    ],
)
def test_each_turn_has_its_words(
    old: Condition, new: Condition, kinds: tuple[NoticeKind, ...]
) -> None:
    (notice,) = turns(subject(new), Known(old, 1), NOW)
    assert notice.kinds == kinds
    assert (kind_for(notice, ["stalled"]) is NoticeKind.STALLED) == (NoticeKind.STALLED in kinds)


@given(st.sampled_from(Condition), st.none() | st.integers(1, 9))
def test_what_did_not_turn_is_not_told(condition: Condition, current: int | None) -> None:
    known = Known(condition, current)
    assert list(turns(subject(condition, current), known, NOW)) == []
    assert list(turns(subject(None, current), known, NOW)) == []


@given(st.lists(st.tuples(st.sampled_from(Condition), st.booleans()), max_size=12))
def test_broken_and_fixed_take_turns(story: list[tuple[Condition, bool]]) -> None:
    known, told = Known(Condition.GOOD, 1), []
    for condition, in_work in story:
        now = subject(None if in_work else condition)
        told += [n.kinds[0] for n in turns(now, known, NOW) if n.kinds]
        known = Known(now.condition or known.condition, 1)
    ends = [k for k in told if k in (NoticeKind.BROKEN, NoticeKind.FIXED)]
    assert ends == [(NoticeKind.BROKEN, NoticeKind.FIXED)[n % 2] for n in range(len(ends))]
