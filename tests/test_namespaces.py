"""Namespaces that are made while a daemon runs: a repository each, and nobody else's name."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_helpers import Place, make_place

from envwatch.daemon.actions import DaemonActions
from envwatch.daemon.parts import Parts, make_namespace, reload
from envwatch.edit import Author, Edit
from envwatch.errors import Conflict
from envwatch.model import EnvKey
from envwatch.settings import Grant as Right
from envwatch.settings import Role

TEXT = "name: stats\ndependencies:\n  - tiny\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


def test_a_namespace_that_was_made_takes_edits_also_after_a_restart(place: Place) -> None:
    made = place.cli("namespace", "create", "lab", "--json")
    assert made.json == {"namespace": "lab", "clone": "http://127.0.0.1:8080/git/lab.git"}
    with place.parts() as parts:
        ada = Author("Ada", "ada@example.org")
        parts.editor.edit(Edit("lab", "stats.yml", TEXT, ada))
        parts.look("lab")
        assert parts.catalog.generations.environment(EnvKey("lab", "stats")).source == "lab"
    listed = place.cli("namespace", "list", "--json").json
    assert [(n["name"], n["environments"]) for n in listed] == [("lab", 1)]


def test_it_is_there_at_once(place: Place) -> None:
    with place.parts() as parts:
        before = parts.roster.names()
        make_namespace(parts, "lab", by="ada")
        assert parts.roster.names() - before == {"lab"}
        assert parts.catalog.sources.get("lab") is not None
        assert parts.dirty.take(0, sound=True) == "lab"


class Turn:
    """The lock of a roster, which somebody else gets first."""

    def __init__(self, parts: Parts, name: str) -> None:
        self.parts, self.name, self.lock = parts, name, parts.roster.writing

    def __enter__(self) -> None:
        self.parts.roster.writing = self.lock
        make_namespace(self.parts, self.name, by=self.name)
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def test_one_that_is_made_while_the_config_is_read_again_stays(place: Place) -> None:
    with place.parts() as parts:
        parts.roster.writing = Turn(parts, "ada")  # type: ignore[assignment]  # used as a lock is
        reload(parts, place.settings)
        assert "ada" in {s.namespace for s in parts.settings().sources}
        assert "ada" in parts.roster.names()
        assert parts.catalog.sources.get("ada") is not None


def test_two_first_visits_of_a_person_at_once_make_one(place: Place) -> None:
    with place.parts() as parts:
        parts.roster.writing = Turn(parts, "ada")  # type: ignore[assignment]  # used as a lock is
        assert not DaemonActions(parts).make_own_namespace("ada")
        assert [n.name for n in parts.catalog.namespaces.all()] == ["ada"]


@pytest.mark.parametrize("name", ["analyst", "Analyst", "envs", "ENVS", "a b", "..", "", "x" * 65])
def test_a_name_that_is_taken_or_odd_is_refused(place: Place, name: str) -> None:
    told = place.cli("namespace", "create", name)
    assert told.code == 1
    assert place.cli("namespace", "list", "--json").json == []


def test_two_of_one_name_are_refused(place: Place) -> None:
    place.cli("namespace", "create", "lab")
    told = place.cli("namespace", "create", "lab")
    assert "there is a namespace `lab` already" in told.err


def test_what_the_config_says_later_counts(place: Place) -> None:
    place.cli("namespace", "create", "lab")
    text = place.config.read_text()
    place.config.write_text(text.replace("namespace: analyst}", "namespace: lab}"))
    with place.parts() as parts:
        assert [s.name for s in parts.settings().sources] == ["team"]


def test_a_source_of_the_config_keeps_its_name(place: Place) -> None:
    place.cli("namespace", "create", "team")
    with place.parts() as parts:
        assert parts.roster.names() == {"team", "team@here"}
        with pytest.raises(Conflict):
            parts.catalog.namespaces.make("team", by="x")


# ---------------------------------------------------------------- grants


def grants(place: Place) -> list[dict[str, str]]:
    found: list[dict[str, str]] = place.cli("namespace", "grants", "--json").json
    return [g for g in found if g["by"] != "the config"]


def test_a_role_is_granted_changed_and_taken_back(place: Place) -> None:
    place.cli("namespace", "grant", "lab", "--role", "viewer", "--user", "ada")
    place.cli("namespace", "grant", "lab", "--role", "developer", "--user", "ada")
    (one,) = grants(place)
    assert (one["pattern"], one["role"], one["user"]) == ("lab/*", "developer", "ada")
    place.cli("namespace", "revoke", "lab", "--user", "ada")
    assert grants(place) == []
    told = place.cli("audit", "--json").json
    assert [(a["action"], a["detail"]) for a in told] == [
        ("revoke", "of `ada`"),
        ("grant", "developer to `ada`"),
        ("grant", "viewer to `ada`"),
    ]


@pytest.mark.parametrize(("first", "then"), [("lab", "/lab"), ("/lab", "lab"), ("//lab", "/lab")])
def test_a_group_is_the_same_with_a_slash(place: Place, first: str, then: str) -> None:
    place.cli("namespace", "grant", "lab", "--role", "admin", "--group", first)
    told = place.cli("namespace", "grant", "lab", "--role", "viewer", "--group", then, "--json")
    assert told.json["group"] == "lab"
    assert [(g["group"], g["role"]) for g in grants(place)] == [("lab", "viewer")]
    place.cli("namespace", "revoke", "lab", "--group", then)
    assert grants(place) == []


@pytest.mark.parametrize("verb", [("revoke",), ("grant", "--role", "viewer")])
def test_a_group_that_is_kept_with_a_slash_is_found(place: Place, verb: tuple[str, ...]) -> None:
    with place.parts() as parts:  # as former versions kept it
        parts.catalog.bindings.grant(Right("lab/*", Role.ADMIN), group="/lab", by="x")
    place.cli("namespace", *verb, "lab", "--group", "lab")
    assert [g["role"] for g in grants(place)] == list(verb[2:])


@pytest.mark.parametrize("who", [(), ("--group", "/"), ("--user", "a", "--group", "b")])
def test_a_grant_is_for_one(place: Place, who: tuple[str, ...]) -> None:
    told = place.cli("namespace", "grant", "lab", "--role", "viewer", *who)
    assert "one person or one group" in told.err


def test_what_was_not_granted_here_cannot_be_taken_back(place: Place) -> None:
    told = place.cli("namespace", "revoke", "lab", "--group", "team")
    assert (told.code, "was not granted" in told.err) == (1, True)


def test_all_roles_are_listed_with_who_gave_them(tmp_path: Path) -> None:
    place = make_place(tmp_path, more='access: {anonymous: {"*": viewer}}\n')
    place.cli("namespace", "grant", "lab/st*", "--role", "admin", "--group", "lab")
    lines = place.cli("namespace", "grants").lines
    assert [line.split()[:3] for line in lines[1:]] == [
        ["*/*", "viewer", "anybody"],
        ["lab/st*", "admin", "lab"],
    ]
