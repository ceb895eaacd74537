"""The pages on a catalog of their own: empty, or as a team filled it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from web_helpers import Stand, fill, stand


@pytest.fixture(scope="session")
def empty_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: migrations take longer than most tests."""
    root = tmp_path_factory.mktemp("empty")
    with stand(root):
        return root


@pytest.fixture(scope="session")
def filled_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("filled")
    with stand(root) as made:
        fill(made)
    return root


@pytest.fixture
def empty(empty_root: Path, tmp_path: Path) -> Iterator[Stand]:
    shutil.copytree(empty_root, tmp_path / "root")
    with stand(tmp_path / "root") as made:
        yield made


@pytest.fixture
def filled(filled_root: Path, tmp_path: Path) -> Iterator[Stand]:
    shutil.copytree(filled_root, tmp_path / "root")
    with stand(tmp_path / "root") as made:
        yield made
