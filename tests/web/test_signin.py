"""Signing in by a provider of OpenID Connect, and everything that may go wrong on the way."""

from __future__ import annotations

import logging
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import standin_oidc
from flask.testing import FlaskClient
from standin_oidc import SECRET, STRANGER, Oidc
from web_helpers import Stand, stand
from werkzeug.test import TestResponse

from envwatch.access import Identity
from envwatch.errors import ConfigError
from envwatch.settings import Grant, Network, Role
from envwatch.signin import open_providers
from envwatch.web import attempts

SESSION = "__Host-envwatch_session"


@dataclass
class Lab:
    """The pages, a provider, and a browser."""

    made: Stand
    oidc: Oidc

    @property
    def client(self) -> FlaskClient:
        return self.made.client

    def leave(self, **query: str) -> str:
        answer = self.client.get("/signin/oidc", query_string=query)
        assert answer.status_code == HTTPStatus.SEE_OTHER
        return answer.headers["Location"]

    def come_back(self, address: str, **values: str) -> TestResponse:
        """As if somebody had signed in at this address."""
        state = parse_qs(urlsplit(address).query)["state"][0]
        query = {"code": self.oidc.authorize(address), "state": state, **values}
        return self.client.get("/signin/oidc/callback", query_string=query)

    def sign_in(self, **query: str) -> TestResponse:
        return self.come_back(self.leave(**query))

    @property
    def name(self) -> str:
        """Who this browser is, empty for nobody."""
        answer = self.client.get("/me")
        found = re.search(r"<h1>(.*?)</h1>", answer.text)
        return found[1] if found and answer.status_code == HTTPStatus.OK else ""


@contextmanager
def lab_in(root: Path, folder: Path, oidc: Oidc, **more: Any) -> Iterator[Lab]:
    shutil.copytree(root, folder / "root", dirs_exist_ok=True)
    login = standin_oidc.settings_for(folder, oidc.address, **more)
    providers = standin_oidc.providers_for(login)
    with stand(folder / "root", providers=providers, login=login) as made:
        yield Lab(made, oidc)


@pytest.fixture
def oidc() -> Iterator[Oidc]:
    with standin_oidc.running() as oidc:
        yield oidc


@pytest.fixture
def lab(empty_root: Path, tmp_path: Path, oidc: Oidc) -> Iterator[Lab]:
    with lab_in(empty_root, tmp_path, oidc) as lab:
        yield lab


def trouble(answer: TestResponse) -> str:
    assert answer.status_code == HTTPStatus.SEE_OTHER
    return parse_qs(urlsplit(answer.headers["Location"]).query).get("trouble", [""])[0]


# ---------------------------------------------------------------- the way


def test_a_person_signs_in(lab: Lab) -> None:
    answer = lab.sign_in(next="/builds?state=failed")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/builds?state=failed")
    assert lab.name == "ada"
    assert lab.made.catalog.people.identity("ada") == Identity("ada", ("/staff", "lab"))
    assert [(a.person, a.action) for a in lab.made.catalog.audits.all()] == [("ada", "sign in")]


def test_the_cookie_of_a_session_is_out_of_reach(lab: Lab) -> None:
    set_cookies = lab.sign_in().headers.getlist("Set-Cookie")
    (session,) = (c for c in set_cookies if c.startswith(SESSION))
    words = {w.strip() for w in session.split(";")[1:]}
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=43200"} <= words
    assert not any(w.startswith("Domain") for w in words)


def test_each_sign_in_has_a_secret_of_its_own_and_ends_the_one_before(lab: Lab) -> None:
    lab.client.set_cookie(SESSION, "known-to-somebody", domain="localhost")
    lab.sign_in()
    first = lab.client.get_cookie(SESSION)
    lab.sign_in()
    second = lab.client.get_cookie(SESSION)
    assert first is not None
    assert second is not None
    assert len({first.value, second.value, "known-to-somebody"}) == 3
    assert lab.made.catalog.people.of_session(first.value) is None


def test_the_client_says_its_secret_in_the_way_that_is_known_there(lab: Lab) -> None:
    lab.oidc.names = ["client_secret_post"]
    lab.sign_in()
    assert lab.name == "ada"
    assert [f["client_secret"] for p, f, _ in lab.oidc.asked if p == "/token"] == [SECRET]


def test_another_secret_in_the_file_needs_no_restart(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "oidc-secret").write_text("an older one\n")
    assert trouble(lab.sign_in()) == "refused"
    (tmp_path / "oidc-secret").write_text(SECRET)
    lab.sign_in()
    assert lab.name == "ada"


