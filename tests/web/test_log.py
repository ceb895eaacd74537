"""The log of a build: followed from an offset, told in text that cannot command a screen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from web_helpers import DEMO, Stand, ask, claim, commit

from envwatch.model import BuildState
from envwatch.web import logfile
from envwatch.web.text import plain

LOG = "/analyst/demo/builds/1/log"


@pytest.fixture
def running(empty: Stand) -> Stand:
    commit(empty.catalog, ask(DEMO, "d"))
    claim(empty.catalog)
    return empty


def ask_log(made: Stand, offset: int = 0) -> dict:
    return json.loads(made.text(f"{LOG}?offset={offset}"))


def end(made: Stand) -> None:
    made.catalog.builds.end(1, BuildState.FAILED, None)


def test_a_build_without_a_log_yet_has_an_empty_one(running: Stand) -> None:
    assert ask_log(running) == {"text": "", "next": 0, "over": False}


def test_a_log_is_followed_line_by_line(running: Stand) -> None:
    running.log(1, b"one\ntwo\nthr")
    first = ask_log(running)
    assert (first["text"], first["over"]) == ("one\ntwo\n", False)
    running.log(1, b"one\ntwo\nthree\n")
    assert ask_log(running, first["next"])["text"] == "three\n"


def test_the_last_line_of_an_ended_build_needs_no_end(running: Stand) -> None:
    running.log(1, b"one\nkilled")
    end(running)
    assert ask_log(running) == {"text": "one\nkilled", "next": 10, "over": True}


def test_an_offset_beyond_the_log_gives_nothing(running: Stand) -> None:
    running.log(1, b"one\n")
    assert ask_log(running, 10**12)["text"] == ""
    assert ask_log(running, 10**20)["text"] == ""
    assert ask_log(running, -5)["text"] == "one\n"


def test_pieces_put_together_are_the_whole_log(running: Stand) -> None:
    lines = [f"line {i} äöü\n" for i in range(60_000)]
    running.log(1, "".join(lines).encode())
    end(running)
    text, at, over = "", 0, False
    while not over:
        piece = ask_log(running, at)
        text, at, over = text + piece["text"], piece["next"], piece["over"]
    assert text == "".join(lines)


def test_an_endless_line_is_cut_between_signs(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("ä" * logfile.PIECE)
    text, at = "", 0
    while piece := logfile.piece(path, at, over=False):
        if piece.next == at:
            break
        text, at = text + piece.text, piece.next
    assert text == "ä" * len(text)
    assert len(text) >= logfile.PIECE // 2


def test_the_page_shows_the_end_of_a_long_log(running: Stand) -> None:
    running.log(1, b"".join(b"line %d\n" % i for i in range(5000)))
    html = running.text("/analyst/demo/builds/1")
    assert "line 4999\n" in html
    assert "line 2999\n" not in html
    assert "the end of it" in html


def test_the_page_shows_what_was_logged_since(running: Stand) -> None:
    running.log(1, b"one\n")
    running.text("/analyst/demo/builds/1")
    running.log(1, b"one\ntwo\n")
    assert "two\n" in running.text("/analyst/demo/builds/1")


def test_following_goes_on_where_the_page_ends(running: Stand) -> None:
    path = running.log(1, b"one\ntwo\nthr")
    tail = logfile.tail(path)
    assert (tail.text, tail.next) == ("one\ntwo\n", 8)


def test_the_whole_log_is_plain_text_with_ranges(running: Stand) -> None:
    running.log(1, b"\x1b[31mone\x1b[0m\n<script>\n")
    answer = running.client.get(f"{LOG}.txt", headers={"Range": "bytes=0-3"})
    assert (answer.status_code, answer.data) == (206, b"\x1b[31")
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_log_is_found_only_under_its_environment(running: Stand) -> None:
    running.log(1, b"secret\n")
    assert running.client.get("/other/demo/builds/1/log").status_code == 404
    assert running.client.get("/other/demo/builds/1/log.txt").status_code == 404


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;javascript:x\x1b\\link\x1b]8;;\x1b\\", "link"),
        (" 10 %\r 50 %\r100 %\n", "100 %\n"),
        ("windows\r\n", "windows\n"),
        ("bell \x07", "bell ␇"),
        ("\u202egnp.exe", "⟨U+202E⟩gnp.exe"),
        ("\x1b", "␛"),
        ("\x9b31m", "⟨U+009B⟩31m"),
        ("tab\tkept", "tab\tkept"),
    ],
)
def test_nothing_in_a_log_commands_a_screen(written: str, shown: str) -> None:
    assert plain(written) == shown
