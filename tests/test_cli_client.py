"""`envwatch client`: what conda and Jupyter need, as they read it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from cli_helpers import Place, cli, make_place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A root whose config names `analyst`, and in which `old` lies from before."""
    place = make_place(tmp_path)
    for folder in ("envs/old", "jupyter/old", "jupyter/.hidden"):
        (place.root / folder).mkdir(parents=True)
    return place


def test_condarc_starts_with_a_folder_that_is_ones_own(place: Place) -> None:
    assert yaml.safe_load(place.cli("client", "condarc").out) == {
        "envs_dirs": [
            "~/.conda/envs",
            str(place.root / "envs/analyst"),
            str(place.root / "envs/old"),
        ],
        "env_prompt": "({name}) ",
    }


def test_condarc_of_some_namespaces(place: Place) -> None:
    told = place.cli("client", "condarc", "--namespace", "b", "--namespace", "a")
    assert yaml.safe_load(told.out)["envs_dirs"][1:] == [
        str(place.root / "envs" / name) for name in "ba"
    ]


@pytest.mark.parametrize("before", ["", "/mine"])
def test_jupyter_path_is_added_to_what_is_there(place: Place, before: str) -> None:
    line = place.cli("client", "jupyter").out
    done = subprocess.run(
        ("sh", "-c", f'{line}\nprintf %s "$JUPYTER_PATH"'),
        capture_output=True, text=True, check=True, timeout=30,
        env={"JUPYTER_PATH": before} if before else {},
    )  # fmt: skip
    ours = [str(place.root / "jupyter" / name) for name in ("analyst", "old")]
    assert done.stdout.split(":") == [*ours, *([before] if before else [])]


def test_without_any_namespace_there_is_nothing_to_add(tmp_path: Path) -> None:
    told = cli("--root", tmp_path / "none", "client", "jupyter")
    assert (told.code, told.out) == (0, "")


def test_they_need_no_catalog_and_make_none(place: Place) -> None:
    place.cli("client", "condarc")
    assert not (place.root / "catalog.sqlite").exists()
