"""From the config as it is written to the settings in force: defaults, layers, absolute paths."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from envwatch.config import addresses, forges, people_fill, sections
from envwatch.config.words import split_listen
from envwatch.settings import (
    NO_CREDENTIALS,
    Credentials,
    ForgeSettings,
    NamespaceSettings,
    Network,
    NotifierSettings,
    Previews,
    Settings,
    SolveOptions,
    SourceKind,
    SourceSettings,
    Verify,
    WebSettings,
    WriteBack,
)

T = TypeVar("T")

# words of a namespace that are settings of the same name
PLAIN_WORDS = (
    *("update", "update_policy", "min_package_age"),
    *("archives", "group", "mode", "platforms", "description"),
)
LIMITS = {"timeout", "silence", "memory", "log_size"}
SOURCE_WORDS = {
    *("branch", "tag", "semver", "ref", "commit"),
    *("include", "exclude", "interval", "timeout", "max_files", "edits"),
}


def root_of(config: sections.Config, path: Path) -> Path:
    """The root that the config means, links resolved once and for all."""
    if config.root:
        return resolved(Path(path.parent, config.root))
    if Path("/etc") in path.parents:
        return Path("/srv/envwatch")
    return resolved(path.parent / "envwatch-data")


def settings_of(config: sections.Config, path: Path, root: Path) -> Settings:
    """The frozen settings. The config was checked before."""
    base = path.parent
    builds = config.builds or sections.Builds()
    sources = tuple(
        source
        for entry in config.sources or ()
        for source in with_previews(source_of(entry, config, base, root))
    )
    names = dict.fromkeys([*(s.namespace for s in sources), *(config.namespaces or {})])
    patterns = {target: s.namespace for s in sources for target in targets_of(s.branches)}
    settings = Settings(
        root=root,
        sources=sources,
        namespaces=tuple(_namespace(name, layers(config, name), base) for name in names),
        patterns=tuple(
            (pattern, _namespace(pattern, layers(config, name), base))
            for pattern, name in patterns.items()
        ),
        network=_network(config, base),
        web=_web(config.web or sections.Web()),
        path=path,
        notify=tuple(_notifier(entry, base) for entry in config.notify or ()),
        access=people_fill.access_of(config),
        login=people_fill.login_of(config, base),
        defaults=_namespace("", (config,), base),
    )
    settings = replace(
        settings,
        space=_over(settings.space, config.space),
        schedule=_over(settings.schedule, config.schedule),
    )
    settings = _over(settings, config.watch)
    settings = _over(settings, config, {"log_format", "durability"})
    return _over(settings, builds, {"parallel", "sandbox", "max_size"})


def layers(config: sections.Config, namespace: str) -> tuple[sections.NamespaceWords, ...]:
    """Everything that is said about one namespace, the most general first."""
    sources = (s for s in config.sources or () if namespace_of(s) == namespace)
    entry = (config.namespaces or {}).get(namespace)
    return (config, *sources, *([entry] if entry else []))


def targets_of(branches: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The namespaces that `branches` may make, with `*` for what the name of a branch fills in."""
    namespaces = (target.partition("/")[0] for _, target in branches)
    return tuple(dict.fromkeys(re.sub(r"{\w+}", "*", name) for name in namespaces))


def namespace_of(source: sections.SourceEntry) -> str:
    return source.namespace or source.name


def _over(base: T, section: sections.Section | None, keys: set[str] | None = None) -> T:
    """The value with what the section gives; both call it by the same names."""
    if section is None:
        return base
    return replace(base, **section.model_dump(include=keys, exclude_none=True))  # type: ignore[type-var]  # T is one of our dataclasses


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def source_of(
    entry: sections.SourceEntry, config: sections.Config, base: Path, root: Path
) -> SourceSettings:
    """One source as it is written, with what is said for all."""
    if entry.managed:
        return replace(_managed(entry, root), write_back=write_back_of(entry, config, base))
    source = SourceSettings(
        name=entry.name,
        kind=SourceKind.GIT if entry.git else SourceKind.DIRECTORY,
        namespace=namespace_of(entry),
        url=addresses.repository(entry.git, base) if entry.git else "",
        directory=absolute(base, entry.directory) if entry.directory else None,
        branches=tuple((entry.branches or {}).items()),
        credentials=_credentials(entry, config, base) if entry.git else NO_CREDENTIALS,
        verify=Verify(entry.verify or "", _file(base, entry.signers)),
        hook_secrets=hook_secrets(entry, base),
        forge=forge_of(entry, base) if entry.forge else None,
        write_back=write_back_of(entry, config, base) if entry.git else None,
        previews=_over(Previews(), entry.previews) if entry.previews else None,
    )
    return _over(source, entry, SOURCE_WORDS)


def with_previews(source: SourceSettings) -> tuple[SourceSettings, ...]:
    """A source, and the one that follows the requests to change it where they are previewed."""
    if source.previews is None:
        return (source,)
    forge = source.forge
    beside = replace(
        source,
        name=f"{source.name}@previews",
        base=source.name,
        tag="",
        semver="",
        ref="",
        commit="",
        hook_secrets=(),
        edits="refuse",
        write_back=None,
        # a commit may have a status of its branch as well
        forge=replace(forge, context=f"{forge.context}/preview") if forge else None,
    )
    return source, beside


def write_back_of(
    entry: sections.SourceEntry, config: sections.Config, base: Path
) -> WriteBack | None:
    """With a key of its own, or with that of the source."""
    said = entry.write_back
    if said is None:
        return None
    given = said.credentials or entry.credentials
    return replace(
        WriteBack(credentials=_reached(given, entry, config, base)),
        **_given(branch=said.branch, name=said.name, email=said.email),
    )


