"""Pages of other hosts: those that `web.origins` names may use the API as whoever is signed in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from pathlib import Path

import pytest
import standin_oidc
from flask.testing import FlaskClient
from standin_oidc import Oidc
from web_helpers import Stand, stand
from werkzeug.test import TestResponse

from envwatch.access import Identity
from envwatch.settings import (
    AccessSettings,
    Binding,
    Grant,
    Role,
    SourceKind,
    SourceSettings,
    WebSettings,
)

HUB = "https://hub.example.org"
STRANGERS = ("https://evil.example", f"{HUB}.evil.example", "http://hub.example.org", "null", "")
SESSION = "__Host-envwatch_session"
ACCESS = AccessSettings(
    own_namespace=False, bindings=(Binding(Grant("lab/*", Role.ADMIN), users=("ada",)),)
)


@pytest.fixture
def oidc() -> Iterator[Oidc]:
    with standin_oidc.running() as oidc:
        yield oidc


@pytest.fixture
def made(empty_root: Path, tmp_path: Path, oidc: Oidc) -> Iterator[Stand]:
    shutil.copytree(empty_root, tmp_path / "root")
    login = standin_oidc.settings_for(tmp_path, oidc.address)
    web = WebSettings(url="https://env.example.org", origins=(HUB,))
    providers = standin_oidc.providers_for(login)
    with stand(tmp_path / "root", access=ACCESS, login=login, web=web, providers=providers) as made:
        yield made


@pytest.fixture
def ada(made: Stand) -> FlaskClient:
    made.catalog.people.seen(Identity("ada"), "oidc")
    made.client.set_cookie(SESSION, made.catalog.people.open_session("ada", 600))
    return made.client


def told(answer: TestResponse) -> dict[str, str]:
    """What a browser is told of who may read the answer."""
    return {k: v for k, v in answer.headers if k.startswith("Access-Control-")}


def preflight(client: FlaskClient, origin: str, path: str) -> TestResponse:
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x"}
    return client.open(path, method="OPTIONS", headers={"Origin": origin, **asked})


def test_a_named_host_may_read_and_ask(ada: FlaskClient) -> None:
    answer = ada.get("/api/v1/permission/", headers={"Origin": HUB})
    assert answer.json is not None
    assert answer.json["data"]["name"] == "ada"
    assert told(answer)["Access-Control-Allow-Origin"] == HUB
    assert told(answer)["Access-Control-Allow-Credentials"] == "true"
    assert "Origin" in answer.headers["Vary"]
    asked = preflight(ada, HUB, "/api/v1/environment/lab/demo/")
    assert (asked.status_code, told(asked)["Access-Control-Allow-Origin"]) == (204, HUB)
    assert "DELETE" in told(asked)["Access-Control-Allow-Methods"]
    assert "Authorization" in told(asked)["Access-Control-Allow-Headers"]


@pytest.mark.parametrize("origin", STRANGERS)
def test_nobody_else_may(ada: FlaskClient, origin: str) -> None:
    assert told(ada.get("/api/v1/permission/", headers={"Origin": origin})) == {}
    assert told(preflight(ada, origin, "/api/v1/environment/lab/demo/")) == {}


@pytest.mark.parametrize("path", ["/", "/me", "/signin", "/healthz", "/lab/demo/"])
def test_nothing_but_the_api_may_be_read(ada: FlaskClient, path: str) -> None:
    assert told(ada.get(path, headers={"Origin": HUB})) == {}


def test_without_a_name_nobody_is_told_anything(made: Stand, ada: FlaskClient) -> None:
    made.settings = replace(made.settings, web=WebSettings(url="https://env.example.org"))
    answer = ada.get("/api/v1/permission/", headers={"Origin": HUB})
    assert told(answer) == {}
    assert "Origin" not in answer.headers["Vary"]


@pytest.mark.parametrize(("origin", "status"), [(HUB, 404), *((o, 403) for o in STRANGERS)])
def test_a_named_host_may_write(ada: FlaskClient, origin: str, status: int) -> None:
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-site"}
    answer = ada.delete("/api/v1/environment/lab/demo/", headers=headers)
    assert answer.status_code == status


def test_a_session_is_ended_by_a_page_that_may(made: Stand, ada: FlaskClient) -> None:
    evil = {"Origin": STRANGERS[0], "Sec-Fetch-Site": "cross-site"}
    assert ada.post("/api/v1/signout/", headers=evil).status_code == HTTPStatus.FORBIDDEN
    assert ada.get("/me").status_code == HTTPStatus.OK
    assert ada.post("/api/v1/signout/", headers={"Origin": HUB}).status_code == HTTPStatus.OK
    assert ada.get("/me").status_code == HTTPStatus.SEE_OTHER
    assert made.catalog.audits.all()[0].action == "sign out"


# ---------------------------------------------------------------- where signing in leads


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        (f"{HUB}/ui/lab/demo?a=b", f"{HUB}/ui/lab/demo?a=b"),
        ("HTTPS://Hub.Example.Org/ui/", f"{HUB}/ui/"),
        (HUB, HUB),
        ("https://env.example.org/lab/demo/", "/lab/demo/"),
        ("/lab/demo/", "/lab/demo/"),
        *(
            (odd, "/")
            for odd in (
                "https://evil.example/", f"{HUB}.evil.example/", f"{HUB}@evil.example/",
                f"{HUB}\\@evil.example/", f"{HUB}:443/", f"\t{HUB}//evil.example", f"{HUB}//evil",
                f"{HUB}/%2f/evil", f"{HUB}/%5cevil", "https:hub.example.org/", f"x{HUB}/",
                "javascript://hub.example.org/%0aalert(1)", "https://[::1", f"{HUB}/\u212a",
            )
        ),
    ],
)  # fmt: skip
def test_signing_in_leads_to_a_place_that_is_trusted(
    made: Stand, oidc: Oidc, wanted: str, place: str
) -> None:
    left = made.client.get("/signin/oidc", query_string={"next": wanted}).headers["Location"]
    state = left.partition("state=")[2].partition("&")[0]
    query = {"code": oidc.authorize(left), "state": state}
    answer = made.client.get("/signin/oidc/callback", query_string=query)
    assert (answer.status_code, answer.headers["Location"]) == (HTTPStatus.SEE_OTHER, place)


# ---------------------------------------------------------------- what conda-store's page reads


def test_what_a_pattern_gives_is_told_of_each_namespace(filled: Stand) -> None:
    sources = tuple(
        SourceSettings(n, SourceKind.MANAGED, n, url="x", branch="main")
        for n in ("ml", "analyst", "other")
    )
    filled.settings = replace(filled.settings, sources=sources)
    secret = filled.catalog.tokens.create("t", ("an*/*", "*/torch"), role=Role.DEVELOPER).secret
    answer = filled.client.get("/api/v1/permission/", headers={"Authorization": f"Bearer {secret}"})
    assert answer.json is not None
    data = answer.json["data"]
    assert set(data["entity_roles"]) == {"an*/*", "*/torch", "analyst/*"}
    assert "namespace::create" in data["entity_permissions"]["analyst/*"]
    assert data["primary_namespace"] == "ml", "they may change something in it"


def test_nobody_is_offered_to_change_what_they_only_see(filled: Stand) -> None:
    answer = filled.client.get("/api/v1/permission/")
    assert answer.json is not None
    assert answer.json["data"]["primary_namespace"] == "default"


def test_times_have_no_offset_and_a_spec_all_its_keys(filled: Stand) -> None:
    answer = filled.client.get("/api/v1/build/3/")
    assert answer.json is not None
    build = answer.json["data"]
    for name in ("scheduled_on", "started_on", "ended_on"):
        assert datetime.fromisoformat(build[name]).tzinfo is None
    keys = {"name", "channels", "dependencies", "description", "prefix", "variables"}
    assert keys <= set(build["specification"]["spec"])


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("search=pandas&exact=true", {"pandas"}),
        ("search=panda&exact=true", set()),
        ("search=panda&exact=false", {"pandas"}),
        ("exact=pandas", {"pandas"}),
    ],
)
def test_a_package_is_found_by_its_whole_name(filled: Stand, query: str, names: set[str]) -> None:
    answer = filled.client.get(f"/api/v1/package/?{query}&distinct_on=version&order=desc")
    assert answer.json is not None
    assert {p["name"] for p in answer.json["data"]} == names
