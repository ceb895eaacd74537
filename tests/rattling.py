"""Solve and install with py-rattler alone, in a child: a second opinion on our channel.

A child, because the library can crash the interpreter that used it while that shuts down.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rattler import (
    BuildString,
    Client,
    Gateway,
    GenericVirtualPackage,
    PackageCache,
    PackageName,
    RepoDataRecord,
    ValidationMode,
    Version,
    VirtualPackage,
    install,
    solve,
)
from rattler.explicit_environment import ExplicitEnvironmentSpec

from envwatch.channel.interpreter import SUBDIR


def solved(channel: Path, specs: Sequence[str], platform: str = SUBDIR) -> list[str]:
    """The file names that are chosen; fails with the solver's text."""
    done = _child(["solve", str(channel), platform, *specs])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def install_with_rattler(channel: Path, prefix: Path, cache: Path, specs: Sequence[str]) -> Path:
    done = _child(["install", str(channel), str(prefix), str(cache), *specs])
    assert done.returncode == 0, done.stderr
    return prefix


def install_list(explicit: Path, prefix: Path, cache: Path) -> Path:
    """Install what an explicit list names, with nothing else known."""
    done = _child(["list", str(explicit), str(prefix), str(cache)])
    assert done.returncode == 0, done.stderr
    return prefix


def _child(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, __file__, *arguments)
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


# ---------------------------------------------------------------- in the child

VIRTUAL = {"osx-arm64": ("__osx=14.0=0", "__unix=0=0"), "win-64": ("__win=0=0",)}


async def _solve(channel: str, platform: str, *specs: str) -> list[object]:
    return await solve(
        [Path(channel).as_uri()],
        list(specs),
        gateway=Gateway(cache_dir=Path(f"{channel}.repodata"), client=Client.default_client()),
        platforms=[platform, "noarch"],
        virtual_packages=_virtual(platform),
        channel_relations="disabled",
    )


def _virtual(platform: str) -> list[object]:
    if platform == SUBDIR:
        return VirtualPackage.detect()
    return [_generic(*text.split("=")) for text in VIRTUAL[platform]]


def _generic(name: str, version: str, build: str) -> object:
    return GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))


async def _install(channel: str, prefix: str, cache: str, *specs: str) -> list[object]:
    records = await _solve(channel, SUBDIR, *specs)
    packages = PackageCache.new_layered([cache], True, ValidationMode.fast())
    client = Client.default_client()
    await install(records, prefix, client=client, package_cache=packages, show_progress=False)
    return records


async def _list(explicit: str, prefix: str, cache: str) -> list[object]:
    listed = ExplicitEnvironmentSpec.from_path(Path(explicit)).packages
    files = [unquote(urlsplit(entry.url).path) for entry in listed]
    records = [await RepoDataRecord.from_package_archive(file) for file in files]
    packages = PackageCache.new_layered([cache], True, ValidationMode.full())
    client = Client.default_client()
    await install(records, prefix, client=client, package_cache=packages, show_progress=False)
    return records


if __name__ == "__main__":
    action, *rest = sys.argv[1:]
    records = asyncio.run({"solve": _solve, "install": _install, "list": _list}[action](*rest))
    sys.stdout.write(json.dumps([record.file_name for record in records]))
    sys.stdout.flush()
    os._exit(0)
