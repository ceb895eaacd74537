"""Shell text that others run: it says what it was given, in every shell there is."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from envwatch.errors import SpecError
from envwatch.shell import (
    PREFIX_MARK,
    VARIABLES_FILE,
    activation_lines,
    launch_script,
    unset_script,
    variables_script,
)

SHELLS = [s for s in ("sh", "dash", "bash", "ksh", "zsh") if shutil.which(s)]
SHOW = 'printf "%s|" "$CONDA_PREFIX" "$CONDA_DEFAULT_ENV" "$PYTHONNOUSERSITE" "$GREETING" "$SEEN"'
HELLO = '#!/bin/sh\nprintf "hello from %s" "$1"\n'


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """A link to a prefix with a variable, a script that reads it, and a program."""
    prefix = tmp_path / "builds" / "1 first"
    for folder in ("etc/envwatch", "etc/conda/activate.d", "bin"):
        (prefix / folder).mkdir(parents=True)
    (prefix / VARIABLES_FILE).write_text(variables_script((("GREETING", "it's $HOME"),)))
    (prefix / "etc/conda/activate.d/demo.sh").write_text('export SEEN="seen: $GREETING"\n')
    (prefix / "bin" / "hello").write_text(HELLO)
    (prefix / "bin" / "hello").chmod(0o755)
    link = tmp_path / "envs" / "team" / "team-demo's"
    link.parent.mkdir(parents=True)
    link.symlink_to(prefix)
    return link


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    path = tmp_path / "launch"
    path.write_text(launch_script())
    path.chmod(0o755)
    return path


def run(*command: str | Path, path: str = "/usr/bin:/bin", status: int = 0) -> str:
    environment = {"PATH": path, "HOME": "/nonexistent"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=10, check=False
    )
    assert done.returncode == status, done.stderr
    return done.stdout


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")))
@example('it\'s `id` $(id) "$HOME" \\ \n !')
@settings(max_examples=40, deadline=None)
def test_any_value_arrives_as_it_was_written(value: str) -> None:
    script = variables_script((("VALUE", value),)) + 'printf %s "$VALUE"'
    done = subprocess.run(("sh", "-ec", script), check=True, capture_output=True, timeout=10)
    assert done.stdout == value.encode()


@pytest.mark.parametrize("name", ["", "1A", "A B", "A;id", "A=B", "Ä", "A\n"])
def test_name_that_no_shell_takes_is_refused(name: str) -> None:
    for script in (variables_script, unset_script):
        with pytest.raises(SpecError, match="cannot be the name of a variable"):
            script(((name, "x"),))


def test_value_with_nul_is_refused() -> None:
    with pytest.raises(SpecError, match="`A` holds a NUL"):
        variables_script((("A", "a\0b"),))


def test_unset_script_undoes() -> None:
    variables = (("A", "1"), ("B", "2"))
    script = variables_script(variables) + unset_script(variables) + "echo ${A-gone} ${B-gone}"
    assert run("sh", "-ec", script) == "gone gone\n"


class TestActivationLines:
    @pytest.mark.parametrize("shell", SHELLS)
    def test_activate_in_every_shell(self, link: Path, shell: str) -> None:
        shown = run(shell, "-c", f"{activation_lines(link)}{SHOW}; hello you")
        home = link.resolve()
        expected = f"{home}|team-demo's|1|it's $HOME|seen: it's $HOME|hello from you"
        assert shown == expected

    @pytest.mark.parametrize("shell", SHELLS)
    def test_prefix_without_scripts_is_no_error(self, link: Path, shell: str) -> None:
        shutil.rmtree(link.resolve() / "etc")
        shown = run(shell, "-c", f"{activation_lines(link)}echo $CONDA_DEFAULT_ENV")
        assert shown == "team-demo's\n"

    def test_leave_nothing_of_their_own_behind(self, link: Path) -> None:
        assert "envwatch" not in run("sh", "-c", f"{activation_lines(link)}set")

    def test_missing_environment_changes_nothing(self, link: Path) -> None:
        link.unlink()
        assert "CONDA_PREFIX" not in run("sh", "-c", f"{activation_lines(link)}set")


class TestLauncher:
    def test_starts_a_program_of_the_prefix_as_if_activated(
        self, launcher: Path, link: Path
    ) -> None:
        shown = run(launcher, link, "sh", "-c", f"{SHOW}; hello you")
        assert shown.startswith(f"{link.resolve()}|team-demo's|1|it's $HOME|seen: it's $HOME|")
        assert shown.endswith("hello from you")

    def test_does_not_need_bash(self, launcher: Path, link: Path, tmp_path: Path) -> None:
        (tmp_path / "only").mkdir()
        for program in ("sh", "printf"):
            (tmp_path / "only" / program).symlink_to(f"/bin/{program}")
        shown = run("/bin/sh", launcher, link, "sh", "-c", SHOW, path=str(tmp_path / "only"))
        assert shown.startswith(f"{link.resolve()}|")

    def test_script_written_for_bash_is_run_by_bash(self, launcher: Path, link: Path) -> None:
        script = link / "etc/conda/activate.d/demo.sh"
        script.write_text('list=(a b); export SEEN="${list[1]/b/bash}"\n')
        assert run(launcher, link, "sh", "-c", 'printf %s "$SEEN"') == "bash"

    def test_arguments_arrive_as_they_are(self, launcher: Path, link: Path) -> None:
        arguments = ("", "a b", "*", "$HOME", "-n", "\\", "'\n'")
        shown = run(launcher, link, "printf", "<%s>", *arguments)
        assert shown == "".join(f"<{a}>" for a in arguments)

    def test_mark_becomes_the_prefix_wherever_it_stands(self, launcher: Path, link: Path) -> None:
        mark = PREFIX_MARK
        shown = run(launcher, link, f"{mark}/bin/hello", f"--cp={mark}/a:{mark}/b")
        home = link.resolve()
        assert shown == f"hello from --cp={home}/a:{home}/b"

    def test_program_keeps_its_process(self, launcher: Path, link: Path) -> None:
        with subprocess.Popen(
            (launcher, link, "sh", "-c", "echo $$"), stdout=subprocess.PIPE, text=True
        ) as process:
            shown, _ = process.communicate(timeout=10)
        assert int(shown) == process.pid

    def test_missing_environment_is_not_found(self, launcher: Path, link: Path) -> None:
        link.unlink()
        run(launcher, link, "hello", status=127)

    def test_too_few_arguments_are_a_usage_error(self, launcher: Path, link: Path) -> None:
        run(launcher, link, status=2)

    def test_exported_cdpath_does_not_mislead(
        self, launcher: Path, link: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CDPATH", str(link.parent))
        command = (launcher, link, "sh", "-c", 'printf %s "$CONDA_PREFIX"')
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=10, cwd="/", env=os.environ
        )
        assert done.stdout == str(link.resolve())
