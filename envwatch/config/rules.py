"""What must hold between the values of a config, and what a person should be warned of."""

from __future__ import annotations

import grp
import shutil
import stat
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from envwatch.config import addresses, fill, people_fill, repositories, sections
from envwatch.config.problem import Problem, Step, file_problems, mode_of
from envwatch.config.roots import root_problem
from envwatch.config.words import Wrong, quoted
from envwatch.git.urls import local_path
from envwatch.model import Level
from envwatch.redact import has_credentials
from envwatch.settings import NamespaceSettings, Network


def problems(config: sections.Config, path: Path, root: Path) -> Iterator[Problem]:
    """Everything that is wrong or doubtful in a config whose single values are fine."""
    yield from _root(root)
    yield from _sources(config, path.parent, root)
    yield from repositories.problems(config, path.parent)
    yield from people_fill.problems(config, path.parent)
    yield from _namespaces(config)
    yield from _channels(config)
    yield from _files(config, path)
    yield from _programs(config, path.parent)
    yield from _groups(config)
    yield from _ages(config)


def _root(root: Path) -> Iterator[Problem]:
    try:
        root_problem(root)
    except Wrong as e:
        yield Problem(("root",), e.problem, e.hint)


# ---------------------------------------------------------------- sources


def _sources(config: sections.Config, base: Path, root: Path) -> Iterator[Problem]:
    if not config.sources:
        hint = "add a git repository or a directory"
        yield Problem(("sources",), "nothing is watched", hint, Level.WARNING)
    for index, source in enumerate(config.sources or ()):
        where = ("sources", index)
        yield from (_managed if source.managed else _kind)(source, where)
        yield from _overlap(source, where, base, root)
        yield from _hook(source, where, base)
    yield from _names(config)
    yield from _shared(config)
    yield from _managed_twice(config)


def _kind(source: sections.SourceEntry, where: tuple[Step, ...]) -> Iterator[Problem]:
    if bool(source.git) == bool(source.directory):
        amount = "both `git` and" if source.git else "neither `git` nor"
        yield Problem(where, f"has {amount} `directory`", "give exactly one of them")


def _managed(source: sections.SourceEntry, where: tuple[Step, ...]) -> Iterator[Problem]:
    """The repository is ours: where it lies and how it is reached is not for the config to say."""
    for key in ("git", "directory", *repositories.CHOSEN):
        if getattr(source, key) is not None:
            hint = "remove it: people push to `main`, and edits are commits there"
            yield Problem((*where, key), "has no meaning for a managed source", hint)
    if source.write_back is None:
        return
    if source.write_back.credentials is not None:
        place = (*where, "write_back", "credentials")
        yield Problem(place, "has no meaning for a managed source", "remove it")
    if source.write_back.branch == "main":
        place = (*where, "write_back", "branch")
        yield Problem(place, "`main` is the branch that is followed", "name another one")


def _managed_twice(config: sections.Config) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for index, source in enumerate(config.sources or ()):
        namespace = fill.namespace_of(source)
        if source.managed and (other := seen.setdefault(namespace, source.name)) != source.name:
            where = ("sources", index, "namespace" if source.namespace else "name")
            text = f"`{other}` is the managed source of the namespace `{namespace}` already"
            yield Problem(where, text, "one namespace has one repository")


def _overlap(
    source: sections.SourceEntry, where: tuple[Step, ...], base: Path, root: Path
) -> Iterator[Problem]:
    folder = _folder(source, base)
    if folder is None:
        return
    key = (*where, "directory" if source.directory else "git")
    real = fill.resolved(folder)
    if real == root or root in real.parents:
        yield Problem(key, f"lies in the root `{root}`", "keep sources and root apart")
    elif source.directory and real in root.parents:
        yield Problem(key, f"holds the root `{root}`", "keep sources and root apart")
    elif not stat.S_ISDIR(mode_of(folder)):
        yield Problem(key, f"{quoted(str(folder))} is not a folder now", level=Level.WARNING)


