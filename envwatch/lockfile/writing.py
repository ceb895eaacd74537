"""Writes a conda-lock.yml as the conda-lock library does, such that its program accepts it."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from envwatch.errors import LockError
from envwatch.lockfile.content import PLAIN, content_hashes
from envwatch.lockfile.library import (
    HashModel,
    LockedDependency,
    Lockfile,
    LockMeta,
    write_conda_lock_file,
)
from envwatch.lockfile.reading import NOARCH_PYTHON, PIP_PLATFORMS
from envwatch.model import Composition, Lock, LockedPackage, Manager, Spec

logger = logging.getLogger(__name__)

SOURCE = "environment.yml"
NO_PACKAGES = "package: []\n"


def write(
    lock: Lock, spec: Spec, *, text: str, path: Path, composition: Composition = PLAIN
) -> None:
    """The lock as a file, whole or not at all. `text` is the environment file as committed,
    unless there are layers."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(render(lock, spec, text=text, name=path.name, composition=composition))
    beside.replace(path)


def render(
    lock: Lock,
    spec: Spec,
    *,
    text: str,
    name: str = "conda-lock.yml",
    composition: Composition = PLAIN,
) -> str:
    """The text of the lock. The library writes what stands above the packages and decides their
    order and fields; libyaml puts them into text, in a seventh of PyYAML's time, byte for byte
    the same."""
    content = Lockfile(
        package=[_entry(p) for p in lock.packages], metadata=_meta(lock, spec, text, composition)
    )
    content.alphasort_inplace()
    content.filter_virtual_packages_inplace()
    head = _head(content.metadata, name)
    packages = content.to_v1().dict_for_output()["package"]
    if not packages:
        return head
    return head.removesuffix(NO_PACKAGES) + dump({"package": packages})


def dump(value: dict[str, Any]) -> str:
    """Our own values as yaml, by libyaml where PyYAML was built with it."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True)
    return text


def _head(metadata: LockMeta, name: str) -> str:
    with tempfile.TemporaryDirectory(prefix="lock-") as folder:
        path = Path(folder, name)
        write_conda_lock_file(Lockfile(package=[], metadata=metadata), path, metadata_choices=None)
        return path.read_text()


def _meta(lock: Lock, spec: Spec, text: str, composition: Composition) -> LockMeta:
    known = _beyond_the_format(lock)
    return LockMeta(
        content_hash=_hashes(lock, text, composition),
        channels=[_as_written(url, spec) for url in lock.channels],
        platforms=list(lock.platforms),
        sources=[layer.path for layer in composition.layers] or [SOURCE],
        **({"custom_metadata": known} if known else {}),
    )


def _hashes(lock: Lock, text: str, composition: Composition) -> dict[str, str]:
    try:
        return content_hashes(text, lock.platforms, composition)
    except LockError as e:
        logger.warning("the conda-lock program will not know this lock again: %s", e.message)
        plain = hashlib.sha256(text.encode()).hexdigest()
        return dict.fromkeys(lock.platforms, plain)


def _as_written(url: str, spec: Spec) -> str:
    """A channel as the file names it: `conda-lock --update` wants the very same text."""
    base = url.rstrip("/")
    for channel in spec.channels:
        name = channel.text.rstrip("/")
        if base == name or ("://" not in name and base.endswith(f"/{name}")):
            return channel.text
    return url


def _beyond_the_format(lock: Lock) -> dict[str, str]:
    noarch = {p.name for p in lock.packages if p.noarch == "python" and "py" not in p.build}
    known = {PIP_PLATFORMS: lock.pip_platforms, NOARCH_PYTHON: sorted(noarch)}
    return {key: " ".join(values) for key, values in known.items() if values}


def _entry(package: LockedPackage) -> LockedDependency:
    conda = package.manager is Manager.CONDA
    return LockedDependency(
        name=package.name,
        version=package.version,
        manager="conda" if conda else "pip",
        platform=package.platform,
        dependencies=_dependencies(package.depends) if conda else {},
        url=package.url,
        hash=_hash(package),
        categories={"main"},
        **({"build": package.build} if conda else {}),
    )


def _hash(package: LockedPackage) -> HashModel:
    if package.manager is Manager.CONDA:
        # the program wants the key; a channel without md5 leaves it empty
        return HashModel(md5=package.md5, sha256=package.sha256)
    return HashModel(sha256=package.sha256)


def _dependencies(depends: Iterable[str]) -> dict[str, str]:
    """By name. Two conditions on one package become one, as conda-lock merges them."""
    merged: dict[str, str] = {}
    for entry in depends:
        name, _, condition = entry.partition(" ")
        known = merged.get(name)
        merged[name] = f"{known},{condition}" if known and condition else known or condition
    return merged
