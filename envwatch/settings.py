"""Settings as frozen values: `config` fills them, the parts receive what they need.

Sizes are bytes, durations are seconds, paths are absolute.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

GIB = 2**30
MACHINES = {"x86_64": "linux-64", "aarch64": "linux-aarch64", "ppc64le": "linux-ppc64le"}


def host_platform() -> str:
    """The conda name of this machine's platform, such as `linux-64`."""
    return MACHINES.get(platform.machine(), f"linux-{platform.machine()}")


@dataclass(frozen=True, slots=True)
class Network:
    """How channels and indexes are reached. `auth_file` is rattler's, for private channels."""

    alias: str = "https://conda.anaconda.org/"
    mirrors: tuple[tuple[str, tuple[str, ...]], ...] = ()
    proxy: str = ""
    ca_file: Path | None = None
    auth_file: Path | None = None
    retries: int = 3
    timeout: int = 600


@dataclass(frozen=True, slots=True)
class PipOptions:
    index: str = "https://pypi.org/simple"
    extra_index: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    allow_sdist: bool = False


@dataclass(frozen=True, slots=True)
class SolveOptions:
    """How packages are chosen. `virtual_packages` are `__name=version=build` overrides."""

    solver: str = "rattler"
    executable: str = ""
    strict_channel_priority: bool = True
    virtual_packages: tuple[str, ...] = ()
    timeout: float = 300.0


@dataclass(frozen=True, slots=True)
class InstallOptions:
    """What else is written into a prefix, and what is refused.

    `sync` makes everything durable before a build counts as ready.
    """

    frozen_message: str = ""
    link_scripts: bool = False
    compile: bool = True
    sandbox: str = "auto"
    max_size: int = 20 * 2**30
    sync: bool = True


# ---------------------------------------------------------------- sources


class SourceKind(StrEnum):
    DIRECTORY = "directory"
    GIT = "git"
    MANAGED = "managed"


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """One source. `url` is for git, `directory` for directories; globs are relative to its top.

    `interval` is the time between two looks: a rescan of a directory, a poll of a repository.
    For a managed source `url` is the path of its repository; `edits` is `refuse` or `branch`.
    """

    name: str
    kind: SourceKind
    namespace: str
    url: str = ""
    directory: Path | None = None
    branch: str = ""
    include: tuple[str, ...] = ("**/*.yml", "**/*.yaml")
    exclude: tuple[str, ...] = ()
    interval: float = 60.0
    timeout: float = 120.0
    max_files: int = 10_000
    edits: str = "refuse"


# ---------------------------------------------------------------- building and keeping


@dataclass(frozen=True, slots=True)
class BuildLimits:
    """What stops a build: wall clock, silence of its log, memory of the child, size of its log.

    0 switches a limit off.
    """

    timeout: float = 3600.0
    silence: float = 900.0
    memory: int = 0
    log_size: int = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Retention:
    """Which generations are kept besides those that never go (current, pinned, in use).

    `grace` counts from the moment a generation ceased to be current.
    """

    keep_last: int = 5
    keep_days: float = 30.0
    grace: float = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class NamespaceSettings:
    """All that holds for one namespace, global values filled in.

    `group` and `mode` are those of its links, kernels and prefixes on disk; `archives` is
    `always` or `on-demand`.
    """

    name: str
    channels: tuple[str, ...] = ("conda-forge",)
    allowed_channels: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    solve: SolveOptions = SolveOptions()
    pip: PipOptions = PipOptions()
    retention: Retention = Retention()
    limits: BuildLimits = BuildLimits()
    link_scripts: bool = False
    compile: bool = True
    update: str = ""
    group: str = ""
    mode: int = 0o755
    archives: str = "on-demand"
    description: str = ""


@dataclass(frozen=True, slots=True)
class WebSettings:
    """`url` is what people see (links, feeds, messages); empty means the address listened on."""

    host: str = "127.0.0.1"
    port: int = 8080
    url: str = ""
    threads: int = 16
    proxy_hops: int = 0
    max_push: int = 64 * 2**20

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.url.rstrip("/") or f"http://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SpaceSettings:
    """No build starts below `floor` bytes free; `quota` 0 is no limit for the whole store."""

    floor: int = 2 * GIB
    quota: int = 0


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """Calendar work as cron text (UTC); empty switches it off."""

    retention: str = "@daily"
    verify: str = "30 3 * * *"


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole config. `namespaces` holds one entry for each namespace that a source names."""

    root: Path
    sources: tuple[SourceSettings, ...] = ()
    namespaces: tuple[NamespaceSettings, ...] = ()
    network: Network = Network()
    web: WebSettings = WebSettings()
    space: SpaceSettings = SpaceSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    parallel: int = 2
    sandbox: str = "auto"
    durability: str = "full"
    max_size: int = 20 * GIB
    quiet_period: float = 0.5
    resync: float = 600.0
    log_format: str = "auto"
    path: Path | None = None
    defaults: NamespaceSettings = field(default_factory=lambda: NamespaceSettings(""))

    def namespace(self, name: str) -> NamespaceSettings:
        """What holds for one namespace; the global values where nothing is said of it."""
        return next((n for n in self.namespaces if n.name == name), self.defaults)
