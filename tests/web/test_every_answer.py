"""What holds of every answer, whatever the address: headers, forms, foreign text, secrets."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from house_helpers import FOREIGN, OWN, House, house_in
from test_hostile_requests import KEYS
from test_hostile_text import acts, elements

from envwatch.git.urls import shown
from envwatch.settings import LoginSettings, OidcSettings, ProxyLogin
from envwatch.web import forms

SESSION, FORM = "__Host-envwatch_session", "__Host-envwatch_form"
READS = {"GET", "HEAD", "OPTIONS"}
# a token in `Authorization`, or a signature, says who may: no browser sends either by itself
WITHOUT_FORM = ("/hooks/<source>", "/git/")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Nothing changes it."""
    with house_in(tmp_path_factory.mktemp("house") / "root") as house:
        yield house


def address(house: House, rule: str) -> str:
    known = {
        "namespace": OWN.namespace, "name": OWN.name, "build_id": str(house.builds[OWN]),
        "file": "conda-lock.yml", "provider": "oidc", "old": "1", "generation": "2", "new": "2",
        "number": "2", "service": "git-receive-pack", "source": OWN.namespace,
        "revision": "0" * 40,
    }  # fmt: skip
    path = re.sub(r"<(?:[^:>]*:)?(\w+)>", lambda m: known[m[1]], rule)
    asset = path.startswith("/demo") and rule.startswith("/<any")
    return "/style.css" if asset else path


def asked(house: House) -> Iterator[tuple[str, str]]:
    """Every method of every address, and some that there are not."""
    for rule in house.app.url_map.iter_rules():
        for method in sorted(rule.methods or ()):
            yield method, address(house, rule.rule)
    for path in ("/nope/x/", "/nope.json", "/api/v1/nope/", "/git/nope.git/info/refs", "/%00/"):
        yield "GET", path
        yield "PUT", path


def answers(house: House, who: str) -> Iterator[tuple[str, Any]]:
    """Forms are sent without what makes them valid: nothing is changed."""
    for method, path in asked(house):
        if method in READS or who == "anonymous":
            yield f"{method} {path}", house.call(who, method, path)


# ---------------------------------------------------------------- headers


@pytest.mark.parametrize("who", ["anonymous", "viewer", "owner", "wrong"])
def test_every_answer_forbids_what_no_page_of_ours_does(house: House, who: str) -> None:
    for what, answer in answers(house, who):
        headers = answer.headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy, what
        assert "frame-ancestors 'none'" in policy, what
        assert "unsafe" not in policy, what
        assert "*" not in policy, what
        assert headers["X-Content-Type-Options"] == "nosniff", what
        assert headers["X-Frame-Options"] == "DENY", what
        assert headers["Referrer-Policy"] == "same-origin", what
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin", what
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin", what
        assert "Access-Control-Allow-Origin" not in headers, what
        assert not answer.data or answer.content_type, what


@pytest.mark.parametrize("who", ["viewer", "owner"])
def test_no_cache_keeps_what_one_person_sees_for_another(house: House, who: str) -> None:
    public = (
        "/style.css",
        "/healthz",
        "/readyz",
        "/signin",
        "/api/v1/openapi.json",
        "/api/v1/docs",
    )
    for what, answer in answers(house, who):
        if what.split(" ")[1].startswith(public) or what.startswith("OPTIONS"):
            continue
        said = answer.headers.get("Cache-Control", "")
        assert "public" not in said, what
        if answer.status_code < 300 and "no-store" not in said:
            assert "private" in said, what
            assert {"Cookie", "Authorization"} <= set(answer.vary), what


def test_no_answer_sets_a_cookie_that_a_script_or_a_neighbour_could_have(house: House) -> None:
    for who in ("anonymous", "owner"):
        for what, answer in answers(house, who):
            for cookie in answer.headers.getlist("Set-Cookie"):
                words = {w.strip() for w in cookie.split(";")}
                assert cookie.startswith("__Host-"), what
                assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= words, what


# ---------------------------------------------------------------- forms


def signed_in(house: House, name: str) -> FlaskClient:
    client = house.app.test_client()
    client.set_cookie(SESSION, house.catalog.people.open_session(name, 600))
    return client


def form_token(client: FlaskClient) -> str:
    found = re.search(r'name="form_token" value="(\w+)"', client.get("/me").text)
    assert found
    return found[1]


ELSEWHERE = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://env.example.org"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://env.example.org"},
    {"Origin": "https://evil.example", "Referer": "https://env.example.org/me"},
)


def writes(house: House) -> Iterator[tuple[str, str]]:
    for rule in house.app.url_map.iter_rules():
        if not rule.rule.startswith(WITHOUT_FORM):
            for method in (rule.methods or set()) - READS:
                yield method, address(house, rule.rule)


@pytest.mark.parametrize("headers", ELSEWHERE, ids=str)
def test_no_write_is_taken_from_another_page(house: House, headers: dict[str, str]) -> None:
    """Of an admin of everything, with the very token of the form."""
    owner = signed_in(house, "owner")
    token, before = form_token(owner), house.state()
    for method, path in writes(house):
        for kind in (None, "text/plain", "application/json", "multipart/form-data"):
            data: Any = {"form_token": token, "verb": "hold", "name": "of-owner", "text": "a: b"}
            if kind in ("text/plain", "application/json"):
                data = json.dumps(data)
            answer = owner.open(path, method=method, data=data, content_type=kind, headers=headers)
            assert answer.status_code == 403, (method, path, kind, answer.status_code)
    assert house.state() == before