def _hook(source: sections.SourceEntry, where: tuple[Step, ...], base: Path) -> Iterator[Problem]:
    if source.hook is None:
        return
    if not source.hook.secret_files:
        hint = "write a secret into a file: `openssl rand -hex 32`"
        yield Problem((*where, "hook"), "names no secret: anybody could send hooks", hint)
    for index, file in enumerate(fill.hook_secrets(source, base)):
        place = (*where, "hook", "secret_files", index)
        yield from file_problems(file, place)
        if mode_of(file) & stat.S_IROTH:
            yield Problem(place, "everybody can read it", f"chmod 600 {file}")
        elif stat.S_ISREG(mode_of(file)) and not file.stat().st_size:
            yield Problem(place, f"{quoted(str(file))} is empty", "put a secret into it")


def _folder(source: sections.SourceEntry, base: Path) -> Path | None:
    if source.directory:
        return fill.absolute(base, source.directory)
    return local_path(addresses.repository(source.git, base)) if source.git else None


def _names(config: sections.Config) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for index, source in enumerate(config.sources or ()):
        # where case says nothing, in some filesystems and in people's minds, a name is one thing
        name = source.name.lower()
        if name in seen:
            text = f"another source is called `{seen[name]}`"
            yield Problem(("sources", index, "name"), text, "give each source its own name")
        seen.setdefault(name, source.name)


def _shared(config: sections.Config) -> Iterator[Problem]:
    """Two sources may fill one namespace, but only one may say what holds there."""
    first: dict[str, str] = {}
    said: dict[tuple[str, str], str] = {}
    for index, source in enumerate(config.sources or ()):
        namespace = fill.namespace_of(source)
        other = first.setdefault(namespace, source.name)
        if other != source.name:
            where = ("sources", index, "namespace" if source.namespace else "name")
            text = f"`{other}` fills the namespace `{namespace}` too"
            hint = "an environment that is in both is refused in one of them"
            yield Problem(where, text, hint, Level.NOTE)
        for key in _words_of(source):
            other = said.setdefault((namespace, key), source.name)
            if other != source.name:
                text = f"`{other}` says this for the namespace `{namespace}` already"
                hint = f"say it once, in `namespaces.{namespace}`"
                yield Problem(("sources", index, key), text, hint)
            elif _says(config, namespace, key):
                text = f"`namespaces.{namespace}` says this already"
                yield Problem(("sources", index, key), text, "say it once")


def _words_of(section: sections.NamespaceWords) -> list[str]:
    words = sections.NamespaceWords.model_fields
    return [key for key in words if getattr(section, key) is not None]


def _says(config: sections.Config, namespace: str, key: str) -> bool:
    entry = (config.namespaces or {}).get(namespace)
    return entry is not None and getattr(entry, key) is not None


# ---------------------------------------------------------------- namespaces and channels


def _namespaces(config: sections.Config) -> Iterator[Problem]:
    used = {fill.namespace_of(source) for source in config.sources or ()}
    for name in config.namespaces or {}:
        if name not in used:
            near = get_close_matches(name, sorted(used), n=1)
            hint = f"did you mean `{near[0]}`?" if near else ""
            yield Problem(
                ("namespaces", name), "no source fills it", hint, Level.WARNING, at_key=True
            )
    spelled: dict[str, str] = {}
    for name in sorted({*used, *(config.namespaces or {})}):
        other = spelled.setdefault(name.lower(), name)
        if other != name:
            text = f"the namespaces `{other}` and `{name}` differ in case alone"
            yield Problem(_place_of(config, name), text, "spell it in one way")


def _place_of(config: sections.Config, namespace: str) -> tuple[Step, ...]:
    if namespace in (config.namespaces or {}):
        return ("namespaces", namespace)
    indexes = enumerate(config.sources or ())
    return ("sources", next(i for i, s in indexes if fill.namespace_of(s) == namespace))


