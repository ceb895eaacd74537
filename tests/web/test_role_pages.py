"""Roles that admins give, namespaces that they make, and who did what, on their pages."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from web_helpers import Stand, stand
from werkzeug.test import TestResponse

from envwatch.access import HOST, Identity, Visitor
from envwatch.model import EnvKey
from envwatch.settings import (
    AccessSettings,
    Binding,
    Grant,
    NamespaceSettings,
    PackageRules,
    Quota,
    Role,
    SourceKind,
    SourceSettings,
)

SESSION = "__Host-envwatch_session"
VIEWER, DEVELOPER, ADMIN = Role
ACCESS = AccessSettings(
    bindings=(
        Binding(Grant("*/*", ADMIN), users=("root",)),
        Binding(Grant("lab/*", ADMIN), users=("ada",)),
        Binding(Grant("lab/*", DEVELOPER), groups=("staff",)),
        Binding(Grant("ops/*", ADMIN), users=("oscar",)),
    ),
    own_namespace=False,
)


@pytest.fixture
def made(empty_root: Path, tmp_path: Path) -> Iterator[Stand]:
    shutil.copytree(empty_root, tmp_path / "root")
    sources = tuple(SourceSettings(n, SourceKind.MANAGED, n) for n in ("lab", "ops"))
    with stand(tmp_path / "root", access=ACCESS, sources=sources) as made:
        yield made


def client_of(made: Stand, name: str) -> FlaskClient:
    made.catalog.people.seen(Identity(name), "oidc")
    client = made.app.test_client()
    client.set_cookie(SESSION, made.catalog.people.open_session(name, 600))
    return client


def send(client: FlaskClient, path: str, **values: str) -> TestResponse:
    found = re.search(r'name="form_token" value="(\w+)"', client.get("/me").text)
    assert found
    return client.post(path, data={"form_token": found[1], **values})


def grant(client: FlaskClient, **values: str) -> TestResponse:
    return send(client, "/access/grant", **{"pattern": "lab", "role": "viewer", **values})


def words(answer: TestResponse) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", answer.text).split())


def test_an_admin_gives_a_role_and_takes_it_back(made: Stand) -> None:
    ada = client_of(made, "ada")
    assert grant(ada, user="bob").status_code == 303
    (record,) = made.catalog.bindings.all()
    assert (record.pattern, record.role, record.user, record.granted_by) == (
        "lab/*", VIEWER, "bob", "ada"
    )  # fmt: skip
    assert "bob viewer lab/* ada" in words(ada.get("/access"))
    assert grant(ada, user="bob", role="developer").status_code == 303
    assert [b.role for b in made.catalog.bindings.all()] == [DEVELOPER]
    assert send(
        ada, "/access/revoke", pattern="lab/*", role="viewer", user="bob"
    ).status_code == 303  # fmt: skip
    assert made.catalog.bindings.all() == ()
    said = [(a.person, a.action, a.namespace, a.detail) for a in made.catalog.audits.all()]
    assert said == [
        ("ada", "revoke", "lab", "of `bob`"),
        ("ada", "grant", "lab", "developer to `bob`"),
        ("ada", "grant", "lab", "viewer to `bob`"),
    ]


@pytest.mark.parametrize("pattern", ["ops", "*", "la*", "*/stats"])
def test_nobody_gives_more_than_they_are_admin_of(made: Stand, pattern: str) -> None:
    answer = grant(client_of(made, "ada"), pattern=pattern, user="bob")
    assert answer.status_code == 403
    assert "you are no admin of" in words(answer)
    assert made.catalog.bindings.all() == ()


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"user": "bob", "group": "staff"}, "one person or one group"),
        ({}, "one person or one group"),
        ({"user": "host"}, "nobody can have this name"),
        ({"user": "a,b"}, "nobody can have this name"),
        ({"user": "bob", "role": "king"}, "king is not a role"),
        ({"user": "bob", "pattern": "a b"}, "is not a namespace"),
    ],
)
def test_a_grant_that_is_none_is_told_and_what_was_typed_is_kept(
    made: Stand, values: dict[str, str], why: str
) -> None:
    answer = grant(client_of(made, "ada"), **values)
    assert answer.status_code == 409
    assert why in words(answer)
    assert f'name="user" maxlength="255" autocomplete="off" autocapitalize="none" value="{values.get("user", "")}"' in answer.text  # fmt: skip  # noqa: E501


def test_what_the_config_grants_is_not_taken_back_here(made: Stand) -> None:
    answer = send(
        client_of(made, "ada"), "/access/revoke", pattern="lab/*", role="developer", group="staff"
    )
    assert "was not granted to the group staff here" in words(answer)


def test_an_admin_sees_roles_that_concern_their_namespaces_and_no_others(made: Stand) -> None:
    said = words(client_of(made, "ada").get("/access"))
    assert "root admin */* the config" in said
    assert "staff group developer lab/* the config" in said
    assert "oscar" not in said
    assert "ops" not in said
    everything = words(client_of(made, "root").get("/access"))
    assert "oscar" in everything
    assert "ops" in everything


@pytest.mark.parametrize("path", ["/access", "/audit"])
def test_these_pages_are_for_admins(made: Stand, path: str) -> None:
    assert made.client.get(path).status_code == 401
    assert client_of(made, "eve").get(path).status_code == 403
    assert client_of(made, "ada").get(path).headers["Cache-Control"] == "no-store"


def test_a_namespace_is_made_by_who_is_admin_of_everything(made: Stand) -> None:
    answer = send(client_of(made, "ada"), "/access/namespace", name="new")
    assert "you are no admin of */*" in words(answer)
    assert "A new namespace" not in words(client_of(made, "ada").get("/access"))
    assert "A new namespace" in words(client_of(made, "root").get("/access"))


def test_the_policy_of_a_namespace_is_shown(made: Stand) -> None:
    lab = NamespaceSettings(
        "lab",
        packages=PackageRules(included=("ipykernel",), constrained=("dask ==2024.1",)),
        quota=Quota(disk=10 * 2**30, builds=3),
    )
    made.settings = replace(made.settings, namespaces=(lab,))
    said = words(client_of(made, "ada").get("/access"))
    assert "added ipykernel to every file that does not name them" in said
    assert "held to dask ==2024.1" in said
    assert "10 GiB at most" in said
    assert "3 at once" in said


def test_the_trail_is_told_of_ones_own_namespaces(made: Stand) -> None:
    for space in ("lab", "ops"):
        for n in range(60):
            made.catalog.audits.note(
                Visitor(f"{space}-hand", HOST.grants), "edit", EnvKey(space, f"e{n}")
            )
    ada = client_of(made, "ada")
    first = ada.get("/audit")
    assert "ops-hand" not in first.text
    older = re.search(r'rel="next" href="([^"]+)"', first.text)
    assert older
    second = ada.get(older[1].replace("&amp;", "&"))
    seen = [re.findall(r"lab/e\d+", page.text) for page in (first, second)]
    assert [len(s) for s in seen] == [50, 10]
    assert len({*seen[0], *seen[1]}) == 60
    assert ada.get("/audit?namespace=ops").status_code == 404
    assert ada.get("/audit?namespace=lab").status_code == 200
    assert "ops-hand" in client_of(made, "root").get("/audit?namespace=ops").text