def test_what_the_token_does_not_say_is_asked_for(lab: Lab) -> None:
    lab.oidc.claims = {"preferred_username": ..., "groups": ...}
    lab.oidc.userinfo = {"sub": "1", "preferred_username": "grace", "groups": ["navy"]}
    lab.sign_in()
    assert lab.made.catalog.people.identity("grace") == Identity("grace", ("navy",))


def test_what_is_told_of_somebody_else_is_refused(lab: Lab) -> None:
    lab.oidc.claims = {"preferred_username": ...}
    lab.oidc.userinfo = {"sub": "2", "preferred_username": "grace"}
    assert trouble(lab.sign_in()) == "refused"
    assert lab.name == ""


def test_two_tabs_do_not_disturb_each_other(lab: Lab) -> None:
    one, two = lab.leave(next="/builds"), lab.leave(next="/sources")
    assert lab.come_back(one).headers["Location"] == "/builds"
    assert lab.come_back(two).headers["Location"] == "/sources"


# ---------------------------------------------------------------- what is not believed

NOW = 4_102_444_800  # far ahead
LIES: dict[str, Callable[[Oidc], None]] = {
    "nonce": lambda o: o.claims.update(nonce="another"),
    "no nonce": lambda o: o.claims.update(nonce=...),
    "aud": lambda o: o.claims.update(aud="another-client"),
    "aud of many": lambda o: o.claims.update(aud=["envwatch", "other"], azp="other"),
    "aud of many without azp": lambda o: o.claims.update(aud=["envwatch", "other"]),
    "no aud": lambda o: o.claims.update(aud=...),
    "iss": lambda o: o.claims.update(iss="https://evil.example.org"),
    "no iss": lambda o: o.claims.update(iss=...),
    "no sub": lambda o: o.claims.update(sub=...),
    "expired": lambda o: o.claims.update(exp=1_700_000_000),
    "no exp": lambda o: o.claims.update(exp=...),
    "exp that is text": lambda o: o.claims.update(exp="tomorrow"),
    "not yet": lambda o: o.claims.update(nbf=NOW),
    "made in the future": lambda o: o.claims.update(iat=NOW),
    "at_hash": lambda o: o.claims.update(at_hash="AAAA"),
    "another key": lambda o: setattr(o, "key", STRANGER),
    "unknown kid": lambda o: o.header.update(kid="two"),
    "crit": lambda o: o.header.update(crit=["b64"], b64=False),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_token_that_lies_signs_nobody_in(lab: Lab, lie: str) -> None:
    address = lab.leave()
    LIES[lie](lab.oidc)
    assert trouble(lab.come_back(address)) == "refused"
    assert lab.name == ""


@pytest.mark.parametrize("lie", [standin_oidc.unsigned, standin_oidc.confused])
def test_a_signature_that_anybody_can_make_is_none(
    lab: Lab, lie: Callable[[Oidc, str], str]
) -> None:
    address = lab.leave()
    lab.oidc.token = lie(lab.oidc, parse_qs(urlsplit(address).query)["nonce"][0])
    assert trouble(lab.come_back(address)) == "refused"
    assert lab.name == ""


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "." * 9, "ey" * 5000, "é.é.é", "\0"])
def test_a_token_that_is_none_is_refused(lab: Lab, token: str) -> None:
    lab.oidc.token = token or " "
    assert trouble(lab.sign_in()) == "refused"


def test_a_state_of_somebody_else_is_refused(lab: Lab) -> None:
    address = lab.leave()
    other = lab.made.app.test_client()
    state = parse_qs(urlsplit(address).query)["state"][0]
    code = lab.oidc.authorize(address)
    answer = other.get("/signin/oidc/callback", query_string={"code": code, "state": state})
    assert trouble(answer) == "stale"
    assert not [p for p, _, _ in lab.oidc.asked if p == "/token"]


@pytest.mark.parametrize("state", ["", "x", "../../x", "a" * 5000, "\r\nSet-Cookie: a=b", "é"])
def test_a_state_that_was_made_up_is_refused(lab: Lab, state: str) -> None:
    address = lab.leave()
    assert trouble(lab.come_back(address, state=state)) == "stale"


def test_the_same_answer_counts_once(lab: Lab) -> None:
    address = lab.leave()
    cookies = [c for c in lab.client._cookies.values() if "signin" in c.key]
    assert trouble(lab.come_back(address)) == ""
    for cookie in cookies:
        lab.client.set_cookie(cookie.key, cookie.value, domain="localhost")
    assert trouble(lab.come_back(address)) == "stale"


def test_a_code_that_was_used_is_refused(lab: Lab) -> None:
    first, second = lab.leave(), lab.leave()
    code = lab.oidc.authorize(first)
    state = parse_qs(urlsplit(first).query)["state"][0]
    query = {"code": code, "state": state}
    lab.client.get("/signin/oidc/callback", query_string=query)
    lab.client.delete_cookie(SESSION)
    assert trouble(lab.come_back(second, code=code)) == "refused"
    assert lab.name == ""


