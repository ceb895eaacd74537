"""What pages and the command line show: frozen values, ready to be rendered or sent as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from envwatch.catalog.recipients import RecipientRecord
from envwatch.catalog.records import (
    ArtifactRecord,
    BuildRecord,
    DeliveryRecord,
    EnvironmentRecord,
    EventRecord,
    GenerationRecord,
    SourceRecord,
)
from envwatch.catalog.writebacks import WriteBackRecord
from envwatch.diff import LineKind, PackageDiff
from envwatch.model import (
    ArchiveState,
    BuildState,
    Commit,
    EnvKey,
    EnvState,
    Failure,
    FileOutcome,
    GitState,
    Message,
    Package,
    Progress,
)
from envwatch.views.commits import KnownRevision


@dataclass(frozen=True, slots=True)
class Counts:
    """How many environments are in each state, and how many builds wait."""

    building: int = 0
    failed: int = 0
    ready: int = 0
    missing: int = 0
    solved: int = 0
    queued: int = 0
    invalid: int = 0
    attention: int = 0
    previews: int = 0

    @property
    def environments(self) -> int:
        return self.building + self.failed + self.ready + self.missing + self.solved


@dataclass(frozen=True, slots=True)
class EnvRow:
    """One environment in a list: its two states and the sentence that matters most.

    `newest` is the newest generation, `current` the one in use. `history` holds the states of the
    last builds, oldest first. `attention` is true where a person should look. `candidate` is the
    generation that an update made and that waits to be taken, `offer` what an update would change.
    """

    key: EnvKey
    git: GitState
    env: EnvState
    current: int | None
    newest: int | None
    held: bool
    size: int
    changed_at: datetime
    description: str
    source: str
    path: str
    revision: str
    build_id: int | None
    build_state: BuildState | None
    progress: Progress | None
    started_at: datetime | None
    failure: Failure | None
    invalid: Message | None
    history: tuple[BuildState, ...]
    retired_at: datetime | None
    damaged: str = ""
    commit: Commit | None = None
    labels: tuple[tuple[str, str], ...] = ()
    candidate: int | None = None
    offer: str = ""
    preview_of: str = ""
    solve_only: bool = False

    @property
    def attention(self) -> bool:
        return self.env is EnvState.FAILED or self.git is GitState.INVALID or bool(self.damaged)

    @property
    def sentence(self) -> str:
        """`#17 serving, build #18 failed`: what is in use and what became of the newest try."""
        if self.retired_at is not None:
            return f"retired, #{self.current} is kept" if self.current else "retired"
        return self._of_preview() if self.solve_only else self._of_use()

    def _of_use(self) -> str:
        serving = f"#{self.current} serving" if self.current else "nothing serving yet"
        if self.candidate:
            serving += f", candidate #{self.candidate} waits"
        if self.held and self.newest and self.newest != self.current:
            return f"held at #{self.current}, #{self.newest} ready"
        if self.held:
            return f"held at #{self.current}"
        if self.env is EnvState.FAILED:
            return f"{serving}, build #{self.build_id} failed"
        if self.env is EnvState.BUILDING:
            return f"{serving}, build #{self.build_id} {self.build_state}"
        return serving

    def _of_preview(self) -> str:
        if self.build_id is None:
            return "waits to be solved"
        words = {EnvState.SOLVED: "nothing is installed", EnvState.FAILED: "cannot be made"}
        return words.get(self.env, f"build #{self.build_id} {self.build_state}")


@dataclass(frozen=True, slots=True)
class PreviewPart:
    """What a preview is held against: its target, the generation that is current there.

    `diff` is None while nothing is solved, `spec` is how its file differs. The rest is what the
    forge says of the request.
    """

    target: EnvKey
    against: int | None
    diff: PackageDiff | None
    request: str
    spec: tuple[tuple[LineKind, str], ...] = ()
    title: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """A preview, as it is listed with its target."""

    row: EnvRow
    part: PreviewPart


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of environments. `page` counts from 1."""

    rows: tuple[EnvRow, ...]
    page: int
    pages: int
    total: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class NamespaceRow:
    """A namespace and how many of its environments there are and need attention."""

    name: str
    environments: int
    attention: int


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around every page: `looked_at` is the oldest of the sources' last looks.

    `store_size` is None for who does not see everything.
    """

    counts: Counts
    sources: int
    failing: int
    looked_at: datetime | None
    store_size: int | None


@dataclass(frozen=True, slots=True)
class GenerationRow:
    """A generation in a list; `diff` is against the generation before it."""

    generation: GenerationRecord
    current: bool
    commit: Commit | None
    diff: PackageDiff | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class BuildRow:
    build: BuildRecord
    commit: Commit | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class BuildList:
    """One page of builds, newest first."""

    builds: tuple[BuildRow, ...]
    page: int
    pages: int
    total: int


@dataclass(frozen=True, slots=True)
class Point:
    """One build in the charts of time and size."""

    build_id: int
    at: datetime
    seconds: float
    size: int
    ok: bool


@dataclass(frozen=True, slots=True)
class EnvironmentPage:
    """One environment; `generations` are those of `builds` and the current one.

    `layers` are the files that its spec is merged from, where they are more than one.
    """

    row: EnvRow
    record: EnvironmentRecord
    commit: Commit | None
    spec_text: str
    spec_messages: tuple[Message, ...]
    generation: GenerationRecord | None
    packages: tuple[Package, ...]
    artifacts: tuple[ArtifactRecord, ...]
    generations: tuple[GenerationRow, ...]
    builds: tuple[BuildRow, ...]
    events: tuple[EventRecord, ...]
    points: tuple[Point, ...]
    page: int
    pages: int
    layers: tuple[str, ...] = ()
    virtual_packages: tuple[str, ...] = ()
    preview: PreviewPart | None = None
    previews: tuple[PreviewRow, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildPage:
    """One build; `place` is its position in the queue, 0 when it does not wait."""

    build: BuildRecord
    commit: Commit | None
    spec_text: str
    spec_messages: tuple[Message, ...]
    generation: GenerationRecord | None
    current: int | None
    packages: tuple[Package, ...]
    artifacts: tuple[ArtifactRecord, ...]
    diff: PackageDiff | None
    previous: int | None
    place: int
    seconds: float | None
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DiffPage:
    """Two generations of one environment side by side; `spec` lines are (what, text)."""

    key: EnvKey
    old: GenerationRecord
    new: GenerationRecord
    numbers: tuple[int, ...]
    spec: tuple[tuple[LineKind, str], ...]
    packages: PackageDiff


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source; in a list of sources `files` are the refused ones and `events` are left out.

    `locks` is how writing them back stands, where that is asked for.
    """

    record: SourceRecord
    commit: Commit | None
    understood: int
    ignored: int
    refused: int
    files: tuple[FileOutcome, ...]
    events: tuple[EventRecord, ...]
    locks: WriteBackRecord | None = None


