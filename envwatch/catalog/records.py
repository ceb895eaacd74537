"""What the catalog answers: frozen values, one for each kind of row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from envwatch.catalog.schema import Mode, Reason, SourceState
from envwatch.hooks.decision import Decision
from envwatch.hooks.sender import Forge
from envwatch.model import (
    ArchiveState,
    ArtifactKind,
    BuildState,
    Composition,
    EnvKey,
    Failure,
    Kernel,
    Message,
    Phase,
    Progress,
    Wishes,
)


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """`place` is the url or folder, without secrets; `rules` identifies the settings in force.

    `branch` is what shall be followed, `ref` the full name of the ref that is followed now;
    `family` is the source of which this one is a branch or a request, `base` the source that a
    request would change; `title` and `link` are what the forge says of it.
    """

    name: str
    namespace: str
    kind: str
    place: str
    branch: str
    rules: str
    fingerprint: str
    revision: str
    state: SourceState
    message: str
    hint: str
    failures: int
    looked_at: datetime | None
    ok_at: datetime | None
    confirmed_empty: bool
    family: str
    ref: str
    base: str = ""
    title: str = ""
    link: str = ""

    @property
    def is_request(self) -> bool:
        """Is it one request to change another source?"""
        return bool(self.base and self.family)


@dataclass(frozen=True, slots=True)
class EnvironmentRecord:
    """One environment: what was asked for last and which generation is current.

    `lock_path` is where its lock lies in the source. `offer` says which packages an update would
    change, where it was only looked for. A preview says of which environment it is one, and
    whether it is only solved.
    """

    id: int
    key: EnvKey
    source: str
    path: str
    description: str
    asked_digest: str
    ask: int
    spec_id: int
    revision: str
    asked_at: datetime
    invalid: Message | None
    current: int | None
    held: bool
    created_at: datetime
    changed_at: datetime
    retired_at: datetime | None
    wishes: Wishes | None = None
    lock_path: str = ""
    offer: str = ""
    preview_of: str = ""
    solve_only: bool = False

    @property
    def target(self) -> EnvKey:
        """The environment that it is, or that it is a preview of."""
        return EnvKey(self.key.namespace, self.preview_of or self.key.name)


@dataclass(frozen=True, slots=True)
class BuildRecord:
    id: int
    environment_id: int
    key: EnvKey
    spec_id: int
    asked_digest: str
    ask: int
    mode: Mode
    reason: Reason
    requested_by: str
    source: str
    path: str
    revision: str
    state: BuildState
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    attempt: int
    retry_at: datetime | None
    cancel: BuildState | None
    cancelled_by: str
    progress: Progress | None
    phases: tuple[Phase, ...]
    failure: Failure | None
    messages: tuple[Message, ...]
    lock_digest: str
    prefix_digest: str
    prefix: str
    reused: bool
    size: int
    own_size: int
    generation: int | None
    solve_only: bool = False


@dataclass(frozen=True, slots=True)
class GenerationRecord:
    id: int
    environment_id: int
    key: EnvKey
    number: int
    build_id: int
    spec_id: int
    asked_digest: str
    ask: int
    reason: Reason
    revision: str
    lock_digest: str
    prefix_digest: str
    prefix: Path
    size: int
    own_size: int
    published_at: datetime
    ceased_at: datetime | None
    pinned: bool
    pruned_at: datetime | None
    damaged: str
    verified_at: datetime | None
    kernels: tuple[Kernel, ...]
    python: str
    archive: ArchiveState
    archive_message: str
    lock_file_digest: str = ""
    candidate: bool = False


@dataclass(frozen=True, slots=True)
class SpecRecord:
    """The text as committed, and the lock that lay beside it.

    With a `composition` of layers the text is what they were merged into.
    """

    id: int
    digest: str
    text: str
    lock_text: str
    messages: tuple[Message, ...]
    composition: Composition | None = None


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    kind: ArtifactKind
    key: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """A web hook that came. `name` is the forge's own for it, `ref` and `revision` what it named.

    `repeats` is how often the same came again, or how many of its kind are not listed.
    """

    id: int
    at: datetime
    forge: Forge
    event: str
    name: str
    ref: str
    revision: str
    decision: Decision
    reason: str
    repeats: int

    @property
    def status(self) -> int:
        """How it was answered."""
        return self.decision.status.value


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """Who may do what where, without the secret. `namespaces` are patterns: `team-*`."""

    id: int
    name: str
    namespaces: tuple[str, ...]
    write: bool
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None

    def is_valid(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class EventRecord:
    id: int
    at: datetime
    type: str
    message: str
