"""Commands that change something, on a root that no daemon holds: they do it themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cli_helpers import KEY, Place, ask, cli, make_place, publish, put_back, set_aside

from envwatch.catalog import read_catalog
from envwatch.cli.control import caller
from envwatch.worker import records


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Place:
    """demo has generations 1 and 2."""
    place = make_place(tmp_path_factory.mktemp("change") / "place")
    with place.parts() as parts:
        publish(parts, "1.0")
        publish(parts, "2.0")
    set_aside(place)
    return place


@pytest.fixture
def place(filled: Place) -> Iterator[Place]:
    """As it was filled, for one test."""
    with put_back(filled) as place:
        yield place


def linked(place: Place) -> str:
    return (place.store.link(KEY) / "bin/tiny").read_text().strip()


def pinned(place: Place, number: int) -> bool:
    """What the catalog says, which must be what lies beside the record."""
    with closing(read_catalog(place.store.catalog)) as catalog:
        made = catalog.generations.get(KEY, number)
    kept = json.loads((place.store.record(made.build_id) / records.PUBLISHED_FILE).read_text())
    assert kept["pinned"] is made.pinned
    return made.pinned


def test_activate_moves_the_link_and_holds_it(place: Place) -> None:
    told = place.cli("env", "activate", "analyst/demo", 1)
    assert (told.code, told.err) == (0, "analyst/demo: held at #1\n")
    assert linked(place) == "1.0"


@pytest.mark.parametrize("command", [("hold",), ("hold", 1), ("release",)])
def test_changes_can_be_made_twice(place: Place, command: tuple[object, ...]) -> None:
    verb, *number = command
    first = place.cli("env", verb, "analyst/demo", *number)
    second = place.cli("env", verb, "analyst/demo", *number)
    assert (first.code, first) == (0, second)


def test_release_brings_the_newest_back(place: Place) -> None:
    place.cli("env", "hold", "analyst/demo", 1)
    told = place.cli("env", "release", "analyst/demo", "--json")
    assert told.json == {"environment": "analyst/demo", "current": 2, "held": False}
    assert linked(place) == "2.0"


def test_the_history_names_who_asked(place: Place) -> None:
    place.cli("env", "hold", "analyst/demo")
    assert f"at #2 by {caller()}" in place.cli("env", "log", "analyst/demo").out


def test_holding_what_is_not_there_ends_with_1(place: Place) -> None:
    told = place.cli("env", "hold", "analyst/demo", 7)
    assert told.code == 1
    assert told.err.splitlines() == [
        "error: analyst/demo: there is no generation `#7`",
        "hint: see `envwatch env show analyst/demo`",
    ]


def test_a_pin_is_kept_in_the_catalog_and_beside_the_record(place: Place) -> None:
    assert place.cli("env", "pin", "analyst/demo", 1).code == 0
    assert pinned(place, 1)
    assert place.cli("env", "unpin", "analyst/demo", 1).code == 0
    assert not pinned(place, 1)


@pytest.mark.parametrize("command", ["rebuild", "update"])
def test_what_is_queued_is_said_and_that_nobody_builds_it(place: Place, command: str) -> None:
    told = place.cli("env", command, "analyst/demo", "--json")
    assert told.json == {"build": 3, "environment": "analyst/demo", "state": "queued"}
    assert told.err.splitlines() == [
        "build 3 is asked for: see `envwatch build show 3`",
        "no daemon runs: `envwatch run` or `envwatch once` builds it",
    ]


def test_rebuild_of_a_generation_of_another_state_is_refused(place: Place) -> None:
    told = place.cli("env", "rebuild", "analyst/demo", "--generation", 1)
    assert (told.code, "was made for another state of demo.yml" in told.err) == (1, True)


def test_cancel_ends_a_queued_build(place: Place) -> None:
    place.cli("env", "rebuild", "analyst/demo")
    assert place.cli("build", "cancel", 3).err == "build 3 is cancelled\n"
    assert "is over: cancelled" in place.cli("build", "cancel", 3).err


def test_archive_is_asked_for_the_current_generation(place: Place) -> None:
    told = place.cli("env", "archive", "analyst/demo", "--json")
    assert told.json["generation"] == 2
    assert told.err == "analyst/demo #2: the archive is queued\n"


def test_gc_tells_what_goes_and_deletes_it_only_then(tmp_path: Path) -> None:
    place = make_place(tmp_path, more="retention: {keep_last: 1, keep_days: 0, grace: 0s}\n")
    with place.parts() as parts:
        publish(parts, "1.0")
        publish(parts, "2.0")
        old = parts.catalog.generations.get(KEY, 1).prefix
    dry = place.cli("gc", "--dry-run")
    assert [line.split()[:3] for line in dry.lines[1:]] == [
        ["analyst/demo", "#2", "stays"],
        ["analyst/demo", "#1", "goes"],
    ]
    assert (dry.err, old.exists()) == ("1 of 2 generations would go\n", True)
    assert place.cli("gc").err == "1 of 2 generations deleted\n"
    assert not old.exists()
    assert place.cli("gc").err == "0 of 1 generations deleted\n"
    assert linked(place) == "2.0"


def test_confirm_empty_retires_what_a_source_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    place = make_place(tmp_path)
    text = place.config.read_text().replace("git:", "directory:")
    place.config.write_text(text.replace(str(tmp_path / "environments"), str(folder)))
    with place.parts() as parts:
        publish(parts, "1.0")
    assert "nothing would be retired" in place.cli("plan").out
    told = place.cli("source", "confirm-empty", "team")
    assert (told.code, told.err) == (0, "source team: it is meant to be empty\n")
    assert not place.store.link(KEY).is_symlink()


@pytest.mark.parametrize(
    "command",
    [("source", "confirm-empty", "none"), ("source", "sync", "none"), ("plan", "none")],
)
def test_a_source_that_is_not_there_is_named(place: Place, command: tuple[str, ...]) -> None:
    told = place.cli(*command)
    assert (told.code, "there is no source `none`" in told.err) == (1, True)


def test_sync_looks_at_all_and_one_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    place = make_place(tmp_path)
    (tmp_path / "files").mkdir()
    (tmp_path / "files/new.yml").write_text("dependencies: [tiny]\n")
    (tmp_path / "files/broken.yml").write_text("dependencies: {}\n")
    place.config.write_text(
        f"root: {place.root}\nsources:\n"
        f"  - {{name: bad, git: {tmp_path}/nowhere, namespace: a}}\n"
        f"  - {{name: good, directory: {tmp_path}/files, namespace: b}}\n"
    )
    told = place.cli("source", "sync", "--json")
    assert told.code == 1
    assert (told.json["failed"], told.json["builds"]) == (["bad"], [1])
    assert told.json["refused"][0].startswith("broken.yml:1:15: `dependencies` must be a list")
    assert told.err.startswith("source bad: ")


def test_source_list_shows_problems_below(place: Place) -> None:
    (place.folder / "environments/.git").rename(place.folder / "elsewhere")
    place.cli("source", "sync")
    lines = place.cli("source", "list").lines
    assert lines[1].split()[:2] == ["team", "analyst"]
    assert lines[2].startswith("team: ")


def test_verify_and_repair_of_nothing_find_nothing(tmp_path: Path) -> None:
    place = make_place(tmp_path)
    with place.parts() as parts:
        ask(parts, "1.0")
    assert place.cli("verify").err == "0 generations checked, none damaged\n"
    told = place.cli("repair")
    assert (told.code, "nothing is known to be damaged" in told.err) == (0, True)


@pytest.mark.parametrize("command", ["verify", "repair"])
def test_verify_of_an_unknown_environment_is_an_error(place: Place, command: str) -> None:
    assert place.cli(command, "analyst/none").code == 1


def test_once_ends_with_1_and_says_what_failed(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files/bad.yml").write_text("dependencies: {}\n")
    place = make_place(tmp_path)
    place.config.write_text(
        f"root: {place.root}\nsources: [{{name: f, directory: {tmp_path}/files}}]\n"
    )
    told = place.cli("once", "--json")
    assert told.code == 1
    assert told.json["refused_files"][0].startswith("bad.yml:1:")
    assert told.err.splitlines()[-1] == "1 refused"


def test_a_root_of_another_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    told = cli("--root", tmp_path, "once")
    assert (told.code, sorted(p.name for p in tmp_path.iterdir())) == (78, ["precious"])
