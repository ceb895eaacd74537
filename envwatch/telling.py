"""What forges and people are told of a state: statuses of a commit, and turns of a condition. Pure.

A status is about the state of a commit, never about "a build ran": a commit that changes nothing
has one too. A notice is about a turn: something was well and is not, or the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from envwatch import diff
from envwatch.diff import PackageDiff
from envwatch.model import BuildState, EnvKey, Failure, FailureKind, Level, Message

FAILED = (BuildState.FAILED, BuildState.TIMED_OUT)
# what fails for passing reasons is tried again by itself: people hear of the third time in a row
PATIENCE = 3
LONGEST_PATH = 150  # in the name of a status: forges take 255 characters
NAMED = 3  # environments that the status of a commit names


class StatusState(StrEnum):
    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    CANCELLED = "cancelled"


class RecipientState(StrEnum):
    """Of a forge or a notifier: `stalled` needs a person, `failing` is tried again."""

    NEW = "new"
    OK = "ok"
    FAILING = "failing"
    STALLED = "stalled"


class Condition(StrEnum):
    """Of an environment or a source: `stalled` needs a person, `failing` is tried again."""

    GOOD = "good"
    FAILING = "failing"
    STALLED = "stalled"


class NoticeKind(StrEnum):
    BROKEN = "broken"
    FIXED = "fixed"
    PUBLISHED = "published"
    STALLED = "stalled"
    TEST = "test"


# ---------------------------------------------------------------- statuses


@dataclass(frozen=True, slots=True)
class BuildFacts:
    """The newest build of an ask; `phase` is where it is, in words."""

    id: int
    state: BuildState
    path: str = ""
    failure: Failure | None = None
    again: bool = False
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class EnvFacts:
    """One environment, as far as its status depends on it.

    `ready` is the newest generation of what is asked for, `ready_revision` the commit that made it.
    `change` is what a preview would change of its target.
    """

    key: EnvKey
    ask: int
    invalid: Message | None
    current: int | None
    held: bool
    ready: int | None
    ready_revision: str
    build: BuildFacts | None
    preview_of: str = ""
    solve_only: bool = False
    change: PackageDiff | None = None

    @property
    def target(self) -> EnvKey:
        """The environment itself, or the one that it is a preview of."""
        return EnvKey(self.key.namespace, self.preview_of or self.key.name)

    @property
    def changes(self) -> str:
        """What a preview would change, in words; empty while nobody can say."""
        if self.change is None:
            return ""
        return diff.in_words(self.change) or "the same packages"


@dataclass(frozen=True, slots=True)
class Status:
    """What one context of a commit shall say. `build` is where its link leads, if anywhere."""

    context: str
    state: StatusState
    description: str
    key: EnvKey | None = None
    ask: int = 0
    build: int | None = None
    url: str = ""

    @property
    def said(self) -> tuple[StatusState, str, str]:
        return self.state, self.description, self.url


def env_status(env: EnvFacts, revision: str, base: str) -> Status:
    """What this commit came to in one environment."""
    state, description, build = _env(env, revision)
    # under the name of its target: so a rule of the forge may require it of every request
    return Status(f"{base}/{env.target}", state, description, env.key, env.ask, build)


def _env(env: EnvFacts, revision: str) -> tuple[StatusState, str, int | None]:
    if env.invalid is not None:
        return StatusState.FAILURE, str(env.invalid), None
    if env.ready is not None and (env.ready == env.current or env.held):
        return StatusState.SUCCESS, _ready(env, revision), None
    if env.build is None:
        return StatusState.PENDING, "waits to be built", None
    return _of_build(env, env.build)


def _of_build(env: EnvFacts, build: BuildFacts) -> tuple[StatusState, str, int | None]:
    if env.solve_only and build.state is BuildState.READY:
        return StatusState.SUCCESS, env.changes, None
    if build.state in FAILED:
        return StatusState.FAILURE, _failed(build), build.id
    if build.state is BuildState.CANCELLED:
        return StatusState.CANCELLED, f"build {build.id} was cancelled", build.id
    return StatusState.PENDING, f"build {build.id}: {build.state}", build.id


def _ready(env: EnvFacts, revision: str) -> str:
    if env.ready != env.current:
        return f"held at #{env.current}, #{env.ready} ready"
    current = f"#{env.current} is current"
    if env.preview_of:
        return f"{env.key.label} is built: {env.changes}"
    return current if env.ready_revision == revision else f"no change: {current}"


def _failed(build: BuildFacts) -> str:
    failure = build.failure
    if failure is None:
        return f"build {build.id}: {build.state}"
    again = "is tried again: " if build.again else ""
    return again + str(message_of(failure, build.path))


def message_of(failure: Failure, path: str) -> Message:
    """`file:line:column: message (hint)`."""
    return Message(
        Level.ERROR,
        failure.message,
        path if failure.line else "",
        failure.line,
        failure.column,
        failure.hint,
    )


def refused_status(path: str, message: Message, base: str) -> Status:
    """A file that is refused and never asked for an environment."""
    name = path if len(path) <= LONGEST_PATH else f"…{path[1 - LONGEST_PATH :]}"
    return Status(f"{base}/{name}", StatusState.FAILURE, str(message))


def superseded(status: Status, by: str) -> Status:
    """The last word about what a newer commit took over while it was still in work."""
    return replace(
        status, state=StatusState.CANCELLED, description=f"superseded by {by[:7]}", build=None
    )


def whole(statuses: Sequence[Status], base: str, *, preview: bool = False) -> Status:
    """The commit in one status: the worst of all, so that people can require one.

    With `preview` it is that of a request, and the statuses those of what it would change.
    """
    for state, word in (
        (StatusState.FAILURE, "failed"),
        (StatusState.PENDING, "in work"),
        (StatusState.CANCELLED, "given up"),
    ):
        found = [s for s in statuses if s.state is state]
        if len(found) == 1 and state is not StatusState.PENDING:
            return Status(base, state, f"{_name(found[0], base)}: {found[0].description}")
        if found:
            return Status(
                base, state, f"{len(found)} of {len(statuses)} {word}: {_names(found, base)}"
            )
    said = _would_change(statuses, base) if preview else _as_asked(len(statuses))
    return Status(base, StatusState.SUCCESS, said)


def _as_asked(count: int) -> str:
    words = {0: "no environment is asked for", 1: "1 environment is as asked for"}
    return words.get(count, f"{count} environments are as asked for")


def _would_change(statuses: Sequence[Status], base: str) -> str:
    if not statuses:
        return "no environment would change"
    if len(statuses) == 1:
        return f"{_name(statuses[0], base)}: {statuses[0].description}"
    return f"{len(statuses)} environments would change: {_names(statuses, base)}"


def shortened(text: str, most: int) -> str:
    """One line that fits: forges cut or refuse what is longer."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _names(found: Sequence[Status], base: str) -> str:
    names = ", ".join(_name(s, base) for s in found[:NAMED])
    return f"{names}, …" if len(found) > NAMED else names


