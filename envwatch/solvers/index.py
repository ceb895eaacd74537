"""What the channels hold: rattler's view of their indexes, and what is said when they fail."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rattler import Gateway, MatchSpec, RepoDataRecord, SourceConfig, Subdir
from rattler.exceptions import GatewayError

from envwatch import fetch
from envwatch.errors import FetchError, FetchStalled
from envwatch.redact import redact
from envwatch.solvers.request import Request
from envwatch.solvers.wanted import channels_of

URL = re.compile(r"\b(?:https?|file)://[^\s'\"()`]+")
STATUS = re.compile(r"\((4\d\d|5\d\d) [A-Za-z ]+\)")
PROBE_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Index:
    """The indexes of some channels, fetched as far as they are asked for."""

    gateway: Gateway
    channels: tuple[str, ...]

    async def names(self, platform: str) -> frozenset[str]:
        """Every package of the channels, for this platform and for all."""
        found = await self.gateway.names(
            self.channels,
            folders(platform),
            channel_relations="disabled",
        )
        return frozenset(name.normalized for name in found)

    async def records(
        self, platform: str, specs: Iterable[MatchSpec], channels: Sequence[str] = ()
    ) -> list[RepoDataRecord]:
        """Those that fit one of the specs; what they depend on is not looked at."""
        found = await self.gateway.query(
            list(channels or self.channels),
            folders(platform),
            list(specs),
            recursive=False,
            channel_relations="disabled",
        )
        return [record for source in found for record in source]


def folders(platform: str) -> list[Subdir]:
    return [Subdir(platform), Subdir("noarch")]


def open_index(request: Request) -> Index:
    gateway = Gateway(
        cache_dir=request.repodata,
        client=fetch.client(request.network),
        # Shards: a large channel costs 60 MiB and 2 MiB on disk, its full index 430 and 350.
        default_config=SourceConfig(
            sharded_enabled=True, cache_action="no-cache" if request.fresh else "cache-or-fetch"
        ),
    )
    return Index(gateway, channels_of(request))


# ---------------------------------------------------------------- failures


async def fetch_error(error: Exception, index: Index, platform: str) -> FetchError:
    """Which channel and folder it was, why, and what to do."""
    text = redact(str(error).strip())
    place = _place(text, index.channels) or await _probe(index, platform)
    where = f"channel `{redact(place[0])}`" if place else f"the channels {_listed(index.channels)}"
    folder = f" ({place[1]})" if place and place[1] else ""
    status = STATUS.search(text)
    if status and status[1] in ("401", "403"):
        hint = "its credentials belong into `channels.auth_file`"
        return FetchStalled(f"{where} refuses access{folder}: {status[1]}", hint=hint)
    if "could not find subdir" in text:
        hint = "check its name; a channel has at least `noarch/repodata.json`"
        return FetchStalled(f"{where} does not exist", hint=hint)
    reason = text.splitlines()[-1].removeprefix("Caused by: ")
    return FetchError(f"{where}{folder} cannot be read: {reason}", hint="it is tried again later")


def _listed(channels: Iterable[str]) -> str:
    return ", ".join(f"`{redact(c)}`" for c in channels)


def _place(text: str, channels: Sequence[str]) -> tuple[str, str] | None:
    """Channel and folder of the address that the error names."""
    for url in URL.findall(text):
        for channel in sorted(channels, key=len, reverse=True):
            base = redact(channel).rstrip("/") + "/"
            if url.startswith(base):
                folder, slash, _ = url.removeprefix(base).partition("/")
                return channel, folder if slash else ""
    return None


async def _probe(index: Index, platform: str) -> tuple[str, str] | None:
    """Some errors (a broken index) name no address: ask each folder apart."""
    for channel in index.channels:
        for folder in folders(platform):
            try:
                async with asyncio.timeout(PROBE_TIMEOUT):
                    await index.gateway.names([channel], [folder], channel_relations="disabled")
            except (GatewayError, TimeoutError):
                return channel, str(folder)
    return None