def test_an_answer_of_another_issuer_is_refused(lab: Lab) -> None:
    assert trouble(lab.come_back(lab.leave(), iss="https://evil.example.org")) == "refused"


def test_who_was_refused_there_is_told_so(lab: Lab) -> None:
    answer = lab.come_back(lab.leave(next="/builds"), error="access_denied")
    assert trouble(answer) == "denied"
    page = lab.client.get(answer.headers["Location"])
    assert page.status_code == HTTPStatus.FORBIDDEN
    assert "You were not signed in there" in page.text
    assert 'href="/signin/oidc?next=/builds"' in page.text


# ---------------------------------------------------------------- a provider that is not well


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks", "/token"])
def test_a_provider_that_fails_is_told_as_such(lab: Lab, path: str) -> None:
    lab.oidc.status[path] = 503
    answer = lab.client.get("/signin/oidc")
    if not answer.headers["Location"].startswith("/"):
        answer = lab.come_back(answer.headers["Location"])
    assert trouble(answer) == "away"
    assert lab.client.get(answer.headers["Location"]).status_code == 503


def test_a_provider_that_is_down_is_told_as_such(
    empty_root: Path, tmp_path: Path, oidc: Oidc
) -> None:
    oidc.address = "http://127.0.0.1:1"
    with lab_in(empty_root, tmp_path, oidc) as lab:
        assert trouble(lab.client.get("/signin/oidc")) == "away"


def test_a_provider_that_does_not_answer_holds_few(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envwatch.signin.talk.PATIENCE", 3.0)
    lab.oidc.silent.clear()
    found: list[str] = []

    def ask() -> None:
        found.append(trouble(lab.made.app.test_client().get("/signin/oidc")))

    threads = [threading.Thread(target=ask) for _ in range(attempts.AT_ONCE + 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["away"] * attempts.AT_ONCE + ["busy"] * 3


@pytest.mark.parametrize(
    "about",
    [
        {"issuer": "https://evil.example.org"},
        {"issuer": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": 7},
        {"authorization_endpoint": ""},
    ],
)
def test_a_provider_that_describes_itself_oddly_is_not_used(
    lab: Lab, about: dict[str, Any]
) -> None:
    lab.oidc.about = about
    assert trouble(lab.client.get("/signin/oidc")) == "away"


def test_an_answer_that_is_not_json_is_told_as_such(lab: Lab) -> None:
    lab.oidc.answer = lambda *_: (200, b"[" * 60_000)  # type: ignore[method-assign]
    assert trouble(lab.client.get("/signin/oidc")) == "away"


def test_a_package_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = standin_oidc.settings_for(tmp_path, "https://auth.example.org")
    monkeypatch.setitem(__import__("sys").modules, "authlib", None)
    monkeypatch.delitem(__import__("sys").modules, "envwatch.signin.oidc", raising=False)
    for name in [n for n in __import__("sys").modules if n.startswith("authlib.")]:
        monkeypatch.delitem(__import__("sys").modules, name)
    with pytest.raises(ConfigError, match=r"login\.oidc: .*authlib.* is not installed"):
        open_providers(login, Network())


# ---------------------------------------------------------------- names and groups


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        7,
        None,
        ["ada"],
        {"a": 1},
        "a" * 256,
        "ada\nx",
        "a\u202eda",
        "\0",
        "ada,bob",
        "Host",
    ],
)
def test_an_odd_name_is_no_name(lab: Lab, name: object) -> None:
    lab.oidc.claims = {"preferred_username": name}
    assert trouble(lab.sign_in()) == "refused"
    assert lab.name == ""


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "Zoë Ångström", "*", "a@b.org", "'\""]
)
def test_an_unusual_name_is_shown_as_text_and_owns_no_namespace(lab: Lab, name: str) -> None:
    lab.oidc.claims = {"preferred_username": name}
    lab.sign_in()
    page = lab.client.get("/me").text
    assert "<script>alert" not in page
    rights = lab.made.app.extensions["envwatch"].rights
    identity = lab.made.catalog.people.identity(name)
    assert identity is not None
    assert [g for g in rights.of(identity).grants if g.role is Role.ADMIN] == []


@pytest.mark.parametrize(
    ("groups", "read"),
    [
        (["a", "b", "a"], ("a", "b")),
        ("staff", ("staff",)),
        (None, ()),
        (7, ()),
        ({"a": 1}, ()),
        ([1, None, ["x"], {"y": 2}, "ok"], ("ok",)),
        (["", " ", "a\nb", "x" * 256], ()),
        (True, ()),
    ],
)
def test_groups_of_odd_kinds_give_nothing(lab: Lab, groups: object, read: tuple[str, ...]) -> None:
    lab.oidc.claims = {"groups": groups}
    lab.oidc.userinfo = {"sub": "1"}
    lab.sign_in()
    identity = lab.made.catalog.people.identity("ada")
    assert identity is not None
    assert identity.groups == read


