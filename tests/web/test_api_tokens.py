"""Tokens that are asked for by the API: whose they are, for what, for how long, and how many."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from web_helpers import Stand
from werkzeug.test import TestResponse

from envwatch import rights
from envwatch.access import Identity
from envwatch.rights import LONGEST_DAYS, MOST_TOKENS, NAMELESS
from envwatch.settings import AccessSettings, Binding, Grant, Role

ORIGIN = {"Origin": "https://env.example.org"}
ADMIN = Role.ADMIN
ACCESS = AccessSettings(
    bindings=(
        Binding(Grant("analyst/*", ADMIN), users=("ada",)),
        Binding(Grant("ml/*", Role.VIEWER), users=("ada",)),
        Binding(Grant("ml/torch", ADMIN), users=("ada",)),
        Binding(Grant("ml/*", ADMIN), users=("bob",)),
    ),
    own_namespace=False,
)


@dataclass(frozen=True)
class House:
    """`filled`, where Ada and Bob have a namespace each; the host, Ada and Bob a token `ci`."""

    stand: Stand
    secrets: dict[str, str]

    def by_token(self, of: str, path: str, method: str = "GET", **body: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.secrets[of]}"}
        return self._send(path, method, headers, body)

    def by_session(self, of: str, path: str, method: str = "GET", **body: Any) -> TestResponse:
        secret = self.stand.catalog.people.open_session(of, 600)
        self.stand.client.set_cookie("__Host-envwatch_session", secret)
        return self._send(path, method, ORIGIN, body)

    def _send(
        self, path: str, method: str, headers: dict[str, str], body: dict[str, Any]
    ) -> TestResponse:
        said = {"json": body} if method == "POST" else {}
        return self.stand.client.open(f"/api/v1{path}", method=method, headers=headers, **said)

    def holding(self) -> list[tuple[str, str]]:
        """Owner and name of each token that holds."""
        found = self.stand.catalog.tokens.all()
        return sorted((t.owner, t.name) for t in found if t.revoked_at is None)


@pytest.fixture
def house(filled: Stand) -> House:
    filled.settings = replace(filled.settings, access=ACCESS)
    secrets = {}
    for owner, patterns in {"ada": "analyst/*", "bob": "ml/*", "": "*/*"}.items():
        if owner:
            filled.catalog.people.seen(Identity(owner), "test")
        made = filled.catalog.tokens.create("ci", (patterns,), role=ADMIN, owner=owner)
        secrets[owner] = made.secret
    return House(filled, secrets)


def data(answer: TestResponse) -> Any:
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    return answer.json["data"]


# ---------------------------------------------------------------- whose they are


@pytest.mark.parametrize("owner", ["ada", "bob", ""])
def test_a_token_is_made_for_the_owner_of_the_one_that_asks(house: House, owner: str) -> None:
    data(house.by_token(owner, "/token/", "POST", name="more"))
    assert house.stand.catalog.tokens.all()[0].owner == owner


@pytest.mark.parametrize(("owner", "pattern"), [("ada", "analyst/*"), ("bob", "ml/*"), ("", "*/*")])
def test_a_token_is_told_of_itself(house: House, owner: str, pattern: str) -> None:
    assert [t["namespaces"] for t in data(house.by_token(owner, "/token/"))] == [[pattern]]


@pytest.mark.parametrize("owner", ["ada", "bob", ""])
def test_a_token_ends_none_that_is_called_like_it(house: House, owner: str) -> None:
    data(house.by_token(owner, "/token/ci/", "DELETE"))
    assert house.holding() == [(o, "ci") for o in ("", "ada", "bob") if o != owner]


def test_somebody_ends_no_token_of_another(house: House) -> None:
    data(house.by_session("ada", "/token/ci/", "DELETE"))
    assert house.holding() == [("", "ci"), ("bob", "ci")]
    assert house.by_session("ada", "/token/ci/", "DELETE").status_code == 404


# ---------------------------------------------------------------- for what


@pytest.mark.parametrize(
    "wanted",
    [
        # a token of the higher role would be admin of `ml/torch`, too
        {"ml/*": ["viewer"], "analyst/*": ["admin"]},
        {"analyst/*": ["viewer", "admin"]},
    ],
)
def test_a_token_has_one_role(house: House, wanted: dict[str, list[str]]) -> None:
    answer = house.by_session("ada", "/token/", "POST", role_bindings=wanted)
    assert answer.status_code == 400
    assert "one token for each role" in answer.text


def test_a_token_has_the_role_that_is_asked_for(house: House) -> None:
    wanted = {"ml/*": ["viewer"], "analyst/*": ["viewer"]}
    made = data(house.by_session("ada", "/token/", "POST", role_bindings=wanted))
    house.secrets["small"] = made["token"]
    roles = data(house.by_token("small", "/permission/"))["entity_roles"]
    assert set(map(tuple, roles.values())) == {("viewer",)}


# ---------------------------------------------------------------- for how long, and how many


@pytest.mark.parametrize(
    "wanted", ["2999-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59"]
)
@pytest.mark.parametrize("field", ["exp", "expiration"])
def test_a_token_holds_for_a_year_at_most(house: House, wanted: str, field: str) -> None:
    made = data(house.by_session("ada", "/token/", "POST", **{field: wanted}))
    left = datetime.fromisoformat(made["expires_on"]) - datetime.now(UTC)
    assert timedelta(days=LONGEST_DAYS - 1) < left <= timedelta(days=LONGEST_DAYS)


def hold(house: House, owner: str, start: str, count: int = MOST_TOKENS) -> None:
    for n in range(count):
        house.stand.catalog.tokens.create(f"{start}{n}", ("*/*",), role=ADMIN, owner=owner)


@pytest.mark.parametrize("ask", [House.by_session, House.by_token])
def test_somebody_has_a_hundred_tokens_at_most(house: House, ask: Any) -> None:
    hold(house, "ada", "t", MOST_TOKENS - 1)
    answer = ask(house, "ada", "/token/", "POST", name="more")
    assert answer.status_code == 409
    assert "you have 100 tokens" in answer.text
    data(ask(house, "bob", "/token/", "POST", name="more"))
    data(ask(house, "ada", "/token/", "POST"))


def test_tokens_without_a_name_lock_nobody_out(house: House) -> None:
    hold(house, "ada", NAMELESS)
    own = rights.Rights(house.stand.catalog, lambda: house.stand.settings)
    wish = rights.TokenWish("laptop", ("analyst/*",), ADMIN, days=3)
    assert own.make_token(own.of(Identity("ada")), wish).token.name == "laptop"


def test_tokens_without_a_name_are_counted_apart(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rights, "MOST_NAMELESS", 3)
    hold(house, "ada", NAMELESS, 3)
    assert house.by_session("ada", "/token/", "POST").status_code == 409


def test_the_host_has_as_many_tokens_as_it_needs(house: House) -> None:
    hold(house, "", "t")
    data(house.by_token("", "/token/", "POST", name="more"))
