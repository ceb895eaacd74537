"""Settings as frozen values: `config` fills them, the parts receive what they need.

Sizes are bytes, durations are seconds, paths are absolute.

Longer than other modules on purpose: what can be set is read as a whole.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network
from pathlib import Path

from envwatch.redact import redact

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
    """How packages are chosen. `virtual_packages` are `__name=version=build` overrides.

    Packages younger than `min_package_age` are left out, as far as the channel says their age.
    `constraints` hold for packages that get into an environment, and bring none into it.
    """

    solver: str = "rattler"
    executable: str = ""
    strict_channel_priority: bool = True
    virtual_packages: tuple[str, ...] = ()
    timeout: float = 300.0
    min_package_age: float = 0.0
    constraints: tuple[str, ...] = ()


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
class Credentials:
    """How one repository is reached. Files are read at each use, so that they may be exchanged.

    `password_file` holds a password or token, for `user`. `ca_file` is trusted besides the
    authorities of this machine; `proxy` is for https.
    """

    ssh_key: Path | None = None
    known_hosts: Path | None = None
    user: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    proxy: str = ""


NO_CREDENTIALS = Credentials()


@dataclass(frozen=True, slots=True)
class Verify:
    """Whose signature a commit or tag must bear. `scheme` is `ssh`, `gpg`, or empty for nobody's.

    `signers` is ssh's file of allowed signers, or a file with public keys as gpg exports them.
    """

    scheme: str = ""
    signers: Path | None = None


NO_VERIFY = Verify()


@dataclass(frozen=True, slots=True)
class ForgeSettings:
    """Where commit statuses of a source go. `kind` is github, gitlab or gitea.

    `context` is the name under which people see them; the token is read from its file at each use.
    """

    kind: str
    token_file: Path
    api: str
    repository: str
    context: str = "envwatch"


@dataclass(frozen=True, slots=True)
class WriteBack:
    """The branch to which locks are committed, and by whom."""

    branch: str = "envwatch/locks"
    credentials: Credentials = NO_CREDENTIALS
    name: str = "envwatch"
    email: str = "envwatch@localhost"


PULL_REFS = ("refs/pull/*/head", "refs/merge-requests/*/head")


@dataclass(frozen=True, slots=True)
class Previews:
    """Which requests to change a source are tried out: `*` of a ref stands for the number.

    They are solved; with `install` they are built as well. `most` is how many, the newest first;
    `comment` has their package diffs written into the requests.
    """

    refs: tuple[str, ...] = PULL_REFS
    install: bool = False
    most: int = 50
    comment: bool = True


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """One source. `url` is for git, `directory` for directories; globs are relative to its top.

    Of `branch`, `tag`, `semver`, `ref` and `commit` one at most says what is followed. `branches`
    are pairs of a pattern and where its environments go: such a source becomes one per branch,
    and its `family` is the name of the source that they come from. `rename` says what becomes of
    the name that a file gives.

    `interval` is the time between two looks: a rescan of a directory, a poll of a repository.
    `hook_secrets` are files with one secret each; a source without any takes no web hooks.
    For a managed source `url` is the path of its repository; `edits` is `refuse` or `branch`.
    `previews` belongs to a second source, which has the first as its `base` and becomes one for
    each request, of that number; `title` and `link` are what the forge says of it.
    """

    name: str
    kind: SourceKind
    namespace: str
    url: str = ""
    directory: Path | None = None
    branch: str = ""
    tag: str = ""
    semver: str = ""
    ref: str = ""
    commit: str = ""
    branches: tuple[tuple[str, str], ...] = ()
    family: str = ""
    rename: str = "{name}"
    credentials: Credentials = NO_CREDENTIALS
    verify: Verify = NO_VERIFY
    include: tuple[str, ...] = ("**/*.yml", "**/*.yaml")
    exclude: tuple[str, ...] = ()
    interval: float = 60.0
    timeout: float = 120.0
    max_files: int = 10_000
    hook_secrets: tuple[Path, ...] = ()
    edits: str = "refuse"
    forge: ForgeSettings | None = None
    write_back: WriteBack | None = None
    previews: Previews | None = None
    base: str = ""
    request: int = 0
    title: str = ""
    link: str = ""

    @property
    def is_family(self) -> bool:
        """Is it one source for each of several refs, and has no files of its own?"""
        return bool(self.branches or (self.base and not self.family))

    @property
    def takes_edits(self) -> bool:
        """Can somebody change its files here? A request to change it is for its author to edit."""
        return (self.kind is SourceKind.MANAGED or self.edits == "branch") and not self.base

    @property
    def place(self) -> str:
        """The repository or folder, as people may see it."""
        return redact(self.url) if self.url else str(self.directory)

    @property
    def follows(self) -> str:
        """What of the repository is followed, as people may see it; empty is its HEAD."""
        if self.branches:
            return ", ".join(pattern for pattern, _ in self.branches)
        if self.is_family and self.previews:
            return ", ".join(self.previews.refs)
        if self.semver:
            return f"tags {self.semver}"
        if self.tag:
            return f"tag {self.tag}"
        return self.branch or self.ref or self.commit[:12]


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
class RepoRules:
    """What an `envwatch.yml` in a source may say, and how far it may go.

    `keep_last` and `keep_days` are the most that it may ask for, 0 is what the namespace keeps
    anyway; `update_every` is the least time between two updates; `platforms` the most of them.
    """

    allow: tuple[str, ...] = ("description", "labels", "kernel", "platforms", "virtual_packages")
    keep_last: int = 0
    keep_days: float = 0.0
    update_every: float = 86400.0
    platforms: int = 6


@dataclass(frozen=True, slots=True)
class PackageRules:
    """Dependencies that every file of a namespace must name, that are added to it, and versions
    that hold for packages whether or not a file names them.
    """

    required: tuple[str, ...] = ()
    included: tuple[str, ...] = ()
    constrained: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Quota:
    """How much one namespace may take: bytes on disk, builds that run at once; 0 is no limit."""

    disk: int = 0
    builds: int = 0


@dataclass(frozen=True, slots=True)
class NamespaceSettings:
    """All that holds for one namespace, global values filled in.

    `group` and `mode` are those of its links, kernels and prefixes on disk; `archives` is
    `always` or `on-demand`. `update_policy` is `notify`, `candidate` or `activate`.
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
    update_policy: str = "activate"
    min_package_age: float = 0.0
    group: str = ""
    mode: int = 0o755
    archives: str = "on-demand"
    description: str = ""
    repo: RepoRules = RepoRules()
    packages: PackageRules = PackageRules()
    quota: Quota = Quota()


