"""`env create|edit|delete` and `token …`, on a root that no daemon holds: they do it themselves."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from cli_helpers import Place, Told, cli

from envwatch.edit import Author
from envwatch.git import commits
from envwatch.git.bare import Bare
from envwatch.git.commits import Change
from envwatch.settings import Role

AUTHOR = ("--author", "Ben Bitdiddle <ben@example.org>")
TEXT = "name: demo\ndependencies:\n  - python=3.11\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.config.write_text(
        f"root: {place.root}\ndurability: fast\nsources: [{{name: people, managed: true}}]\n"
    )
    return place


def written(place: Place, text: str, name: str = "new.yml") -> Path:
    path = place.folder / name
    path.write_text(text)
    return path


def create(place: Place, text: str = TEXT, *options: str) -> Told:
    return place.cli("env", "create", "people/demo", "--file", written(place, text), *options)


def history(place: Place) -> list[str]:
    """Newest first."""
    told = Bare(place.store.managed / "people.git").run("log", "--format=%an: %s", "main")
    return told.decode().splitlines()


def test_an_environment_is_created_by_a_commit(place: Place) -> None:
    told = create(place, TEXT, "-m", "First", *AUTHOR)
    assert told.code == 0, told.err
    assert re.match(r"demo/environment.yml: commit [0-9a-f]{12} on `main`\n", told.err)
    assert "people/demo: will be solved and built: http://127.0.0.1:8080/people/demo/" in told.err
    assert history(place) == ["Ben Bitdiddle: First"]
    assert place.cli("env", "list", "--json").json[0]["key"] == {
        "namespace": "people", "name": "demo"
    }  # fmt: skip


def test_an_environment_is_not_created_twice(place: Place) -> None:
    create(place)
    again = create(place)
    assert (again.code, again.err) == (0, "demo/environment.yml is like this already: no commit\n")
    told = create(place, f"{TEXT}# mine\n")
    assert told.code == 1
    assert "`demo/environment.yml` is there already" in told.err


def test_the_file_of_several_environments_is_not_removed_with_one(place: Place) -> None:
    create(place)
    bare = Bare(place.store.managed / "people.git")
    both = "environments:\n  one: {files: [demo/environment.yml, extra.yml]}\n"
    for path, content in (("extra.yml", "dependencies: [tiny]\n"), ("envwatch.yml", both)):
        change = Change(path, content.encode())
        made = commits.commit(bare.run, bare.tip("main"), change, Author("Ada", "a@x"), "put")
        assert commits.move(bare.run, "main", made, bare.tip("main"))
    place.cli("source", "sync", "people")
    told = place.cli("env", "delete", "people/one")
    assert told.code == 1
    assert "`envwatch.yml` is not the file of one environment" in told.err
    assert bare.tip("main") == made


def test_a_file_that_names_another_environment_is_refused(place: Place) -> None:
    told = create(place, TEXT.replace("demo", "other"))
    assert told.code == 1
    assert "the file calls its environment `other`, not `demo`" in told.err
    assert "has no `dependencies`" in create(place, "a: 1\n").err


def test_a_file_is_edited_from_another_one(place: Place) -> None:
    create(place)
    file = written(place, TEXT.replace("3.11", "3.12"))
    told = place.cli("env", "edit", "people/demo", "--file", file, "--json", *AUTHOR)
    assert told.code == 0, told.err
    assert (told.json["branch"], told.json["live"], told.json["changed"]) == ("main", True, True)
    assert history(place)[0] == "Ben Bitdiddle: Change demo/environment.yml"


def test_a_file_is_made_of_what_it_says_itself(place: Place) -> None:
    told = place.cli("env", "create", written(place, TEXT), *AUTHOR)
    assert told.code == 0, told.err
    assert history(place) == ["Ben Bitdiddle: Add demo/environment.yml"]
    told = place.cli("env", "create", written(place, "name: x\ndependencies: tiny\n"))
    assert (told.code, "new.yml:2:15: `dependencies` must be a list" in told.out) == (1, True)


def test_where_several_namespaces_take_edits_one_is_named(place: Place) -> None:
    place.config.write_text(
        f"root: {place.root}\nsources:\n  - {{name: people, managed: true}}\n"
        "  - {name: lab, managed: true}\n"
    )
    told = place.cli("env", "create", written(place, TEXT))
    assert (told.code, "edits are taken in lab, people" in told.err) == (1, True)
    told = place.cli("env", "create", written(place, TEXT), "--namespace", "lab")
    assert "lab/demo: will be solved and built" in told.err


def test_a_file_is_edited_in_an_editor(
    place: Place, channel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = f"[{channel.as_uri()}]"
    with place.config.open("a") as config:
        config.write(f"channels: {{default: {known}, allowed: {known}}}\n")
    create(place, "name: demo\ndependencies: [tiny=1.0]\n")
    monkeypatch.setenv("EDITOR", "sed -i s/1.0/2.0/")
    told = place.cli("env", "edit", "people/demo", "--yes")
    assert told.code == 0, told.err
    assert "+ tiny 2.0" in told.err
    told = place.cli("env", "edit", "people/demo", "--yes")
    assert (told.code, "nothing was saved" in told.err) == (1, True)
    assert len(history(place)) == 2


def test_a_retired_environment_is_restored(place: Place) -> None:
    create(place)
    place.cli("env", "delete", "people/demo")
    told = place.cli("env", "restore", "people/demo", *AUTHOR)
    assert told.code == 0, told.err
    assert history(place)[0] == "Ben Bitdiddle: Restore demo/environment.yml"
    assert place.cli("env", "list", "--json").json[0]["retired_at"] is None


def test_what_was_written_in_an_editor_is_kept_where_it_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(place)
    monkeypatch.setenv("EDITOR", "sed -i s/dependencies/depedencies/")
    told = place.cli("env", "edit", "people/demo")
    assert told.code == 1
    assert "demo/environment.yml:2:1: the key `depedencies` is not known" in told.err
    assert "it could not be built like this" in told.err
    kept = Path(re.findall(r"what you wrote is kept in (\S+)", told.err)[0])
    assert "depedencies" in kept.read_text()
    kept.unlink()


def test_an_edit_of_what_was_not_seen_is_refused(place: Place) -> None:
    seen = create(place, TEXT, "--json").json["revision"]
    edit = ("env", "edit", "people/demo", "--seen", seen, "--file")
    assert place.cli(*edit, written(place, TEXT.replace("3.11", "3.12")), *AUTHOR).code == 0
    told = place.cli(*edit, written(place, TEXT.replace("3.11", "3.13")))
    assert told.code == 1
    assert "was changed by Ben Bitdiddle in " in told.err


def test_a_deleted_file_retires_its_environment(place: Place) -> None:
    create(place)
    told = place.cli("env", "delete", "people/demo", "-m", "Not needed")
    assert told.code == 0, told.err
    assert "people/demo: will be retired, for its file is gone" in told.err
    again = place.cli("env", "delete", "people/demo")
    assert (again.code, "people/demo is retired: its file is gone" in again.err) == (1, True)
    assert create(place).code == 0


def test_an_author_has_a_name_and_an_address(place: Place) -> None:
    assert create(place, TEXT, "--author", "Ben").code == 2


def test_the_author_is_whom_git_would_name(place: Place) -> None:
    create(place)
    assert history(place) == [f"{os.environ['GIT_AUTHOR_NAME']}: Add demo/environment.yml"]


# ---------------------------------------------------------------- tokens


def test_a_token_is_printed_once_and_never_listed(place: Place) -> None:
    told = place.cli("token", "create", "ada", "--namespaces", "people,team-*")
    secret = told.out.strip()
    assert re.fullmatch(r"envwatch_[0-9a-f]{72}", secret)
    assert "shown this once" in told.err
    for listed in (place.cli("token", "list"), place.cli("token", "list", "--json")):
        assert "ada" in listed.out
        assert secret[9:] not in listed.out
    with place.parts() as parts:
        assert parts.catalog.tokens.find(secret) is not None


def test_a_token_is_listed_with_all_that_it_may(place: Place) -> None:
    place.cli("token", "create", "ada", "--namespaces", "people,team-*")
    create = (
        "token",
        "create",
        "bot",
        "--namespaces",
        "*",
        "--role",
        "viewer",
        "--expires",
        "never",
    )
    assert place.cli(*create, "--json").json["role"] == "viewer"
    rows = [re.split(r"  +", line) for line in place.cli("token", "list").lines]
    assert rows[0] == [
        "NAME",
        "STATE",
        "NAMESPACES",
        "ROLE",
        "CREATED",
        "BY",
        "LAST USED",
        "EXPIRES",
    ]
    assert (rows[1][:4], rows[1][-1]) == (["bot", "valid", "*/*", "viewer"], "never")
    assert rows[2][:4] == ["ada", "valid", "people/*,team-*/*", "developer"]


def test_a_revoked_token_is_listed_as_such(place: Place) -> None:
    place.cli("token", "create", "ada", "--namespaces", "people")
    assert place.cli("token", "revoke", "ada").code == 0
    assert place.cli("token", "revoke", "ada", "--json").json["revoked"] is True
    assert place.cli("token", "list").lines[1].split()[:2] == ["ada", "revoked"]
    assert place.cli("token", "revoke", "nobody").code == 1


def test_all_tokens_of_a_person_are_revoked_at_once(place: Place) -> None:
    place.cli("token", "create", "bot", "--namespaces", "people")
    with place.parts() as parts:
        for name, owner in (("a", "ada"), ("b", "ada"), ("a", "grace")):
            parts.catalog.tokens.create(name, ("people/*",), role=Role.VIEWER, owner=owner)
    assert place.cli("token", "revoke", "--owner", "ada", "--json").json["held"] == 2
    assert place.cli("token", "revoke", "--owner", "ada", "--json").json["held"] == 0
    with place.parts() as parts:
        held = {(t.owner, t.name) for t in parts.catalog.tokens.all() if not t.revoked_at}
    assert held == {("", "bot"), ("grace", "a")}
    assert place.cli("token", "revoke", "--owner", "nobody").code == 1
    assert place.cli("token", "revoke").code == 2


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--namespaces", "people", "--expires", "5"), 2),
        (("--namespaces", "people", "--expires", "0"), 2),
        (("--namespaces", "a/b/c"), 1),
        ((), 2),
    ],
)
def test_odd_tokens_are_not_made(place: Place, options: tuple[str, ...], code: int) -> None:
    assert place.cli("token", "create", "ada", *options).code == code
    assert cli("-c", place.config, "token", "create", "a b", "--namespaces", "x").code == 1
