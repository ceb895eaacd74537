"""Several branches of one repository: a source for each of them, as they come and go."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path

from envwatch.errors import SourceStalled
from envwatch.git.local import watched
from envwatch.git.mirrors import Mirrors
from envwatch.git.refs import HEADS, check, match, wanted
from envwatch.git.remote import Remote
from envwatch.git.urls import check_url, shown
from envwatch.model import Level, Message
from envwatch.settings import SourceSettings
from envwatch.spec import valid_name

MOST = 200  # branches that one source may follow
_SHORT = 40


@dataclass(frozen=True, slots=True)
class Gathered:
    """The members of a family, and why other branches that match are none; `path` is the branch."""

    members: tuple[SourceSettings, ...]
    refused: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    """A branch, what the wildcards of its pattern stand for, and where its environments go."""

    branch: str
    wild: str
    target: str


@dataclass(frozen=True, slots=True)
class Family:
    """What a source with `branches` is: no files of its own, and a member for each branch."""

    settings: SourceSettings
    remote: Remote
    group: str

    @property
    def name(self) -> str:
        return self.settings.name

    def gather(self, since: float | None = None) -> Gathered:
        """One source for each branch that matches now, in the order of their names.

        The first pattern that matches counts. Raises SourceStalled where there are no branches at
        all: an emptied repository is no reason to retire anything.
        """
        refs = self.remote.refs(since)
        branches = sorted(refs.below(HEADS))
        if not branches:
            raise SourceStalled(
                f"`{shown(self.settings.url)}` has no branch", hint="push a first commit"
            )
        chosen = [found for branch in branches if (found := self._choose(branch))]
        if len(chosen) > MOST:
            raise SourceStalled(
                f"{len(chosen)} branches match `branches`, and {MOST} may",
                hint="narrow the patterns",
            )
        return _gathered(self.settings, chosen)

    def watch_paths(self) -> tuple[Path, ...]:
        return watched(self.settings.url)

    def _choose(self, branch: str) -> _Choice | None:
        for pattern, target in self.settings.branches:
            wild = match(pattern, branch)
            if wild is not None:
                return _Choice(branch, wild, target)
        return None


def _gathered(settings: SourceSettings, chosen: list[_Choice]) -> Gathered:
    members: dict[str, SourceSettings] = {}
    refused = []
    for choice in chosen:
        made = _member(settings, choice, taken=members.keys())
        if valid_name(made.namespace):
            members[made.name] = made
        else:
            text = f"the namespace would be called `{made.namespace}`, which is no name"
            hint = "64 letters, digits, `.`, `_` and `-` at most"
            refused.append(Message(Level.ERROR, text, path=choice.branch, hint=hint))
    return Gathered(tuple(members.values()), tuple(refused))


def _member(settings: SourceSettings, choice: _Choice, taken: Container[str]) -> SourceSettings:
    branch = slug(choice.branch)
    if f"{settings.name}@{branch}" in taken:
        # `a-b` has the name already, and `a/b` comes after it
        branch = f"{branch}-{_digest(choice.branch)}"
    target = choice.target.replace("{branch}", branch).replace("{match}", slug(choice.wild))
    namespace, _, rename = target.partition("/")
    return replace(
        settings,
        name=f"{settings.name}@{branch}",
        namespace=namespace,
        rename=rename or "{name}",
        branch=choice.branch,
        branches=(),
        family=settings.name,
    )


def slug(branch: str) -> str:
    """A branch as part of a name: `release/1.2` → `release-1.2`.

    Where more than slashes is lost, a digest keeps two branches apart.
    """
    text = re.sub(r"[^A-Za-z0-9._-]+", "-", branch).strip("-._")
    if text == branch.replace("/", "-") and len(text) <= _SHORT:
        return text
    return f"{text[:_SHORT]}-{_digest(branch)}".lstrip("-")


def _digest(branch: str) -> str:
    return hashlib.sha256(branch.encode()).hexdigest()[:6]


def open_family(settings: SourceSettings, mirrors: Mirrors) -> Family:
    check_url(settings.url)
    check(settings)
    mirror = mirrors.of(settings.url, settings.credentials, settings.timeout)
    mirror.remote.want(wanted(settings))
    return Family(settings, mirror.remote, mirror.path.name)