@dataclass(frozen=True, slots=True)
class WebSettings:
    """`url` is what people see (links, feeds, messages); empty means the address listened on.

    Pages of `origins` may use the API as whoever is signed in here.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    url: str = ""
    threads: int = 16
    proxy_hops: int = 0
    max_push: int = 64 * 2**20
    origins: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.url.rstrip("/") or f"http://{host}:{self.port}"


# ---------------------------------------------------------------- people


class Role(StrEnum):
    """What somebody is in a namespace, each more than the one before."""

    VIEWER = "viewer"
    DEVELOPER = "developer"
    ADMIN = "admin"

    def covers(self, other: Role) -> bool:
        order = tuple(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """A role in all environments that match `namespace/name`; `*` stands for any characters."""

    pattern: str
    role: Role


EVERYWHERE = "*/*"
LOOPBACK = ("localhost", "127.0.0.1", "::1")  # the hosts that are this machine


@dataclass(frozen=True, slots=True)
class Binding:
    """Grants to people by their names, and to everybody in one of some groups."""

    grant: Grant
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """Who may do what: whoever comes, whoever is signed in, and those who are named.

    With `own_namespace` somebody who is signed in is admin of the namespace of their own name.
    """

    anonymous: tuple[Grant, ...] = ()
    signed_in: tuple[Grant, ...] = ()
    own_namespace: bool = True
    bindings: tuple[Binding, ...] = ()


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """A provider of OpenID Connect. The names of claims may be paths: `realm_access.roles`."""

    issuer: str
    client_id: str
    secret_file: Path
    title: str = "single sign-on"
    scopes: str = "openid profile email"
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    roles_claim: str = ""
    grants_claim: str = ""


@dataclass(frozen=True, slots=True)
class HubSettings:
    """A JupyterHub, of which envwatch is a service with OAuth."""

    url: str
    client_id: str
    secret_file: Path
    title: str = "JupyterHub"


@dataclass(frozen=True, slots=True)
class ProxyLogin:
    """A proxy that has signed people in and says who they are, in headers that only it can set.

    With `secret_file` it sends what that holds as well: the address alone is also that of others.
    """

    user_header: str
    groups_header: str = ""
    trusted: tuple[str, ...] = ("127.0.0.1/32", "::1/128")
    secret_file: Path | None = None

    @property
    def trusts_this_machine(self) -> bool:
        networks = [ip_network(t, strict=False) for t in self.trusted]
        return any(ip_address(a) in n for n in networks for a in ("127.0.0.1", "::1"))


@dataclass(frozen=True, slots=True)
class LoginSettings:
    """How people sign in; none of these: nobody can, but by a token."""

    oidc: OidcSettings | None = None
    jupyterhub: HubSettings | None = None
    proxy: ProxyLogin | None = None
    session: float = 12 * 3600.0

    @property
    def possible(self) -> bool:
        return any((self.oidc, self.jupyterhub, self.proxy))


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


EVENTS = ("broken", "fixed", "published", "stalled")


@dataclass(frozen=True, slots=True)
class NotifierSettings:
    """Who else is told of events: a `webhook` (url), a `command`, or `apprise`.

    `secret_file` holds the keys of a web hook or the addresses of apprise; it is read at each use.
    `namespaces` are patterns of `fnmatch`.
    """

    name: str
    kind: str
    url: str = ""
    secret_file: Path | None = None
    command: tuple[str, ...] = ()
    events: tuple[str, ...] = EVENTS
    namespaces: tuple[str, ...] = ("*",)


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole config. `namespaces` holds one entry for each namespace that a source names.

    `patterns` are those that branches make, as `analytics-*`, each with what holds there.
    """

    root: Path
    sources: tuple[SourceSettings, ...] = ()
    namespaces: tuple[NamespaceSettings, ...] = ()
    patterns: tuple[tuple[str, NamespaceSettings], ...] = ()
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
    notify: tuple[NotifierSettings, ...] = ()
    access: AccessSettings = AccessSettings()
    login: LoginSettings = LoginSettings()
    defaults: NamespaceSettings = field(default_factory=lambda: NamespaceSettings(""))

    @property
    def declared(self) -> frozenset[str]:
        """The namespaces that are named, or that a source fills."""
        return frozenset({n.name for n in self.namespaces} | {s.namespace for s in self.sources})

    def namespace(self, name: str) -> NamespaceSettings:
        """What holds for one namespace; the global values where nothing is said of it."""
        named = (n for n in self.namespaces if n.name == name)
        made = (replace(n, name=name) for p, n in self.patterns if fnmatchcase(name, p))
        found = next(named, None) or next(made, None)
        return found or replace(self.defaults, name=name)
