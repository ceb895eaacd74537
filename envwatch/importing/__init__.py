"""Environments that lived elsewhere, brought into a managed repository with their history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from envwatch.model import Message

FILES = "Imported-From"  # the trailers of commits by which a second import knows the first
BUILDS = "Conda-Store"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One state of one file. `mark` tells it from all others of its origin.

    A state that `stands` is what the file is now: it counts again whenever the file is another.
    """

    path: str
    data: bytes
    at: datetime
    title: str
    mark: str
    stands: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What an origin holds for one namespace: whole files, or one file's states after another.

    `left` are those that are not taken, each with its reason.
    """

    origin: str
    files: tuple[tuple[str, bytes], ...] = ()
    states: tuple[Wanted, ...] = ()
    left: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of an import into one namespace."""

    namespace: str
    commits: int
    files: tuple[str, ...]
    left: tuple[Message, ...]
    revision: str
