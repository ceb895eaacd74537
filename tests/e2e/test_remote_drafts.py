"""`env edit` in an editor, on a real terminal: looked at, asked, opened again, never lost."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from far import Far, made
from terminal import Terminal

FILE = "demo/environment.yml"


def editor(far: Far, *scripts: str) -> None:
    """One that runs the scripts of sed, one at each time that it is opened."""
    turns = "".join(f"{n}) sed -i '{script}' \"$1\" ;;\n" for n, script in enumerate(scripts, 1))
    path = far.file(
        f"""#!/bin/sh
turn=$(($(cat {far.home}/turn 2>/dev/null || echo 0) + 1))
echo $turn > {far.home}/turn
case $turn in
{turns}esac
""",
        "editor",
    )
    path.chmod(0o755)
    far.variables["VISUAL"] = str(path)


def typed(far: Far, answers: str, *arguments: object) -> tuple[int, str]:
    """Run a command on a terminal on which somebody types; its status and all that it showed."""
    with Terminal(far, tuple(map(str, arguments))) as terminal:
        terminal.type(answers)
        return terminal.end(120), terminal.shown


def drafts(far: Far) -> list[Path]:
    return list(far.home.glob("people-*.yml"))


def test_what_would_change_is_shown_before_the_commit(far: Far) -> None:
    key = made(far, "drafted")
    editor(far, "s/tiny=1.0/tiny=2.0/")
    code, shown = typed(far, "y\n", "env", "edit", key)
    assert code == 0, shown
    assert "-   - tiny=1.0\n+   - tiny=2.0\n" in shown
    assert "↑ tiny 1.0 → 2.0" in shown
    assert shown.index("tiny 1.0 → 2.0") < shown.index("commit it?") < shown.index(" on `main`")
    assert far.json("env", "wait", key)["generation"] == 2
    assert drafts(far) == []


def test_who_says_no_changes_nothing_and_keeps_the_text(far: Far) -> None:
    key = made(far, "declined")
    editor(far, "s/tiny=1.0/tiny=2.0/")
    code, shown = typed(far, "n\n", "env", "edit", key)
    assert (code, "nothing has changed" in shown) == (1, True)
    (draft,) = drafts(far)
    assert f"what you wrote is kept in {draft}" in re.sub(r"\s+", " ", shown)
    assert "tiny=2.0" in draft.read_text()
    assert "tiny=1.0" in far("env", "show", key, "--json").stdout


@pytest.mark.parametrize(
    ("bad", "told"),
    [("s/tiny=1.0/no-such-package/", "no-such-package"), ("s/dependencies/depedencies/", "`depe")],
    ids=["unsolvable", "unreadable"],
)
def test_a_refused_file_is_opened_again_as_it_was_left(
    far: Far, bad: str, told: str, request: pytest.FixtureRequest
) -> None:
    key = made(far, request.node.callspec.id)
    editor(far, bad, "s/depedencies/dependencies/; s/no-such-package/tiny=2.0/; s/tiny=1.0/tiny/")
    code, shown = typed(far, "y\ny\n", "env", "edit", key)
    assert code == 0, shown
    assert told in shown
    assert shown.index("open it again?") < shown.index("commit it?")
    assert (far.home / "turn").read_text() == "2\n"
    assert drafts(far) == []


def test_without_a_terminal_nothing_is_asked(far: Far) -> None:
    key = made(far, "scripted")
    editor(far, "s/tiny=1.0/tiny=2.0/", "s/tiny=1.0/tiny=2.0/", "s/dependencies/depedencies/")
    assert "say --yes" in far("env", "edit", key, check=1).stderr
    (draft,) = drafts(far)
    draft.unlink()
    assert "ready as #2" in far("env", "edit", key, "--yes", "--wait").stderr
    told = far("env", "edit", key, "--yes", check=1)
    assert "environment.yml:2:1: the key `depedencies` is not known" in told.stderr
    (draft,) = drafts(far)
    assert f"what you wrote is kept in {draft}" in told.stderr


def test_an_edit_of_somebody_else_meanwhile_is_not_lost(far: Far) -> None:
    key = made(far, "crossed")
    other = far.file("name: crossed\ndependencies: [tiny=2.0, extra]\n", "other.yml")
    command = f"{sys.executable} -m envwatch env edit {key} --file {other}"
    path = far.file(f'#!/bin/sh\n{command} && sed -i s/tiny=1.0/tiny/ "$1"\n', "editor")
    path.chmod(0o755)
    far.variables["VISUAL"] = str(path)
    told = far("env", "edit", key, "--yes", check=1)
    assert f"was changed by host by the token {far.name}" in told.stderr
    (draft,) = drafts(far)
    assert draft.read_text() == "name: crossed\ndependencies:\n  - tiny\n"
    assert "extra" in far("env", "show", key, "--json").stdout
