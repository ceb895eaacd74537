"""`envwatch check` on an `envwatch.yml`, and what the other commands say of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_helpers import Place, cli, make_place
from repos import GitRepo, make_repo

from envwatch.daemon.parts import Parts

BASE = "dependencies:\n- python\n- numpy=1.26\n"
OCEAN = "dependencies:\n- numpy=2\n"
TWO = "environments:\n  ocean:\n    files: [../base.yml, ocean.yml]\n"


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitRepo:
    repo = make_repo(tmp_path / "repo")
    repo.commit({"base.yml": BASE, "team/ocean.yml": OCEAN, "team/envwatch.yml": TWO})
    monkeypatch.chdir(repo.path)
    return repo


def test_check_of_a_good_file_says_only_what_stands_in_for_what(repo: GitRepo) -> None:
    told = cli("check", "team/envwatch.yml")
    assert told.code == 0
    assert told.lines == [
        "team/ocean.yml:2:3: note: `numpy=2` stands in for `numpy=1.26` of base.yml:3"
    ]


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        (
            "team/envwatch.yml",
            TWO.replace("ocean.yml", "ocaen.yml"),
            "team/envwatch.yml:3:26: `team/ocaen.yml` is not among the files of this source",
        ),
        (
            "team/envwatch.yml",
            TWO.replace("..", "../.."),
            "team/envwatch.yml:3:13: `../../base.yml` leads out of the source",
        ),
        ("base.yml", "dependencies:\n- num py\n", "base.yml:2:3: `num py` is more than one word"),
        ("base.yml", "name: x\n", "base.yml:1:1: not an environment"),
        (
            "team/envwatch.yml",
            "environments:\n  see:\n    labels: {a: b}\n",
            "team/envwatch.yml:2:3: no environment file in this folder or below is called `see`",
        ),
        (
            "team/envwatch.yml",
            TWO + "    lock: conda-lock.yml\n",
            "team/envwatch.yml:4:5: `team/conda-lock.yml` is not among the files of this source",
        ),
    ],
)
def test_check_says_what_the_daemon_would(repo: GitRepo, path: str, text: str, line: str) -> None:
    Path(path).write_text(text)
    told = cli("check", "team/envwatch.yml")
    assert told.code == 1
    assert any(found.startswith(line) for found in told.lines), told.lines


def test_check_counts_from_the_top_of_the_repository_wherever_one_stands(
    repo: GitRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo.path / "team")
    Path("envwatch.yml").write_text(TWO + "    lable: x\n")
    told = cli("check", "envwatch.yml")
    assert told.code == 0
    assert told.lines[0].startswith("envwatch.yml:4:5: warning: the key `lable` is not known")


def test_check_of_a_folder_finds_it(repo: GitRepo) -> None:
    Path("team/envwatch.yml").write_text(": {")
    told = cli("check", ".")
    assert told.code == 1
    assert [line for line in told.lines if line.startswith("team/envwatch.yml:1")]


# ---------------------------------------------------------------- looking


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A source with one environment of two files."""
    place = make_place(tmp_path, more="repo_settings: {allow: [labels, retention, update]}\n")
    files = {"base.yml": BASE, "team/ocean.yml": OCEAN, "team/envwatch.yml": TWO + LABELLED}
    GitRepo(tmp_path / "environments").commit(files)
    with place.parts() as parts:
        _look(parts)
    return place


LABELLED = "    labels: {team: sea}\n    retention: {keep_last: 2}\n    update: '@monthly'\n"


def _look(parts: Parts) -> None:
    parts.look("team")


@pytest.mark.parametrize(
    ("label", "found"), [("team=sea", ["analyst/ocean"]), ("team", ["analyst/ocean"]), ("a=b", [])]
)
def test_env_list_is_filtered_by_label(place: Place, label: str, found: list[str]) -> None:
    listed = place.cli("env", "list", "--label", label, "--json").json
    assert [f"{r['key']['namespace']}/{r['key']['name']}" for r in listed] == found


@pytest.mark.parametrize(
    "line",
    [
        "labels team=sea",
        "made of base.yml, team/ocean.yml",
        "asked for by team team/envwatch.yml at",
        "kept last 2",
        "updated @monthly",
    ],
)
def test_env_show_says_what_an_envwatch_yml_says(place: Place, line: str) -> None:
    told = place.cli("env", "show", "analyst/ocean")
    assert line in "\n".join(" ".join(found.split()) for found in told.lines)
