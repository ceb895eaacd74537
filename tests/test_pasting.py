"""What people paste and type means the same to the programs that read it, whatever the path."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from traitlets.config import Config

from envwatch.model import EnvKey
from envwatch.pasting import Lines, Spaces, clones, download

ODD = "it's $HOME `id` \"#: é"
KEY = EnvKey("analyst", "demo")
names = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="/:"))


def shell(script: str, home: Path, **more: str) -> str:
    done = subprocess.run(
        ("bash", "-c", script),
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@given(names)
@settings(max_examples=60, deadline=None)
def test_any_path_arrives_in_condarc_as_it_is(name: str) -> None:
    root = Path("/srv", name or "-")
    said = yaml.safe_load(Spaces(root, ("a", "b")).condarc)
    assert said["envs_dirs"] == ["~/.conda/envs", f"{root}/envs/a", f"{root}/envs/b"]


@pytest.mark.parametrize("before", ["", "/mine"])
def test_jupyter_path_keeps_what_was_there(tmp_path: Path, before: str) -> None:
    line = Spaces(Path("/srv", ODD.replace(":", "")), ("a", "b")).jupyter
    more = {"JUPYTER_PATH": before} if before else {}
    shown = shell(f'{line}\nprintf %s "$JUPYTER_PATH"', tmp_path, **more)
    ours = [f"/srv/{ODD.replace(':', '')}/jupyter/{name}" for name in "ab"]
    assert shown.split(":") == [*ours, *([before] if before else [])]


def test_the_line_for_a_hub_keeps_what_else_is_said() -> None:
    c = Config()
    c.Spawner.environment = {"TZ": "UTC"}
    spaces = Spaces(Path("/srv", ODD), ("a",))
    exec(spaces.hub, {"c": c})  # noqa: S102  # as JupyterHub reads its config
    assert c.Spawner.environment == {"TZ": "UTC", "JUPYTER_PATH": spaces.jupyter_path}


def test_the_line_for_a_hub_is_taken_where_nothing_was_said() -> None:
    c = Config()
    exec(Spaces(Path("/srv/envwatch"), ("a",)).hub, {"c": c})  # noqa: S102  # the same
    assert c.Spawner.environment.get_value({}) == {"JUPYTER_PATH": "/srv/envwatch/jupyter/a"}


def made(root: Path) -> Path:
    """An environment that is published, as far as conda looks at it."""
    prefix, link = root / "builds/1", root / "envs/analyst/analyst-demo"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin/python").write_text('#!/bin/sh\nprintf "%s|" "$0" "$@"\n')
    (prefix / "bin/python").chmod(0o755)
    (prefix / "conda-meta").mkdir()
    (prefix / "conda-meta/history").touch()
    link.parent.mkdir(parents=True)
    link.symlink_to(prefix)
    return link


# the real conda, as conda-lock brings it
CONDA = f'conda() {{ eval "$({sys.executable} -m conda_lock._vendor.conda shell.posix "$@")"; }}\n'


@pytest.mark.peer
def test_conda_finds_it_by_its_name_and_shows_that(tmp_path: Path) -> None:
    root = tmp_path / "a root"
    link = made(root)
    (tmp_path / ".condarc").write_text(Spaces(root, ("analyst",)).condarc)
    script = f'{CONDA}{Lines(root, KEY).conda}\necho "$CONDA_PREFIX|$PS1"'
    assert shell(script, tmp_path).strip() == f"{link}|(analyst-demo)"


@pytest.mark.peer
def test_conda_finds_it_by_its_path_without_any_condarc(tmp_path: Path) -> None:
    root = tmp_path / "a root"
    link = made(root)
    line = Lines(root, KEY).micromamba.replace("micromamba", "conda")
    assert shell(f'{CONDA}{line}\necho "$CONDA_PREFIX"', tmp_path).strip() == str(link)


def test_its_python_gets_arguments_as_they_are(tmp_path: Path) -> None:
    root = tmp_path / ODD
    link = made(root)
    assert shell(f"{Lines(root, KEY).python} -c 'x y'", tmp_path) == f"{link}/bin/python|-c|x y|"


def test_a_file_for_everybody_needs_no_token() -> None:
    url = "https://env.example.org/a/b/current/conda-lock.yml"
    assert download(url, public=True) == f"curl -fsSO {url}"
    assert '-H "Authorization: Bearer $ENVWATCH_TOKEN"' in download(url, public=False)


def test_every_repository_has_its_line() -> None:
    assert clones("https://env.example.org", ("ada", "lab")).splitlines() == [
        "git clone https://env.example.org/git/ada.git",
        "git clone https://env.example.org/git/lab.git",
    ]
