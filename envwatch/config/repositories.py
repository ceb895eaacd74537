"""What must hold for a source that is a repository: what it follows, and how it is reached."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from envwatch.config import addresses, fill, sections
from envwatch.config.problem import Problem, Step, file_problems, mode_of
from envwatch.errors import EnvwatchError
from envwatch.git import refs
from envwatch.git.urls import check_url, transport
from envwatch.model import Level

REFS = ("branch", "tag", "semver", "ref", "commit", "branches")
# what has no meaning for a repository of our own, and for a directory
CHOSEN = (*REFS, "credentials", "verify", "signers", "hook", "forge", "edits", "previews")
ONLY_GIT = (*CHOSEN, "timeout", "write_back")


def problems(config: sections.Config, base: Path) -> Iterator[Problem]:
    for index, source in enumerate(config.sources or ()):
        where = ("sources", index)
        if source.git:
            yield from _address(source, where, base)
            yield from _refs(config, source, where, base)
            yield from _credentials(source, source.credentials, where, base)
            yield from _write_back(config, source, where, base)
            yield from _previews(config, source, where, base)
            yield from _verify(source, where, base)
            yield from _targets(config, source, where)
        elif source.directory:
            for key in ONLY_GIT:
                if getattr(source, key) is not None:
                    hint = "remove it, or watch the folder as a repository with `git`"
                    yield Problem((*where, key), "has no meaning for a directory", hint)


def _address(
    source: sections.SourceEntry, where: tuple[Step, ...], base: Path
) -> Iterator[Problem]:
    try:
        check_url(addresses.repository(source.git or "", base))
    except EnvwatchError as e:
        yield Problem((*where, "git"), e.message, e.hint)


def _refs(
    config: sections.Config, source: sections.SourceEntry, where: tuple[Step, ...], base: Path
) -> Iterator[Problem]:
    given = [key for key in REFS if getattr(source, key) is not None]
    for key in given[1:]:
        yield Problem((*where, key), f"`{given[0]}` says already what is followed", "give one")
    if given:
        try:
            refs.check(fill.source_of(source, config, base, base))
        except EnvwatchError as e:
            yield Problem((*where, given[0]), e.message, e.hint)


def _previews(
    config: sections.Config, source: sections.SourceEntry, where: tuple[Step, ...], base: Path
) -> Iterator[Problem]:
    if source.previews is None:
        return
    where = (*where, "previews")
    if source.branches:
        text = "is not for a source with `branches`: a request would be for which of them?"
        yield Problem(where, text, "make a source of each branch that needs it")
        return
    for made in fill.with_previews(fill.source_of(source, config, base, base))[1:]:
        try:
            refs.check(made)
        except EnvwatchError as e:
            yield Problem((*where, "refs"), e.message, e.hint)


def _write_back(
    config: sections.Config, source: sections.SourceEntry, where: tuple[Step, ...], base: Path
) -> Iterator[Problem]:
    """The branch must be nobody's else."""
    said = source.write_back
    if said is None:
        return
    where = (*where, "write_back")
    yield from _credentials(source, said.credentials, where, base)
    made = fill.write_back_of(source, config, base)
    branch = made.branch if made else ""
    if source.branches:
        text = "is not for a source with `branches`: their locks would meet in one branch"
        yield Problem(where, text, "make a source of each branch that needs it")
    if branch in (source.branch, (source.ref or "").removeprefix("refs/heads/")):
        yield Problem(where, f"`{branch}` is the branch that is followed", "name another one")
    for other in config.sources or ():
        second = fill.write_back_of(other, config, base)
        if other is source:
            return
        if second and (other.git, second.branch) == (source.git, branch):
            text = f"`{other.name}` writes to `{branch}` of this repository already"
            yield Problem(where, text, "give each source a branch of its own")
            return


def _credentials(
    source: sections.SourceEntry,
    given: sections.Credentials | None,
    where: tuple[Step, ...],
    base: Path,
) -> Iterator[Problem]:
    if given is None:
        return
    where = (*where, "credentials")
    yield from _of_no_use(given, transport(addresses.repository(source.git or "", base)), where)
    for key in ("ssh_key", "known_hosts", "password_file", "ca_file"):
        text = getattr(given, key)
        if text:
            path = fill.absolute(base, text)
            yield from file_problems(path, (*where, key))
            secret = key in ("ssh_key", "password_file")
            if secret and mode_of(path) & (stat.S_IROTH | stat.S_IWOTH):
                yield Problem((*where, key), "everybody can read it", f"chmod 600 {path}")


def _of_no_use(
    given: sections.Credentials, scheme: str, where: tuple[Step, ...]
) -> Iterator[Problem]:
    uses = {
        "ssh": ("ssh_key", "known_hosts"),
        "https": ("user", "password_file", "ca_file", "proxy"),
    }
    for key in sections.Credentials.model_fields:
        if getattr(given, key) is not None and key not in uses.get(scheme, ()):
            text = f"is not used for an address of the kind `{scheme}`"
            yield Problem((*where, key), text, "remove it", Level.WARNING)
    if given.user and not given.password_file:
        yield Problem((*where, "user"), "has no password", "add `password_file`")


def _verify(source: sections.SourceEntry, where: tuple[Step, ...], base: Path) -> Iterator[Problem]:
    if source.verify and not source.signers:
        yield Problem((*where, "verify"), "nobody may sign", "add `signers`, a file")
    if source.signers and not source.verify:
        yield Problem((*where, "signers"), "nothing is verified", "add `verify: ssh` or `gpg`")
    if source.signers:
        path = fill.absolute(base, source.signers)
        yield from file_problems(path, (*where, "signers"))
        if mode_of(path) & stat.S_IWOTH:
            yield Problem((*where, "signers"), "everybody can write it", f"chmod 644 {path}")


def _targets(
    config: sections.Config, source: sections.SourceEntry, where: tuple[Step, ...]
) -> Iterator[Problem]:
    """Who pushes a branch names a namespace: it must not be one that others fill."""
    others = {fill.namespace_of(s): s.name for s in config.sources or () if s is not source}
    for pattern, target in (source.branches or {}).items():
        (made,) = fill.targets_of([(pattern, target)])
        for namespace, name in others.items():
            if "*" in made and fnmatchcase(namespace, made):
                text = f"a branch could fill `{namespace}`, which is what `{name}` fills"
                yield Problem((*where, "branches", pattern), text, "begin it with another name")