@dataclass(frozen=True, slots=True)
class SourcePage:
    """One source with a page of its files; `deliveries` are the web hooks kept, newest first.

    `members` are the sources that it is, where it is one for each of several refs; `commits` are
    those that it showed last, newest first.
    """

    source: SourceRow
    page: int
    pages: int
    total: int
    deliveries: tuple[DeliveryRecord, ...] = ()
    members: tuple[SourceRecord, ...] = ()
    commits: tuple[KnownRevision, ...] = ()


@dataclass(frozen=True, slots=True)
class FeedEntry:
    id: int
    at: datetime
    key: EnvKey
    type: str
    message: str


@dataclass(frozen=True, slots=True)
class PackageUse:
    """An environment whose current generation holds a package."""

    key: EnvKey
    number: int
    package: Package


@dataclass(frozen=True, slots=True)
class PackageUses:
    """One page of the environments that use a package.

    `versions` says in how many environments each version is, `version` which one was asked for.
    """

    name: str
    uses: tuple[PackageUse, ...]
    page: int
    pages: int
    total: int
    version: str = ""
    versions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KnownPackage:
    """A package in current generations; `version` is the one where there is one alone."""

    name: str
    environments: int
    versions: int
    version: str
    license: str


@dataclass(frozen=True, slots=True)
class KnownPackages:
    """One page of the packages whose name holds `query`."""

    query: str
    packages: tuple[KnownPackage, ...]
    page: int
    pages: int
    total: int


@dataclass(frozen=True, slots=True)
class PhaseTimes:
    """A histogram: how many ended builds took at most so many seconds in a phase."""

    phase: str
    at_most: tuple[tuple[float, int], ...]
    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What is measured: the catalog as numbers."""

    environments: tuple[tuple[str, EnvState, int], ...]
    invalid: tuple[tuple[str, int], ...]
    held: int
    builds: tuple[tuple[BuildState, int], ...]
    phases: tuple[PhaseTimes, ...]
    oldest_queued: datetime | None
    sources: tuple[SourceRecord, ...]
    store_size: int
    generations: int
    pruned: int
    damaged: int
    archives: tuple[tuple[ArchiveState, int], ...]
    recipients: tuple[RecipientRecord, ...] = ()
    locks: tuple[WriteBackRecord, ...] = ()
