"""Where a command looks and asks: a root on this machine, or a server elsewhere. One seam."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, Protocol, cast

from envwatch.catalog.records import BuildRecord, DeliveryRecord, TokenRecord
from envwatch.cli.context import Options
from envwatch.model import ArchiveState, ArtifactKind, BuildState, EnvKey
from envwatch.settings import Network
from envwatch.views.values import (
    BuildPage,
    BuildRow,
    DiffPage,
    EnvironmentPage,
    EnvRow,
    SourceRow,
)

Answer = dict[str, Any]
Facts = tuple[tuple[str, str], ...]

SOON = 120.0  # seconds for a verb that only writes into the catalog
LONG = 4 * 3600.0  # seconds for one that solves, or reads every published file


class House(Protocol):
    """What is to be seen and asked for. Each method raises what a person should read.

    `pace` is how many seconds lie between two looks of who waits, `me` who asks, for the history.
    """

    @property
    def pace(self) -> float: ...

    @property
    def me(self) -> str: ...

    @property
    def network(self) -> Network:
        """How channels are reached from this machine."""

    # ------------------------------------------------------------ looking

    def rows(self, chosen: Mapping[str, str], *, retired: bool) -> list[EnvRow]:
        """All environments that are `chosen` by namespace, state, label."""

    def environment(self, key: EnvKey, page: int = 1) -> EnvironmentPage: ...

    def compare(self, key: EnvKey, old: int, new: int) -> DiffPage: ...

    def file(self, key: EnvKey, number: int, kind: ArtifactKind) -> bytes: ...

    def archive(self, key: EnvKey, number: int) -> tuple[ArchiveState, str]:
        """How the archives of a generation stand, and why they failed."""

    def places(self, key: EnvKey) -> Facts:
        """Where it is found, each with its name."""

    def build(self, build_id: int) -> BuildPage: ...

    def record(self, build_id: int) -> BuildRecord: ...

    def builds(
        self, states: tuple[BuildState, ...], namespace: str, limit: int
    ) -> tuple[BuildRow, ...]:
        """The newest first."""

    def log(self, build: BuildRecord, start: int) -> bytes | None:
        """What is written from a byte on; None while there is no log."""

    def log_place(self, build: BuildRecord) -> str: ...

    def sources(self) -> tuple[SourceRow, ...]: ...

    def source_names(self) -> list[str]: ...

    def deliveries(self, source: str) -> tuple[DeliveryRecord, ...]: ...

    def namespaces(self) -> list[Answer]:
        """`name`, `environments`, `attention` and `made_by` of each."""

    def grants(self) -> list[Answer]:
        """`pattern`, `role`, `user`, `group` and `by` of each role that somebody was given."""

    def default_namespace(self) -> str:
        """The one in which somebody makes an environment who names none."""

    def tokens(self) -> tuple[TokenRecord, ...]: ...

    # ------------------------------------------------------------ asking

    def ask(self, verb: str, *, timeout: float = SOON, **arguments: Any) -> Answer:
        """Have a verb of the daemon done."""

    def edit(self, key: EnvKey, wanted: Answer, author: tuple[str, str] | None) -> Answer:
        """One commit. Raises SpecError, Conflict."""

    # ------------------------------------------------------------ waiting

    def works(self) -> bool:
        """Does somebody build what is queued?"""

    def work_off(self) -> None:
        """Build what is queued, where nobody else does."""


def open_house(options: Options) -> AbstractContextManager[House]:
    """The house in force. Each kind is imported when it is used: neither needs the other."""
    module = import_module(f"envwatch.cli.{'there' if options.server else 'here'}")
    return cast("AbstractContextManager[House]", module.opened(options))
