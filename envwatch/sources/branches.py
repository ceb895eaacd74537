"""A source with `branches`: which sources it becomes, one for each branch. Runs nothing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container
from dataclasses import dataclass, replace

from envwatch.errors import SourceStalled
from envwatch.git.refs import HEADS, Refs, match
from envwatch.git.urls import shown
from envwatch.model import Level, Message
from envwatch.settings import SourceSettings
from envwatch.spec import valid_name

MOST = 200  # branches that one source may follow
_SHORT = 40


@dataclass(frozen=True, slots=True)
class Gathered:
    """The members of a family, and why other refs that match are none; `path` is the ref.

    `left` are refs that nobody wants to be followed.
    """

    members: tuple[SourceSettings, ...]
    refused: tuple[Message, ...] = ()
    left: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class _Choice:
    """A branch, what the wildcards of its pattern stand for, and where its environments go."""

    branch: str
    wild: str
    target: str


def gather(settings: SourceSettings, refs: Refs) -> Gathered:
    """One source for each branch that matches, in the order of their names.

    The first pattern that matches counts. Raises SourceStalled where there are no branches at all:
    an emptied repository is no reason to retire anything.
    """
    branches = sorted(refs.below(HEADS))
    if not branches:
        raise SourceStalled(f"`{shown(settings.url)}` has no branch", hint="push a first commit")
    chosen = [found for branch in branches if (found := _choose(settings, branch))]
    if len(chosen) > MOST:
        raise SourceStalled(
            f"{len(chosen)} branches match `branches`, and {MOST} may",
            hint="narrow the patterns",
        )
    return _gathered(settings, chosen)


def _choose(settings: SourceSettings, branch: str) -> _Choice | None:
    for pattern, target in settings.branches:
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
