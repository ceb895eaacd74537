"""The content hash: what conda-lock remembers of the environment file that it locked.

It covers channels, dependencies and virtual packages (conda-lock's own, or those of a file), each
platform apart; not the name, comments, variables or the order of dependencies.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml

from envwatch.errors import LockError
from envwatch.lockfile.library import (
    FakeRepoData,
    LockSpecification,
    backwards_compatible_content_hashes,
    compute_content_hashes,
    default_virtual_package_repodata,
    make_lock_spec,
    virtual_package_repo_from_specification,
)
from envwatch.lockfile.reading import read_head
from envwatch.model import Composition

# Without a table of names of its own, conda-lock downloads one for every file with `pip:`.
NAMES = Path(__file__).with_name("no-names.json")
PLAIN = Composition()
UNREADABLE = (AttributeError, KeyError, TypeError, ValueError, RuntimeError, yaml.YAMLError)


def content_hashes(
    text: str, platforms: Sequence[str], composition: Composition = PLAIN
) -> dict[str, str]:
    """By platform, as `conda-lock lock -f environment.yml -p …` writes them, with one `-f` for
    each layer."""
    spec = _lock_spec(_texts(text, composition), platforms)
    return dict(compute_content_hashes(spec, _virtual_packages(composition)))


def matches(
    lock_text: str, environment_text: str, platform: str, composition: Composition = PLAIN
) -> bool:
    """Was this lock made of this environment file, or of these layers, for this platform?

    A lock made with `--without-cuda` is recognised as well: the file is the same.
    """
    stored = read_head(lock_text).hashes.get(platform)
    if stored is None:
        return False
    spec = _lock_spec(_texts(environment_text, composition), [platform])
    kinds: tuple[Literal["default", ""], ...] = ("default", "")
    return any(
        stored in backwards_compatible_content_hashes(spec, repodata, platform)
        for repodata in (_virtual_packages(composition, kind) for kind in kinds)
    )


def assumed_virtual_packages(platform: str) -> tuple[tuple[str, str, str], ...]:
    """Name, version and build of what conda-lock takes a machine of this platform to have."""
    repodata = _default_virtual_packages().all_repodata.get(platform, {})
    entries = repodata.get("packages", {}).values()
    return tuple((e["name"], e["version"], e["build"]) for e in entries)


def _texts(text: str, composition: Composition) -> tuple[str, ...]:
    """The files as `conda-lock lock` is told them, in this order."""
    return tuple(layer.text for layer in composition.layers) or (text,)


def _lock_spec(texts: Sequence[str], platforms: Sequence[str]) -> LockSpecification:
    with tempfile.TemporaryDirectory(prefix="environment-") as folder:
        files = [Path(folder, f"{n}.yml") for n in range(len(texts))]
        for file, text in zip(files, texts, strict=True):
            file.write_text(text)
        try:
            return make_lock_spec(
                src_files=files, platform_overrides=list(platforms), mapping_url=str(NAMES)
            )
        except UNREADABLE as e:
            reason = str(e).splitlines()[0] if str(e) else type(e).__name__
            raise LockError(f"conda-lock cannot read this environment file: {reason}") from e


def _virtual_packages(
    composition: Composition, cuda: Literal["default", ""] = "default"
) -> FakeRepoData:
    """Those of the file that lies beside, which conda-lock reads by itself; else the default."""
    if not composition.virtual_text:
        return _default_virtual_packages(cuda)
    with tempfile.TemporaryDirectory(prefix="virtual-") as folder:
        file = Path(folder, "virtual-packages.yml")
        file.write_text(composition.virtual_text)
        try:
            packages = virtual_package_repo_from_specification(file)
        except UNREADABLE as e:
            raise LockError("conda-lock cannot read the file of virtual packages") from e
    shutil.rmtree(packages.base_path, ignore_errors=True)
    return packages


def _default_virtual_packages(cuda: Literal["default", ""] = "default") -> FakeRepoData:
    """Its folder is removed at once: the hash needs only what is in memory, and a child that
    leaves by `os._exit` runs none of the handlers that would remove it later."""
    packages = default_virtual_package_repodata(cuda)
    shutil.rmtree(packages.base_path, ignore_errors=True)
    return packages
