"""The API on a catalog as a team filled it, and on a managed source with a real daemon's parts."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
from web_helpers import DEMO, Stand, ask, commit, publish
from werkzeug.test import TestResponse

from envwatch.access import Identity
from envwatch.model import EnvKey
from envwatch.settings import AccessSettings, Role

V1 = "/api/v1"


def token(stand: Stand, *patterns: str, role: Role = Role.VIEWER, name: str = "t") -> str:
    return stand.catalog.tokens.create(name, patterns, role=role).secret


def call(
    stand: Stand, path: str, secret: str = "", method: str = "GET", **more: Any
) -> TestResponse:
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    headers |= more.pop("headers", {})
    return stand.client.open(V1 + path, method=method, headers=headers, **more)


def data(stand: Stand, path: str, secret: str) -> Any:
    answer = call(stand, path, secret)
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    assert answer.json["status"] == "ok"
    return answer.json["data"]


@pytest.fixture
def secret(filled: Stand) -> str:
    """Of somebody who may do everything."""
    return token(filled, "*/*", role=Role.ADMIN, name="all")


def routes(stand: Stand) -> list[tuple[str, str]]:
    """Every operation of the API, with something that is there in place of its names."""
    named = {"namespace": "analyst", "name": "demo", "build_id": "3", "number": "3"}
    found = []
    for rule in stand.app.url_map.iter_rules():
        if not str(rule.endpoint).startswith("api."):
            continue
        path = rule.rule.removeprefix(V1).replace("int:", "")
        if "source" in path:
            path = path.replace("<name>", "team")
        for key, value in named.items():
            path = path.replace(f"<{key}>", value)
        found += [(m, path) for m in (rule.methods or ()) if m not in ("HEAD", "OPTIONS")]
    return sorted(found)


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize(
    "path",
    [
        "/", "/permission/", "/usage/", "/token/", "/namespace/", "/namespace/ml/",
        "/environment/", "/environment/analyst/", "/environment/analyst/demo/", "/build/",
        "/build/3/", "/build/3/packages/", "/channel/", "/package/", "/setting/",
        "/setting/analyst/", "/setting/analyst/demo/", "/source/", "/source/team/", "/event/",
        "/source/team/revision/",
        "/audit/", "/environment/analyst/demo/generation/",
        "/environment/analyst/demo/generation/2/", "/environment/analyst/demo/diff/?old=1&new=2",
    ],
)  # fmt: skip
def test_every_answer_is_the_envelope(filled: Stand, secret: str, path: str) -> None:
    answer = call(filled, path, secret)
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    assert {"status", "data", "message"} <= set(answer.json)
    assert answer.json["status"] == "ok"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/build/3/logs/", "text/plain; charset=utf-8"),
        ("/build/3/yaml/", "application/yaml"),
        ("/build/3/lockfile/", "application/yaml"),
        ("/build/3/conda-lock.yml", "application/yaml"),
        ("/environment/analyst/demo/conda-lock.yml", "application/yaml"),
    ],
)
def test_files_are_sent(filled: Stand, secret: str, path: str, kind: str) -> None:
    answer = call(filled, path, secret)
    assert (answer.status_code, answer.content_type) == (200, kind)
    assert answer.data


def test_an_environment_names_the_build_that_is_in_use(filled: Stand, secret: str) -> None:
    found = data(filled, "/environment/analyst/demo/", secret)
    assert (found["current_build_id"], found["current"]) == (3, 3)
    assert found["current_build"]["status"] == "COMPLETED"
    assert found["current_build"]["specification"]["spec"]["channels"] == ["conda-forge"]
    kinds = {a["artifact_type"] for a in found["current_build"]["build_artifacts"]}
    assert kinds == {"LOCKFILE", "YAML", "LOGS", "CONDA_PACK", "DIRECTORY"}


def test_before_anything_is_in_use_the_newest_build_is_named(filled: Stand, secret: str) -> None:
    found = data(filled, "/environment/ml/fresh/", secret)
    assert found["current"] is None
    assert data(filled, f"/build/{found['current_build_id']}/", secret)["status"] == "QUEUED"


def test_a_list_is_whole_unless_a_part_is_asked_for(empty: Stand) -> None:
    commit(empty.catalog, *(ask(EnvKey("big", f"e{i:03}"), f"d{i}") for i in range(230)))
    secret = token(empty, "*/*")
    whole = call(empty, "/environment/", secret).json
    assert whole is not None
    assert (len(whole["data"]), whole["count"], whole["page"]) == (230, 230, 1)
    part = call(empty, "/environment/?page=3&size=100", secret).json
    assert part is not None
    assert (len(part["data"]), part["count"], part["size"]) == (30, 230, 100)
    assert part["data"][0]["name"] == "e200"
    large = call(empty, "/environment/?size=5000", secret).json
    assert large is not None
    assert (len(large["data"]), large["size"]) == (100, 100)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("namespace=ml", ["fresh", "torch"]),
        ("name=demo", ["demo"]),
        ("search=weekly", ["demo", "weekly.report"]),
        ("status=QUEUED", ["fresh"]),
        ("status=COMPLETED&namespace=ml", ["torch"]),
        ("packages=pandas&packages=python&namespace=ml", ["torch"]),
        ("packages=absent", []),
        ("artifact=LOCKFILE", ["demo"]),
        ("artifact=DOCKER_MANIFEST", []),
        ("namespace=analyst&sort_by=name&order=desc", ["weekly.report", "demo", "broken"]),
        ("jwt=ey.x.y&role=viewer&name=demo", ["demo"]),
    ],
)
def test_environments_are_filtered(
    filled: Stand, secret: str, query: str, names: list[str]
) -> None:
    assert [e["name"] for e in data(filled, f"/environment/?{query}", secret)] == names


def test_builds_are_filtered(filled: Stand, secret: str) -> None:
    def ids(query: str) -> list[int]:
        return [b["id"] for b in data(filled, f"/build/?{query}", secret)]

    assert ids("environment_id=1") == [4, 3, 2, 1]
    assert ids("namespace=analyst&name=demo&status=COMPLETED") == [3, 2, 1]
    assert ids("status=FAILED") == [4]
    assert ids("environment_id=1&packages=pandas&order=asc&sort_by=id") == [1, 2, 3]
    assert ids("environment_id=1&page=2&size=3") == [1]
    assert ids("environment_id=1&artifact=CONDA_PACK") == [3, 2, 1]
    # conda-store's own client ends each address with a slash
    answer = filled.client.get(
        f"{V1}/build?environment_id=1&size=1&page=2/", headers={"Authorization": f"Bearer {secret}"}
    )
    assert answer.json is not None
    assert [b["id"] for b in answer.json["data"]] == [3]


def test_packages_are_searched(filled: Stand, secret: str) -> None:
    found = data(filled, "/package/?search=PAND&distinct_on=name&distinct_on=version", secret)
    assert [(p["name"], p["version"]) for p in found][:2] == [
        ("pandas", "2.1.3"),
        ("pandas", "2.1.4"),
    ]
    assert data(filled, "/package/?exact=pand", secret) == []
    assert len(data(filled, "/build/3/packages/?search=lib-number&size=7", secret)) == 7


def test_a_revision_tells_what_was_built_of_it(filled: Stand, secret: str) -> None:
    found = data(filled, "/source/team/revision/", secret)
    newest = filled.catalog.sources.get("team").revision
    assert found[0]["revision"] == newest
    assert len({r["revision"] for r in found}) == len(found) > 3
    one = data(filled, f"/source/team/revision/{newest}/", secret)
    assert one == found[0]
    assert (one["author"], one["subject"]) == ("Ada Example", "need pandas 2.2")
    built = {b["id"]: b for r in found for b in r["builds"]}
    for number, build in built.items():
        told = data(filled, f"/build/{number}/", secret)
        assert (told["environment"], told["state"]) == (build["environment"], build["state"])
    assert set(built) == {b["id"] for b in data(filled, "/build/", secret) if b["revision"]}
    second = data(filled, "/source/team/revision/?page=2&size=1", secret)
    assert [r["revision"] for r in second] == [found[1]["revision"]]


def test_a_revision_that_was_not_shown_is_told(filled: Stand, secret: str) -> None:
    answer = call(filled, f"/source/team/revision/{'f' * 40}/", secret)
    assert answer.status_code == 404
    assert "source `team` has shown no revision `ffff" in answer.json["message"]


# ---------------------------------------------------------------- rights


def test_what_may_not_be_seen_is_not_there(filled: Stand) -> None:
    eve = token(filled, "ml/*", name="eve")
    for hidden, absent in (
        ("/environment/analyst/demo/", "/environment/analyst/nothing/"),
        ("/build/3/", "/build/999/"),
        ("/build/3/logs/", "/build/999/logs/"),
        ("/namespace/analyst/", "/namespace/nothing/"),
        ("/source/team/", "/source/nothing/"),
        ("/source/team/revision/", "/source/nothing/revision/"),
    ):
        one, other = call(filled, hidden, eve), call(filled, absent, eve)
        assert one.status_code == other.status_code == 404, hidden
        words = [hidden.strip("/").split("/")[1:], absent.strip("/").split("/")[1:]]
        told = [
            a.text.replace("/".join(w[:2]), "X").replace(w[0], "X")
            for a, w in zip((one, other), words, strict=True)
        ]
        assert told[0] == told[1]


def test_lists_hold_what_may_be_seen(filled: Stand) -> None:
    eve = token(filled, "ml/torch", name="eve")
    assert [e["name"] for e in data(filled, "/environment/", eve)] == ["torch"]
    assert {b["environment_id"] for b in data(filled, "/build/", eve)} == {6}
    assert [n["name"] for n in data(filled, "/namespace/", eve)] == ["ml"]
    assert list(data(filled, "/usage/", eve)) == ["ml"]
    assert {e["environment"] for e in data(filled, "/event/", eve)} == {"ml/torch"}
    assert data(filled, "/source/", eve) == []
    assert data(filled, "/build/?environment_id=1", eve) == []


def close(filled: Stand) -> None:
    """To whoever is not signed in."""
    filled.settings = replace(filled.settings, access=AccessSettings())


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
def test_nobody_in_particular_sees_and_does_nothing(filled: Stand, method: str) -> None:
    close(filled)
    public = ("/", "/openapi.json", "/docs", "/permission/", "/signout/", "/device/")
    listed = ("/usage/", "/namespace/", "/environment/", "/build/", "/channel/", "/package/")
    for verb, path in routes(filled):
        if verb != method or path in public:
            continue
        answer = call(filled, path, method=verb)
        if method == "GET" and path in (*listed, "/source/", "/event/", "/grant/"):
            assert answer.json is not None
            assert not answer.json["data"], path
        else:
            assert answer.status_code in (400, 401, 404), (path, answer.text)


def test_a_viewer_changes_nothing(filled: Stand) -> None:
    viewer = token(filled, "*/*", name="viewer")
    before = filled.catalog.generations.environment(DEMO)
    for verb, path in routes(filled):
        # an archive is made for whoever may download it
        free = "/token/" in path or path.endswith("/archive/") or path in ("/signout/", "/device/")
        if verb != "GET" and not free:
            answer = call(filled, path, viewer, method=verb)
            assert answer.status_code in (400, 403), (verb, path, answer.text)
    assert filled.catalog.generations.environment(DEMO) == before
    assert call(filled, "/audit/", viewer).status_code == 403


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "body",
    [
        b"not json", b"[]", b'"text"', b"1", b"\xff\xfe", b'{"specification": NaN}',
        b'{"specification": Infinity}', b'{"specification": "a", "specification": "b"}',
        b'{"specification": ' + b"[" * 100_000, b"[" * 5000 + b"]" * 5000,
        b'{"specification": 1}', b'{"specification": null}', b'{"specification": ["a"]}',
        b'{"specification": ""}', b'{"specification": "\\ud800"}', b"9" * 9000,
        b'{"specification": "name: x\\n", "namespace": {"a": 1}}',
        b'{"specification": "' + b"x" * 2**20 + b'"}',
    ],
)  # fmt: skip
def test_a_hostile_body_is_refused(filled: Stand, secret: str, body: bytes) -> None:
    for path in ("/specification/", "/plan/"):
        answer = call(filled, path, secret, method="POST", data=body)
        assert answer.status_code in (400, 413), answer.text
        assert answer.json is not None
        assert answer.json["status"] == "error"
        assert {"message", "type", "title", "detail", "hint"} <= set(answer.json)


@pytest.mark.parametrize(
    "path",
    [
        "/build/?page=0", "/build/?page=x", "/build/?size=-1", "/build/?status=ODD",
        "/build/?environment_id=1e9", "/build/?environment_id=99999999999999999999",
        "/environment/?order=up", "/event/?limit=0", "/audit/?before=x",
        "/environment/analyst/demo/diff/?old=1", "/environment/?page=99999999999999999999",
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_told(filled: Stand, secret: str, path: str) -> None:
    answer = call(filled, path, secret)
    assert answer.status_code == 400, answer.text
    assert answer.json is not None
    assert answer.json["type"] == "BadRequest"


def test_numbers_of_any_size_are_no_error_of_ours(filled: Stand, secret: str) -> None:
    for number in (0, 2**53 + 1, 2**63, 10**40):
        assert call(filled, f"/build/{number}/", secret).status_code == 404
    assert data(filled, "/build/?page=999999999", secret) == []


def test_an_unknown_address_or_method_is_told_in_the_envelope(filled: Stand, secret: str) -> None:
    for path, method, status in (("/odd/", "GET", 404), ("/setting/", "PUT", 405)):
        answer = call(filled, path, secret, method=method)
        assert answer.status_code == status
        assert answer.json is not None
        assert answer.json["status"] == "error"


def test_a_wrong_token_is_no_visitor(filled: Stand) -> None:
    answer = call(filled, "/environment/", "envwatch_wrong")
    assert answer.status_code == 401
    assert "Bearer" in answer.headers["WWW-Authenticate"]


def test_a_write_from_another_page_is_refused(filled: Stand, secret: str) -> None:
    close(filled)
    path = "/environment/analyst/demo/"
    for headers in (
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
    ):
        answer = call(filled, path, method="DELETE", headers=headers)
        assert answer.status_code == 403, headers
        # … who sends a token is no browser that was led here
        assert call(filled, path, secret, method="DELETE", headers=headers).status_code == 409
    filled.catalog.people.seen(Identity("ada"), "test")
    session = filled.catalog.people.open_session("ada", 600)
    filled.client.set_cookie("__Host-envwatch_session", session)
    assert call(filled, path, method="DELETE").status_code == 403
    for same in ({"Origin": "https://env.example.org"}, {"Sec-Fetch-Site": "same-origin"}):
        assert call(filled, path, method="DELETE", headers=same).status_code == 404
    elsewhere = {"Origin": "https://env.example.org", "Sec-Fetch-Site": "same-site"}
    assert call(filled, path, method="DELETE", headers=elsewhere).status_code == 403


def test_a_password_that_a_browser_remembers_is_no_consent(filled: Stand, secret: str) -> None:
    password = b64encode(f"any:{secret}".encode()).decode()
    headers = {"Authorization": f"Basic {password}", "Origin": "https://evil.example"}
    path = "/environment/analyst/demo/"
    assert call(filled, path, method="DELETE", headers=headers).status_code == 403
    del headers["Origin"]
    assert call(filled, path, method="DELETE", headers=headers).status_code == 409


# ---------------------------------------------------------------- tokens


def test_a_token_is_never_for_more(filled: Stand) -> None:
    ada = token(filled, "ml/*", role=Role.DEVELOPER, name="ada")
    for wanted in (
        {"*/*": ["viewer"]},
        {"ml/*": ["admin"]},
        {"ml/*": ["odd"]},
        {"analyst/*": ["viewer"]},
    ):
        answer = call(filled, "/token/", ada, method="POST", json={"role_bindings": wanted})
        assert answer.status_code == 400, wanted
    body = {"role_bindings": {"ml/torch": ["viewer"]}, "name": "small"}
    answer = call(filled, "/token/", ada, method="POST", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    small = answer.json["data"]["token"]
    assert data(filled, "/permission/", small)["entity_roles"] == {"ml/torch": ["viewer"]}
    assert [e["name"] for e in data(filled, "/environment/", small)] == ["torch"]
    assert filled.catalog.audits.all()[0].action == "token create"


def test_a_token_ends_with_the_one_that_made_it(filled: Stand) -> None:
    from datetime import UTC, datetime, timedelta

    end = datetime.now(UTC) + timedelta(hours=1)
    made = filled.catalog.tokens.create("short", ("*/*",), role=Role.ADMIN, expires_at=end)
    later = (end + timedelta(days=9)).isoformat()
    for body in ({}, {"expiration": later}, {"exp": later}):
        answer = call(filled, "/token/", made.secret, method="POST", json=body)
        assert answer.json is not None
        assert datetime.fromisoformat(answer.json["data"]["expires_on"]) == end
    past = {"expiration": "2001-01-01T00:00:00"}
    assert call(filled, "/token/", made.secret, method="POST", json=past).status_code == 400


def test_a_token_ends_itself_and_no_other(filled: Stand) -> None:
    ada = token(filled, "ml/*", name="ada")
    token(filled, "ml/*", name="bob")
    assert [t["name"] for t in data(filled, "/token/", ada)] == ["ada"]
    assert call(filled, "/token/bob/", ada, method="DELETE").status_code == 404
    assert call(filled, "/token/ada/", ada, method="DELETE").status_code == 200
    assert call(filled, "/token/", ada).status_code == 401


# ---------------------------------------------------------------- described


def test_the_description_names_every_route_and_nothing_else(filled: Stand) -> None:
    described = json.loads(filled.text(f"{V1}/openapi.json"))
    assert described["openapi"].startswith("3.1")
    told = {(m.upper(), p) for p, ms in described["paths"].items() for m in ms}
    known = {
        (m, rule.rule.replace("int:", "").replace("<", "{").replace(">", "}"))
        for rule in filled.app.url_map.iter_rules()
        if str(rule.endpoint).startswith("api.")
        and rule.endpoint not in ("api.openapi", "api.docs")
        for m in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert told == known
    assert all(o["summary"] for ms in described["paths"].values() for o in ms.values())
    ids = [o["operationId"] for ms in described["paths"].values() for o in ms.values()]
    assert len(set(ids)) == len(ids)


def test_every_reference_of_the_description_leads_somewhere(filled: Stand) -> None:
    text = filled.text(f"{V1}/openapi.json")
    schemas = json.loads(text)["components"]["schemas"]
    for part in text.split('"#/components/schemas/')[1:]:
        assert part.partition('"')[0] in schemas


def test_the_page_of_the_api_needs_nothing_from_elsewhere(filled: Stand) -> None:
    page = filled.text(f"{V1}/docs")
    assert "/api/v1/environment/{namespace}/{name}/" in page
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_publishing_changes_what_is_told(filled: Stand, secret: str) -> None:
    before = data(filled, "/environment/ml/fresh/", secret)["current"]
    publish(filled.catalog)
    assert (before, data(filled, "/environment/ml/fresh/", secret)["current"]) == (None, 1)


def test_a_list_that_has_not_changed_is_not_sent_again(filled: Stand, secret: str) -> None:
    first = call(filled, "/environment/", secret)
    known = {"If-None-Match": first.headers["ETag"]}
    again = call(filled, "/environment/", secret, headers=known)
    assert (again.status_code, again.data) == (304, b"")
    commit(filled.catalog, ask(EnvKey("analyst", "another"), "new"))
    changed = call(filled, "/environment/", secret, headers=known)
    assert changed.status_code == 200
    assert len(changed.json["data"]) == len(first.json["data"]) + 1
