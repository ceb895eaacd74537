"""Make real conda packages and index them: for the demo and the tests, offline, without conda."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rattler.index import index_fs

from envwatch.channel.archive import File, Package
from envwatch.channel.archive import write as add
from envwatch.channel.distribution import installed
from envwatch.channel.distribution import packages as distribution_packages
from envwatch.channel.fixtures import elsewhere, second_channel
from envwatch.channel.fixtures import packages as fixture_packages
from envwatch.channel.interpreter import abi_package, python_package, running

__all__ = ["File", "Package", "add", "demo_distributions", "index", "make", "make_second"]

logger = logging.getLogger(__name__)

# What the demo's environments are made of; nothing is downloaded for them.
DEMO_DISTRIBUTIONS = ("click", "flask", "ipykernel", "packaging", "pyyaml", "rich")


def demo_distributions() -> tuple[str, ...]:
    """Those of the demo's distributions that are installed here."""
    return tuple(name for name in DEMO_DISTRIBUTIONS if installed(name))


def make(
    channel: Path, *, distributions: Sequence[str] = (), fixtures: bool = False, python: bool = True
) -> None:
    """Fill the channel and index it. With fixtures, it knows other platforms too."""
    packages = list(_packages(distributions, fixtures=fixtures, python=python))
    if fixtures:
        packages += elsewhere(packages)
    _add_all(channel, packages)
    index(channel)


def make_second(channel: Path) -> None:
    """A channel that overlaps with the fixtures of the first one."""
    _add_all(channel, list(second_channel()))
    index(channel)


def index(channel: Path) -> None:
    """Write the channel's repodata. Call it in a child that leaves by `os._exit`.

    The library's threads live on and can crash an interpreter that shuts down in the usual way.
    """
    (channel / "noarch").mkdir(parents=True, exist_ok=True)
    asyncio.run(index_fs(channel, force=True))


def _packages(distributions: Sequence[str], *, fixtures: bool, python: bool) -> Iterator[Package]:
    if python:
        yield abi_package()
        yield python_package(running())
    yield from distribution_packages(distributions)
    if fixtures:
        yield from fixture_packages()


def _add_all(channel: Path, packages: Sequence[Package]) -> None:
    """Hashing and compressing release the interpreter's lock."""
    with ThreadPoolExecutor(2) as pool:
        written = list(pool.map(lambda package: add(channel, package), packages))
    logger.info("%s: %d packages", channel, len(written))
