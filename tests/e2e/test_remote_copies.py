"""`env pull` and `env run`: an environment of a server on another machine, from its lock."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import urllib3
from far import Far, made
from running import cli, text
from standin import Answer, Request, StandIn

VARIABLES = "variables: {GREETING: hé'llo}\n"


def listed(prefix: Path) -> set[tuple[str, str, str]]:
    """Name, version and build of every conda package, as conda itself would find them."""
    records = (json.loads(p.read_text()) for p in (prefix / "conda-meta").glob("*.json"))
    return {(r["name"], r["version"], r["build"]) for r in records}


@pytest.fixture
def copied(far: Far) -> Path:
    """The link to a copy of people/copied."""
    if "people/copied" not in far("env", "list").stdout:
        made(far, "copied", "python", "rich", extra=VARIABLES)
    return Path(far("env", "pull", "people/copied").stdout.strip())


def test_a_copy_has_the_packages_of_the_lock_and_runs(far: Far, copied: Path) -> None:
    assert copied.is_symlink()
    assert copied.is_relative_to(far.home)
    there = far.json("env", "show", "people/copied")
    wanted = {(p["name"], p["version"], p["build"]) for p in there["packages"]}
    assert listed(copied) == wanted == listed(Path(there["generation"]["prefix"]))
    code = "import rich, sys, os; print(sys.prefix, os.environ['GREETING'])"
    said = far("env", "run", "people/copied", "--", "python", "-c", code).stdout
    assert said == f"{copied.resolve()} hé'llo\n"
    assert Path(far("env", "path", "people/copied").stdout.strip()) == copied
    hook = far("env", "shell-hook", "people/copied").stdout
    done = subprocess.run(("sh", "-c", f"{hook}command -v python"), capture_output=True, check=True)
    assert done.stdout.decode().strip() == f"{copied.resolve()}/bin/python"


def test_a_program_ends_as_it_ends(far: Far, copied: Path) -> None:
    assert copied.exists()
    far("env", "run", "people/copied", "sh", "-c", "exit 7", check=7)
    assert "not found" in far("env", "run", "people/copied", "no-such-program", check=127).stderr


def test_what_is_not_here_yet_is_pulled_to_run(far: Far) -> None:
    made(far, "unpulled")
    told = far("env", "path", "people/unpulled", check=1)
    assert "`envwatch env pull people/unpulled` makes it" in told.stderr
    said = far("env", "run", "people/unpulled", "sh", "-c", "cat $CONDA_PREFIX/share/tiny/version")
    assert said.stdout == "1.0"


def test_a_copy_follows_when_it_is_pulled_again(far: Far) -> None:
    key = made(far, "followed-copy")
    first = far.json("env", "pull", key)
    assert (first["generation"], first["fresh"]) == (1, True)
    again = far.json("env", "pull", key)
    assert again == first | {"fresh": False}
    for version in ("2.0", "1.0"):
        file = far.file(text(f"tiny={version}", name="followed-copy", extra=f"# {version}\n"))
        far("env", "edit", key, "--file", file, "--wait")
        made_now = far.json("env", "pull", key)
        assert (Path(made_now["link"]) / "share/tiny/version").read_text() == version
    prefixes = sorted(p.name.partition("-")[0] for p in Path(first["prefix"]).parent.iterdir())
    assert prefixes == ["2", "3"], "the one before stays for what runs in it, older ones go"
    assert far.json("env", "pull", key, 1)["generation"] == 1


def test_a_copy_that_was_stopped_half_way_is_made_again(far: Far) -> None:
    key = made(far, "halfway")
    first = far.json("env", "pull", key)
    prefix = Path(first["prefix"])
    (record,) = far.home.glob("data/envwatch/*/records/people/halfway/1/result.json")
    record.unlink()
    (prefix / "share/tiny/version").unlink()
    assert far.json("env", "pull", key)["fresh"]
    assert (prefix / "share/tiny/version").read_text() == "1.0"


def test_a_copy_in_a_folder_of_ones_own(far: Far) -> None:
    made(far, "apart")
    folder = far.home / "mine"
    assert far("env", "pull", "people/apart", "--to", folder).stdout == f"{folder}\n"
    assert (folder / "share/tiny/version").read_text() == "1.0"
    told = far("env", "pull", "people/apart", "--to", folder, check=1)
    assert f"`{folder}` is there and not empty" in told.stderr
    assert (folder / "share/tiny/version").read_text() == "1.0"
    assert not list(far.home.glob("data/envwatch/*/records/people/apart/*"))


def test_a_package_that_is_not_what_the_lock_says_is_not_installed(far: Far) -> None:
    made(far, "tampered")

    def forward(request: Request) -> Answer:
        headers = {"Authorization": request.headers["authorization"]}
        found = urllib3.request(request.method, far.url + request.path, headers=headers)
        body = found.data.decode()
        if request.path.endswith("conda-lock.yml"):
            body = re.sub("sha256: [0-9a-f]{64}", f"sha256: {'0' * 64}", body)
        return Answer(found.status, body)

    folder = far.home / "tampered"
    with StandIn() as between:
        between.fault = forward
        command = ("--url", between.url, "env", "pull", "people/tampered", "--to", folder)
        told = far(*command, check=1)
    assert "sha256" in told.stderr
    assert not folder.exists()


def test_an_environment_of_this_machine_runs_where_it_is(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(far, "local")
    said = cli(far.running, "env", "run", "people/local", "sh", "-c", "echo $CONDA_DEFAULT_ENV")
    assert said.stdout == "people-local\n"
    told = cli(far.running, "env", "pull", "people/local", check=1)
    assert "is on this machine already" in told.stderr
    folder = far.home / "elsewhere"
    monkeypatch.setenv("XDG_DATA_HOME", str(far.home))
    cli(far.running, "env", "pull", "people/local", "--to", folder)
    assert (folder / "share/tiny/version").read_text() == "1.0"
