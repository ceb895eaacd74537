"""Writing by the API: commits to a managed source, what they queue, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import urllib3
from managed_helpers import Lab, served, settings_for, text
from web_helpers import packages, result

from envwatch.model import BuildState, EnvKey
from envwatch.settings import NamespaceSettings, Role

KEY = EnvKey("people", "demo")
ONE = "/environment/people/demo/"


@dataclass
class Api:
    lab: Lab
    token: str

    def __call__(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, Any, Any]:
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        answer = urllib3.request(
            method,
            f"{self.lab.address}/api/v1{path}",
            body=None if body is None else json.dumps(body),
            headers={"Authorization": f"Bearer {self.token}", **named},
            timeout=30,
            retries=False,
        )
        return answer.status, json.loads(answer.data), answer.headers

    def submit(self, content: str, **headers: str) -> tuple[int, Any, Any]:
        body = {"namespace": "people", "specification": content}
        return self("POST", "/specification/", body, **headers)

    def made(self, content: str) -> int:
        status, body, _ = self.submit(content)
        assert status == 200, body
        return int(body["data"]["build_id"])

    def publish(self) -> int:
        catalog = self.lab.parts.catalog
        build = catalog.builds.claim()
        assert build is not None
        return catalog.generations.publish(build, result(build, packages(6)))[1]

    def audits(self) -> list[str]:
        return [a.action for a in self.lab.parts.catalog.audits.all()]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with served(settings_for(tmp_path / "root")) as lab:
        yield Api(lab, lab.token("ada", role=Role.ADMIN))


def test_a_specification_is_a_commit_and_a_build(api: Api) -> None:
    build = api.made(text("python=3.11"))
    found = api.lab.parts.catalog.builds.get(build)
    assert (found.key, found.state, found.revision) == (KEY, BuildState.QUEUED, api.lab.tip())
    author = api.lab.bare.run("show", "--no-patch", "--format=%an", "main").decode()
    assert "ada" in author
    assert api.audits() == ["edit"]


def test_the_same_again_is_no_commit_and_the_newest_build(api: Api) -> None:
    build, tip = api.made(text("python=3.11")), api.lab.tip()
    assert api.made(text("python=3.11")) == build
    assert api.lab.tip() == tip


def test_a_description_beside_the_text_becomes_a_line_of_it(api: Api) -> None:
    body = {
        "namespace": "people",
        "specification": text("python"),
        "environment_name": "demo",
        "environment_description": 'for "the" report',
    }
    assert api("POST", "/specification/", body)[0] == 200
    assert api("GET", ONE)[1]["data"]["description"] == 'for "the" report'
    status, told, _ = api("PUT", ONE, {"description": "other"})
    assert (status, told["type"]) == (409, "Conflict")
    assert "line of the environment file" in told["detail"]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("name: demo\ndependencies: tiny\n", "must be a list"),
        ("dependencies: [a]\n", "no `name`"),
        ("name: a b\ndependencies: [a]\n", "cannot be the name"),
        ("name: [x]\ndependencies: [a]\n", "name"),
        ("[" * 40_000, ""),
        ("name: demo\n", "dependencies"),
        ("a: &a [*a]\n", ""),
    ],
)
def test_a_bad_specification_is_told_and_commits_nothing(api: Api, content: str, word: str) -> None:
    status, told, _ = api.submit(content)
    assert 400 <= status < 500, told
    assert word in told["message"]
    assert api.lab.tip() == ""
    assert api.audits() == []


def test_an_edit_of_what_was_changed_meanwhile_is_refused(api: Api) -> None:
    api.made(text("python=3.11"))
    status, _, headers = api("GET", f"{ONE}file/")
    assert status == 200
    seen = headers["ETag"]
    api.made(text("python=3.12"))
    status, told, _ = api.submit(text("python=3.13"), If_Match=seen)
    assert (status, told["type"]) == (412, "Stale")
    assert api("DELETE", ONE, If_Match=seen)[0] == 412
    now = api("GET", f"{ONE}file/")[2]["ETag"]
    assert api.submit(text("python=3.13"), If_Match=now)[0] == 200


def test_a_request_sent_twice_is_done_once(api: Api) -> None:
    first = api.submit(text("python"), Idempotency_Key="k1")
    again = api.submit(text("python"), Idempotency_Key="k1")
    assert first[:2] == again[:2]
    assert again[2]["Idempotent-Replayed"] == "true"
    assert api.audits() == ["edit"]
    assert api.submit(text("pip"), Idempotency_Key="k1")[0] == 409
    # … an error is not kept: the same may be sent again
    assert api.submit("name: x\n", Idempotency_Key="k2")[0] in (400, 409)
    assert api.submit(text("python=3.12"), Idempotency_Key="k2")[0] == 200


def test_a_build_is_made_current_and_held(api: Api) -> None:
    first = api.made(text("python=3.11"))
    assert api.publish() == 1
    second = api.made(text("python=3.12"))
    assert api("PUT", ONE, {"build_id": second})[0] == 409, "it is only queued"
    assert api.publish() == 2
    status, told, _ = api("PUT", ONE, {"build_id": first})
    assert status == 200, told
    assert "#1 is current" in told["message"]
    found = api("GET", ONE)[1]["data"]
    assert (found["current"], found["held"], found["current_build_id"]) == (1, True, first)
    assert api("DELETE", f"{ONE}hold/")[1]["data"]["current"] == 2
    assert api("PUT", f"{ONE}generation/1/activate/")[1]["data"]["current"] == 1
    assert api("PUT", ONE, {"build_id": 10**6})[0] == 404
    assert api("PUT", f"{ONE}generation/1/pin/")[1]["data"]["pinned"] is True
    assert api("DELETE", f"{ONE}generation/1/pin/")[1]["data"]["pinned"] is False
    assert api.audits()[:2] == ["unpin", "pin"]


def test_a_build_is_cancelled_and_made_again(api: Api) -> None:
    build = api.made(text("python"))
    assert api("PUT", f"/build/{build}/cancel/")[0] == 200
    assert api("GET", f"/build/{build}/")[1]["data"]["status"] == "CANCELED"
    assert api("PUT", f"/build/{build}/cancel/")[0] == 409
    status, told, _ = api("PUT", f"/build/{build}/")
    assert status == 200, told
    assert told["data"]["build_id"] > build


def test_what_is_in_use_is_not_deleted(api: Api) -> None:
    build = api.made(text("python"))
    assert api("DELETE", f"/build/{build}/")[0] == 409
    api.publish()
    status, told, _ = api("DELETE", f"/build/{build}/")
    assert (status, told["title"]) == (409, "Conflict")
    assert "current" in told["detail"]


def test_deleting_an_environment_retires_it(api: Api) -> None:
    build = api.made(text("python"))
    status, told, _ = api("DELETE", ONE)
    assert status == 200, told
    assert api.lab.parts.catalog.generations.environment(KEY).retired_at is not None
    assert api("GET", ONE)[0] == 404
    assert api("GET", f"/build/{build}/")[0] == 200, "its history stays"
    assert api("DELETE", ONE)[0] == 404
    assert api.made(text("python")) >= build, "and it comes back"


def test_a_namespace_without_a_source_takes_nothing(api: Api) -> None:
    api.token = api.lab.token("all", "*", role=Role.ADMIN)
    body = {"namespace": "nowhere", "specification": text("python")}
    status, told, _ = api("POST", "/specification/", body)
    assert status == 404
    assert "no source fills" in told["detail"]
    body = {"namespace": "people", "specification": text("a"), "is_lockfile": True}
    assert api("POST", "/specification/", body)[0] == 409


def test_too_many_costly_requests_have_to_wait(api: Api) -> None:
    found = [api("POST", "/specification/", {"specification": 1})[0] for _ in range(3)]
    assert found == [400] * 3
    statuses = {api("PUT", ONE, {"build_id": 1})[0] for _ in range(40)}
    assert statuses == {404, 429}
    assert api("PUT", ONE, {"build_id": 1})[2]["Retry-After"] == "60"
    assert api("GET", "/environment/")[0] == 200


def test_who_acts_is_in_the_audit_trail(api: Api) -> None:
    api.made(text("python"))
    (entry,) = api("GET", "/audit/?namespace=people")[1]["data"]
    assert (entry["token"], entry["action"], entry["name"]) == ("ada", "edit", "demo")
    assert api("GET", "/audit/")[0] == 404, "of all namespaces only an admin of all"


def test_a_solve_knows_nothing_of_an_environment_of_its_name(tmp_path: Path, channel: Path) -> None:
    url = channel.as_uri()
    space = NamespaceSettings("people", channels=(url,), allowed_channels=(url,))
    with served(replace(settings_for(tmp_path / "root"), namespaces=(space,))) as lab:
        lab.parts.executor.start()
        api = Api(lab, lab.token("ada", role=Role.ADMIN))
        api.made(text("tiny", name="solve"))
        api.publish()
        api.token = lab.token("eve", "people/mine")
        found = api("GET", "/specification/?namespace=people&conda=tiny")[1]["solve"]
        lab.parts.executor.stop()
    assert [(p["name"], p["version"]) for p in found] == [("tiny", "2.0")]


# ---------------------------------------------------------------- the file as a resource


def test_a_file_is_made_changed_and_removed_each_by_one_commit(api: Api) -> None:
    file = f"{ONE}file/"
    status, told, _ = api("PUT", file, {"text": text("python=3.11"), "message": "First"})
    assert status == 200, told
    made = told["data"]
    assert (made["path"], made["live"], made["changed"]) == ("demo/environment.yml", True, True)
    assert made["outcomes"][0]["key"] == {"namespace": "people", "name": "demo"}
    assert api("PUT", file, {"text": text("python=3.12")})[0] == 409, "it was not said as seen"
    changed = {"text": text("python=3.12")}
    assert api("PUT", file, changed, If_Match=f'"{made["revision"]}"')[0] == 200
    assert api("PUT", file, {"text": text("a")}, If_Match=f'"{made["revision"]}"')[0] == 412
    assert api("DELETE", file, If_Match=f'"{made["revision"]}"')[0] == 412
    assert api("DELETE", f"{file}?message=Away")[0] == 200
    assert api("DELETE", file)[0] == 404
    log = api.lab.bare.run("log", "--format=%s", "main").decode().splitlines()
    assert log == ["Away", "Change demo/environment.yml", "First"]
    assert api.audits() == ["delete", "edit", "edit"]


def test_who_may_change_one_environment_changes_no_other_by_its_path(api: Api) -> None:
    api.made(text("python", name="other"))
    tip = api.lab.tip()
    api.token = api.lab.token("eve", "people/demo")
    for path in ("other/environment.yml", "conda-lock.yml", "envwatch.yml", "../demo.yml", "a.txt"):
        for name in ("demo", "other"):
            body = {"text": text("python=3.12", name=name), "path": path}
            status, told, _ = api("PUT", f"{ONE}file/", body)
            assert status in (400, 409), (path, told)
    assert api("PUT", "/environment/people/other/file/", {"text": text("a")})[0] == 404
    assert api("DELETE", "/environment/people/other/file/")[0] == 404
    assert api.lab.tip() == tip
    assert api("PUT", f"{ONE}file/", {"text": text("a"), "path": "else/demo.yml"})[0] == 200
    moved = {"text": text("b"), "path": "third/demo.yml"}
    assert api("PUT", f"{ONE}file/", moved)[0] == 409, "it has a place already"


def test_an_environment_is_built_again_by_its_name(api: Api) -> None:
    api.made(text("python"))
    api.publish()
    for verb, body in (("rebuild", None), ("rebuild", {"generation": 1}), ("update", None)):
        status, told, _ = api("PUT", f"{ONE}{verb}/", body)
        assert status == 200, told
        assert told["data"]["environment"] == "people/demo"
        found = api("GET", f"/build/{told['data']['build']}/")[1]["data"]
        assert (found["state"], found["environment"]) == ("queued", "people/demo")
        api("PUT", f"/build/{told['data']['build']}/cancel/")
    assert api("PUT", f"{ONE}rebuild/", {"generation": 9})[0] == 404
    assert {"rebuild", "update"} <= set(api.audits())


def test_an_archive_is_asked_for_by_its_generation(api: Api) -> None:
    api.made(text("python"))
    api.publish()
    status, told, _ = api("PUT", f"{ONE}generation/1/archive/")
    assert (status, told["data"]["generation"]) == (200, 1), told
    assert api("PUT", f"{ONE}generation/9/archive/")[0] == 404


def test_a_plan_knows_where_the_file_would_lie(api: Api) -> None:
    body = {"namespace": "people", "specification": "dependencies: tiny\n", "path": "x/demo.yml"}
    told = api("POST", "/plan/", body)[1]["data"]
    assert (told["move"], told["messages"][0]["path"]) == ("refused", "x/demo.yml")
