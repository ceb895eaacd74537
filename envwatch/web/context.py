"""What the pages are handed: they reach for nothing themselves."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Protocol, cast

from flask import current_app

from envwatch.catalog import Catalog
from envwatch.model import EnvKey
from envwatch.receive import Receiver
from envwatch.rights import Rights
from envwatch.settings import Settings
from envwatch.signin.attempt import Provider
from envwatch.storage import Storage
from envwatch.web.actions import Actions
from envwatch.web.attempts import Attempts
from envwatch.web.cache import Cache
from envwatch.web.codes import Codes
from envwatch.web.costly import Costly
from envwatch.web.tokens import Failures

NAME = "envwatch"


@dataclass(frozen=True, slots=True)
class Health:
    """`alive` is what a watchdog asks, `ready` what a load balancer asks; why not, in words."""

    alive: bool
    ready: bool
    reasons: tuple[str, ...] = ()


class GitDoor(Protocol):
    """Serves managed repositories by smart HTTP; requests and answers are files."""

    def advertise(self, namespace: str, service: str, protocol: str) -> IO[bytes]: ...

    def answer(
        self, namespace: str, service: str, protocol: str, body: IO[bytes], by: str
    ) -> IO[bytes]: ...


@dataclass(frozen=True, slots=True)
class Context:
    """`current` are the settings in force, `log_path` is where the log of a build lies.

    `ask_archive` has an archive made; `hooks` takes what forges send; `next_look` is when a source
    is looked at, at the latest; `providers` sign people in. `actions` does what pages and the API
    may ask for; without it they only read. `patience` is for how many seconds a request of the API
    waits for an archive to be made.
    """

    catalog: Catalog
    current: Callable[[], Settings]
    storage: Storage
    log_path: Callable[[int], Path]
    health: Callable[[], Health]
    ask_archive: Callable[[EnvKey, int], object]
    started_at: datetime
    hooks: Receiver
    next_look: Callable[[str], datetime | None]
    git: GitDoor | None = None
    providers: tuple[Provider, ...] = ()
    actions: Actions | None = None
    patience: float = 45.0

    @property
    def settings(self) -> Settings:
        """Those in force: a reload replaces them."""
        return self.current()


@dataclass(frozen=True, slots=True)
class Site:
    """What one app keeps: its context, its files, the answers it remembers, the wrong tokens.

    `key` signs what lives for minutes, `attempts` are those of signing in, `codes` those of
    programs that wait for somebody to allow them.
    """

    context: Context
    cache: Cache
    assets: tuple[Asset, ...]
    rights: Rights
    failures: Failures = field(default_factory=Failures)
    attempts: Attempts = field(default_factory=Attempts)
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    costly: Costly = field(default_factory=Costly)
    codes: Codes = field(default_factory=Codes)

    def asset(self, name: str) -> Asset:
        return next(a for a in self.assets if a.name == name)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that belongs to the pages; `tag` changes with its content."""

    name: str
    media_type: str
    body: bytes
    tag: str


def site() -> Site:
    """The site of the app that answers now."""
    return cast("Site", current_app.extensions[NAME])
