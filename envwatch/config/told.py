"""What must hold in a config between a forge and its source, and within a notifier."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from envwatch.config import addresses, fill, forges, sections
from envwatch.config.problem import Problem, Step, mode_of
from envwatch.config.words import quoted
from envwatch.model import Level

KINDS = ("webhook", "command", "apprise_file")


def problems(config: sections.Config, path: Path) -> Iterator[Problem]:
    """Everything that is wrong or doubtful about who is told."""
    yield from _forges(config, path.parent)
    yield from _contexts(config, path.parent)
    yield from _links(config)
    names: dict[str, str] = {}
    for index, entry in enumerate(config.notify or ()):
        where = ("notify", index)
        yield from _notifier(entry, where, path.parent)
        other = names.setdefault(entry.name.lower(), entry.name)
        if other is not entry.name:
            text = f"another notifier is called `{other}`"
            yield Problem((*where, "name"), text, "give each its own name")


def _forges(config: sections.Config, base: Path) -> Iterator[Problem]:
    for index, source in enumerate(config.sources or ()):
        where = ("sources", index, "forge")
        if source.forge is None:
            continue
        if source.directory:
            yield Problem(where, "has no meaning for a directory", "only commits have a status")
            continue
        url = addresses.repository(source.git, base) if source.git else ""
        host, name = forges.host_and_name(url)
        if not (host or source.forge.api):
            yield Problem(where, "`api` is missing", "the address of git names no forge")
        if not (name or source.forge.repository):
            hint = "the address of git names no repository: add `repository: owner/name`"
            yield Problem(where, "`repository` is missing", hint)
        yield from _secret(source.forge.token_file, (*where, "token_file"), base)


def _contexts(config: sections.Config, base: Path) -> Iterator[Problem]:
    """Two sources on one repository would say two things under one name."""
    seen: dict[tuple[str, str, str], str] = {}
    for index, source in enumerate(config.sources or ()):
        if source.forge is None or source.directory:
            continue
        forge = fill.forge_of(source, base)
        key = (forge.api, forge.repository, forge.context)
        other = seen.setdefault(key, source.name)
        if other != source.name:
            text = f"`{other}` gives the commits of this repository statuses of the same name"
            hint = "give one of them another `context`"
            yield Problem(("sources", index, "forge"), text, hint, Level.WARNING)


def _links(config: sections.Config) -> Iterator[Problem]:
    if config.web and config.web.url:
        return
    for index, source in enumerate(config.sources or ()):
        if source.forge is not None:
            text, hint = "statuses carry no link", "say in `web.url` what people see"
            yield Problem(("sources", index, "forge"), text, hint, Level.WARNING)


def _notifier(
    entry: sections.NotifyEntry, where: tuple[Step, ...], base: Path
) -> Iterator[Problem]:
    given = [kind for kind in KINDS if getattr(entry, kind) is not None]
    if len(given) != 1:
        text = f"has {' and '.join(f'`{g}`' for g in given) or 'nobody to tell'}"
        yield Problem(where, text, f"give exactly one of {', '.join(KINDS)}")
        return
    if entry.webhook and not entry.secret_file:
        yield Problem(where, "`secret_file` is missing", "each web hook is signed")
    if entry.secret_file and not entry.webhook:
        yield Problem((*where, "secret_file"), "has no meaning here", "it signs for `webhook`")
    for key in ("secret_file", "apprise_file"):
        if getattr(entry, key):
            yield from _secret(getattr(entry, key), (*where, key), base)
    # it is looked for and not imported: that costs half a second
    if entry.apprise_file and find_spec("apprise") is None:
        hint = "install it: `pip install 'envwatch[notify]'`"
        yield Problem((*where, "apprise_file"), "apprise is not installed", hint)
    yield from _command(entry, where, base)


def _command(entry: sections.NotifyEntry, where: tuple[Step, ...], base: Path) -> Iterator[Problem]:
    if entry.command is None:
        return
    if not entry.command:
        yield Problem((*where, "command"), "is empty", "write a program and its arguments")
    elif not shutil.which(fill.executable(base, entry.command[0])):
        text = f"there is no program {quoted(entry.command[0])}"
        hint = "install it, or write its whole path"
        yield Problem((*where, "command"), text, hint, Level.WARNING)


def _secret(text: str, where: tuple[Step, ...], base: Path) -> Iterator[Problem]:
    """It may come later, and only the service may see it: no error unless others can read it."""
    path = fill.absolute(base, text)
    mode = mode_of(path)
    if not mode:
        yield Problem(where, f"there is no file {quoted(str(path))} now", level=Level.WARNING)
    elif not stat.S_ISREG(mode):
        yield Problem(where, f"{quoted(str(path))} is not a file")
    elif mode & stat.S_IROTH:
        yield Problem(where, "everybody can read it", f"chmod 600 {path}")
