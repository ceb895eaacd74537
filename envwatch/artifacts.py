"""The files offered for each generation: kept in the storage, named for people, with their sums."""

from __future__ import annotations

import hashlib
import shlex
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from envwatch.catalog.records import ArtifactRecord
from envwatch.model import ArtifactKind, EnvKey
from envwatch.storage import Storage

FROM_RECORD = (
    ArtifactKind.SPEC,
    ArtifactKind.PINNED,
    ArtifactKind.LOCK,
    ArtifactKind.EXPLICIT,
    ArtifactKind.PACKAGES,
    ArtifactKind.LOG,
)
ARCHIVES = (ArtifactKind.TAR_ZST, ArtifactKind.TAR_GZ)

_YAML = "application/yaml"
_TEXT = "text/plain; charset=utf-8"
_MEDIA_TYPES = {
    ArtifactKind.SPEC: _YAML,
    ArtifactKind.PINNED: _YAML,
    ArtifactKind.LOCK: _YAML,
    ArtifactKind.EXPLICIT: _TEXT,
    ArtifactKind.PACKAGES: "application/json",
    ArtifactKind.LOG: _TEXT,
    ArtifactKind.TAR_ZST: "application/zstd",
    ArtifactKind.TAR_GZ: "application/gzip",
    ArtifactKind.SUMS: _TEXT,
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """Lines to copy into a shell, and what they are for."""

    title: str
    lines: tuple[str, ...]


# ---------------------------------------------------------------- keeping


def publish(
    record: Path, key: EnvKey, number: int, storage: Storage, *, log: Path | None = None
) -> tuple[ArtifactRecord, ...]:
    """Keep what a build wrote into its record folder; a file that it did not write is not offered.

    `log` is the log of the build where it lies elsewhere. May be run again.
    """
    sources = {kind: record / kind for kind in FROM_RECORD}
    if log is not None:
        sources[ArtifactKind.LOG] = log
    made = [
        _keep(path, kind, key, number, storage) for kind, path in sources.items() if path.is_file()
    ]
    return (*made, _keep_sums(made, key, number, storage))


def add_archive(
    path: Path,
    kind: ArtifactKind,
    key: EnvKey,
    number: int,
    storage: Storage,
    others: Iterable[ArtifactRecord],
) -> tuple[ArtifactRecord, ...]:
    """Keep a finished archive beside the `others`, which are not read again; all of them anew."""
    known = [a for a in others if a.kind not in (kind, ArtifactKind.SUMS)]
    made = [*known, _keep(path, kind, key, number, storage)]
    return (*made, _keep_sums(made, key, number, storage))


def kept(key: EnvKey, number: int, storage: Storage) -> tuple[ArtifactRecord, ...]:
    """What the storage has of a generation, each file read for its sum."""
    places = ((kind, storage_key(kind, key, number)) for kind in ArtifactKind)
    return tuple(_read(kind, place, storage) for kind, place in places if storage.exists(place))


def sums_text(artifacts: Iterable[ArtifactRecord], key: EnvKey, number: int) -> str:
    """For `sha256sum --check` beside the files as they are downloaded."""
    lines = sorted(f"{a.sha256}  {file_name(a.kind, key, number)}\n" for a in artifacts)
    return "".join(lines)


def storage_key(kind: ArtifactKind, key: EnvKey, number: int) -> str:
    return f"{key.namespace}/{key.name}/{number}/{kind}"


def _keep(
    path: Path, kind: ArtifactKind, key: EnvKey, number: int, storage: Storage
) -> ArtifactRecord:
    """The sum is that of the kept file: a log may still grow while it is copied."""
    place = storage_key(kind, key, number)
    storage.put(place, path)
    return _read(kind, place, storage)


def _read(kind: ArtifactKind, place: str, storage: Storage) -> ArtifactRecord:
    digest = hashlib.sha256()
    size = 0
    with storage.open(place) as kept:
        while block := kept.read(2**20):
            digest.update(block)
            size += len(block)
    return ArtifactRecord(kind, place, size, digest.hexdigest())


def _keep_sums(
    made: Iterable[ArtifactRecord], key: EnvKey, number: int, storage: Storage
) -> ArtifactRecord:
    with tempfile.TemporaryDirectory(prefix="envwatch-") as folder:
        path = Path(folder) / ArtifactKind.SUMS
        path.write_text(sums_text(made, key, number))
        return _keep(path, ArtifactKind.SUMS, key, number, storage)


# ---------------------------------------------------------------- for people


def file_name(kind: ArtifactKind, key: EnvKey, number: int) -> str:
    """What a download is called: `analyst-demo-17.conda-lock.yml`, `analyst-demo-17.tar.zst`.

    micromamba takes a file for a lock by the end of its name, `-lock.yml`.
    """
    ending = kind.removeprefix("environment.") if kind in ARCHIVES else str(kind)
    return f"{key.label}-{number}.{ending}"


def media_type(kind: ArtifactKind) -> str:
    return _MEDIA_TYPES[kind]


def recipes(
    key: EnvKey, number: int, urls: Mapping[ArtifactKind, str], *, pip_packages: int = 0
) -> tuple[Recipe, ...]:
    """What to type to have this generation elsewhere, for each artifact that has a URL.

    `pip_packages` is how many packages the explicit list cannot hold.
    """
    ways = (
        (ArtifactKind.LOCK, "micromamba or mamba", _by_micromamba),
        (ArtifactKind.LOCK, "conda-lock", _by_conda_lock),
        (ArtifactKind.EXPLICIT, "conda", _by_conda),
        (ArtifactKind.TAR_ZST, "tar, with zstd", _by_tar),
        (ArtifactKind.TAR_GZ, "tar, with gzip", _by_tar),
    )
    made = []
    for kind, title, way in ways:
        if kind in urls:
            file = file_name(kind, key, number)
            fetch = _waited if way is _by_tar else _fetched
            lines = (fetch(file, urls[kind]), *way(key.label, file, pip_packages))
            made.append(Recipe(title, lines))
    return tuple(made)


def _fetched(file: str, url: str) -> str:
    return f"curl --fail --location --output {shlex.quote(file)} {shlex.quote(url)}"


def _waited(file: str, url: str) -> str:
    """An archive is made when it is first asked for: until then the answer is 202."""
    asked = (
        f"curl --fail --silent --show-error --location --output {shlex.quote(file)}"
        f" --write-out '%{{http_code}}' {shlex.quote(url)}"
    )
    return f'while [ "$({asked})" = 202 ]; do sleep 5; done'


def _by_micromamba(label: str, file: str, _: int) -> tuple[str, ...]:
    return (
        f"micromamba create --name {shlex.quote(label)} --file {shlex.quote(file)}",
        f"micromamba activate {shlex.quote(label)}",
    )


def _by_conda_lock(label: str, file: str, _: int) -> tuple[str, ...]:
    return (
        f"conda-lock install --name {shlex.quote(label)} {shlex.quote(file)}",
        f"conda activate {shlex.quote(label)}",
    )


def _by_conda(label: str, file: str, pip_packages: int) -> tuple[str, ...]:
    lines = (
        f"conda create --name {shlex.quote(label)} --file {shlex.quote(file)}",
        f"conda activate {shlex.quote(label)}",
    )
    if not pip_packages:
        return lines
    packages = "1 package" if pip_packages == 1 else f"{pip_packages} packages"
    return (f"# without the {packages} from pip, which such a list cannot hold", *lines)


def _by_tar(_: str, file: str, __: int) -> tuple[str, ...]:
    folder = shlex.quote(file.removesuffix(".zst").removesuffix(".gz").removesuffix(".tar"))
    option = "--zstd" if file.endswith(".zst") else "--gzip"
    return (
        f"mkdir {folder}",
        f"tar --extract {option} --file {shlex.quote(file)} --directory {folder}",
        f". {folder}/bin/activate",
        "conda-unpack",
    )
