"""The command line: what a person types, reads, and what a script gets."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cli_helpers import cli

from envwatch.cli import COMMANDS, command, main
from envwatch.cli.output import print_json, print_table
from envwatch.model import EnvKey
from envwatch.yamltext import Limits

GOOD = "name: stats\nchannels: [conda-forge]\ndependencies: [python=3.11]\n"
BAD = "name: stats\ndependencies: [python=3.11\n"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No config of this machine is seen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    for name in ("ENVWATCH_CONFIG", "ENVWATCH_ROOT", "ENVWATCH_DEBUG"):
        monkeypatch.delenv(name, raising=False)


def run(*args: str) -> int:
    """The exit status of one command."""
    with pytest.raises(SystemExit) as caught:
        main(args)
    return int(caught.value.code or 0)


# ---------------------------------------------------------------- the frame


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    told = capsys.readouterr().out
    assert all(f"  {name} " in told and text in told for name, _, text in COMMANDS)


@pytest.mark.parametrize("name", [name for name, _, _ in COMMANDS])
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--help") == 0
    assert capsys.readouterr().out.startswith(f"Usage: envwatch {name}")


def test_help_imports_no_command() -> None:
    code = (
        "import sys\nfrom envwatch.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('pydantic', 'rich', 'yaml', 'structlog', 'sqlalchemy', 'flask',"
        " 'rattler', 'conda_lock') if m in sys.modules])"
    )
    done = subprocess.run(
        (sys.executable, "-c", code), capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_commands_are_known_to_completion() -> None:
    assert sorted(command.commands) == sorted(name for name, _, _ in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("envwatch ")


def test_module_runs_as_the_command_does() -> None:
    done = subprocess.run(
        (sys.executable, "-m", "envwatch", "--version"),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout[:9]) == (0, "envwatch ")


def test_misspelt_command_is_wrong_usage_with_the_near_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("chek") == 2
    assert "Did you mean 'check'?" in capsys.readouterr().err


def test_bad_config_ends_with_78_and_its_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "envwatch.yaml").write_text("rot: x\nweb: {listen: 80}\n")
    assert run("config", "show") == 78
    lines = capsys.readouterr().err.splitlines()
    assert "envwatch.yaml:1:1: rot: unknown key (did you mean `root`?)" in lines
    assert any(line.startswith("envwatch.yaml:2:15: web.listen: ") for line in lines)


def test_error_has_a_hint_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--root", "/etc", "config", "show") == 78
    told = capsys.readouterr().err
    assert "error: root: `/etc` belongs to the system\nhint: choose a folder" in told
    assert "Traceback" not in told


def test_traceback_is_shown_when_asked_for() -> None:
    done = subprocess.run(
        (sys.executable, "-m", "envwatch", "--root", "/etc", "config", "show"),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "ENVWATCH_DEBUG": "1"},
    )
    assert "Traceback" in done.stderr


# ---------------------------------------------------------------- which config


def test_config_is_taken_from_the_nearest_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    user = tmp_path / "xdg/envwatch/config.yaml"
    user.parent.mkdir(parents=True)
    user.write_text("update: latest\n")
    assert run("config", "show") == 0
    assert "update: latest" in capsys.readouterr().out
    (tmp_path / "envwatch.yaml").write_text("update: '@weekly'\n")
    assert run("config", "show") == 0
    assert "update: '@weekly'" in capsys.readouterr().out


def test_config_and_root_may_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.yaml").write_text("update: latest\n")
    monkeypatch.setenv("ENVWATCH_CONFIG", "other.yaml")
    monkeypatch.setenv("ENVWATCH_ROOT", "here")
    assert run("config", "show") == 0
    shown = capsys.readouterr().out
    assert f"root: {tmp_path}/here\n" in shown
    assert "update: latest" in shown


def test_named_config_that_is_missing_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-c", "nowhere.yaml", "config", "show") == 78
    assert "nowhere.yaml: cannot be read" in capsys.readouterr().err


def test_without_a_config_the_defaults_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("config", "show") == 0
    shown = capsys.readouterr()
    assert f"root: {tmp_path}/envwatch-data\n" in shown.out
    assert "none, these are the defaults" in shown.err


# ---------------------------------------------------------------- config


def test_config_check_prints_faults_as_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text("rot: x\n")
    assert run("config", "check", "c.yaml") == 78
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == "c.yaml:1:1: rot: unknown key (did you mean `root`?)"
    assert told.err == "c.yaml: 1 error\n"


def test_config_check_of_a_good_file_ends_with_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text("sources: [{name: a, git: 'https://git.example.org/a.git'}]")
    assert run("-c", "c.yaml", "config", "check") == 0
    assert capsys.readouterr() == ("", "c.yaml: no errors\n")


def test_config_check_without_a_config_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("config", "check") == 0
    assert "the defaults hold" in capsys.readouterr().err


def test_config_check_speaks_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.yaml").write_text("rot: x\n")
    assert run("config", "check", "c.yaml", "--json") == 78
    assert json.loads(capsys.readouterr().out)[0] == {
        "level": "error",
        "text": "rot: unknown key",
        "path": "c.yaml",
        "line": 1,
        "column": 1,
        "hint": "did you mean `root`?",
    }


def test_config_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("config", "schema") == 0
    assert json.loads(capsys.readouterr().out)["title"] == "envwatch config"


# ---------------------------------------------------------------- check


def test_check_of_a_good_file_ends_with_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stats.yml").write_text(GOOD)
    assert run("check", "stats.yml") == 0
    assert capsys.readouterr() == ("", "stats.yml: no errors\n")


def test_check_prints_what_editors_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "environment.yml").write_text(BAD)
    assert run("check", "environment.yml") == 1
    assert re.match(r"environment\.yml:2:\d+: \S", capsys.readouterr().out)


def test_check_searches_directories(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a/environment.yml", "b/c/environment.yaml", ".git/environment.yml"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(BAD)
    (tmp_path / "a/other.yml").write_text("apiVersion: v1\n")
    assert run("check", ".") == 1
    places = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert places == ["a/environment.yml", "b/c/environment.yaml"]


def test_check_of_one_bad_file_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two.yml").write_text(BAD)
    os.mkfifo(tmp_path / "pipe.yml")
    assert run("check", "none.yml", "pipe.yml", "one", "two.yml") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "none.yml: there is no such file",
        "pipe.yml: not a file",
        "one: warning: no *.yml or *.yaml in it",
    ]
    assert lines[3].startswith("two.yml:2:")


def test_check_answers_for_a_path_that_cannot_be_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "circle.yml").symlink_to("circle.yml")
    assert run("check", "circle.yml", "x" * 300) == 1
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_check_reads_no_more_than_an_environment_may_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "environment.yml").open("wb") as file:
        file.truncate(10 * 2**30)
    assert run("check", "environment.yml") == 1
    assert f"the {Limits().max_bytes} that are read" in capsys.readouterr().out


def test_check_shows_odd_names_without_their_powers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a\n\x1b[2J.yml").write_text(GOOD)
    run("check", "a\n\x1b[2J.yml", "missing\x1b")
    told = capsys.readouterr()
    assert "\x1b" not in told.out + told.err
    assert "missing\\x1b: there is no such file" in told.out.splitlines()


def test_check_without_a_path_is_wrong_usage() -> None:
    assert run("check") == 2


# ---------------------------------------------------------------- output


def test_table_is_plain_and_aligned_where_no_terminal_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(("name", "state"), [("a", "ready"), ("longer", "[red]\x1b")])
    assert capsys.readouterr().out == "NAME    STATE\na       ready\nlonger  [red]\\x1b\n"


def test_json_of_values(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"key": EnvKey("a", "b"), "paths": (Path("/x"),)})
    assert json.loads(capsys.readouterr().out) == {
        "key": {"namespace": "a", "name": "b"},
        "paths": ["/x"],
    }


@pytest.mark.parametrize(
    "words",
    [
        ("-c", "FILE", "config", "show"),
        ("config", "show", "-c", "FILE"),
        ("config", "show", "--config", "FILE"),
        ("-c", "other.yaml", "config", "show", "--config=FILE"),
    ],
)
def test_the_config_may_be_named_before_and_behind_a_command(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"root: {tmp_path / 'here'}\n")
    told = cli(*(word.replace("FILE", str(file)) for word in words))
    assert f"root: {tmp_path / 'here'}" in told.out


def test_the_root_may_be_named_behind_a_command(tmp_path: Path) -> None:
    assert f"root: {tmp_path}" in cli("config", "show", "--root", tmp_path).out
