"""What docs/cli.md says of the command line is what the command line is."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from cli_reference import BEGIN, END, commands, reference

from envwatch.cli import COMMANDS, build, env, notify, source
from envwatch.cli import command as envwatch
from envwatch.cli.lazy import Placeholder

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
ALL = dict(commands())


def test_the_reference_is_that_of_the_program() -> None:
    made = PAGE.read_text().split(BEGIN)[1].split(END)[0]
    assert made.strip() == reference().strip(), "run: python tests/cli_reference.py docs/cli.md"


def test_every_command_that_the_page_names_exists() -> None:
    code = re.findall(
        r"(?:`|\$\(|^)envwatch ([a-z-]+(?: [a-z-]+)*)", PAGE.read_text(), re.MULTILINE
    )
    assert len(code) > 5
    for words in {tuple(c.split()) for c in code}:
        known = [name for name in ALL if words[: len(name)] == name]
        assert known, f"envwatch {' '.join(words)}"


def test_every_command_and_every_option_has_help() -> None:
    for name, found in ALL.items():
        assert found.help, name
        assert all(p.help for p in found.params if isinstance(p, click.Option)), name


@pytest.mark.parametrize(
    ("group", "entries"),
    [
        (envwatch, COMMANDS),
        (env.command, env.COMMANDS),
        (build.command, build.COMMANDS),
        (source.command, source.COMMANDS),
        (notify.command, notify.COMMANDS),
    ],
    ids=lambda value: value.name if isinstance(value, click.Command) else "",
)
def test_a_placeholder_has_the_name_of_its_command(
    group: click.Group, entries: tuple[tuple[str, str, str], ...]
) -> None:
    for name, _, text in entries:
        placeholder = group.commands[name]
        assert isinstance(placeholder, Placeholder)
        assert (placeholder.load().name, text[-1]) == (name, ".")


def test_commands_speak_json_wherever_they_have_data() -> None:
    leaves = {name: c for name, c in ALL.items() if not isinstance(c, click.Group)}
    silent = {n for n, c in leaves.items() if not any(p.name == "as_json" for p in c.params)}
    # these print a file, lines for a shell, or run on
    assert silent == {
        ("demo",), ("run",), ("env", "lock"), ("env", "file"), ("env", "path"),
        ("env", "shell-hook"), ("build", "log"), ("client", "condarc"), ("client", "jupyter"),
        ("config", "show"), ("config", "schema"), ("env", "run"), ("completion",),
    }  # fmt: skip
