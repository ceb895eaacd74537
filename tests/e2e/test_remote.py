"""Commands with --url, against a real daemon: the same words as on its machine."""

from __future__ import annotations

from far import Far, made
from running import cli, text

# ---------------------------------------------------------------- looking


def test_what_is_shown_there_is_what_is_shown_on_the_machine(far: Far) -> None:
    key = made(far, "shown")
    number = str(far.json("env", "show", key)["row"]["build_id"])
    commands = [
        ("env", "show", key, "--json"), ("env", "log", key, "--json"), ("env", "why", key),
        ("env", "lock", key), ("env", "file", key, "explicit.txt", 1), ("build", "log", number),
        ("build", "show", number, "--json"),
        ("source", "list", "--json"), ("source", "deliveries", "people", "--json"),
    ]  # fmt: skip
    for command in commands:
        here = cli(far.running, *command).stdout
        assert far(*command).stdout == here, command
        assert here, command


def test_lists_are_those_of_the_machine(far: Far) -> None:
    made(far, "listed")
    far("namespace", "create", "listed-too")
    for command in (("env", "list"), ("build", "list"), ("namespace", "list"), ("source", "list")):
        assert far(*command).stdout == cli(far.running, *command).stdout
    chosen = ("env", "list", "--namespace", "people", "--state", "ready", "--json")
    assert far(*chosen).stdout == cli(far.running, *chosen).stdout
    assert far.json("env", "list", "--namespace", "nobody") == []
    told = far("env", "list", "--namespace", "nobody")
    assert told.stderr.splitlines()[0] == "no environment is like that"
    states = ("build", "list", "--state", "ready", "--state", "failed", "--limit", "3", "--json")
    assert far(*states).stdout == cli(far.running, *states).stdout


def test_a_log_is_followed_to_its_end(far: Far) -> None:
    answer = far.json("env", "create", far.file(text("no-such-package", name="followed")))
    assert answer["changed"]
    number = far.json("env", "show", "people/followed")["row"]["build_id"]
    told = far("build", "log", number, "--follow", check=1)
    assert "no-such-package" in told.stdout
    assert f"build {number} of people/followed: failed" in told.stderr
    far("env", "wait", "people/followed", check=1)


def test_who_waits_learns_how_it_ended(far: Far) -> None:
    far("env", "create", far.file(text("tiny=1.0", name="awaited")))
    assert "ready as #1" in far("env", "wait", "people/awaited", "--timeout", "90s").stderr
    assert far.json("env", "wait", "people/awaited")["state"] == "ready"
    told = far("env", "wait", "people/nothing", check=1)
    assert "there is no environment `people/nothing`" in told.stderr


# ---------------------------------------------------------------- changing


def test_generations_are_changed_by_the_same_words(far: Far) -> None:
    key = made(far, "changing")
    file = far.file(text("tiny=2.0", name="changing"))
    assert "ready as #2" in far("env", "edit", key, "--file", file, "--wait").stderr
    diff = far("env", "diff", key).stdout
    assert diff == cli(far.running, "env", "diff", key).stdout
    assert "↑ tiny 1.0 → 2.0" in diff
    assert far.json("env", "activate", key, 1) == {
        "environment": "people/changing", "current": 1, "held": True
    }  # fmt: skip
    assert far.json("env", "release", key)["current"] == 2
    assert far.json("env", "hold", key)["held"]
    assert far.json("env", "pin", key, 1) == {
        "environment": "people/changing", "generation": 1, "pinned": True
    }  # fmt: skip
    assert "#1 is not pinned" in far("env", "unpin", key, 1).stderr
    far("env", "release", key)
    assert "ready as #3" in far("env", "rebuild", key, "--wait").stderr
    assert "ready as #4" in far("env", "update", key, "--wait").stderr
    assert "the archive is ready" in far("env", "archive", key, "--wait").stderr
    told = far("build", "cancel", far.json("env", "show", key)["row"]["build_id"], check=1)
    assert "is over: ready" in told.stderr


def test_a_retired_environment_comes_back(far: Far) -> None:
    key = made(far, "returning")
    far("env", "restore", key, check=1)
    deleted = far("env", "delete", key, "-m", "Away")
    assert "people/returning: will be retired" in deleted.stderr
    assert "people/returning" not in far("env", "list").stdout
    assert "people/returning" in far("env", "list", "--all").stdout
    far("env", "restore", key, "--wait")
    assert far.json("env", "show", key)["row"]["retired_at"] is None