def _credentials(entry: sections.SourceEntry, config: sections.Config, base: Path) -> Credentials:
    return _reached(entry.credentials, entry, config, base)


def _reached(
    said: sections.Credentials | None,
    entry: sections.SourceEntry,
    config: sections.Config,
    base: Path,
) -> Credentials:
    """What the source says, and for https what is said for all."""
    given = said or sections.Credentials()
    https = (entry.git or "").startswith("https:")
    ca_file = given.ca_file or (config.ca_file if https else None)
    return Credentials(
        ssh_key=_file(base, given.ssh_key),
        known_hosts=_file(base, given.known_hosts),
        user=given.user or "",
        password_file=_file(base, given.password_file),
        ca_file=_file(base, ca_file),
        proxy=given.proxy or (config.proxy if https else None) or "",
    )


def _file(base: Path, text: str | None) -> Path | None:
    return absolute(base, text) if text else None


def hook_secrets(entry: sections.SourceEntry, base: Path) -> tuple[Path, ...]:
    files = (entry.hook and entry.hook.secret_files) or ()
    return tuple(absolute(base, file) for file in files)


def forge_of(entry: sections.SourceEntry, base: Path) -> ForgeSettings:
    """As its source and the config say. Only for a source that has one."""
    said = entry.forge
    assert said is not None  # noqa: S101  # its caller looks
    return forges.forge_settings(
        said.kind,
        absolute(base, said.token_file),
        addresses.repository(entry.git, base) if entry.git else "",
        api=said.api or "",
        repository=said.repository or "",
        context=said.context or "",
    )


def _notifier(entry: sections.NotifyEntry, base: Path) -> NotifierSettings:
    return forges.notifier_settings(
        entry.name,
        webhook=entry.webhook or "",
        secret_file=absolute(base, entry.secret_file) if entry.secret_file else None,
        command=_command(entry.command or (), base),
        apprise_file=absolute(base, entry.apprise_file) if entry.apprise_file else None,
        events=entry.events,
        namespaces=entry.namespaces,
    )


def _command(words: tuple[str, ...], base: Path) -> tuple[str, ...]:
    return (executable(base, words[0]), *words[1:]) if words else ()


def _managed(entry: sections.SourceEntry, root: Path) -> SourceSettings:
    """A repository of our own is a git source whose place and branch nobody chooses."""
    namespace = namespace_of(entry)
    source = SourceSettings(
        name=entry.name,
        kind=SourceKind.MANAGED,
        namespace=namespace,
        url=str(root / "managed" / f"{namespace}.git"),
        branch="main",
    )
    return _over(source, entry, SOURCE_WORDS)


def _namespace(name: str, said: Iterable[sections.NamespaceWords], base: Path) -> NamespaceSettings:
    settings = NamespaceSettings(name)
    allowed: tuple[str, ...] | None = None
    for layer in said:
        settings = _layered(settings, layer, base)
        if layer.channels and layer.channels.allowed is not None:
            allowed = layer.channels.allowed
    # without a list of its own a namespace may use what it uses anyway
    allowed = settings.channels if allowed is None else allowed
    return replace(settings, allowed_channels=() if "*" in allowed else allowed)


def _layered(
    settings: NamespaceSettings, layer: sections.NamespaceWords, base: Path
) -> NamespaceSettings:
    builds = layer.builds or sections.NamespaceBuilds()
    channels = layer.channels or sections.NamespaceChannels()
    settings = replace(
        settings,
        retention=_over(settings.retention, layer.retention),
        pip=_over(settings.pip, layer.pip),
        repo=_over(settings.repo, layer.repo_settings),
        packages=_over(settings.packages, layer.packages),
        quota=_over(settings.quota, layer.quota),
        limits=_over(settings.limits, builds, LIMITS),
        solve=_solve(settings.solve, layer, base),
        **_given(channels=channels.default),
    )
    settings = _over(settings, builds, {"link_scripts", "compile"})
    return _over(settings, layer, set(PLAIN_WORDS) & set(type(layer).model_fields))


def _solve(options: SolveOptions, layer: sections.NamespaceWords, base: Path) -> SolveOptions:
    priority = layer.channels.priority if layer.channels else None
    program = layer.solver_executable
    return replace(
        options,
        **_given(
            solver=layer.solver,
            executable=executable(base, program) if program else None,
            strict_channel_priority=priority == "strict" if priority else None,
            virtual_packages=layer.virtual_packages,
            timeout=layer.builds.solve_timeout if layer.builds else None,
        ),
    )


def _network(config: sections.Config, base: Path) -> Network:
    channels = config.channels or sections.Channels()
    network = _over(Network(), channels, {"alias", "retries"})
    return replace(
        network,
        **_given(
            mirrors=tuple((channels.mirrors or {}).items()),
            proxy=config.proxy,
            ca_file=absolute(base, config.ca_file) if config.ca_file else None,
            auth_file=absolute(base, channels.auth_file) if channels.auth_file else None,
            timeout=round(channels.timeout) if channels.timeout else None,
        ),
    )


def _web(section: sections.Web) -> WebSettings:
    web = _over(WebSettings(), section, {"url", "threads", "proxy_hops", "max_push", "origins"})
    if section.listen:
        host, port = split_listen(section.listen)
        web = replace(web, host=host, port=port)
    return web


def absolute(base: Path, text: str) -> Path:
    """A path of the config: relative to the folder of the file, never to the working folder."""
    return Path(base, text).absolute()


def resolved(path: Path) -> Path:
    """The path without links. Unlike `resolve` this bears links that lead in a circle."""
    return Path(os.path.realpath(path))


def executable(base: Path, text: str) -> str:
    """A program: a name is looked up on PATH, all else is a path."""
    return str(absolute(base, text)) if "/" in text else text
