"""The page of a person, their tokens, forms that nobody else may send, and names from a proxy."""

from __future__ import annotations

import html
import http.client
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from waiting import wait_for
from web_helpers import Stand, stand
from werkzeug.test import TestResponse

from envwatch.access import Identity
from envwatch.errors import Unknown
from envwatch.model import EnvKey
from envwatch.settings import (
    AccessSettings,
    Binding,
    Grant,
    LoginSettings,
    ProxyLogin,
    Role,
    WebSettings,
)
from envwatch.web import serve

SESSION = "__Host-envwatch_session"
VIEWER, DEVELOPER, ADMIN = Role
ACCESS = AccessSettings(
    signed_in=(Grant("shared/*", VIEWER),),
    bindings=(
        Binding(Grant("lab/*", DEVELOPER), groups=("staff",)),
        Binding(Grant("ops/*", ADMIN), users=("ada",)),
    ),
)
ADA = Identity("ada", ("/staff",), (Grant("physics/*", VIEWER),))


@pytest.fixture
def made(empty_root: Path, tmp_path: Path) -> Iterator[Stand]:
    shutil.copytree(empty_root, tmp_path / "root")
    with stand(tmp_path / "root", access=ACCESS) as made:
        made.app.post("/edit")(_edit)
        yield made


def _edit() -> Any:
    """As a page does that changes something: who is nobody must sign in first."""
    from flask import request

    from envwatch.web.visitor import visitor

    if not visitor().signed_in:
        raise Unknown("this needs a developer of `lab`", hint="sign in, or send a token")
    return {"by": visitor().name, "text": request.form.get("text"), "all": dict(request.form)}


@pytest.fixture
def ada(made: Stand) -> FlaskClient:
    return signed_in(made, ADA)


def signed_in(made: Stand, identity: Identity) -> FlaskClient:
    made.catalog.people.seen(identity, "oidc")
    client = made.app.test_client()
    client.set_cookie(SESSION, made.catalog.people.open_session(identity.name, 600))
    return client


def form_of(client: FlaskClient) -> str:
    found = re.search(r'name="form_token" value="(\w+)"', client.get("/me").text)
    assert found
    return found[1]


def make(client: FlaskClient, **values: object) -> TestResponse:
    said = {"name": "laptop", "namespaces": "lab", "role": "developer", "days": 30, **values}
    return client.post("/me/tokens", data={"form_token": form_of(client), **said})


def secret_in(answer: TestResponse) -> str:
    found = re.search(r"envwatch_[0-9a-f]{72}", answer.text)
    assert found, answer.text
    return found[0]


