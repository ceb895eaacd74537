"""A program asks for a token and a person allows it on a page: what each of them is told."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from web_helpers import Stand, stand
from werkzeug.test import TestResponse

from envwatch.access import Identity
from envwatch.model import EnvKey
from envwatch.settings import AccessSettings, Binding, Grant, LoginSettings, ProxyLogin, Role
from envwatch.web.context import NAME
from envwatch.web.device import MOST

SESSION = "__Host-envwatch_session"
VIEWER, DEVELOPER, ADMIN = Role
ACCESS = AccessSettings(
    bindings=(
        Binding(Grant("lab/*", ADMIN), users=("ada",)),
        Binding(Grant("shared/*", VIEWER), users=("ada",)),
    )
)


@pytest.fixture
def made(empty_root: Path, tmp_path: Path) -> Iterator[Stand]:
    shutil.copytree(empty_root, tmp_path / "root")
    login = LoginSettings(proxy=ProxyLogin("X-Person", tmp_path / "secret"))
    with stand(tmp_path / "root", access=ACCESS, login=login) as made:
        yield made


@pytest.fixture
def ada(made: Stand) -> FlaskClient:
    made.catalog.people.seen(Identity("ada"), "oidc")
    client = made.app.test_client()
    client.set_cookie(SESSION, made.catalog.people.open_session("ada", 600))
    return client


@dataclass
class Program:
    """One that asks from a terminal."""

    made: Stand
    told: dict[str, Any] = field(default_factory=dict)

    def ask(self, **body: object) -> TestResponse:
        answer = self.made.app.test_client().post("/api/v1/device/", json=body)
        if answer.status_code == HTTPStatus.OK:
            self.told = answer.get_json()["data"]
        return answer

    @property
    def code(self) -> str:
        return str(self.told["user_code"])

    def look(self) -> TestResponse:
        body = {"device_code": self.told["device_code"]}
        return self.made.app.test_client().post("/api/v1/device/token/", json=body)


@pytest.fixture
def program(made: Stand) -> Program:
    found = Program(made)
    assert found.ask(name="laptop").status_code == HTTPStatus.OK
    return found


def send(client: FlaskClient, program: Program, verb: str = "allow", **more: str) -> TestResponse:
    page = client.get(f"/device?code={program.code}").text
    token = re.search(r'name="form_token" value="(\w+)"', page)
    assert token, page
    typed = dict(re.findall(r'name="(name|namespaces|days)"[^>]* value="([^"]*)"', page))
    said = {"form_token": token[1], "code": program.code, "verb": verb, "role": "developer"}
    return client.post("/device", data={**said, **typed, **more})


def test_what_a_person_allows_the_program_gets_once(
    made: Stand, ada: FlaskClient, program: Program
) -> None:
    assert program.look().get_json()["data"] == {
        "state": "waiting", "token": None, "name": None, "expires_on": None,
    }  # fmt: skip
    page = ada.get(f"/device?code={program.code}")
    assert page.headers["Cache-Control"] == "no-store"
    assert program.code in page.text
    assert "<code>127.0.0.1</code>" in page.text
    answer = send(ada, program)
    assert "laptop is allowed" in answer.text
    looked = program.look()
    got = looked.get_json()["data"]
    assert (got["state"], got["name"], looked.headers["Cache-Control"]) == (
        "allowed", "laptop", "no-store",
    )  # fmt: skip
    assert got["token"] not in answer.text
    who = made.app.extensions[NAME].rights.of_token(got["token"])
    assert (who.name, who.token) == ("ada", "laptop")
    assert who.may(DEVELOPER, EnvKey("lab", "x"))
    assert not who.may(ADMIN, EnvKey("lab", "x"))
    assert who.may(VIEWER, EnvKey("shared", "x"))
    assert not who.may(VIEWER, EnvKey("other", "x"))
    assert program.look().status_code == HTTPStatus.NOT_FOUND
    noted = [(a.person, a.action, a.detail) for a in made.catalog.audits.all()]
    assert noted == [("ada", "token create", "laptop")]
    assert got["token"] not in str(made.catalog.audits.all())


def test_what_a_person_refuses_the_program_is_told(
    made: Stand, ada: FlaskClient, program: Program
) -> None:
    assert "laptop was refused" in send(ada, program, "refuse").text
    answer = program.look()
    assert (answer.status_code, "refused" in answer.text) == (HTTPStatus.FORBIDDEN, True)
    assert made.catalog.tokens.all() == ()
    assert made.catalog.audits.all()[0].action == "token refuse"


def test_a_form_that_says_neither_is_a_refusal(
    made: Stand, ada: FlaskClient, program: Program
) -> None:
    send(ada, program, "")
    assert program.look().status_code == HTTPStatus.FORBIDDEN
    assert made.catalog.tokens.all() == ()


def test_who_is_not_signed_in_is_led_to_it_and_back(made: Stand, program: Program) -> None:
    answer = made.app.test_client().get(f"/device?code={program.code}")
    there = f"/signin?next=/device?code%3D{program.code}"
    assert (answer.status_code, answer.headers["Location"]) == (HTTPStatus.SEE_OTHER, there)


def test_nobody_allows_without_being_signed_in(made: Stand, program: Program) -> None:
    client = made.app.test_client()
    token = re.search(r'name="form_token" value="(\w+)"', client.get("/signin").text)
    said = {"form_token": token[1] if token else "", "code": program.code, "verb": "allow"}
    assert client.post("/device", data=said).status_code in (401, 403)
    assert program.look().get_json()["data"]["state"] == "waiting"


def test_a_token_allows_no_program(made: Stand, ada: FlaskClient, program: Program) -> None:
    send(ada, program)
    token = program.look().get_json()["data"]["token"]
    other = Program(made)
    other.ask(name="more")
    said = {"code": other.code, "verb": "allow", "name": "more", "namespaces": "*"}
    header = {"Authorization": f"Bearer {token}"}
    client = made.app.test_client()
    assert client.post("/device", data=said, headers=header).status_code == HTTPStatus.FORBIDDEN
    page = client.get(f"/device?code={other.code}", headers=header)
    assert page.status_code == HTTPStatus.FORBIDDEN
    assert other.look().get_json()["data"]["state"] == "waiting"


def test_a_form_that_another_host_sends_allows_nothing(ada: FlaskClient, program: Program) -> None:
    page = ada.get(f"/device?code={program.code}").text
    token = re.search(r'name="form_token" value="(\w+)"', page)
    said = {"code": program.code, "verb": "allow", "name": "x", "namespaces": "*"}
    evil = {"Origin": "https://evil.example.org"}
    for data in (said, {**said, "form_token": token[1] if token else ""}):
        assert ada.post("/device", data=data, headers=evil).status_code == HTTPStatus.FORBIDDEN
    assert program.look().get_json()["data"]["state"] == "waiting"


def test_a_name_that_is_taken_is_not_offered_and_not_taken_twice(
    made: Stand, ada: FlaskClient, program: Program
) -> None:
    made.catalog.tokens.create("laptop", ("lab/*",), role=VIEWER, owner="ada")
    made.catalog.tokens.create("laptop-2", ("lab/*",), role=VIEWER, owner="ada")
    answer = send(ada, program, name="laptop-2")
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert "laptop-2</code> already" in answer.text
    assert program.look().get_json()["data"]["state"] == "waiting"
    assert "laptop-3 is allowed" in send(ada, program).text


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"namespaces": "other"}, "you are no developer of"),
        ({"namespaces": ""}, "no namespace is named"),
        ({"days": "0"}, "1 to 366 days"),
        ({"role": "god"}, "the role or the number of days is none"),
        ({"name": "<b>"}, "cannot be the name of a token"),
    ],
)
def test_an_odd_wish_is_refused_and_can_be_mended(
    ada: FlaskClient, program: Program, typed: dict[str, str], told: str
) -> None:
    answer = send(ada, program, **typed)
    assert (answer.status_code, told in answer.text) == (HTTPStatus.BAD_REQUEST, True)
    assert program.code in answer.text
    assert "laptop is allowed" in send(ada, program).text


def test_a_code_that_is_none_is_said_so_and_another_can_be_typed(ada: FlaskClient) -> None:
    answer = ada.get("/device?code=BCDF-GHJK")
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert "no program waits under this code" in answer.text
    assert '<input id="code"' in answer.text


def test_codes_cannot_be_tried_through(ada: FlaskClient, program: Program) -> None:
    tried = {ada.get("/device?code=BCDF-GHJK").status_code for _ in range(MOST)}
    assert tried == {HTTPStatus.BAD_REQUEST}
    answer = ada.get(f"/device?code={program.code}")
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert program.code not in answer.text


@pytest.mark.parametrize("name", ["<script>", "", "a" * 65, "é", "a b", ".x"])
def test_a_program_with_an_odd_name_is_refused(made: Stand, name: str) -> None:
    assert Program(made).ask(name=name).status_code == HTTPStatus.BAD_REQUEST


def test_the_same_key_is_never_given_the_same_secret(made: Stand) -> None:
    key = {"Idempotency-Key": "one"}
    asked = [
        made.app.test_client().post("/api/v1/device/", json={}, headers=key).get_json()["data"]
        for _ in range(2)
    ]
    assert asked[0]["device_code"] != asked[1]["device_code"]
    assert asked[0]["user_code"] != asked[1]["user_code"]


def test_where_nobody_signs_in_no_program_waits(empty_root: Path, tmp_path: Path) -> None:
    shutil.copytree(empty_root, tmp_path / "root")
    with stand(tmp_path / "root") as made:
        answer = Program(made).ask(name="laptop")
    assert answer.status_code == HTTPStatus.CONFLICT
    assert "envwatch token create" in answer.get_json()["hint"]


def test_addresses_are_those_that_people_see(program: Program) -> None:
    assert program.told["verification_uri"] == "https://env.example.org/device"
    complete = f"https://env.example.org/device?code={program.code}"
    assert program.told["verification_uri_complete"] == complete
    assert (program.told["expires_in"], program.told["interval"]) == (600, 2)
