"""The values that flow through envwatch, in the order in which they are made.

snapshot → spec → plan → job → lock → result → generation → artifact.
Times are aware UTC, sizes are bytes, durations are seconds.

Longer than other modules on purpose: read from top to bottom it is the way of one commit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from envwatch.settings import InstallOptions, Network, PipOptions, SolveOptions


@dataclass(frozen=True, slots=True, order=True)
class EnvKey:
    """Which environment: `namespace/name`."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def label(self) -> str:
        """What people type after `conda activate`, and the name of the link."""
        return f"{self.namespace}-{self.name}"


class Level(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Message:
    """One remark about a file; lines and columns count from 1, 0 is unknown."""

    level: Level
    text: str
    path: str = ""
    line: int = 0
    column: int = 0
    hint: str = ""

    @property
    def place(self) -> str:
        """`file:line:column`, as far as it is known."""
        parts = [self.path] if self.path else []
        parts += [str(n) for n in (self.line, self.column) if n]
        return ":".join(parts)

    def __str__(self) -> str:
        text = f"{self.text} ({self.hint})" if self.hint else self.text
        level = "" if self.level is Level.ERROR else f"{self.level}: "
        return f"{self.place}: {level}{text}" if self.place else f"{level}{text}"


# ---------------------------------------------------------------- sources


@dataclass(frozen=True, slots=True)
class Commit:
    """What git says of a revision; `signature` names who signed it, where that was asked for."""

    revision: str
    author: str = ""
    email: str = ""
    subject: str = ""
    at: datetime | None = None
    signature: str = ""


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A request to merge that is open at a forge; `target` is the branch that it is for."""

    number: int
    title: str = ""
    author: str = ""
    target: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a snapshot: its bytes, or the reason why they were not read.

    `content` identifies the bytes (a git blob id, or a sha256 for directories).
    """

    path: str
    content: str
    data: bytes | None
    problem: Message | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A source at one revision; `ref` is the full name of the branch or tag that gave it.

    `authoritative` is false where an absent file may only be unreadable now (an emptied or
    unmounted directory): such a snapshot retires nothing.
    """

    source: str
    revision: str
    files: tuple[SourceFile, ...]
    authoritative: bool = True
    commit: Commit | None = None
    messages: tuple[Message, ...] = ()
    ref: str = ""


# ---------------------------------------------------------------- specs


@dataclass(frozen=True, slots=True)
class Requirement:
    """One entry of `channels:`, `dependencies:` or `pip:`, as written, and where.

    `platforms` is empty for all platforms; a selector (`# [linux]`, `sel(win):`) narrows it.
    `path` is empty where it stands in the spec's own file.
    """

    text: str
    line: int = 0
    column: int = 0
    platforms: tuple[str, ...] = ()
    path: str = ""


@dataclass(frozen=True, slots=True)
class Spec:
    """One parsed environment file, or several that were merged into one.

    `digest` (sha256, hex) ignores comments and the order of dependencies, never the order of
    channels. `name` is empty where the file gives none. `virtual_packages` are what an
    `envwatch.yml` says of the machine.
    """

    name: str
    channels: tuple[Requirement, ...]
    dependencies: tuple[Requirement, ...]
    pip: tuple[Requirement, ...]
    variables: tuple[tuple[str, str], ...]
    platforms: tuple[str, ...]
    description: str
    digest: str
    path: str = ""
    messages: tuple[Message, ...] = ()
    virtual_packages: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class Layer:
    """One of the files that an environment is merged from, as committed."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Composition:
    """What an `envwatch.yml` says of the packages of an environment, beside its file.

    With more than one layer the spec is merged from them. `platforms` stand in for those of the
    files. `virtual_text` is conda-lock's own file of virtual packages, which its hash covers.
    """

    layers: tuple[Layer, ...] = ()
    platforms: tuple[str, ...] = ()
    virtual_packages: tuple[Requirement, ...] = ()
    virtual_text: str = ""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What an `envwatch.yml` says of an environment beside its packages, as far as it may.

    `None` and empty are not said. `update` is cron text or `off`.
    """

    labels: tuple[tuple[str, str], ...] = ()
    kernel: str = ""
    keep_last: int | None = None
    keep_days: float | None = None
    update: str = ""


class FileState(StrEnum):
    UNDERSTOOD = "understood"
    IGNORED = "ignored"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of one file of a snapshot, for the sources page."""

    path: str
    state: FileState
    key: EnvKey | None = None
    messages: tuple[Message, ...] = ()


# ---------------------------------------------------------------- plans


@dataclass(frozen=True, slots=True)
class Preview:
    """What an environment is that stands for a request to change another one, `of` that name.

    Without `install` its packages are chosen, and nothing is built.
    """

    of: str
    install: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """An environment as git asks for it now.

    `digest` is the asked-for digest: spec after defaults and policy, lock beside it, platforms,
    solver options and virtual packages. `lock_path` is where its lock lies, or would be looked for.
    """

    key: EnvKey
    path: str
    spec: Spec
    text: str
    digest: str
    lock_text: str = ""
    messages: tuple[Message, ...] = ()
    composition: Composition = Composition()
    wishes: Wishes = Wishes()
    lock_path: str = ""
    preview: Preview | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What was last asked for one environment, as the catalog knows it."""

    key: EnvKey
    source: str
    path: str
    digest: str
    retired: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What must change so that the store follows one source. Every list is disjoint.

    `build` wants a new generation, `touch` only moved or changed its comments, `retire` is gone
    from the source, `invalid` keeps serving while its file is refused. `empty` says that the
    source shows nothing where there was something, and that nobody said that this is meant.
    """

    source: str
    revision: str
    commit: Commit | None
    ref: str = ""
    build: tuple[Ask, ...] = ()
    touch: tuple[Ask, ...] = ()
    retire: tuple[EnvKey, ...] = ()
    invalid: tuple[tuple[EnvKey, Message], ...] = ()
    files: tuple[FileOutcome, ...] = ()
    messages: tuple[Message, ...] = ()
    empty: bool = False


# ---------------------------------------------------------------- locks and packages


class Manager(StrEnum):
    CONDA = "conda"
    PIP = "pip"


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One package of a lock, for one platform. Hashes are lower-case hex; `size` 0 is unknown.

    `depends` are matchspec texts. `channel` is the base URL of the channel, empty for pip.
    """

    manager: Manager
    platform: str
    name: str
    version: str
    url: str
    sha256: str
    md5: str = ""
    build: str = ""
    build_number: int = 0
    subdir: str = ""
    channel: str = ""
    size: int = 0
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    license: str = ""
    noarch: str = ""
    timestamp: int = 0
    python_site_packages_path: str = ""
    requested: bool = False

    @property
    def file_name(self) -> str:
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Lock:
    """Exact packages for each platform, neutral to the solver that chose them.

    `digest` covers what is installed (urls and hashes), not how the file is written.
    `pip_platforms` names the platforms whose `pip:` section is locked.
    """

    platforms: tuple[str, ...]
    channels: tuple[str, ...]
    packages: tuple[LockedPackage, ...]
    pip_platforms: tuple[str, ...] = ()

    def on(self, platform: str, manager: Manager | None = None) -> tuple[LockedPackage, ...]:
        """The packages for one platform, in the order of the lock."""
        return tuple(
            p
            for p in self.packages
            if p.platform == platform and (manager is None or p.manager is manager)
        )


@dataclass(frozen=True, slots=True)
class Package:
    """One installed package, as pages list it; `depends` are names, as far as a lock says them."""

    name: str
    version: str
    build: str
    manager: Manager
    channel: str
    size: int = 0
    license: str = ""
    url: str = ""
    sha256: str = ""
    requested: bool = False
    depends: tuple[str, ...] = ()


# ---------------------------------------------------------------- builds


class BuildState(StrEnum):
    QUEUED = "queued"
    SOLVING = "solving"
    DOWNLOADING = "downloading"
    LINKING = "linking"
    PIP = "pip"
    CHECKING = "checking"
    READY = "ready"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    TIMED_OUT = "timed-out"

    @property
    def over(self) -> bool:
        return self in ENDED

    @property
    def running(self) -> bool:
        return self in RUNNING


RUNNING = (
    BuildState.SOLVING,
    BuildState.DOWNLOADING,
    BuildState.LINKING,
    BuildState.PIP,
    BuildState.CHECKING,
)
ENDED = (
    BuildState.READY,
    BuildState.FAILED,
    BuildState.CANCELLED,
    BuildState.SUPERSEDED,
    BuildState.TIMED_OUT,
)


class FailureKind(StrEnum):
    STALLED = "stalled"
    TRANSIENT = "transient"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a build failed. `error` is the class of the error, `line` is of the environment file.

    `path` is the file of that line where the environment is made of several.
    """

    error: str
    kind: FailureKind
    message: str
    hint: str = ""
    line: int = 0
    column: int = 0
    path: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a running build is. Counts of packages and bytes; a total of 0 is unknown."""

    state: BuildState
    done: int = 0
    total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Phase:
    """One finished phase of a build and how long it took, in seconds."""

    state: BuildState
    seconds: float


@dataclass(frozen=True, slots=True)
class Kernel:
    """A Jupyter kernel that a prefix brings: the folder name of its kernelspec."""

    name: str
    display_name: str
    language: str


class JobKind(StrEnum):
    BUILD = "build"
    SOLVE = "solve"
    PACK = "pack"
    VERIFY = "verify"
    SEARCH = "search"


@dataclass(frozen=True, slots=True)
class PackageQuery:
    """A part of the names of packages, or `exact` the whole name of one; `most` are told."""

    words: str
    exact: bool = False
    most: int = 100


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a child may read and write. All on one filesystem and mount."""

    prefix: Path
    record: Path
    tmp: Path
    pkgs: Path
    pyc: Path
    uv: Path
    repodata: Path


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work for a child process. Survives JSON; knows no state.

    `lock_text` is a lock to install as it is: one of our own (`lock_is_known`), or one that lies
    beside the file and counts where it matches. `previous_lock_text` is what a solve prefers;
    `fresh` asks the channels anew, whatever is cached.
    `known_prefixes` are prefix digests of this environment and their paths, to be used again.
    `allowed_channels` are URLs; empty allows all. `platforms` starts with the host's.
    """

    kind: JobKind
    build_id: int
    key: EnvKey
    spec: Spec
    text: str
    channels: tuple[str, ...]
    platforms: tuple[str, ...]
    folders: Folders
    network: Network = field(default_factory=Network)
    pip: PipOptions = field(default_factory=PipOptions)
    solve: SolveOptions = field(default_factory=SolveOptions)
    install: InstallOptions = field(default_factory=InstallOptions)
    lock_text: str = ""
    lock_is_known: bool = False
    previous_lock_text: str = ""
    fresh: bool = False
    known_prefixes: tuple[tuple[str, str], ...] = ()
    allowed_channels: tuple[str, ...] = ()
    memory: int = 0
    composition: Composition = Composition()
    query: PackageQuery | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What one job came to, as its durable record says. Files lie beside the record.

    `lock_digest` covers what is installed, `lock_file_digest` the text of the lock.
    """

    build_id: int
    failure: Failure | None = None
    prefix: Path | None = None
    prefix_digest: str = ""
    lock_digest: str = ""
    reused: bool = False
    solved: bool = False
    packages: tuple[Package, ...] = ()
    size: int = 0
    own_size: int = 0
    files: int = 0
    phases: tuple[Phase, ...] = ()
    kernels: tuple[Kernel, ...] = ()
    messages: tuple[Message, ...] = ()
    python: str = ""
    lock_file_digest: str = ""


# ---------------------------------------------------------------- publishing


class ArtifactKind(StrEnum):
    """The files offered for each generation, and their names."""

    SPEC = "environment.yml"
    PINNED = "environment.pinned.yml"
    LOCK = "conda-lock.yml"
    EXPLICIT = "explicit.txt"
    PACKAGES = "packages.json"
    LOG = "build.log"
    TAR_ZST = "environment.tar.zst"
    TAR_GZ = "environment.tar.gz"
    SUMS = "SHA256SUMS"


class ArchiveState(StrEnum):
    NONE = "none"
    QUEUED = "queued"
    MAKING = "making"
    READY = "ready"
    FAILED = "failed"


class GitState(StrEnum):
    IN_SYNC = "in sync"
    BEHIND = "behind"
    INVALID = "invalid"


class EnvState(StrEnum):
    READY = "ready"
    BUILDING = "building"
    FAILED = "failed"
    MISSING = "missing"
    SOLVED = "solved"