def words(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


# ---------------------------------------------------------------- who somebody is


def test_the_page_says_every_role_and_where_it_comes_from(made: Stand, ada: FlaskClient) -> None:
    made.catalog.bindings.grant(Grant("bio/*", DEVELOPER), group="staff", by="grace")
    said = words(ada.get("/me").text)
    for line in (
        "shared/* viewer everybody who is signed in has it",
        "physics/* viewer your login says so",
        "ada/* admin the namespace of your name",
        "lab/* developer the config names your group /staff",
        "ops/* admin the config names you",
        "bio/* developer granted to your group staff by grace",
    ):
        assert line in said


def test_who_is_not_signed_in_is_led_to_it_and_back(made: Stand) -> None:
    answer = made.client.get("/me")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/signin?next=/me")


def test_where_nobody_can_sign_in_the_page_says_how_the_first_token_is_made(made: Stand) -> None:
    assert "envwatch token create NAME" in words(made.text("/signin"))


def test_every_page_says_who_is_signed_in(made: Stand, ada: FlaskClient) -> None:
    assert 'title="signed in as ada"' in ada.get("/").text
    assert "signed in as" not in made.client.get("/").text
    assert "Sign in" in made.client.get("/").text


def test_a_wrong_token_breaks_no_page_of_the_frame(made: Stand) -> None:
    answer = made.client.get("/signin", headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == HTTPStatus.OK


# ---------------------------------------------------------------- tokens


def test_a_token_is_shown_once_and_works(made: Stand, ada: FlaskClient) -> None:
    answer = make(ada)
    secret = secret_in(answer)
    assert answer.headers["Cache-Control"] == "no-store"
    assert secret not in ada.get("/me").text
    rights = made.app.extensions["envwatch"].rights
    who = rights.of_token(secret)
    assert (who.name, who.token) == ("ada", "laptop")
    assert who.may(DEVELOPER, EnvKey("lab", "x"))
    assert not who.may(VIEWER, EnvKey("ops", "x"))
    assert "laptop valid lab/* developer" in words(ada.get("/me").text)


def test_a_token_may_no_more_than_its_owner(made: Stand, ada: FlaskClient) -> None:
    for wish in ({"role": "admin"}, {"namespaces": "*/x"}, {"namespaces": "lab,other"}):
        answer = make(ada, **wish)
        assert answer.status_code == HTTPStatus.BAD_REQUEST
        assert "you are no" in words(answer.text)
    assert made.catalog.tokens.all() == ()


def test_a_token_for_everything_does_what_its_owner_may_up_to_its_role(
    made: Stand, ada: FlaskClient
) -> None:
    secret = secret_in(make(ada, namespaces="*"))
    who = made.app.extensions["envwatch"].rights.of_token(secret)
    roles = {ns: who.role_of_all(ns) for ns in ("lab", "ops", "physics", "other")}
    assert roles == {"lab": DEVELOPER, "ops": DEVELOPER, "physics": VIEWER, "other": None}


def test_what_is_taken_from_a_person_is_taken_from_their_tokens(
    made: Stand, ada: FlaskClient
) -> None:
    secret = secret_in(make(ada))
    made.catalog.people.seen(Identity("ada"), "oidc")
    who = made.app.extensions["envwatch"].rights.of_token(secret)
    assert not who.may(VIEWER, EnvKey("lab", "x"))


@pytest.mark.parametrize(
    "wish",
    [
        {"name": ""},
        {"name": "<b>"},
        {"name": "a" * 65},
        {"namespaces": ""},
        {"namespaces": "../x"},
        {"role": "god"},
        {"days": "0"},
        {"days": "367"},
        {"days": "soon"},
        {"days": "9" * 5000},
    ],
)
def test_an_odd_token_is_refused_and_what_was_typed_stays(
    made: Stand, ada: FlaskClient, wish: dict[str, str]
) -> None:
    answer = make(ada, **wish)
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert "<b>" not in answer.text
    assert 'value="lab"' in answer.text or "namespaces" in wish
    assert made.catalog.tokens.all() == ()


def test_people_have_their_own_names_of_tokens(made: Stand, ada: FlaskClient) -> None:
    bob = signed_in(made, Identity("bob", ("staff",)))
    assert make(ada).status_code == make(bob).status_code == HTTPStatus.OK
    assert "already" in words(make(bob).text)
    bob.post("/me/tokens/revoke", data={"form_token": form_of(bob), "name": "laptop"})
    valid = [t.owner for t in made.catalog.tokens.all() if not t.revoked_at]
    assert valid == ["ada"]


def test_nobody_revokes_the_token_of_somebody_else(made: Stand, ada: FlaskClient) -> None:
    made.catalog.tokens.create("boss", ("*/*",), role=ADMIN)
    answer = ada.post("/me/tokens/revoke", data={"form_token": form_of(ada), "name": "boss"})
    assert "there is no token `boss`" in answer.text or "no token" in words(answer.text)
    assert made.catalog.tokens.all()[0].revoked_at is None


def test_a_token_makes_no_tokens(made: Stand, ada: FlaskClient) -> None:
    header = {"Authorization": f"Bearer {secret_in(make(ada))}"}
    values = {"name": "more", "namespaces": "lab", "role": "viewer", "days": "3"}
    answer = made.client.post("/me/tokens", data=values, headers=header)
    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert len(made.catalog.tokens.all()) == 1


def test_what_is_done_with_tokens_is_in_the_audit_trail(made: Stand, ada: FlaskClient) -> None:
    secret = secret_in(make(ada))
    ada.post("/me/tokens/revoke", data={"form_token": form_of(ada), "name": "laptop"})
    found = made.catalog.audits.all()
    assert [(a.person, a.action, a.detail) for a in found] == [
        ("ada", "token revoke", "laptop"),
        ("ada", "token create", "laptop"),
    ]
    assert secret not in str(found)


# ---------------------------------------------------------------- signing out


def test_signing_out_ends_this_session_alone(made: Stand, ada: FlaskClient) -> None:
    other = signed_in(made, ADA)
    answer = ada.post("/signout", data={"form_token": form_of(ada)})
    assert answer.headers["Location"] == "/signin?out="
    assert ada.get("/me").status_code == HTTPStatus.SEE_OTHER
    assert other.get("/me").status_code == HTTPStatus.OK


def test_signing_out_everywhere_ends_all(made: Stand, ada: FlaskClient) -> None:
    other, bob = signed_in(made, ADA), signed_in(made, Identity("bob"))
    ada.post("/signout", data={"form_token": form_of(ada), "everywhere": "yes"})
    assert other.get("/me").status_code == HTTPStatus.SEE_OTHER
    assert bob.get("/me").status_code == HTTPStatus.OK
    assert made.catalog.audits.all()[0].action == "sign out everywhere"


def test_the_cookie_of_a_session_that_ended_is_worth_nothing(made: Stand, ada: FlaskClient) -> None:
    cookie = ada.get_cookie(SESSION)
    assert cookie is not None
    ada.post("/signout", data={"form_token": form_of(ada)})
    ada.set_cookie(SESSION, cookie.value)
    assert ada.get("/me").status_code == HTTPStatus.SEE_OTHER


# ---------------------------------------------------------------- forms

FOREIGN = (
    {"Origin": "https://evil.example.org"},
    {"Origin": "null"},
    {"Origin": "https://env.example.org.evil.org"},
    {"Origin": "http://env.example.org"},
    {"Origin": "https://env.example.org:8443"},
    {"Origin": "https://[bad"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://env.example.org"},
)


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_form_that_another_host_sends_does_nothing(
    made: Stand, ada: FlaskClient, headers: dict[str, str]
) -> None:
    for path in ("/me/tokens", "/me/tokens/revoke", "/signout", "/edit"):
        answer = ada.post(path, data={"form_token": form_of(ada), "name": "x"}, headers=headers)
        assert answer.status_code == HTTPStatus.FORBIDDEN
        assert "Send it again" not in answer.text
    assert ada.get("/me").status_code == HTTPStatus.OK


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://env.example.org"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_a_form_of_ours_is_taken(made: Stand, ada: FlaskClient, headers: dict[str, str]) -> None:
    answer = ada.post("/edit", data={"form_token": form_of(ada), "text": "x"}, headers=headers)
    assert answer.json["by"] == "ada"


@pytest.mark.parametrize("token", [None, "", "0" * 64, "é", "a\nb"])
def test_a_form_without_its_token_does_nothing(
    made: Stand, ada: FlaskClient, token: str | None
) -> None:
    data = {"text": "mine"} if token is None else {"text": "mine", "form_token": token}
    answer = ada.post("/edit", data=data)
    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert 'name="text" value="mine"' in answer.text


def test_the_token_of_somebody_else_is_none(made: Stand, ada: FlaskClient) -> None:
    bob = signed_in(made, Identity("bob"))
    assert ada.post("/edit", data={"form_token": form_of(bob)}).status_code == 403


def test_text_that_passes_for_a_form_is_refused(made: Stand, ada: FlaskClient) -> None:
    for kind in ("text/plain", "application/json", ""):
        answer = ada.post("/edit", data="{}", content_type=kind)
        assert answer.status_code == HTTPStatus.FORBIDDEN


def test_a_password_that_a_browser_remembers_opens_nothing_from_elsewhere(
    made: Stand, ada: FlaskClient
) -> None:
    secret = secret_in(make(ada))
    client = made.app.test_client()
    here = client.post("/edit", auth=("any", secret))
    there = client.post("/edit", auth=("any", secret), headers={"Sec-Fetch-Site": "cross-site"})
    assert (here.status_code, there.status_code) == (200, 403)


def test_a_bearer_needs_no_form(made: Stand, ada: FlaskClient) -> None:
    header = {"Authorization": f"Bearer {secret_in(make(ada))}"}
    assert made.client.post("/edit", data={"text": "x"}, headers=header).json["by"] == "ada"


# ---------------------------------------------------------------- a form that outlives its session

TEXT = 'name: demo\r\n# \u200b<script>alert("1")</script>\u202e\r\n\ttab & "quotes" \'\r\n'


def kept_in(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', page)
    return {html.unescape(n): html.unescape(v) for n, v in found}


def test_nothing_is_lost_where_a_login_ends_in_the_middle_of_a_form(
    made: Stand, ada: FlaskClient
) -> None:
    data = {"form_token": form_of(ada), "text": TEXT, '"><script>': "odd"}
    made.catalog.people.close_all("ada")
    page = ada.post("/edit?a=1&b=%22", data=data)
    assert (page.status_code, page.headers["Cache-Control"]) == (401, "no-store")
    assert "<script>" not in page.text
    kept = kept_in(page.text)
    assert (kept["text"], kept['"><script>']) == (TEXT, "odd")
    ada.set_cookie(SESSION, made.catalog.people.open_session("ada", 600))
    action = re.search(r'action="([^"]*)"', page.text)
    assert action
    again = ada.post(html.unescape(action[1]), data=kept)
    assert again.json == {"by": "ada", "text": TEXT, "all": kept}


def test_a_kept_form_is_of_one_browser_and_one_address(made: Stand, ada: FlaskClient) -> None:
    made.catalog.people.close_all("ada")
    kept = kept_in(_expired(ada))
    ada.set_cookie(SESSION, made.catalog.people.open_session("ada", 600))
    assert ada.post("/signout", data=kept).status_code == HTTPStatus.FORBIDDEN
    bob = signed_in(made, Identity("bob"))
    assert bob.post("/edit", data=kept).status_code == HTTPStatus.FORBIDDEN


def _expired(client: FlaskClient) -> str:
    """What is told to who sends a form of before, of somebody who is signed in no more."""
    first = client.post("/edit", data={"text": "x"})
    second = client.post("/edit", data=kept_in(first.text))
    assert second.status_code == HTTPStatus.UNAUTHORIZED
    return second.text


def test_a_form_that_was_kept_twice_is_still_whole(made: Stand) -> None:
    client = made.app.test_client()
    kept = kept_in(client.post("/edit", data={"text": TEXT}).text)
    for _ in range(3):
        kept = kept_in(client.post("/edit", data=kept).text)
    assert kept["text"] == TEXT


# ---------------------------------------------------------------- a proxy that names people

PROXY = ProxyLogin("X-Forwarded-User", "X-Forwarded-Groups", ("127.0.0.1/32", "::1/128"))


def proxied(root: Path, proxy: ProxyLogin, hops: int = 0) -> Iterator[tuple[Stand, str]]:
    with stand(root, access=ACCESS, login=LoginSettings(proxy=proxy)) as made:
        server = serve(made.app, replace(WebSettings(port=0), proxy_hops=hops))
        try:
            yield made, server.address
        finally:
            server.stop()


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"{n} hops")
def behind(
    request: pytest.FixtureRequest, empty_root: Path, tmp_path: Path
) -> Iterator[tuple[Stand, str]]:
    """The connection comes from the proxy itself."""
    shutil.copytree(empty_root, tmp_path / "root")
    yield from proxied(tmp_path / "root", PROXY, request.param)


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"{n} hops")
def beside(
    request: pytest.FixtureRequest, empty_root: Path, tmp_path: Path
) -> Iterator[tuple[Stand, str]]:
    """… from somebody else."""
    shutil.copytree(empty_root, tmp_path / "root")
    yield from proxied(tmp_path / "root", replace(PROXY, trusted=("10.0.0.7/32",)), request.param)


def name_by(address: str, *headers: tuple[str, str | bytes]) -> str:
    """Who this is for the server; empty for nobody."""
    place = urlsplit(address)
    connection = http.client.HTTPConnection(str(place.hostname), int(place.port or 0), timeout=20)
    connection.putrequest("GET", "/me")
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    found = re.search(r"<h1>(.*?)</h1>", answer.read().decode())
    connection.close()
    return html.unescape(found[1]) if found and answer.status == HTTPStatus.OK else ""


def test_a_proxy_names_people_and_their_groups(behind: tuple[Stand, str]) -> None:
    made, address = behind
    assert name_by(address, ("X-Forwarded-User", "ada"), ("X-Forwarded-Groups", "a, b,,")) == "ada"
    assert made.catalog.people.identity("ada") == Identity("ada", ("a", "b"))


SPOOFS = (
    ("X-Forwarded-For", "10.0.0.7"),
    ("X-Forwarded-For", "10.0.0.7, 10.0.0.7, 10.0.0.7"),
    ("X-Real-IP", "10.0.0.7"),
    ("Forwarded", "for=10.0.0.7"),
    ("X-Forwarded-Host", "10.0.0.7"),
    ("Remote-Addr", "10.0.0.7"),
    ("REMOTE_ADDR", "10.0.0.7"),
    ("Via", "1.1 10.0.0.7"),
)


def test_nobody_else_names_people(beside: tuple[Stand, str]) -> None:
    made, address = beside
    user = ("X-Forwarded-User", "ada")
    assert [name_by(address, user, spoof) for spoof in SPOOFS] == [""] * len(SPOOFS)
    assert made.catalog.people.identity("ada") is None


def test_a_proxy_that_passes_headers_of_its_clients_on_is_still_believed_by_its_address(
    behind: tuple[Stand, str],
) -> None:
    _, address = behind
    spoof = ("X-Forwarded-For", "203.0.113.9")
    assert name_by(address, ("X-Forwarded-User", "ada"), spoof) == "ada"


@pytest.mark.parametrize(
    "name", ["ada,bob", "", " ", "host", "Anybody", "a" * 256, "\x7f", "a\x85b"]
)
def test_an_odd_name_of_a_proxy_is_nobody(behind: tuple[Stand, str], name: str) -> None:
    assert name_by(behind[1], ("X-Forwarded-User", name)) == ""


def test_a_header_that_comes_twice_is_nobody(behind: tuple[Stand, str]) -> None:
    _, address = behind
    twice = (("X-Forwarded-User", "mallory"), ("X-Forwarded-User", "ada"))
    assert name_by(address, *twice) == ""
    assert name_by(address, *reversed(twice)) == ""
    assert name_by(address, ("X_Forwarded_User", "mallory")) == ""
    assert name_by(address, ("x-forwarded-user", "ada"), ("X_FORWARDED_USER", "mallory")) == "ada"


def test_names_are_read_as_proxies_write_them(behind: tuple[Stand, str]) -> None:
    assert name_by(behind[1], ("X-Forwarded-User", "Zoë".encode())) == "Zoë"
    assert name_by(behind[1], ("X-Forwarded-User", "Zoë".encode("latin-1"))) == "Zoë"
    assert name_by(behind[1], ("X-Forwarded-User", "a\u202eb".encode())) == ""


@pytest.fixture
def behind_secret(empty_root: Path, tmp_path: Path) -> Iterator[tuple[Stand, str]]:
    """… and it says a secret, for others have accounts on its host."""
    shutil.copytree(empty_root, tmp_path / "root")
    (tmp_path / "secret").write_text("s3cret\n")
    yield from proxied(tmp_path / "root", replace(PROXY, secret_file=tmp_path / "secret"))


USER, SAID = ("X-Forwarded-User", "ada"), "X-Envwatch-Proxy-Secret"


def test_a_proxy_is_known_by_its_secret(behind_secret: tuple[Stand, str]) -> None:
    assert name_by(behind_secret[1], USER, (SAID, "s3cret")) == "ada"


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((SAID, ""),),
        ((SAID, "s3cre"),),
        ((SAID, "s3cret2"),),
        ((SAID, "S3CRET"),),
        ((SAID, "s3cret\xe9".encode()),),
        ((SAID, "s3cret"), (SAID, "s3cret")),
        (("X_Envwatch_Proxy_Secret", "s3cret"),),
        (("X-Envwatch-Secret", "s3cret"),),
    ],
)
def test_who_does_not_know_the_secret_names_nobody(
    behind_secret: tuple[Stand, str], headers: tuple[tuple[str, str | bytes], ...]
) -> None:
    made, address = behind_secret
    assert name_by(address, USER, *headers) == ""
    assert made.catalog.people.identity("ada") is None


