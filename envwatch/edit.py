"""An edit, as a person asks for it, and what became of it. The values, without any git."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from envwatch.model import EnvKey, Message


def nothing_else(_: EnvKey) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes something, as the commit names the person."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Edit:
    """One file of a namespace that shall become `text`, or go where that is None.

    `seen` is the revision that the person looked at, empty for a new file. `source` is needed
    where several sources fill the namespace. `name` is the environment that the file must be for,
    where that matters; the others that the file is a part of change only where they `may`.
    """

    namespace: str
    path: str
    text: str | None
    author: Author
    message: str = ""
    seen: str = ""
    source: str = ""
    name: str = ""
    may: Callable[[EnvKey], bool] = nothing_else


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a change of files means for one environment, and where to watch it."""

    key: EnvKey
    what: str
    url: str = ""

    def __str__(self) -> str:
        return f"{self.key}: {self.what}{f': {self.url}' if self.url else ''}"


@dataclass(frozen=True, slots=True)
class Edited:
    """What became of an edit: a commit on `branch`, none where nothing was to change.

    `live` says that the branch is the one that is followed; else it waits for a merge.
    """

    source: str
    path: str
    revision: str
    branch: str
    live: bool
    changed: bool = True
    outcomes: tuple[Outcome, ...] = ()
    messages: tuple[Message, ...] = ()

    def detail(self, key: EnvKey) -> str:
        """What the audit trail says of it under the name of one environment."""
        others = "".join(f", {o.key}: {o.what}" for o in self.outcomes if o.key != key)
        return f"{self.path} in {self.revision[:12]} on {self.branch}{others}"


@dataclass(frozen=True, slots=True)
class FileText:
    """A file as it is now, to begin an edit with."""

    source: str
    path: str
    text: str
    revision: str
