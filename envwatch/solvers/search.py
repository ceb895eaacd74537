"""Which packages the channels have: by a part of the name, or every version of one."""

from __future__ import annotations

import asyncio

from rattler import MatchSpec, RepoDataRecord
from rattler.exceptions import GatewayError

from envwatch.model import Manager, Package, PackageQuery
from envwatch.redact import redact
from envwatch.solvers.index import Index, fetch_error, open_index
from envwatch.solvers.request import Request


def search(request: Request, query: PackageQuery) -> tuple[Package, ...]:
    """The newest build of each package whose name holds the words, those that begin so first;
    or where it is `exact` each version of that one, the newest first. Raises FetchError.
    """
    return asyncio.run(_search(request, query))


async def _search(request: Request, query: PackageQuery) -> tuple[Package, ...]:
    index, platform = open_index(request), request.platforms[0]
    try:
        names = (query.words,) if query.exact else await _names(index, platform, query)
        specs = [MatchSpec(name) for name in names]
        records = await index.records(platform, specs) if specs else []
    except GatewayError as e:
        raise await fetch_error(e, index, platform) from e
    if request.options.strict_channel_priority:
        records = _first_channel(records, index.channels)
    newest: dict[tuple[str, str], RepoDataRecord] = {}
    for record in sorted(records, key=lambda r: (r.version, r.build_number)):
        name = record.name.normalized
        newest[(name, str(record.version) if query.exact else "")] = record
    found = sorted(newest.values(), key=lambda r: r.version, reverse=True)
    if not query.exact:
        found = [newest[(name, "")] for name in names if (name, "") in newest]
    return tuple(_package(r) for r in found[: query.most])


def _first_channel(
    records: list[RepoDataRecord], channels: tuple[str, ...]
) -> list[RepoDataRecord]:
    """A solve takes a package from the first channel that has any of its name."""
    order = {channel.rstrip("/"): place for place, channel in enumerate(channels)}
    first: dict[str, int] = {}
    for record in records:
        name, place = record.name.normalized, _place(record, order)
        first[name] = min(place, first.get(name, place))
    return [r for r in records if _place(r, order) == first[r.name.normalized]]


def _place(record: RepoDataRecord, order: dict[str, int]) -> int:
    return order.get(record.url.rsplit("/", 2)[0], len(order))


def _package(record: RepoDataRecord) -> Package:
    return Package(
        record.name.normalized,
        str(record.version),
        str(record.build),
        Manager.CONDA,
        redact(record.url.rsplit("/", 2)[0]),
        record.size or 0,
        record.license or "",
        redact(record.url),
        record.sha256.hex() if record.sha256 else "",
    )


async def _names(index: Index, platform: str, query: PackageQuery) -> tuple[str, ...]:
    holding = [n for n in await index.names(platform) if query.words in n]
    holding.sort(key=lambda n: (not n.startswith(query.words), len(n), n))
    return tuple(holding[: query.most])
