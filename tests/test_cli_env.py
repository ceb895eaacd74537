"""`envwatch env`: looking at environments on a root that was really filled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_helpers import KEY, Place, ask, cli, fail, make_place, publish

from envwatch.model import EnvKey, Plan

OTHER = EnvKey("analyst", "other")
GONE = EnvKey("analyst", "gone")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Place:
    """demo has three generations, other a failed build, gone is retired. Do not change it."""
    place = make_place(tmp_path_factory.mktemp("place"))
    with place.parts() as parts:
        publish(parts, "1.0", GONE)
        parts.catalog.sources.apply(_retiring(GONE), fingerprint="", rules="")
        publish(parts, "1.0")
        publish(parts, "2.0")
        publish(parts, "3.0")
        ask(parts, "3.0", remark="# no change\n")
        fail(parts, "9.9", OTHER)
    return place


def _retiring(key: EnvKey) -> Plan:
    return Plan("team", "r", None, retire=(key,))


def test_list_shows_state_and_what_serves(place: Place) -> None:
    rows = {line.split()[0]: line for line in place.cli("env", "list").lines[1:]}
    assert sorted(rows) == ["analyst/demo", "analyst/other"]
    assert "in sync  ready" in rows["analyst/demo"]
    assert "#3 serving" in rows["analyst/demo"]
    assert "nothing serving yet, build #5 failed" in rows["analyst/other"]


def test_list_puts_what_needs_attention_first(place: Place) -> None:
    assert place.cli("env", "list").lines[1].startswith("analyst/other")


def test_list_all_shows_retired_ones_too(place: Place) -> None:
    told = place.cli("env", "list", "--all")
    assert "retired 20" in told.lines[3]
    assert told.lines[3].startswith("analyst/gone")


@pytest.mark.parametrize(
    ("option", "found"),
    [
        (("--state", "failed"), ["other"]),
        (("--state", "ready"), ["demo"]),
        (("--state", "attention"), ["other"]),
        (("--namespace", "analyst"), ["other", "demo"]),
        (("--namespace", "nobody"), []),
    ],
)
def test_list_can_be_narrowed(place: Place, option: tuple[str, ...], found: list[str]) -> None:
    told = place.cli("env", "list", *option, "--json")
    assert [row["key"]["name"] for row in told.json] == found


def test_list_refuses_a_state_that_there_is_not(place: Place) -> None:
    assert place.cli("env", "list", "--state", "happy").code == 2


def test_show_tells_what_is_asked_for_and_installed(place: Place) -> None:
    told = place.cli("env", "show", "analyst/demo")
    facts = dict(line.split("  ", 1) for line in told.lines if "  " in line)
    assert facts["description"].strip() == "For the tests"
    assert facts["commit"].strip() == "Ada: tiny 3.0"
    assert facts["link"].strip() == str(place.store.link(KEY))
    assert any(line.startswith("*#3") for line in told.lines)
    assert any(line.split()[:2] == ["tiny", "3.0"] for line in told.lines)


def test_show_tells_why_the_newest_build_failed(place: Place) -> None:
    told = place.cli("env", "show", "analyst/other")
    assert "other.yml:4: no `tiny` 9.9 (there is 2.0)" in told.out


def test_show_speaks_json(place: Place) -> None:
    page = place.cli("env", "show", "analyst/demo", "--json").json
    assert page["row"]["current"] == 3
    assert page["generation"]["lock_digest"] == "lock-3.0"


def test_log_tells_the_story_newest_first(place: Place) -> None:
    lines = place.cli("env", "log", "analyst/demo").lines[1:]
    assert "nothing to build" in lines[0]
    generations = [line for line in lines if " generation " in line]
    assert ["#3" in generations[0], "#2" in generations[1], "#1" in generations[2]] == [True] * 3
    assert "packages ↑1" in generations[0]
    assert "Ada: tiny 3.0" in generations[0]


def test_log_goes_back_to_the_beginning(tmp_path: Path) -> None:
    place = make_place(tmp_path)
    with place.parts() as parts:
        for number in range(23):
            publish(parts, f"{number}.0")
    moments = place.cli("env", "log", "analyst/demo", "--json").json
    assert sum(m["what"] == "build" for m in moments) == 23
    assert {m["text"].split(",")[0] for m in moments[-2:]} == {"#1 from build 1", "build 1 ready"}


def test_why_says_that_it_is_in_sync_and_that_comments_build_nothing(place: Place) -> None:
    lines = place.cli("env", "why", "analyst/demo").lines
    assert lines[0].startswith("#3 is what demo.yml in source team")
    assert lines[1] == "build 4, ready: a commit changed what is asked for; solved"
    assert "comments, order or place changed" in lines[2]


def test_why_says_what_failed_and_when_it_is_tried_again(place: Place) -> None:
    lines = place.cli("env", "why", "analyst/other").lines
    assert lines[2] == "other.yml:4: no `tiny` 9.9 (there is 2.0)"
    assert "when its file changes" in lines[3]


def test_why_says_that_it_is_retired(place: Place) -> None:
    assert place.cli("env", "why", "analyst/gone").out.startswith("retired 20")


def test_diff_compares_the_current_one_with_the_one_before(place: Place) -> None:
    told = place.cli("env", "diff", "analyst/demo")
    assert told.lines[0] == "analyst/demo #2 → #3"
    assert "-   - tiny=2.0" in told.lines
    assert told.lines[-1] == "  ↑ tiny 2.0 → 3.0"


def test_diff_compares_any_two(place: Place) -> None:
    told = place.cli("env", "diff", "analyst/demo", 3, 1)
    assert told.lines[0] == "analyst/demo #3 → #1"
    assert told.lines[-2:] == ["  - extra 1 0", "  ↓ tiny 3.0 → 1.0"]
    packages = place.cli("env", "diff", "analyst/demo", 3, 1, "--json").json["packages"]
    assert packages["downgraded"][0]["new"]["version"] == "1.0"


def test_diff_of_the_first_generation_is_refused(place: Place) -> None:
    told = place.cli("env", "diff", "analyst/gone")
    assert (told.code, told.err.splitlines()[0]) == (
        1,
        "error: analyst/gone: #1 is the first generation",
    )


def test_lock_prints_the_lock_of_the_current_generation_or_another(place: Place) -> None:
    assert place.cli("env", "lock", "analyst/demo").out == "# the lock of 3.0\n"
    assert place.cli("env", "lock", "analyst/demo", 1).out == "# the lock of 1.0\n"


def test_path_prints_the_link(place: Place) -> None:
    assert place.cli("env", "path", "analyst/demo").out == f"{place.store.link(KEY)}\n"


@pytest.mark.parametrize("command", ["path", "shell-hook", "show", "log", "why", "lock", "diff"])
def test_an_environment_that_is_not_there_ends_with_1_and_a_remedy(
    place: Place, command: str
) -> None:
    told = place.cli("env", command, "analyst/nothing")
    assert (told.code, told.out) == (1, "")
    assert "analyst/nothing" in told.err
    assert "\nhint: " in told.err


@pytest.mark.parametrize("key", ["demo", "a/b/c", "/demo", "analyst/", "../demo"])
def test_what_is_no_environment_is_wrong_usage(place: Place, key: str) -> None:
    told = place.cli("env", "show", key)
    assert (told.code, "is not namespace/name" in told.err) == (2, True)


def test_shell_hook_activates_without_conda(place: Place) -> None:
    lines = place.cli("env", "shell-hook", "analyst/demo").out
    script = f'{lines}\necho "$CONDA_DEFAULT_ENV"; cat "$CONDA_PREFIX/bin/tiny"'
    done = subprocess.run(
        ("sh", "-c", script), capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.splitlines()[0] == "analyst-demo"
    assert done.stdout.splitlines()[-1] == "3.0"


def test_a_root_without_a_catalog_says_so_and_is_not_made(tmp_path: Path) -> None:
    told = cli("--root", tmp_path / "none", "env", "list")
    assert (told.code, "there is no catalog yet" in told.err) == (1, True)
    assert not (tmp_path / "none").exists()


@pytest.mark.needs_root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("command", ["env list", "env hold analyst/demo", "gc", "rebuild-index"])
def test_another_user_is_told_whom_to_be(tmp_path: Path, command: str) -> None:
    place = make_place(tmp_path)
    place.store.prepare()
    code = (
        "import os, sys\n"
        "import envwatch.cli.env_looking, envwatch.cli.env_changing, envwatch.cli.keeping\n"
        "from envwatch.cli import env, main\n"
        "from envwatch.settings import Settings\n"
        # reached without passing through folders that only root may enter
        f"os.chdir({str(tmp_path)!r}); os.chmod('root', 0o755)\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"main(['--root', '/proc/self/cwd/root', *{command.split()!r}])"
    )
    done = subprocess.run(
        (sys.executable, "-c", code), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[1].startswith("hint: run this as")
