"""What goes wrong between a command and a server, each told so that one can go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cli_helpers import Told, cli
from standin import Answer, Request, StandIn

SECRET = "envwatch_" + 72 * "a"


@pytest.fixture
def stand() -> Iterator[StandIn]:
    with StandIn() as made:
        yield made


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stand: StandIn) -> None:
    monkeypatch.setenv("ENVWATCH_URL", stand.url)
    monkeypatch.setenv("ENVWATCH_TOKEN", SECRET)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def answering(stand: StandIn, status: int, body: Any, **headers: str) -> None:
    stand.fault = lambda _: Answer(
        status, body, {k.replace("_", "-"): v for k, v in headers.items()}
    )


def failed(*command: str) -> str:
    told: Told = cli(*command)
    assert told.code == 1, told
    assert SECRET not in told.out + told.err
    return told.err


def problem(detail: str, kind: str = "", hint: str = "") -> dict[str, str]:
    return {"status": "error", "type": kind, "detail": detail, "hint": hint, "message": detail}


def test_the_token_goes_to_no_other_host(stand: StandIn) -> None:
    with StandIn() as other:
        answering(stand, 302, "", Location=f"{other.url}/index.json")
        assert f"leads to `{other.url}/index.json`" in failed("env", "list")
        assert other.requests == []
    assert stand.requests[0].headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "`envwatch login http://127.0.0.1"),
        (403, "error: it is not for you"),
        (404, "error: it is not for you"),
        (409, "error: it is not for you"),
        (412, "error: it is not for you"),
        (503, "error: it is not for you"),
    ],
)
def test_what_the_server_says_is_told(stand: StandIn, status: int, said: str) -> None:
    answering(stand, status, problem("it is not for you", "Whatever"))
    assert said in failed("env", "hold", "people/demo")


def test_who_asks_too_often_is_told_when_to_come_back(stand: StandIn) -> None:
    answering(stand, 429, problem("too many requests", "Busy"), Retry_After="17")
    assert "hint: come back in 17 s" in failed("env", "rebuild", "people/demo")


@pytest.mark.parametrize(("status", "body"), [(200, "<html>"), (404, "<html>"), (200, {"a": 1})])
def test_what_is_no_envwatch_is_told_as_such(stand: StandIn, status: int, body: Any) -> None:
    answering(stand, status, body)
    assert "what answers there is no envwatch" in failed("env", "hold", "people/demo")


def test_another_version_is_told_with_both(stand: StandIn) -> None:
    def answer(request: Request) -> Answer:
        if request.path == "/api/v1/":
            data = {"version": "9.9", "server": "envwatch"}
            return Answer(200, {"status": "ok", "data": data, "message": None})
        if request.method == "GET":
            return Answer(200, {"rows": [{"of": "another kind"}]})
        return Answer(404, problem("not found", "NotFound", "see /api/v1/docs"))

    stand.fault = answer
    for command in (("env", "list"), ("env", "update", "people/demo")):
        assert "envwatch '9.9' and this one" in failed(*command)


def test_a_server_that_does_not_answer_is_told(stand: StandIn) -> None:
    stand.down()
    assert "no answer: Connection refused" in failed("env", "list")


def test_what_is_for_the_machine_of_the_server_says_so(stand: StandIn) -> None:
    for command in (("gc",), ("backup", "x"), ("audit",)):
        assert f"this works on the machine of {stand.url} alone" in failed(*command)
    assert stand.requests == []


def test_a_root_that_is_named_counts_more_than_the_shell(tmp_path: Path) -> None:
    told = cli("env", "list", "--root", tmp_path)
    assert "there is no catalog yet" in told.err
    assert cli("--root", tmp_path, "--url", "http://x", "env", "list").code == 2


def test_a_certificate_is_believed_only_where_its_authority_is_known(
    stand: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    made.private_key_pem.write_to_path(tmp_path / "key.pem")
    made.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    stand.down()
    stand.up(tmp_path / "cert.pem")
    body = json.dumps({"status": "ok", "data": [], "message": None})
    answering(stand, 200, json.loads(body))
    monkeypatch.setenv("ENVWATCH_URL", stand.url.replace("http:", "https:"))
    assert "certificate" in failed("token", "list").lower()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert cli("token", "list", "--json").json == []


@pytest.mark.parametrize(
    "url", ["ftp://x", "http://", "http://u:p@x", "https://x/?token=1", "https://x:99999", "x"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    assert "that is not the address of a server" in failed("--url", url, "env", "list")


def test_tokens_that_cannot_be_read_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENVWATCH_TOKEN")
    (tmp_path / "envwatch").mkdir()
    file = tmp_path / "envwatch/tokens.json"
    file.write_text("[]")
    assert f"{file}: cannot be read: it is no list of tokens" in failed("env", "list")