def test_a_new_secret_of_the_proxy_counts_at_once_and_a_lost_one_is_told(
    behind_secret: tuple[Stand, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = behind_secret[1]
    (tmp_path / "secret").write_text("newer\n")
    assert name_by(address, USER, (SAID, "s3cret")) == ""
    assert name_by(address, USER, (SAID, "newer")) == "ada"
    (tmp_path / "secret").unlink()
    assert name_by(address, USER, (SAID, "newer")) == ""
    assert "login.proxy: nobody is signed in" in caplog.text
    assert "newer" not in caplog.text


def test_a_cookie_that_a_neighbour_could_set_opens_nothing_over_https(made: Stand) -> None:
    made.catalog.people.seen(ADA, "oidc")
    secret, client = made.catalog.people.open_session("ada", 600), made.app.test_client()
    client.set_cookie("envwatch_session", secret)
    assert client.get("/me").status_code == HTTPStatus.SEE_OTHER
    made.settings = replace(made.settings, web=WebSettings())
    assert client.get("/me").status_code == HTTPStatus.OK


def test_who_comes_through_a_proxy_needs_the_token_of_the_form(
    behind: tuple[Stand, str],
) -> None:
    made, _ = behind
    client, user = made.app.test_client(), {"X-Forwarded-User": "ada"}
    assert client.post("/me/tokens", data={"name": "x"}, headers=user).status_code == 403
    page = client.get("/me", headers=user)
    found = re.search(r'name="form_token" value="(\w+)"', page.text)
    assert found
    data = {"form_token": found[1], "name": "x", "namespaces": "ada", "role": "admin", "days": "1"}
    assert client.post("/me/tokens", data=data, headers=user).status_code == 200


def test_a_kept_session_ends_at_its_time(made: Stand) -> None:
    made.catalog.people.seen(ADA, "oidc")
    client = made.app.test_client()
    client.set_cookie(SESSION, made.catalog.people.open_session("ada", 0.5))
    assert client.get("/me").status_code == 200
    # nothing is written meanwhile
    wait_for(lambda: client.get("/me").status_code != 200, 5)


def test_what_is_granted_counts_for_a_session_at_once(made: Stand, ada: FlaskClient) -> None:
    assert "labour/*" not in ada.get("/me").text
    made.catalog.bindings.grant(Grant("labour/*", VIEWER), user="ada", by="boss")
    assert "labour/*" in ada.get("/me").text
    made.catalog.people.close_all("ada")
    assert ada.get("/me").status_code != 200