def _name(status: Status, base: str) -> str:
    return status.context.removeprefix(f"{base}/")


# ---------------------------------------------------------------- conditions and notices


@dataclass(frozen=True, slots=True)
class Subject:
    """An environment or a source, and how it is now. `condition` is None while nobody can say.

    `namespace` decides who hears of it.
    """

    name: str
    namespace: str
    condition: Condition | None
    key: EnvKey | None = None
    current: int | None = None
    build: int | None = None
    revision: str = ""
    message: str = ""

    @property
    def identity(self) -> str:
        return f"environment {self.key}" if self.key else f"source {self.name}"


@dataclass(frozen=True, slots=True)
class Known:
    """How a subject was when it was last looked at."""

    condition: Condition
    current: int | None


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that people are told. `kinds` are the words for it, the most telling first."""

    kinds: tuple[NoticeKind, ...]
    subject: str
    at: datetime
    message: str
    namespace: str = ""
    environment: str = ""
    source: str = ""
    generation: int | None = None
    build: int | None = None
    revision: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """A notice to one notifier, in the word that it wants. `id` stays however often it is sent."""

    id: str
    notifier: str
    kind: NoticeKind
    notice: Notice


def env_condition(env: EnvFacts) -> tuple[Condition | None, str]:
    """How an environment is, and why. None while the newest build is in work or was called off."""
    build = env.build
    if env.invalid is not None:
        return Condition.STALLED, str(env.invalid)
    if build is None or build.state is BuildState.READY:
        return Condition.GOOD, ""
    if build.state not in FAILED:
        return None, ""
    text = str(message_of(build.failure, build.path)) if build.failure else str(build.state)
    text = f"build {build.id} failed: {text}"
    if build.failure is None or build.failure.kind is FailureKind.STALLED:
        return Condition.STALLED, text
    if build.again and build.attempt < PATIENCE:
        return None, ""
    return Condition.FAILING if build.again else Condition.STALLED, text


def turns(subject: Subject, known: Known, at: datetime) -> Iterator[Notice]:
    """What there is to tell of a subject since it was last looked at."""
    old, new = known.condition, subject.condition or known.condition
    if old is not new:
        yield _notice(subject, _kinds(old, new), at, subject.message or "is well again")
    if subject.current is not None and subject.current != known.current:
        before = f", before it #{known.current}" if known.current else ""
        message = f"#{subject.current} is current{before}"
        published = _notice(subject, (NoticeKind.PUBLISHED,), at, message)
        yield replace(published, generation=subject.current)


def _kinds(old: Condition, new: Condition) -> tuple[NoticeKind, ...]:
    if new is Condition.GOOD:
        return (NoticeKind.FIXED,)
    broken = (NoticeKind.BROKEN,) if old is Condition.GOOD else ()
    stalled = (NoticeKind.STALLED,) if new is Condition.STALLED else ()
    return (*broken, *stalled)


def _notice(subject: Subject, kinds: tuple[NoticeKind, ...], at: datetime, message: str) -> Notice:
    return Notice(
        kinds=kinds,
        subject=subject.identity,
        at=at,
        message=message,
        namespace=subject.namespace,
        environment=str(subject.key) if subject.key else "",
        source="" if subject.key else subject.name,
        build=subject.build,
        revision=subject.revision,
    )


def kind_for(notice: Notice, events: Iterable[str]) -> NoticeKind | None:
    """The word by which somebody who wants these events hears of it; None if not at all."""
    wanted = set(events)
    return next((k for k in notice.kinds if k.value in wanted), None)
