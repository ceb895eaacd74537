"""What a solver is asked: the spec, where packages may come from, and what is known already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from envwatch.model import Lock, Spec
from envwatch.settings import Network, SolveOptions


@dataclass(frozen=True, slots=True)
class Request:
    """`channels` are URLs in order of priority, `platforms` start with the host's.

    `allowed` are the URLs of channels that a dependency may name besides (`channel::package`);
    empty allows all. `previous` is the lock to keep to where the spec lets it. `fresh` asks the
    channels anew, whatever is cached.
    """

    spec: Spec
    channels: tuple[str, ...]
    platforms: tuple[str, ...]
    repodata: Path
    tmp: Path
    options: SolveOptions
    network: Network
    previous: Lock | None = None
    fresh: bool = False
    allowed: tuple[str, ...] = ()


class Solver(Protocol):
    def solve(self, request: Request) -> Lock:
        """A lock for every platform of the request, or SolveError, FetchError, PackageRefused.

        It holds conda packages only. Where the spec has a `pip:` list, python is among them, and
        conda's `pip` if the channels have it, as conda and conda-lock do: `conda-lock install`
        and `conda env create` run it. The `pip:` list itself is resolved against the prefix.
        """
        ...