def _channels(config: sections.Config) -> Iterator[Problem]:
    """Default channels that are not allowed would refuse every file that names none."""
    alias = (config.channels and config.channels.alias) or Network().alias
    speakers: list[tuple[tuple[Step, ...], sections.NamespaceWords]] = [((), config)]
    speakers += [(("sources", i), s) for i, s in enumerate(config.sources or ())]
    speakers += [(("namespaces", n), s) for n, s in (config.namespaces or {}).items()]
    outer = config.channels or sections.Channels()
    for where, speaker in speakers:
        channels = speaker.channels or sections.NamespaceChannels()
        allowed = outer.allowed if channels.allowed is None else channels.allowed
        if speaker.channels is None or allowed is None or "*" in allowed:
            continue
        key = "allowed" if channels.default is None else "default"
        default = channels.default or outer.default or NamespaceSettings("").channels
        urls = {_url(name, alias) for name in allowed}
        for name in default:
            if _url(name, alias) not in urls:
                text = f"the default channel `{name}` is not among the allowed ones"
                yield Problem((*where, "channels", key), text, "add it to `allowed`")


def _url(channel: str, alias: str) -> str:
    return channel if "://" in channel else alias + channel


# ---------------------------------------------------------------- the machine


def _files(config: sections.Config, path: Path) -> Iterator[Problem]:
    channels = config.channels
    if channels and channels.auth_file:
        auth_file = fill.absolute(path.parent, channels.auth_file)
        yield from file_problems(auth_file, ("channels", "auth_file"))
        if mode_of(auth_file) & stat.S_IROTH:
            hint = f"chmod 600 {auth_file}"
            yield Problem(("channels", "auth_file"), "everybody can read it", hint)
    if config.ca_file:
        yield from file_problems(fill.absolute(path.parent, config.ca_file), ("ca_file",))
    if config.proxy and has_credentials(config.proxy) and mode_of(path) & stat.S_IROTH:
        text = "holds a password, and everybody can read this file"
        yield Problem(("proxy",), text, f"chmod 640 {path}", Level.WARNING)


def _programs(config: sections.Config, base: Path) -> Iterator[Problem]:
    for name, where in (
        (config.solver_executable, ("solver_executable",)),
        *(
            (entry.solver_executable, ("namespaces", namespace, "solver_executable"))
            for namespace, entry in (config.namespaces or {}).items()
        ),
    ):
        if name and not shutil.which(fill.executable(base, name)):
            text = f"there is no program {quoted(name)}"
            yield Problem(where, text, "install it, or write its whole path", Level.WARNING)


def _groups(config: sections.Config) -> Iterator[Problem]:
    for group, where in (
        (config.group, ("group",)),
        *(
            (entry.group, ("namespaces", namespace, "group"))
            for namespace, entry in (config.namespaces or {}).items()
        ),
    ):
        # a directory service may be away while the machine starts: no error
        if group and group not in {g.gr_name for g in grp.getgrall()}:
            text = f"there is no group {quoted(group)}"
            yield Problem(where, text, f"groupadd {group}", Level.WARNING)


def _ages(config: sections.Config) -> Iterator[Problem]:
    speakers: list[tuple[tuple[Step, ...], sections.NamespaceWords]] = [((), config)]
    speakers += [(("sources", i), s) for i, s in enumerate(config.sources or ())]
    speakers += [(("namespaces", n), s) for n, s in (config.namespaces or {}).items()]
    for where, speaker in speakers:
        solver = speaker.solver or config.solver
        if speaker.min_package_age and solver == "conda-lock":
            text = "has no effect with `solver: conda-lock`, which takes packages of any age"
            hint = "use `solver: rattler` for what is updated by the calendar"
            yield Problem((*where, "min_package_age"), text, hint, Level.WARNING)
