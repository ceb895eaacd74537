"""Solves with an external conda, mamba or micromamba, driven by the conda-lock program."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rattler.exceptions import GatewayError

from envwatch import lockfile
from envwatch.errors import FetchError, SolveError
from envwatch.lockfile.content import NAMES
from envwatch.lockfile.writing import dump
from envwatch.model import Lock, LockedPackage
from envwatch.redact import redact
from envwatch.settings import Network
from envwatch.solvers.explain import explain
from envwatch.solvers.index import Index, fetch_error, open_index
from envwatch.solvers.records import all_wanted, check_python, in_index, kept, locked
from envwatch.solvers.request import Request
from envwatch.solvers.virtual import virtual_packages
from envwatch.solvers.wanted import Wanted, match_spec
from envwatch.yamltext import shown

logger = logging.getLogger(__name__)

PROGRAMS = ("conda", "mamba", "micromamba")
MESSAGE = re.compile(
    r"^Could not lock the environment .*\n((?:(?!    Command:).*\n)*)", re.MULTILINE
)
NETWORK = re.compile(
    r"CondaHTTPError|HTTP 000|UnavailableInvalidChannel|Download error|Could not resolve"
)
GRACE = 5.0


@dataclass(frozen=True, slots=True)
class CondaLockSolver:
    def solve(self, request: Request) -> Lock:
        return asyncio.run(_solve(request, find_executable(request.options.executable)))


class _Unsolved(Exception):
    """What the external solver said."""


def find_executable(configured: str) -> str:
    for name in (configured,) if configured else PROGRAMS:
        if found := shutil.which(name):
            return found
    looked = f"`{configured}`" if configured else " or ".join(f"`{p}`" for p in PROGRAMS)
    hint = "install one, set `solver_executable`, or use `solver: rattler`, which needs none"
    raise SolveError(f"`solver: conda-lock` finds no {looked}", hint=hint)


async def _solve(request: Request, executable: str) -> Lock:
    index = open_index(request)
    packages: list[LockedPackage] = []
    for platform in request.platforms:
        chosen = await _on(request, platform, index, executable)
        logger.info("%s: %d packages chosen by %s", platform, len(chosen), executable)
        packages += chosen
    lock = Lock(platforms=request.platforms, channels=index.channels, packages=tuple(packages))
    lockfile.check_origin(lock, index.channels)
    return lockfile.mark_requested(lock, request.spec)


async def _on(
    request: Request, platform: str, index: Index, executable: str
) -> list[LockedPackage]:
    try:
        wanted = await all_wanted(request, platform, index)
        pins = await _pins(request, platform, index, wanted)
        try:
            found = _run_with(request, platform, index, executable, wanted, pins)
        except _Unsolved as e:
            logger.info("%s: %s says: %s", platform, executable, redact(str(e)))
            raise await explain(str(e), request, platform, index, wanted) from e
        packages = await _completed(found, platform, index)
    except GatewayError as e:
        raise await fetch_error(e, index, platform) from e
    check_python(packages, request, platform)
    return _reached(packages, [w.name for w in wanted])


async def _pins(
    request: Request, platform: str, index: Index, wanted: Sequence[Wanted]
) -> dict[str, str]:
    """The packages of the last lock as exact dependencies, but those that the spec now excludes."""
    by_name = {w.name: match_spec(w) for w in wanted}
    old = await kept(request.previous, platform, index)
    return {
        r.name.normalized: f"{r.name.normalized}={r.version}={r.build}"
        for r in old
        if r.name.normalized not in by_name or by_name[r.name.normalized].matches(r)
    }


def _run_with(
    request: Request,
    platform: str,
    index: Index,
    executable: str,
    wanted: Sequence[Wanted],
    pins: dict[str, str],
) -> list[LockedPackage]:
    """With all that was locked before; where that does not fit any more, without."""
    plain = {w.name: w.text for w in wanted}
    if pins:
        try:
            return _run(request, platform, index, executable, {**plain, **pins})
        except _Unsolved:
            logger.info("%s: the last lock cannot be kept to", platform)
    return _run(request, platform, index, executable, plain)


async def _completed(
    packages: Sequence[LockedPackage], platform: str, index: Index
) -> list[LockedPackage]:
    """With size, license and kind as the index has them; conda-lock.yml has no field for these."""
    records = {r.url: r for r in await in_index(packages, platform, index)}
    return [locked(records[p.url], platform) if p.url in records else p for p in packages]


def _reached(packages: Iterable[LockedPackage], names: Iterable[str]) -> list[LockedPackage]:
    """Without what only a pin asked for: packages that nothing needs any more."""
    by_name = {p.name: p for p in packages}
    reached: dict[str, LockedPackage] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in reached:
            reached[name] = by_name[name]
            waiting += [d.partition(" ")[0] for d in by_name[name].depends]
    return sorted(reached.values(), key=lambda p: p.name)


# ---------------------------------------------------------------- the program


def _run(
    request: Request, platform: str, index: Index, executable: str, dependencies: dict[str, str]
) -> list[LockedPackage]:
    with tempfile.TemporaryDirectory(prefix="conda-lock-", dir=request.tmp) as name:
        folder = Path(name)
        _write_input(request, platform, index, dependencies, folder)
        _call(_command(executable, platform, folder), request, folder)
        return list(lockfile.read((folder / "conda-lock.yml").read_text()).on(platform))


def _write_input(
    request: Request, platform: str, index: Index, dependencies: dict[str, str], folder: Path
) -> None:
    environment = {"channels": list(index.channels), "dependencies": list(dependencies.values())}
    (folder / "environment.yml").write_text(dump(environment))
    virtual = {v.name: f"{v.version} {v.build}" for v in virtual_packages(request, platform)}
    subdirs = {"subdirs": {platform: {"packages": virtual}}}
    (folder / "virtual-packages.yml").write_text(dump(subdirs))


def _command(executable: str, platform: str, folder: Path) -> tuple[str, ...]:
    return (
        *(sys.executable, "-I", "-m", "conda_lock", "lock"),
        *("--conda", executable, "--no-mamba", "--no-micromamba"),
        *("--file", str(folder / "environment.yml"), "--platform", platform),
        *("--lockfile", str(folder / "conda-lock.yml")),
        *("--virtual-package-spec", str(folder / "virtual-packages.yml")),
        *("--pypi_to_conda_lookup_file", str(NAMES)),
    )


def _call(command: tuple[str, ...], request: Request, folder: Path) -> None:
    limit = request.options.timeout
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=_environment(request, folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired as e:
        _stop(process)
        hint = "narrow the versions of some packages, or raise `builds.solve_timeout`"
        raise SolveError(f"`{command[6]}` gave no answer within {limit:g} s", hint=hint) from e
    if process.returncode:
        _fail(output, command[6])


def _stop(process: subprocess.Popen[str]) -> None:
    """An interrupt, on which conda-lock kills the conda that it waits for; then for good."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _fail(output: str, executable: str) -> None:
    found = MESSAGE.search(output)
    message = redact(found[1].strip()) if found else ""
    if NETWORK.search(message):
        first = message.splitlines()[0]
        raise FetchError(f"`{executable}` cannot read the channels: {first}")
    if not message:
        logger.error("conda-lock ended with an error:\n%s", redact(output))
    if found is None:
        hint = "the log has all that it said"
        raise SolveError(f"conda-lock with `{executable}` failed: {_last_line(output)}", hint=hint)
    raise _Unsolved(message)


def _last_line(output: str) -> str:
    lines = redact(output).strip().splitlines()
    return shown(lines[-1], longest=200) if lines else "it said nothing"


def _environment(request: Request, folder: Path) -> dict[str, str]:
    """Nothing of ours but the way to programs: no variables of a person, no home."""
    strict = request.options.strict_channel_priority
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "MAMBA_ROOT_PREFIX": str(folder / "mamba"),
        "CONDA_CHANNEL_ALIAS": request.network.alias.rstrip("/"),
        "CONDA_CHANNEL_PRIORITY": "strict" if strict else "flexible",
        **_network(request.network),
    }


def _network(network: Network) -> dict[str, str]:
    variables: dict[str, str] = {}
    if network.proxy:
        variables |= {"HTTP_PROXY": network.proxy, "HTTPS_PROXY": network.proxy}
    if network.ca_file:
        variables |= {"CONDA_SSL_VERIFY": str(network.ca_file)}
        variables |= {"REQUESTS_CA_BUNDLE": str(network.ca_file)}
    return variables
