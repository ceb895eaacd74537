"""Where somebody may look and solve: in what is there, and what they are told of."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from web_helpers import Stand, ask, commit, publish, stand

from envwatch.access import Identity
from envwatch.daemon.actions import PLACES, WAITING, DaemonActions
from envwatch.errors import Busy, Conflict
from envwatch.model import EnvKey, PackageQuery
from envwatch.settings import AccessSettings, Grant, Role, SourceKind, SourceSettings
from envwatch.store import Store

ODD = ("..", "../..", "/tmp/elsewhere", "nowhere", ".", "lab")
ASKED = ("/find?q=tiny&namespace={}", "/api/v1/channel/package/?search=tiny&namespace={}")


@pytest.fixture
def made(empty_root: Path, tmp_path: Path) -> Iterator[Stand]:
    """Somebody is developer of whatever is called `stats`, wherever that is."""
    shutil.copytree(empty_root, tmp_path / "root")
    source = SourceSettings("lab", SourceKind.MANAGED, "lab")
    with stand(tmp_path / "root", access=AccessSettings(), sources=(source,)) as made:
        yield made


def secret(made: Stand) -> str:
    return made.catalog.tokens.create("t", ("*/stats",), role=Role.DEVELOPER, by="x").secret


@pytest.mark.parametrize("namespace", ODD)
def test_a_pattern_that_fits_every_word_is_no_namespace(made: Stand, namespace: str) -> None:
    headers = {"Authorization": f"Bearer {secret(made)}"}
    for path in ASKED:
        answer = made.client.get(path.format(namespace), headers=headers)
        assert answer.status_code == 404, path
    body = {"namespace": namespace, "specification": "name: stats\ndependencies: [tiny]\n"}
    assert made.client.post("/api/v1/plan/", json=body, headers=headers).status_code == 404
    form = {"namespace": namespace, "text": "dependencies: x"}
    assert made.client.post("/check", data=form, headers=headers).status_code == 404
    query = f"/api/v1/specification/?conda=tiny&namespace={namespace}"
    assert made.client.get(query, headers=headers).status_code == 404


def test_a_namespace_is_told_of_once_something_in_it_is_seen(made: Stand) -> None:
    headers = {"Authorization": f"Bearer {secret(made)}"}
    assert ">lab<" not in made.client.get("/find", headers=headers).text
    assert made.client.get("/api/v1/permission/", headers=headers).json["data"]["primary_namespace"] != "lab"  # fmt: skip  # noqa: E501
    commit(made.catalog, ask(EnvKey("lab", "stats"), "s1"), source="lab")
    publish(made.catalog)
    assert ">lab<" in made.client.get("/find", headers=headers).text
    # there is no daemon behind the pages here
    answer = made.client.get(ASKED[0].format("lab"), headers=headers)
    assert "nothing can be changed here" in answer.text


def test_asking_for_headers_alone_counts_as_well(made: Stand) -> None:
    headers = {"Authorization": f"Bearer {secret(made)}"}
    path = "/api/v1/specification/?conda=tiny&namespace=lab"
    found = [made.client.head(path, headers=headers).status_code for _ in range(31)]
    assert (found[0], found[-1]) == (404, 429)


@pytest.mark.parametrize(("owner", "last"), [("ada", 429), ("", 404)])
def test_tokens_of_one_person_count_together(made: Stand, owner: str, last: int) -> None:
    """Those that were made on the host are each somebody else's."""
    made.catalog.people.seen(Identity("ada"), "oidc")
    made.catalog.bindings.grant(Grant("*/stats", Role.DEVELOPER), user="ada", by="x")
    found = []
    for n in range(31):
        token = made.catalog.tokens.create(
            f"t{n}", ("*/stats",), role=Role.DEVELOPER, owner=owner, by="x"
        )
        headers = {"Authorization": f"Bearer {token.secret}"}
        path = "/api/v1/specification/?conda=tiny&namespace=lab"
        found.append(made.client.get(path, headers=headers).status_code)
    assert (found[0], found[-1]) == (404, last)


def test_few_wait_for_a_place_and_the_rest_is_told_at_once() -> None:
    actions = DaemonActions(None)  # type: ignore[arg-type]  # it gets no further than the door
    for _ in range(PLACES + WAITING):
        assert actions.room.acquire(blocking=False)
    with pytest.raises(Busy, match="many ask for a solve"):
        actions.search("lab", PackageQuery("tiny"))


@pytest.mark.parametrize("namespace", ["..", "a/b", "/tmp"])
def test_no_folder_is_made_for_what_is_no_namespace(tmp_path: Path, namespace: str) -> None:
    with pytest.raises(Conflict, match="cannot be the name of a namespace"):
        Store(tmp_path).folders(1, "d", namespace)