@pytest.mark.parametrize("token", ["", "0" * 64, "of somebody else", "of nobody"])
def test_no_form_is_taken_without_its_token(house: House, token: str) -> None:
    owner = signed_in(house, "owner")
    if token == "of somebody else":
        token = form_token(signed_in(house, "viewer"))
    if token == "of nobody":
        found = re.search(
            r'name="form_token" value="(\w+)"', house.app.test_client().get("/signin").text
        )
        token = found[1] if found else "x"
    before = house.state()
    same = {"Sec-Fetch-Site": "same-origin", "Origin": "https://env.example.org"}
    for method, path in writes(house):
        if not path.startswith("/api/"):
            data = {"form_token": token, "verb": "hold", "name": "of-owner", "text": "a: b"}
            answer = owner.open(path, method=method, data=data, headers=same)
            assert answer.status_code == 403, (method, path)
    assert house.state() == before


def test_a_token_of_a_form_that_somebody_planted_is_none(house: House) -> None:
    """A neighbour of this host may set a cookie, and know the token that belongs to it."""
    planted = house.app.test_client()
    planted.set_cookie("envwatch_form", "known")
    owner = signed_in(house, "owner")
    owner.set_cookie("envwatch_form", "known")
    owner.set_cookie(FORM, "known")
    answer = owner.post("/lab/demo/manage", data={"form_token": forms._made("known", "form")})
    assert answer.status_code == 403


# ---------------------------------------------------------------- secrets

CANARIES = {
    "client secret": "CANARY-CLIENT-SECRET",
    "proxy secret": "CANARY-PROXY-SECRET",
    "hook secret": "CANARY-HOOK-SECRET",
    "password of a url": "CANARY-PW",
    "key of the app": "CANARY-ENVIRONMENT",
}


def test_no_answer_and_no_line_of_the_log_holds_a_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVWATCH_SECRET_KEY", CANARIES["key of the app"])
    caplog.set_level(logging.DEBUG)
    with house_in(tmp_path / "root") as house:
        _plant(house, tmp_path)
        session = house.catalog.people.open_session("owner", 600)
        owner = house.app.test_client()
        owner.set_cookie(SESSION, session)
        secrets = {**CANARIES, "session": session}
        secrets |= {f"token {who}": secret for who, secret in house.tokens.items()}
        said = []
        for who in ("anonymous", "owner", "expired"):
            said += [(what, f"{a.headers}{a.text}") for what, a in answers(house, who)]
        for method, path in asked(house):
            answer = owner.open(path, method=method)
            said.append((f"{method} {path} of a person", f"{answer.headers}{answer.text}"))
        wrong = {"X-Hub-Signature-256": "sha256=ff", "X-Gitlab-Token": "CANARY-GUESS"}
        said.append(("a hook", owner.post("/hooks/lab", data=b"{}", headers=wrong).text))
        said.append(("the log", caplog.text))
        found = {(what, name) for what, text in said for name, s in secrets.items() if s in text}
        assert found == set()
        assert "CANARY-GUESS" not in caplog.text


def _plant(house: House, folder: Path) -> None:
    """Secrets in every place where one may be, and sources in trouble with theirs."""
    files = {}
    for name in ("client secret", "proxy secret", "hook secret"):
        files[name] = folder / name.replace(" ", "-")
        files[name].write_text(CANARIES[name])
    settings = house.parts.settings()
    hooked = tuple(
        replace(s, hook_secrets=(files["hook secret"],)) if s.name == "lab" else s
        for s in settings.sources
    )
    login = LoginSettings(
        oidc=OidcSettings("https://auth.example.org", "envwatch", files["client secret"]),
        proxy=ProxyLogin("X-User", secret_file=files["proxy secret"]),
    )
    house.parts.settings.replace(replace(settings, sources=hooked, login=login))
    place = shown(f"https://me:{CANARIES['password of a url']}@git.example.org/x.git")
    house.catalog.sources.failed("lab", f"`{place}` does not answer", "", stalled=False)


# ---------------------------------------------------------------- text of others


def test_what_is_asked_for_is_repeated_as_text_alone(house: House) -> None:
    evil = "%3Cscript%3Ealert(1)%3C/script%3E%22%20onload=x%20'%3Cimg%20src=x%20onerror=y%3E"
    query = "&".join(f"{key}={evil}" for key in KEYS)
    for rule in house.app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()):
            continue
        for path in (address(house, rule.rule), re.sub(r"<[^>]*>", evil, rule.rule)):
            for who in ("anonymous", "owner"):
                answer = house.call(who, "GET", f"{path}?{query}")
                if answer.mimetype in ("text/html", "application/xhtml+xml"):
                    assert [e.tag for e in elements(answer.text) if acts(e)] == [], path
                elif answer.mimetype in ("image/svg+xml", "application/atom+xml"):
                    assert "<script" not in answer.text, path
                else:
                    assert answer.headers["X-Content-Type-Options"] == "nosniff", path


def test_foreign_and_own_are_both_there(house: House) -> None:
    """Else nothing above would be shown."""
    assert house.call("owner", "GET", f"/{FOREIGN}/").status_code == 200
    assert house.call("owner", "GET", f"/{OWN}/").status_code == 200
