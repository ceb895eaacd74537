"""Reads a conda-lock.yml, which may come from anybody's repository.

rattler's parser reads the packages, in milliseconds where PyYAML takes seconds; our bounded
loader reads what stands above them. What envwatch cannot install is refused here, with the reason.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rattler import LockFile
from rattler.exceptions import ParseCondaLockError
from rattler.lock import Environment, PypiLockedPackage
from rattler.repo_data import RepoDataRecord

from envwatch import yamltext
from envwatch.errors import LockError, SpecError
from envwatch.model import Lock, LockedPackage, Manager
from envwatch.redact import redact
from envwatch.settings import Network

MAX_SIZE = 16 * 2**20
# rattler's parser takes quadratic time on nested brackets: 10 s for 80 kB of `[`.
MAX_BRACKETS = 4096
MAX_DEPTH = 16
HEAD = yamltext.Limits(max_bytes=2**20, max_nodes=20_000)
EXTENSIONS = (".conda", ".tar.bz2")
SCHEMES = ("https", "http", "file")
PACKAGES = re.compile(r"^package:", re.MULTILINE)
NEXT_KEY = re.compile(r"^[^\s#-]", re.MULTILINE)
# Text for PyYAML, which writes locks, and a number for rattler: a hash, a version, a build.
NUMBER = re.compile(r": ([-+]?[0-9.]+[eE][-+]?[0-9]+|0o[0-7]+)$", re.MULTILINE)
PLACE = re.compile(r" at line (\d+) column \d+")
HINT = "make it again with `conda-lock lock`, or remove it"
# What conda-lock.yml has no field for is kept in its `custom_metadata`.
PIP_PLATFORMS = "envwatch_pip_platforms"
NOARCH_PYTHON = "envwatch_noarch_python"


@dataclass(frozen=True, slots=True)
class Head:
    """The metadata above the list of packages."""

    hashes: Mapping[str, str]
    channels: tuple[str, ...]
    platforms: tuple[str, ...]
    pip_platforms: tuple[str, ...]
    noarch_python: frozenset[str]
    sources: tuple[str, ...] = ()


def read(text: str) -> Lock:
    """All of a conda-lock.yml, or a LockError that says what is wrong with it."""
    head = read_head(text)
    environment = _parse(text)
    packages = {(p.platform, p.manager, p.name): p for p in _packages(environment, head)}
    _check_addresses(packages.values())
    platforms = tuple(dict.fromkeys((*head.platforms, *(p.platform for p in packages.values()))))
    ordered = sorted(
        packages.values(), key=lambda p: (platforms.index(p.platform), p.manager, p.name)
    )
    with_pip = {p.platform for p in ordered if p.manager is Manager.PIP} | {*head.pip_platforms}
    return Lock(
        platforms=platforms,
        channels=_channels(head, ordered),
        packages=tuple(ordered),
        pip_platforms=tuple(p for p in platforms if p in with_pip),
    )


def read_head(text: str) -> Head:
    """Only the metadata; the list of packages is cut out before anything is parsed."""
    _check_bounds(text)
    document = _load_head(text)
    version = document.get("version")
    if version is None or version.text != "1":
        found = f"`{version.text}`" if version else "none"
        raise LockError(f"conda-lock.yml has version {found}, only 1 is read", hint=HINT)
    metadata = document.get("metadata") or document
    custom = _mapping(metadata, "custom_metadata")
    return Head(
        hashes=_mapping(metadata, "content_hash"),
        channels=tuple(_texts(metadata, "channels")),
        platforms=tuple(_texts(metadata, "platforms")),
        pip_platforms=tuple(custom.get(PIP_PLATFORMS, "").split()),
        noarch_python=frozenset(custom.get(NOARCH_PYTHON, "").split()),
        sources=tuple(_texts(metadata, "sources")),
    )


# ---------------------------------------------------------------- the file


def _check_bounds(text: str) -> None:
    if len(text) > MAX_SIZE:
        size = f"{len(text) / 2**20:.0f} MiB, more than the {MAX_SIZE // 2**20} MiB"
        raise LockError(f"conda-lock.yml has {size} that are read")
    if text.count("[") + text.count("{") > MAX_BRACKETS and _depth(text) > MAX_DEPTH:
        raise LockError(f"conda-lock.yml is nested more than {MAX_DEPTH} levels deep", hint=HINT)


def _depth(text: str) -> int:
    depth = deepest = 0
    for found in re.finditer(r"[\[\]{}]", text):
        depth += 1 if found[0] in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _load_head(text: str) -> yamltext.Node:
    start = PACKAGES.search(text)
    if start is None:
        hint = f"is it a whole conda-lock.yml? {HINT}"
        raise LockError("conda-lock.yml has no `package:` list", hint=hint)
    after = NEXT_KEY.search(text, start.end())
    rest = text[after.start() :] if after else ""
    try:
        return yamltext.load(
            f"{text[: start.start()]}{rest}".encode(), path="conda-lock.yml", limits=HEAD
        )
    except SpecError as e:
        where = f" on line {e.line}" if e.line else ""
        raise LockError(f"conda-lock.yml cannot be read: {e.message}{where}", hint=HINT) from e


def _mapping(node: yamltext.Node, key: str) -> dict[str, str]:
    value = node.get(key)
    return {name.text: entry.text for name, entry in value.entries} if value else {}


def _texts(node: yamltext.Node, key: str) -> Iterator[str]:
    """The items of a list; a channel is text or a mapping with `url`."""
    value = node.get(key)
    for item in value.items if value else ():
        url = item.get("url")
        yield url.text if url else item.text


def _parse(text: str) -> Environment:
    # An md5 that is not known is written as '', because conda-lock asks for the key.
    text = NUMBER.sub(r": '\1'", text.replace("    md5: ''\n", ""))
    with tempfile.NamedTemporaryFile("w", suffix=".yml", prefix="conda-lock-") as file:
        file.write(text)
        file.flush()
        try:
            environment = LockFile.from_path(Path(file.name)).default_environment()
        except ParseCondaLockError as e:
            reason = PLACE.sub(r" on line \1", str(e).splitlines()[0])
            raise LockError(f"conda-lock.yml cannot be read: {reason}", hint=HINT) from e
    if environment is None:
        raise LockError("conda-lock.yml locks nothing", hint=HINT)
    return environment


# ---------------------------------------------------------------- the packages


def _packages(environment: Environment, head: Head) -> Iterator[LockedPackage]:
    for platform, records in environment.conda_repodata_records().items():
        for record in records:
            yield _conda(record, platform, head)
    for platform, wheels in environment.pypi_packages().items():
        for wheel in wheels:
            yield _pip(wheel, platform)


def _conda(record: RepoDataRecord, platform: str, head: Head) -> LockedPackage:
    name, version = record.name.normalized, str(record.version)
    return LockedPackage(
        manager=Manager.CONDA,
        platform=platform,
        name=name,
        version=version,
        url=record.url,
        sha256=_sha256(record.sha256, name),
        md5=record.md5.hex() if record.md5 else "",
        build=str(record.build),
        build_number=record.build_number,
        subdir=record.subdir,
        channel=record.url.rsplit("/", 2)[0],
        depends=tuple(record.depends),
        noarch=_noarch(record, name, head),
    )


def _noarch(record: RepoDataRecord, name: str, head: Head) -> str:
    """rattler guesses by the build string; what the writer knew better stands in the head."""
    if record.noarch.none:
        return ""
    return "python" if record.noarch.python or name in head.noarch_python else "generic"


def _pip(wheel: PypiLockedPackage, platform: str) -> LockedPackage:
    return LockedPackage(
        manager=Manager.PIP,
        platform=platform,
        name=wheel.name,
        version=str(wheel.version),
        url=wheel.location,
        sha256=_sha256(wheel.hashes.sha256 if wheel.hashes else None, wheel.name),
        depends=tuple(wheel.requires_dist),
    )


def _check_addresses(packages: Iterable[LockedPackage]) -> None:
    """One look for each folder that packages lie in: looking for secrets is slow."""
    folders: dict[str, LockedPackage] = {}
    for package in packages:
        folder, _, file = package.url.rpartition("/")
        folders.setdefault(folder, package)
        if "$" in package.url or "?" in file:
            problem = f"the address of `{package.name}` is not a plain one: `{redact(package.url)}`"
            raise LockError(f"conda-lock.yml: {problem}", hint="no variables, no `?…`")
        start = f"{package.name}-{package.version}-"
        right = file.startswith(start) and file.endswith(EXTENSIONS)
        if package.manager is Manager.CONDA and not right:
            problem = f"says that `{file}` is `{package.name}` {package.version}"
            raise LockError(f"conda-lock.yml {problem}", hint=HINT)
    for folder, package in folders.items():
        _check_folder(folder, package.name)


def _check_folder(folder: str, name: str) -> None:
    shown = redact(folder)
    if shown != folder:
        raise LockError(
            f"conda-lock.yml: the address of `{name}` holds a password or token: `{shown}`",
            hint="put it into `channels.auth_file`, and lock with the plain address",
        )
    if urlsplit(folder).scheme not in SCHEMES:
        raise LockError(f"conda-lock.yml: `{name}` is not fetched over https: `{shown}`", hint=HINT)


def _sha256(value: bytes | None, name: str) -> str:
    if not value:
        raise LockError(f"conda-lock.yml has no sha256 for `{name}`", hint=HINT)
    return value.hex()


def _channels(head: Head, packages: list[LockedPackage]) -> tuple[str, ...]:
    """As URLs. A name is the channel of that name which the packages come from."""
    used = dict.fromkeys(p.channel for p in packages if p.channel)
    return tuple(_channel_url(channel, list(used)) for channel in head.channels)


def _channel_url(channel: str, used: list[str]) -> str:
    if "://" in channel:
        return channel.rstrip("/")
    fallback = f"{Network().alias.rstrip('/')}/{channel}"
    return next((url for url in used if url.endswith(f"/{channel}")), fallback)
