"""The config as it is written: one model per section. A key that is not given is `None`.

The defaults are those of `settings`; `fill` puts them in. What a person reads about a key is
its `description`: editors show it.

Longer than other modules on purpose: what may be written is read as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import CoreSchema, core_schema

from envwatch.config import addresses, forges, people, words
from envwatch.settings import EVENTS, Role
from envwatch.wishes import LIMITED


class Section(BaseModel):
    # a validation error would print the values around it, and values may be secret
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


@dataclass(frozen=True, eq=False)
class Word:
    """How the text of one value is read, and what an editor may know of it."""

    read: Callable[[str], Any]
    hints: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._validate)

    def __get_pydantic_json_schema__(self, _schema: object, _handler: object) -> dict[str, Any]:
        return dict(self.hints)

    def _validate(self, value: object) -> Any:
        if value is None:
            raise words.Wrong("is empty")
        if not isinstance(value, str):
            kind = "a list" if isinstance(value, list) else "a mapping"
            raise words.Wrong(f"is {kind}, not a single value")
        return self.read(value)


def _word(read: Callable[[str], Any], kind: str | list[str] = "string", **hints: Any) -> Word:
    return Word(read, {"type": kind, **hints})


def _whole(least: int, most: int) -> Word:
    read = words.between(words.read_count, least, most, str)
    return _word(read, "integer", minimum=least, maximum=most)


def _one_of(*choices: str) -> Word:
    return _word(words.chosen(choices), enum=list(choices))


def _duration(least: float = 0, most: float = words.TEN_YEARS) -> Word:
    read = words.between(words.read_duration, least, most, words.write_duration)
    return _word(read, ["string", "integer"], pattern=f"^(?:{words.DURATION})$", examples=["15m"])


# text that an editor takes for a number (`branch: 1.0`) is text here
_TEXT = ["string", "number"]

Text = Annotated[str, _word(words.read_text, _TEXT)]
Flag = Annotated[bool, _word(words.read_flag, "boolean")]
Days = Annotated[float, _word(words.read_days, "number", minimum=0)]
Duration = Annotated[float, _duration()]
Interval = Annotated[float, _duration(0.1, words.WEEK)]
Patience = Annotated[float, _duration(1, words.DAY)]
Size = Annotated[
    int,
    _word(words.read_size, ["string", "integer"], pattern=f"^(?:{words.SIZE})$", examples=["8GiB"]),
]
PushSize = Annotated[
    int,
    _word(
        words.between(words.read_size, 2**20, 2**40, words.write_size),
        pattern=f"^(?:{words.SIZE})$",
        examples=["64MiB"],
    ),
]
Mode = Annotated[int, _word(words.read_mode, ["string", "integer"], examples=["0750"])]
Cron = Annotated[str, _word(words.read_cron, examples=["@daily", "30 3 * * *"])]
Update = Annotated[str, _word(words.read_update, examples=["latest", "@weekly"])]
Name = Annotated[str, _word(words.read_name, _TEXT)]
Namespace = Annotated[str, _word(words.read_namespace, _TEXT)]
Platform = Annotated[str, _word(words.read_platform, enum=list(words.PLATFORMS))]
VirtualPackage = Annotated[str, _word(words.read_virtual_package, examples=["__cuda=12.4"])]
Glob = Annotated[str, _word(words.read_glob, examples=["**/*.yml"])]
Listen = Annotated[str, _word(words.read_listen, examples=["127.0.0.1:8080"])]
Channel = Annotated[str, _word(addresses.read_channel, examples=["conda-forge"])]
AllowedChannel = Annotated[str, _word(addresses.read_allowed_channel, examples=["*"])]
Dependency = Annotated[str, _word(words.read_dependency, examples=["ipykernel", "dask=2024.1"])]
Alias = Annotated[str, _word(addresses.read_alias, format="uri")]
Index = Annotated[str, _word(addresses.read_index, format="uri")]
Proxy = Annotated[str, _word(addresses.read_proxy, format="uri")]
PublicUrl = Annotated[str, _word(addresses.read_public_url, format="uri")]
Origin = Annotated[str, _word(addresses.read_origin, examples=["https://hub.example.org"])]
Host = Annotated[str, _word(addresses.read_host, examples=["pypi.org"])]
Target = Annotated[str, _word(addresses.read_target, examples=["analytics-{branch}"])]
Repository = Annotated[str, _word(addresses.read_repository)]
PathText = Annotated[str, _word(addresses.read_path)]
ApiUrl = Annotated[str, _word(forges.read_api, format="uri")]
HookUrl = Annotated[str, _word(forges.read_hook, format="uri")]
RepositoryName = Annotated[str, _word(forges.read_name, examples=["data/environments"])]
Context = Annotated[str, _word(forges.read_context, examples=["envwatch"])]
Event = Annotated[str, _one_of(*EVENTS)]
BranchName = Annotated[str, _word(forges.read_branch, _TEXT, examples=["envwatch/locks"])]
RoleName = Annotated[str, _one_of(*(r.value for r in Role))]
AccessPattern = Annotated[str, _word(people.read_access_pattern, examples=["team-*", "lab/stats"])]
IssuerUrl = Annotated[str, _word(people.read_url, format="uri")]
HeaderName = Annotated[str, _word(people.read_header, examples=["X-Forwarded-User"])]
Address = Annotated[str, _word(people.read_address, examples=["127.0.0.1", "10.0.0.0/8"])]
Pattern = Annotated[str, _word(forges.read_pattern, examples=["team-*"])]


def _key(description: str) -> Any:
    return Field(default=None, description=description)


class NamespaceChannels(Section):
    """Where conda packages come from."""

    default: tuple[Channel, ...] | None = _key(
        "Channels of environment files that name none: names or URLs, the first comes first"
    )
    allowed: tuple[AllowedChannel, ...] | None = _key(
        "Channels that environment files may name; `*` is any. Not given: the default ones"
    )
    priority: Annotated[str, _one_of("strict", "flexible")] | None = _key(
        "strict: a package is taken from the first channel that has it, and from no other"
    )


class Channels(NamespaceChannels):
    """Where conda packages come from, and how they are fetched."""

    alias: Alias | None = _key("What goes before the name of a channel")
    mirrors: dict[Channel, tuple[Channel, ...]] | None = _key(
        "Other places for the files of a channel: its name or URL, and the URLs to ask instead"
    )
    auth_file: PathText | None = _key(
        "Credentials for private channels, in rattler's JSON format; readable by the owner alone"
    )
    retries: Annotated[int, _whole(0, 20)] | None = _key(
        "How often a download that failed is tried again"
    )
    timeout: Patience | None = _key("How long one request may take")


class NamespaceBuilds(Section):
    """What stops a build, and what is allowed in it. A limit of 0 is off."""

    timeout: Duration | None = _key("How long one build may take")
    solve_timeout: Duration | None = _key("How long choosing the packages may take")
    silence: Duration | None = _key("How long a build may say nothing")
    memory: Size | None = _key("How much memory the process of a build may take")
    log_size: Size | None = _key("How long the log of a build may grow")
    link_scripts: Flag | None = _key("Run the scripts that packages bring for after linking")
    compile: Flag | None = _key("Compile Python files, so that a read-only environment is fast")


class Builds(NamespaceBuilds):
    """How environments are built. A limit of 0 is off."""

    parallel: Annotated[int, _whole(1, 64)] | None = _key("How many builds run at the same time")
    max_size: Size | None = _key("How large one environment may become on disk")
    sandbox: Annotated[str, _one_of("auto", "require", "off")] | None = _key(
        "Confine builds by Landlock: where the kernel can, always (or refuse to build), or never"
    )


class Retention(Section):
    """Which generations are kept, besides those current, held, pinned, labelled or in use."""

    keep_last: Annotated[int, _whole(1, 10_000)] | None = _key("The newest of each environment")
    keep_days: Days | None = _key("Those younger than this many days")
    grace: Duration | None = _key("Those that were current less than this ago")


class Packages(Section):
    """Which packages belong into every environment."""

    required: tuple[Dependency, ...] | None = _key(
        "Dependencies that every file must name; one that does not is refused"
    )
    included: tuple[Dependency, ...] | None = _key(
        "Dependencies that are added to every file which does not name them"
    )
    constrained: tuple[Dependency, ...] | None = _key(
        "Versions that hold for packages, whether or not a file names them"
    )


class Quota(Section):
    """How much one namespace may take; 0 is no limit."""

    disk: Size | None = _key("Its environments on disk, files that they share counted once")
    builds: Annotated[int, _whole(0, 64)] | None = _key("Its builds that run at the same time")


class Pip(Section):
    """Where the packages of a `pip:` section come from."""

    index: Index | None = _key("The package index")
    extra_index: tuple[Index, ...] | None = _key("Further indexes")
    allowed_hosts: tuple[Host, ...] | None = _key(
        "Hosts that a requirement with a URL may name. Not given: none"
    )
    allow_sdist: Flag | None = _key(
        "Build packages that have no wheel: this runs their code during the build"
    )


class RepoSettings(Section):
    """What an `envwatch.yml` in a source may say, and how far it may go."""

    allow: tuple[Annotated[str, _one_of(*LIMITED)], ...] | None = _key(
        "The keys that are listened to; what else it says is left out, with a warning"
    )
    keep_last: Annotated[int, _whole(1, 10_000)] | None = _key(
        "How many generations it may keep at most. Not given: those of `retention`"
    )
    keep_days: Days | None = _key("How many days it may keep them at most. Not given: the same")
    update_every: Annotated[float, _duration(60)] | None = _key(
        "The shortest time between two updates that it may ask for"
    )
    platforms: Annotated[int, _whole(1, 20)] | None = _key("How many platforms it may name")


class Web(Section):
    """The page and its API."""

    listen: Listen | None = _key("Address and port")
    url: PublicUrl | None = _key("What people see: used in links, feeds and messages")
    threads: Annotated[int, _whole(2, 256)] | None = _key("Requests answered at the same time")
    proxy_hops: Annotated[int, _whole(0, 10)] | None = _key(
        "How many proxies before it set `X-Forwarded-*`; 0 trusts none"
    )
    max_push: PushSize | None = _key("How large one push to a managed source may be")
    origins: tuple[Origin, ...] | None = _key(
        "Where pages of others come from that may use the API as whoever is signed in"
    )


class GrantEntry(Section):
    """Who has a role where."""

    role: RoleName = Field(description="viewer, developer or admin, each more than the one before")
    namespaces: tuple[AccessPattern, ...] = Field(
        description="Patterns of namespaces, or of `namespace/name`"
    )
    users: tuple[Text, ...] | None = _key("Names of people, as their login gives them")
    groups: tuple[Text, ...] | None = _key("Groups, as their login gives them")


class Access(Section):
    """Who may see and do what."""

    anonymous: dict[AccessPattern, RoleName] | None = _key(
        "Roles of who is not signed in, by pattern. Not given: viewer of all where only this"
        " machine can ask and nobody can sign in, else none"
    )
    signed_in: dict[AccessPattern, RoleName] | None = _key("Roles of everybody who is signed in")
    own_namespace: Flag | None = _key(
        "Give each person a namespace of their own name, whose admin they are"
    )
    grants: tuple[GrantEntry, ...] | None = _key("Roles of people and groups")


class Oidc(Section):
    """A provider of OpenID Connect, such as Keycloak."""

    issuer: IssuerUrl = Field(description="Its address, below which `/.well-known` is")
    client_id: Text = Field(description="What envwatch is called there")
    client_secret_file: PathText = Field(description="A file that holds the client's secret alone")
    title: Text | None = _key("What the button says: continue with …")
    scopes: Text | None = _key("What is asked for")
    name_claim: Text | None = _key("The claim with the name of a person")
    groups_claim: Text | None = _key("The claim with their groups; `a.b` is `b` within `a`")
    roles_claim: Text | None = _key(
        "A claim with roles, which count as groups. Not given: none is read"
    )
    grants_claim: Text | None = _key(
        "A claim with rights as Nebari writes them, `viewer!namespace=x`. Not given: none is read"
    )


class Hub(Section):
    """A JupyterHub, of which envwatch is a service with OAuth."""

    url: IssuerUrl = Field(description="Its address as browsers see it, with its base URL")
    client_id: Text = Field(description="The `oauth_client_id` of the service")
    client_secret_file: PathText = Field(description="A file with the service's API token alone")
    title: Text | None = _key("What the button says: continue with …")


class ProxyUser(Section):
    """A proxy that signs people in, and says in headers who they are."""

    user_header: HeaderName = Field(description="The header with the name")
    groups_header: HeaderName | None = _key("The header with the groups, separated by commas")
    trusted: tuple[Address, ...] | None = _key("Addresses and networks from which it asks")
    secret_file: PathText | None = _key(
        "A file with the secret alone that it sends as `X-Envwatch-Proxy-Secret`. Not given:"
        " whoever asks from such an address is believed; needed where this machine is one"
    )


class Login(Section):
    """How people sign in. Without any of these nobody does, and tokens are the only way."""

    session: Annotated[float, _duration(60, words.TEN_YEARS)] | None = _key(
        "For how long somebody stays signed in"
    )
    oidc: Oidc | None = _key("A provider of OpenID Connect, such as Keycloak")
    jupyterhub: Hub | None = _key("A JupyterHub")
    proxy: ProxyUser | None = _key("A proxy that signs people in")


class Space(Section):
    """How full the disk may become."""

    floor: Size | None = _key("No build starts while less than this is free")
    quota: Size | None = _key("How large the whole store may become; 0 is no limit")


class Schedule(Section):
    """Work by the calendar, as cron text in UTC; `off` switches it off."""

    retention: Cron | None = _key("When generations that are past retention are deleted")
    verify: Cron | None = _key("When every published file is compared with its record")


class Watch(Section):
    """How changes are noticed."""

    quiet_period: Interval | None = _key("Wait until a folder was quiet for this long")
    resync: Annotated[float, _duration(1, words.DAY)] | None = _key(
        "Look at every source after this long, whatever was noticed"
    )


class NamespaceWords(Section):
    """What holds for the environments of one namespace; not given: the global value."""

    channels: NamespaceChannels | None = _key("Where conda packages come from")
    platforms: tuple[Platform, ...] | None = _key(
        "Platforms that are locked. Not given: this machine's"
    )
    virtual_packages: tuple[VirtualPackage, ...] | None = _key(
        "What the solver shall believe of the machine: `__cuda=12.4`, `__glibc=2.28`"
    )
    solver: Annotated[str, _one_of("rattler", "conda-lock")] | None = _key(
        "rattler is built in; conda-lock runs a conda, mamba or micromamba of this machine"
    )
    solver_executable: PathText | None = _key(
        "The conda, mamba or micromamba that conda-lock runs. Not given: the first on PATH"
    )
    builds: NamespaceBuilds | None = _key("What stops a build, and what is allowed in it")
    retention: Retention | None = _key("Which generations are kept")
    pip: Pip | None = _key("Where the packages of a `pip:` section come from")
    update: Update | None = _key(
        "Newer packages without a commit: `latest` at each build, or a time as cron text in UTC"
    )
    update_policy: Annotated[str, _one_of(*words.UPDATE_POLICIES)] | None = _key(
        "What such a time does: tells what would change, builds a candidate, or makes it current"
    )
    min_package_age: Duration | None = _key(
        "Packages younger than this are left out at such a time; 0 takes all"
    )
    repo_settings: RepoSettings | None = _key("What an `envwatch.yml` in a source may say")
    packages: Packages | None = _key("Which packages belong into every environment")
    quota: Quota | None = _key("How much the namespace may take")
    archives: Annotated[str, _one_of("always", "on-demand")] | None = _key(
        "When the archive of a generation is made"
    )
    group: Text | None = _key("The Unix group of links, kernels and environments")
    mode: Mode | None = _key("The permissions of their folders: 0755, 0750 or 0700")


class NamespaceEntry(NamespaceWords):
    """One namespace, where it differs from the rest."""

    description: Text | None = _key("What the page says about it")


class Credentials(Section):
    """How one repository is reached. The files are read at each use."""

    ssh_key: PathText | None = _key("The private key for ssh; readable by the owner alone")
    known_hosts: PathText | None = _key(
        "The host keys that ssh trusts. Not given: those that it knows anyway"
    )
    user: Text | None = _key("The user for https. Not given: `git`, as forges take it for tokens")
    password_file: PathText | None = _key(
        "A file with the password or token for https in its first line"
    )
    ca_file: PathText | None = _key(
        "Certificates to trust besides the usual ones, as PEM. Not given: the global `ca_file`"
    )
    proxy: Proxy | None = _key("The proxy for https. Not given: the global `proxy`")


class Hook(Section):
    """How web hooks of a forge are known."""

    secret_files: tuple[PathText, ...] | None = _key(
        "Files with one secret each, all of which are taken; readable by the owner alone"
    )


class Forge(Section):
    """Where the commits of a repository get their status."""

    kind: Annotated[str, _one_of("github", "gitlab", "gitea")] = Field(
        description="github, gitlab or gitea; gitea is Forgejo too"
    )
    token_file: PathText = Field(description="A file that holds the token alone")
    api: ApiUrl | None = _key("The forge's API. Not given: as usual for the kind on the git host")
    repository: RepositoryName | None = _key("`owner/name`. Not given: as in the git URL")
    context: Context | None = _key("How the statuses are called, the environment follows")


class NotifyEntry(Section):
    """Who else is told: a web hook, a command, or the addresses of apprise."""

    name: Name = Field(description="What the notifier is called")
    webhook: HookUrl | None = _key("A URL that gets each event as signed JSON")
    secret_file: PathText | None = _key("The secret that signs for `webhook`, one per line")
    command: tuple[Text, ...] | None = _key("A program and its arguments: gets JSON on its input")
    apprise_file: PathText | None = _key("A file with addresses of apprise, one per line")
    events: tuple[Event, ...] | None = _key("Which events")
    namespaces: tuple[Pattern, ...] | None = _key("Patterns of the namespaces that concern it")


class WriteBack(Section):
    """Where the locks of a source are committed."""

    branch: BranchName | None = _key("A branch that is envwatch's alone")
    credentials: Credentials | None = _key(
        "How the repository is reached to push. Not given: as the source is"
    )
    name: Text | None = _key("Who commits")
    email: Text | None = _key("Their address")


class Previews(Section):
    """Requests to merge are tried out before anybody merges them."""

    refs: tuple[Text, ...] | None = _key("Patterns of their refs; `*` stands for the number")
    install: Flag | None = _key(
        "Build them too, as `<name>-pr-<number>`: whoever opens a request chooses what is installed"
    )
    most: Annotated[int, _whole(1, 200)] | None = _key("How many, the newest first")
    comment: Flag | None = _key("Write what would change into the request, where there is a forge")


class SourceEntry(NamespaceWords):
    """Where environment files come from: a git repository, or a directory.

    The words of a namespace may stand here too: they hold for the source's namespace.
    """

    name: Name = Field(description="What the source is called")
    git: Repository | None = _key("URL or path of a repository; give this or `directory`")
    directory: PathText | None = _key("A folder; give this or `git`")
    managed: Flag | None = _key(
        "The repository is kept by envwatch itself, and people push to it; instead of `git`"
    )
    branch: Text | None = _key("The branch that is followed. Not given: the repository's own")
    tag: Text | None = _key("A tag to follow instead of a branch")
    semver: Text | None = _key("Follow the newest tag in a range of versions, as `>=1.2 <2`")
    ref: Text | None = _key("The full name of a ref to follow, as `refs/pull/12/head`")
    commit: Text | None = _key("The id of the one commit that is meant, in full")
    branches: dict[Text, Target] | None = _key(
        "Several branches: patterns, and the namespace of each; `{branch}` and `{match}` stand for"
        " the branch and for what `*` matched, and `namespace/{name}-{branch}` renames"
    )
    credentials: Credentials | None = _key("How the repository is reached")
    verify: Annotated[str, _one_of("ssh", "gpg")] | None = _key(
        "Take only commits or tags that are signed by one of `signers`"
    )
    signers: PathText | None = _key(
        "Who may sign: ssh's file of allowed signers, or public keys as gpg exports them"
    )
    namespace: Namespace | None = _key("Who owns the environments. Not given: the source's name")
    include: tuple[Glob, ...] | None = _key("Patterns of the files to look at")
    exclude: tuple[Glob, ...] | None = _key("Patterns of files to leave out")
    interval: Interval | None = _key("Time between two looks")
    timeout: Patience | None = _key("How long git may take")
    max_files: Annotated[int, _whole(1, 100_000)] | None = _key("More files than this are refused")
    hook: Hook | None = _key("Web hooks of a forge wake the source. Not given: it takes none")
    forge: Forge | None = _key("Where each commit gets its status")
    edits: Annotated[str, _one_of("refuse", "branch")] | None = _key(
        "What becomes of an edit made here: refused, or pushed to a new branch of the repository"
    )
    write_back: WriteBack | None = _key("Commit locks to a branch. Not given: they are not")
    previews: Previews | None = _key(
        "Say of each pull or merge request what it would change. Not given: nothing is said"
    )


class Config(NamespaceWords):
    """The whole file. Every key may be left out."""

    root: PathText | None = _key(
        "The folder that holds everything. Not given: `envwatch-data` beside this file,"
        " or /srv/envwatch where this file is below /etc"
    )
    sources: tuple[SourceEntry, ...] | None = _key("Where environment files come from")
    channels: Channels | None = _key("Where conda packages come from, and how")
    builds: Builds | None = _key("How environments are built")
    proxy: Proxy | None = _key("The proxy for channels, indexes and repositories. Not given: none")
    ca_file: PathText | None = _key("Certificates to trust besides the usual ones, as PEM")
    web: Web | None = _key("The page and its API")
    access: Access | None = _key("Who may see and do what")
    login: Login | None = _key("How people sign in")
    watch: Watch | None = _key("How changes are noticed")
    space: Space | None = _key("How full the disk may become")
    schedule: Schedule | None = _key("Work by the calendar")
    notify: tuple[NotifyEntry, ...] | None = _key("Who is told what became of environments")
    log_format: Annotated[str, _one_of("auto", "console", "logfmt", "json")] | None = _key(
        "auto is `console` on a terminal, else `logfmt`"
    )
    durability: Annotated[str, _one_of("full", "fast")] | None = _key(
        "full: on disk before it is called ready; fast: a power cut may lose the last builds"
    )
    namespaces: dict[Namespace, NamespaceEntry] | None = _key(
        "Where one namespace differs from the rest"
    )

    @field_validator("namespaces", mode="before")
    @classmethod
    def _empty_entries(cls, value: Any) -> Any:
        """A namespace with nothing below it says nothing."""
        if not isinstance(value, dict):
            return value
        return {name: {} if entry is None else entry for name, entry in value.items()}
