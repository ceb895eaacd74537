"""`envwatch build`: lists and logs of builds, and what waits for them."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import pytest
from cli_helpers import Place, ask, claim, fail, make_place, publish, result

from envwatch.cli.here import Here
from envwatch.cli.tail import Tail
from envwatch.model import BuildState
from envwatch.web.control import create_control
from envwatch.web.server import serve_unix


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Place:
    """Build 1 is ready, build 2 has failed, build 3 waits. Do not change it."""
    place = make_place(tmp_path_factory.mktemp("place"))
    with place.parts() as parts:
        publish(parts, "1.0")
        fail(parts, "9.9")
        ask(parts, "2.0")
    return place


def test_list_is_newest_first(place: Place) -> None:
    lines = place.cli("build", "list").lines[1:]
    assert [line.split()[:4] for line in lines] == [
        ["3", "analyst/demo", "queued", "commit"],
        ["2", "analyst/demo", "failed", "commit"],
        ["1", "analyst/demo", "ready", "commit"],
    ]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--state", "failed"), [2]),
        (("--state", "failed", "--state", "ready"), [2, 1]),
        (("--limit", "1"), [3]),
        (("--limit", "2"), [3, 2]),
        (("--namespace", "analyst"), [3, 2, 1]),
        (("--namespace", "nobody"), []),
    ],
)
def test_list_can_be_narrowed(place: Place, options: tuple[str, ...], found: list[int]) -> None:
    rows = place.cli("build", "list", "--json", *options).json
    assert [row["build"]["id"] for row in rows] == found


def test_list_goes_beyond_one_page(tmp_path: Path) -> None:
    place = make_place(tmp_path)
    with place.parts() as parts:
        for number in range(210):
            ask(parts, f"{number}.0")
    rows = place.cli("build", "list", "--json", "--limit", 205).json
    assert [row["build"]["id"] for row in rows] == list(range(210, 5, -1))


def test_show_tells_why_where_and_how_long(place: Place) -> None:
    facts = dict(line.split("  ", 1) for line in place.cli("build", "show", 2).lines)
    assert facts["state"].strip() == "failed"
    assert facts["failed"].strip() == "demo.yml:4: no `tiny` 9.9 (there is 2.0)"
    assert facts["phases"].strip() == "solving 0.5 s"
    assert facts["log"].strip() == str(place.store.log(2))


def test_show_tells_the_place_in_the_queue(place: Place) -> None:
    assert "place in queue  1" in place.cli("build", "show", 3).out


def test_show_speaks_json(place: Place) -> None:
    page = place.cli("build", "show", 1, "--json").json
    assert (page["build"]["state"], page["generation"]["number"]) == ("ready", 1)


@pytest.mark.parametrize("command", ["show", "log", "cancel"])
def test_a_build_that_is_not_there_ends_with_1(place: Place, command: str) -> None:
    told = place.cli("build", command, 77)
    assert (told.code, told.err.splitlines()[0]) == (1, "error: there is no build `77`")


def test_log_is_printed_as_it_is(place: Place) -> None:
    assert place.cli("build", "log", 1).out == "build 1 begins\nit ends\n"


def test_log_of_a_build_that_did_not_begin_says_so(place: Place) -> None:
    told = place.cli("build", "log", 3)
    assert (told.code, "is queued and has no log" in told.err) == (1, True)


def test_follow_of_a_build_that_is_over_prints_all_and_how_it_ended(place: Place) -> None:
    ready, failed = (place.cli("build", "log", n, "--follow") for n in (1, 2))
    assert (ready.code, ready.err) == (0, "build 1 of analyst/demo: ready as #1\n")
    assert (failed.code, failed.out) == (1, "build 2 begins\nit ends\n")
    assert failed.err.splitlines()[1] == "demo.yml:4: no `tiny` 9.9 (there is 2.0)"


def test_follow_ends_when_nobody_builds(place: Place) -> None:
    told = place.cli("build", "log", 3, "--follow")
    assert (told.code, "is queued, and no daemon runs" in told.err) == (1, True)


def test_a_tail_prints_what_is_new_in_whole_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = make_place(tmp_path)
    with place.parts() as parts:
        ask(parts, "1.0")
        build = parts.catalog.builds.get(1)
    log = place.store.log(1)
    tail = Tail(Here(place.settings), build)
    assert not tail.print(last=False)
    log.write_bytes(b"one\ntw")
    tail.print(last=False)
    assert capsys.readouterr().out == "one\n"
    with log.open("ab") as file:
        file.write("o\nthr\xe9".encode("latin-1"))
    tail.print(last=False)
    assert capsys.readouterr().out == "two\n"
    tail.print()
    tail.print()
    assert capsys.readouterr().out == "thr\ufffd\n"


def test_follow_goes_on_until_the_build_is_published(tmp_path: Path) -> None:
    place = make_place(tmp_path)
    with place.parts() as parts:
        ask(parts, "1.0")
        build = claim(parts)
        server = serve_unix(create_control(lambda *_: {}), place.store.control)
        codes: list[int] = []
        thread = threading.Thread(target=lambda: codes.append(_follow(place, build.id)))
        thread.start()
        try:
            assert codes == [], "the build runs"
            parts.publisher.publish(build, result(parts, build, "1.0"))
            thread.join(30)
        finally:
            server.stop()
    assert codes == [0]


def _follow(place: Place, build: int) -> int:
    with closing(Here(place.settings)) as house:
        return Tail(house, house.record(build)).follow()


def test_states_are_those_of_builds(place: Place) -> None:
    told = place.cli("build", "list", "--state", "happy")
    assert (told.code, all(s.value in told.err for s in BuildState)) == (2, True)