def test_a_file_that_would_be_refused_is_told_by_line_and_not_sent(far: Far) -> None:
    file = far.file("name: bad\ndependencies: tiny\n", "bad.yml")
    told = far("env", "create", file, check=1)
    assert f"{file}:2:15: `dependencies` must be a list" in told.stdout
    assert "1 error" in told.stderr
    told = far("env", "create", far.file("dependencies: [tiny]\n"), check=1)
    assert "has no `name`" in told.stderr


def test_what_cannot_be_solved_is_not_sent_where_it_is_checked(far: Far) -> None:
    hopeless = far.file(text("no-such-package", name="checked"), "hopeless.yml")
    good = far.file(text("tiny=1.0", name="checked"), "good.yml")
    told = far("env", "create", hopeless, "--check", check=1).stderr
    assert "no-such-package" in told
    assert "it could not be built like this, so nothing has changed" in told
    assert "people/checked" not in far("env", "list", "--all").stdout
    told = far("env", "create", good, "--check", "--wait").stderr
    assert "+ tiny 1.0" in told
    assert "people/checked: ready as #1" in told
    far("env", "edit", "people/checked", "--file", hopeless, "--check", check=1)
    assert far.json("env", "show", "people/checked")["row"]["env"] == "ready"


def test_nothing_is_made_twice_and_no_edit_of_somebody_else_is_lost(far: Far) -> None:
    key = made(far, "contended")
    file = far.file(text("tiny=2.0", name="contended"))
    assert "is there already" in far("env", "create", file, check=1).stderr
    seen = far.json("env", "edit", key, "--file", file)["revision"]
    theirs = far.file(text("tiny", name="contended"), "theirs.yml")
    cli(far.running, "env", "edit", key, "--file", theirs)
    told = far("env", "edit", key, "--file", file, "--seen", seen, check=1)
    assert "was changed by" in told.stderr


def test_who_waits_for_an_edit_waits_for_nobody_elses(far: Far) -> None:
    far("env", "create", far.file(text("no-such-package", name="hopeless")), "--wait", check=1)
    told = far("env", "create", far.file(text("tiny=1.0", name="hopeful")), "--wait")
    assert "people/hopeful: ready as #1" in told.stderr
    assert "hopeless" not in told.stderr


def test_sources_are_looked_at(far: Far) -> None:
    assert far.json("source", "sync", "people")["failed"] == []
    assert "there is no source `nobody`" in far("source", "sync", "nobody", check=1).stderr
    told = far("source", "confirm-empty", "people", check=1)
    assert f"this works on the machine of {far.url} alone" in told.stderr


def test_tokens_make_smaller_ones(far: Far) -> None:
    made(far, "small")
    options = ("--namespaces", "people/small", "--role", "viewer", "--expires", "1d")
    answer = far.json("token", "create", "small", *options)
    assert (answer["namespaces"], answer["role"]) == (["people/small"], "viewer")
    small = Far(far.running, far.home, answer["token"])
    assert [e["key"]["name"] for e in small.json("env", "list")] == ["small"]
    assert "small" in small("token", "list").stdout
    told = small("env", "delete", "people/small", check=1)
    assert "is no developer of `people/small`" in told.stderr
    small("token", "revoke", "small")
    told = small("env", "list", check=1)
    assert "wrong, revoked or expired" in told.stderr
    assert f"envwatch login {far.url}" in told.stderr
    assert answer["token"] not in told.stderr


def test_namespaces_are_made_and_roles_given(far: Far) -> None:
    made = far.json("namespace", "create", "far-away")
    assert made["namespace"] == "far-away"
    assert made["clone"].endswith("/git/far-away.git")
    assert (
        "there is a namespace `far-away`" in far("namespace", "create", "far-away", check=1).stderr
    )
    far("namespace", "grant", "far-away", "--role", "viewer", "--user", "bob")
    listed = ("namespace", "grants", "--json")
    assert far(*listed).stdout == cli(far.running, *listed).stdout
    assert "far-away/*" in far(*listed).stdout
    taken = far.json("namespace", "revoke", "far-away", "--user", "bob")
    assert taken == {"pattern": "far-away/*", "user": "bob", "group": "", "revoked": True}
    assert "far-away/*" not in far(*listed).stdout