def test_claims_are_found_by_their_path(empty_root: Path, tmp_path: Path, oidc: Oidc) -> None:
    oidc.claims = {
        "realm_access": {"roles": ["data"]},
        "https://example.org/rights": "developer!namespace=lab,nonsense",
        "nick": {"name": "grace"},
    }
    more = {
        "name_claim": "nick.name",
        "roles_claim": "realm_access.roles",
        "grants_claim": "https://example.org/rights",
    }
    with lab_in(empty_root, tmp_path, oidc, **more) as lab:
        lab.sign_in()
        found = lab.made.catalog.people.identity("grace")
    grants = (Grant("lab/*", Role.DEVELOPER),)
    assert found == Identity("grace", ("/staff", "lab", "data"), grants)


@pytest.mark.parametrize(
    ("verified", "name"), [(True, "a@b.org"), (False, ""), (..., ""), ("true", "")]
)
def test_an_address_that_nobody_verified_is_no_name(
    empty_root: Path, tmp_path: Path, oidc: Oidc, verified: object, name: str
) -> None:
    oidc.claims = {"email": "a@b.org", "email_verified": verified}
    with lab_in(empty_root, tmp_path, oidc, name_claim="email") as lab:
        lab.sign_in()
        assert lab.name == name


# ---------------------------------------------------------------- addresses, logs, limits

ELSEWHERE = (
    "//evil.example", "https://evil.example", "https:evil.example", "/\\evil.example", "?x=//evil",
    "\\\\evil.example", "/\t/evil.example", "/%09//evil.example", "/%2f/evil.example", " /builds",
    "/%252f/evil.example", "/%5cevil.example", "/%255cevil.example", "javascript:alert(1)", "",
    "data:text/html,x", "evil.example", "/builds\r\nSet-Cookie: a=b", "/%0d%0aX: y",
    "@evil.example", "///evil.example", "/%00", "http:/evil.example", "/é", "/" + "a" * 3000,
)  # fmt: skip


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_nobody_is_sent_elsewhere(lab: Lab, wanted: str) -> None:
    assert lab.sign_in(next=wanted).headers["Location"] == "/"
    page = lab.client.get("/signin", query_string={"next": wanted})
    assert 'href="/">Go on' in page.text


def test_the_log_holds_no_secret(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    address = lab.leave()
    lab.oidc.status["/token"] = 400
    lab.come_back(address)
    del lab.oidc.status["/token"]
    lab.sign_in()
    cookie = lab.client.get_cookie(SESSION)
    assert cookie is not None
    query = parse_qs(urlsplit(address).query)
    secrets = [SECRET, "code-", "at-secret", cookie.value, query["state"][0], query["nonce"][0]]
    secrets += [f["code_verifier"] for p, f, _ in lab.oidc.asked if p == "/token"]
    ours = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("envwatch"))
    assert "signed in by oidc: ada" in ours
    assert [s for s in secrets if s in ours] == []


def test_no_answer_is_kept_by_a_browser(lab: Lab) -> None:
    address = lab.leave()
    answers = [lab.client.get("/signin"), lab.client.get("/signin/oidc"), lab.come_back(address)]
    answers += [lab.client.get("/me"), lab.client.get("/signin/nobody")]
    assert {a.headers["Cache-Control"] for a in answers} == {"no-store"}


def test_the_code_is_in_no_address_that_stays(lab: Lab) -> None:
    for values in ({}, {"error": "x"}, {"state": "wrong"}):
        answer = lab.come_back(lab.leave(), **values)
        assert answer.status_code == HTTPStatus.SEE_OTHER
        assert "code" not in answer.headers["Location"]
        assert answer.data == b""


def test_tries_are_counted(lab: Lab) -> None:
    found = {trouble(lab.client.get("/signin/oidc/callback?state=x")) for _ in range(40)}
    assert found == {"stale", "busy"}
    answers = [lab.client.get("/signin/oidc").headers["Location"] for _ in range(40)]
    assert answers[-1] == "/signin?trouble=busy"


def test_many_attempts_of_one_browser_leave_few_cookies(lab: Lab) -> None:
    for _ in range(12):
        lab.leave()
    assert len([c for c in lab.client._cookies.values() if "signin" in c.key]) <= 6


def test_a_trouble_that_is_none_says_nothing(lab: Lab) -> None:
    page = lab.client.get("/signin?trouble=<script>alert(1)</script>")
    assert page.status_code == 200
    assert "alert" not in page.text
