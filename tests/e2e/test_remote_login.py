"""`envwatch login` and `logout`, and the names that a shell completes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from far import Far, made, token


def stranger(far: Far) -> Far:
    """Somebody without a token in the shell."""
    return Far(far.running, far.home)


def kept(far: Far) -> Path:
    return far.home / "config/envwatch/tokens.json"


def test_a_token_is_pasted_checked_kept_and_used(far: Far) -> None:
    me = stranger(far)
    assert "sign in" in me("env", "show", "people/x", check=1).stderr
    file = far.file(f"{far.token}\n", "token")
    told = me("login", f"{me.url}/api/v1/", "--token-file", file)
    assert f"the token `{far.name}` for {me.url} is kept in {kept(me)}" in told.stderr
    assert far.token not in told.stdout + told.stderr
    assert (kept(me).stat().st_mode & 0o777, kept(me).parent.stat().st_mode & 0o777) == (
        0o600,
        0o700,
    )
    assert json.loads(kept(me).read_text())[me.url]["token"] == far.token
    assert me.json("token", "list")[0]["name"] == far.name
    assert me.json("login", "--token-file", file)["token"] == far.name
    me("logout", me.url)
    assert me("logout", check=1).stderr.startswith("error: no token was kept for")
    assert json.loads(kept(me).read_text()) == {}


def test_the_place_to_make_a_token_is_said_and_it_is_read(far: Far) -> None:
    done = subprocess.run(
        (sys.executable, "-m", "envwatch", "login", far.url),
        input=f"{far.token}\n", text=True, capture_output=True, check=True,
        env=os.environ | stranger(far).environment,
    )  # fmt: skip
    assert f"make a token at {far.url}/me" in done.stderr
    assert far.token not in done.stdout + done.stderr


def test_a_wrong_token_is_not_kept(far: Far) -> None:
    me = stranger(far)
    told = me("login", "--token-file", far.file("envwatch_" + 72 * "0", "token"), check=1)
    assert "the token is wrong, revoked or expired" in told.stderr
    assert "0000" not in told.stderr
    assert not kept(me).exists()
    assert "that is no token" in me("login", "--token-file", far.file("a b"), check=1).stderr


def test_a_file_that_others_can_read_is_not_used(far: Far) -> None:
    me = stranger(far)
    me("login", "--token-file", far.file(far.token, "token"))
    kept(me).chmod(0o640)
    told = me("env", "list", check=1)
    assert f"{kept(me)}: others can read it" in told.stderr
    assert f"chmod 600 {kept(me)}" in told.stderr


def test_a_token_ends_with_the_logout_where_that_is_wanted(far: Far) -> None:
    me = stranger(far)
    mine = token(far.running, "ended", "--namespaces", "people")
    me("login", "--token-file", far.file(mine, "token"))
    assert "is forgotten and revoked" in me("logout", "--revoke").stderr
    assert "wrong, revoked" in me("login", "--token-file", far.file(mine, "token"), check=1).stderr


def test_a_token_does_not_go_where_it_can_be_read_on_the_way(far: Far) -> None:
    far.variables["ENVWATCH_URL"] = "http://env.example.org"
    told = far("env", "list", check=1)
    assert "a token that goes there can be read on the way" in told.stderr
    assert far.token not in told.stderr


# ---------------------------------------------------------------- completion


def completed(words: str, **variables: str) -> list[str]:
    """What is offered for the last of these words."""
    done = subprocess.run(
        (sys.executable, "-m", "envwatch"), text=True, capture_output=True, check=False,
        env=os.environ | variables | {
            "_ENVWATCH_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        },
    )  # fmt: skip
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_names_of_environments_are_completed_there_and_here(far: Far) -> None:
    made(far, "completed")
    asked = "envwatch env show people/comp"
    assert completed(asked, **far.environment) == ["people/completed"]
    named = f"envwatch --url {far.url} env list --namespace pe"
    assert completed(named, **far.environment) == ["people"]
    local = f"envwatch -c {far.running.config} env show people/comp"
    assert completed(local) == ["people/completed"]
    assert completed("envwatch env rest") == ["restore"]


def test_what_cannot_be_had_completes_nothing(far: Far) -> None:
    assert completed("envwatch --url http://127.0.0.1:1 env show p") == []
    assert completed("envwatch --url nonsense env show p") == []
    assert completed("envwatch -c /nowhere env show p") == []


def test_each_shell_is_given_its_script() -> None:
    for shell in ("bash", "zsh", "fish"):
        done = subprocess.run(
            (sys.executable, "-m", "envwatch", "completion", shell),
            text=True, capture_output=True, check=True,
        )  # fmt: skip
        assert f"_ENVWATCH_COMPLETE={shell}_complete" in done.stdout
    script = f"{_script('bash')}complete -p envwatch"
    shown = subprocess.run(("bash", "-c", script), text=True, capture_output=True, check=True)
    assert re.search(r"-F \w+ envwatch", shown.stdout)


def _script(shell: str) -> str:
    done = subprocess.run(
        (sys.executable, "-m", "envwatch", "completion", shell),
        text=True, capture_output=True, check=True,
    )  # fmt: skip
    return f"{done.stdout}\n"
