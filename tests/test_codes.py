"""Programs that wait for somebody to allow them: each once, for a while, and only so many."""

from __future__ import annotations

import re
import threading
import time
from datetime import UTC, datetime

import pytest

from envwatch.catalog.records import TokenRecord
from envwatch.catalog.tokens import NewToken
from envwatch.errors import Busy, Conflict, NotFound
from envwatch.settings import Role
from envwatch.web.codes import MOST, MOST_OF_ONE, Codes, State

HERE = "10.0.0.7"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
RECORD = TokenRecord(1, "laptop", ("*/*",), Role.VIEWER, "ada", NOW, "ada", None, None, None)


def token() -> NewToken:
    return NewToken(RECORD, "envwatch_secret")


@pytest.fixture
def codes() -> Codes:
    return Codes()


def test_what_is_allowed_is_handed_over_once(codes: Codes) -> None:
    secret, asked = codes.ask("laptop", HERE)
    waiting = codes.collect(secret)
    assert waiting is not None
    assert (waiting.state, waiting.token) == (State.WAITING, None)
    codes.allow(asked.code, token)
    found = codes.collect(secret)
    assert found is not None
    assert (found.state, found.token) == (State.ALLOWED, token())
    assert codes.collect(secret) is None


def test_what_is_refused_is_told_once(codes: Codes) -> None:
    secret, asked = codes.ask("laptop", HERE)
    codes.refuse(asked.code)
    with pytest.raises(NotFound):
        codes.allow(asked.code, token)
    found = codes.collect(secret)
    assert found is not None
    assert (found.state, found.token) == (State.REFUSED, None)
    assert codes.collect(secret) is None


def test_what_the_page_shows_is_no_secret_of_the_program(codes: Codes) -> None:
    secret, asked = codes.ask("laptop", HERE)
    assert re.fullmatch(r"[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}", asked.code)
    assert codes.collect(asked.code) is None
    assert secret not in repr(asked)
    with pytest.raises(NotFound):
        codes.find(secret)


@pytest.mark.parametrize("form", ["{0}", " {0} ", "{1}", "{2}", "{2} "])
def test_a_code_is_found_however_it_is_typed(codes: Codes, form: str) -> None:
    _, asked = codes.ask("laptop", HERE)
    plain = asked.code.replace("-", "")
    assert codes.find(form.format(asked.code, plain, asked.code.lower())) == asked


@pytest.mark.parametrize("code", ["", "-", "BCDF", "BCDF-GHJK", "é" * 8])
def test_a_code_that_nobody_was_given_finds_nothing(codes: Codes, code: str) -> None:
    codes.ask("laptop", HERE)
    with pytest.raises(NotFound):
        codes.find(code)


def test_what_takes_too_long_is_over() -> None:
    codes = Codes(lasts=-1.0)
    secret, asked = codes.ask("laptop", HERE)
    with pytest.raises(NotFound):
        codes.allow(asked.code, token)
    assert codes.collect(secret) is None


def test_what_was_allowed_at_the_last_moment_can_be_fetched() -> None:
    codes = Codes(lasts=0.5)
    secret, asked = codes.ask("laptop", HERE)
    time.sleep(0.3)
    codes.allow(asked.code, token)
    time.sleep(0.3)
    found = codes.collect(secret)
    assert found is not None
    assert found.state is State.ALLOWED


def test_a_token_that_cannot_be_made_leaves_it_waiting(codes: Codes) -> None:
    def fails() -> NewToken:
        raise Conflict("there is a token `laptop` already")

    secret, asked = codes.ask("laptop", HERE)
    with pytest.raises(Conflict):
        codes.allow(asked.code, fails)
    found = codes.collect(secret)
    assert found is not None
    assert found.state is State.WAITING
    codes.allow(asked.code, token)


def test_two_who_allow_at_once_make_one_token(codes: Codes) -> None:
    _, asked = codes.ask("laptop", HERE)
    made, missed, together = [], [], threading.Barrier(8)

    def slow() -> NewToken:
        time.sleep(0.02)  # so long that without a lock all would be in here
        return token()

    def allow() -> None:
        together.wait()
        try:
            made.append(codes.allow(asked.code, slow))
        except NotFound:
            missed.append(asked)

    threads = [threading.Thread(target=allow) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(missed)) == (1, 7)


def test_only_so_many_wait_from_one_address_and_in_all(codes: Codes) -> None:
    for _ in range(MOST_OF_ONE):
        codes.ask("laptop", HERE)
    with pytest.raises(Busy):
        codes.ask("laptop", HERE)
    for n in range(MOST - MOST_OF_ONE):
        codes.ask("laptop", f"10.1.{n // 50}.0")
    with pytest.raises(Busy):
        codes.ask("laptop", "10.2.0.0")
