"""Who has no right to change something changes nothing: every address, method and kind of visitor.

The addresses are those of the app: one that takes a method which is not in `WRITES` fails the test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from house_helpers import FOREIGN, OWN, House, commit_file, house_in
from seeing_helpers import preview_of
from web_helpers import commit

from envwatch.model import EnvKey
from envwatch.settings import Grant, Role

VIEWER, DEVELOPER, ADMIN = Role
MISSING = EnvKey("absent", "secret")
NEVER = 99_999  # a build that there never was
METHODS = ("POST", "PUT", "PATCH", "DELETE")
READS = {"GET", "HEAD", "OPTIONS"}
OVER = ("expired", "revoked", "leaver", "wrong")  # tokens that are none any more
STRANGERS = ("anonymous", "stranger", "elsewhere")
READERS = ("one", "viewer", "reading", "narrower")
# where nothing but the namespace is named: who may make nothing there is told of none
NEW = ("/new", "/api/v1/plan/")
# what differs between two answers that say the same of two names
VARYING = ("Content-Length", "Date", "ETag")
ENV = "/api/v1/environment/<namespace>/<name>/"
ONE = f"{ENV}generation/<int:number>/"
BUILD = "/api/v1/build/<int:build_id>/"
PAGE = "/<namespace>/<name>/"
GIT = "/git/<namespace>.git/<any('git-upload-pack', 'git-receive-pack'):service>"
OTHER_FILE = "main:other/environment.yml"
SPEC = "name: {name}\ndependencies: [python]\n"


@dataclass(frozen=True)
class Write:
    """`role` is what it needs; None where it has to do with no namespace. `{…}` are filled in."""

    role: Role | None
    json: dict[str, Any] | None = None
    form: dict[str, str] | None = None
    kind: str = ""
    body: bytes = b""


@dataclass(frozen=True)
class Form(Write):
    """For people: who sends a token needs no token of the form."""

    form: dict[str, str] | None = field(default_factory=dict)


EDIT = {"text": SPEC, "path": "{name}/environment.yml", "namespace": "{namespace}"}
# what whoever asks is answered: there is no session that could end, and a program may wait
FREE = {"/signout": 303, "/api/v1/signout/": 200, "/api/v1/device/": 200}
RETIRING = {("DELETE", ENV), ("DELETE", f"{ENV}file/")}

WRITES: dict[tuple[str, str], Write] = {
    ("PUT", ENV): Write(DEVELOPER, json={"build_id": "{build}"}),
    ("DELETE", ENV): Write(DEVELOPER),
    ("PUT", f"{ENV}hold/"): Write(DEVELOPER, json={"generation": 1}),
    ("DELETE", f"{ENV}hold/"): Write(DEVELOPER),
    ("PUT", f"{ONE}activate/"): Write(DEVELOPER),
    ("PUT", f"{ONE}pin/"): Write(DEVELOPER),
    ("DELETE", f"{ONE}pin/"): Write(DEVELOPER),
    ("PUT", f"{ONE}archive/"): Write(VIEWER),
    ("PUT", f"{ENV}file/"): Write(DEVELOPER, json={"text": SPEC, "message": "changed"}),
    ("DELETE", f"{ENV}file/"): Write(DEVELOPER),
    ("PUT", f"{ENV}rebuild/"): Write(DEVELOPER),
    ("PUT", f"{ENV}update/"): Write(DEVELOPER),
    ("PUT", BUILD): Write(DEVELOPER),
    ("DELETE", BUILD): Write(ADMIN),
    ("PUT", f"{BUILD}cancel/"): Write(DEVELOPER),
    ("POST", "/api/v1/specification/"): Write(
        DEVELOPER, json={"namespace": "{namespace}", "specification": SPEC}
    ),
    ("POST", "/api/v1/plan/"): Write(
        DEVELOPER, json={"namespace": "{namespace}", "specification": "dependencies: x\n"}
    ),
    ("PUT", "/api/v1/source/<name>/sync/"): Write(DEVELOPER),
    ("POST", "/api/v1/token/"): Write(None, json={"role_bindings": {"{namespace}/*": ["admin"]}}),
    ("DELETE", "/api/v1/token/<name>/"): Write(None),
    ("POST", "/api/v1/device/"): Write(None, json={"name": "laptop"}),
    ("POST", "/api/v1/device/token/"): Write(None, json={"device_code": "x" * 43}),
    ("POST", "/api/v1/signout/"): Write(None),
    ("POST", "/api/v1/namespace/<namespace>/"): Write(None),
    ("PUT", "/api/v1/grant/"): Write(
        None, json={"pattern": "{namespace}", "role": "admin", "user": "stranger"}
    ),
    ("DELETE", "/api/v1/grant/"): Write(None),
    ("POST", f"{PAGE}edit"): Form(DEVELOPER, form=EDIT),
    ("POST", f"{PAGE}delete"): Form(DEVELOPER),
    ("POST", f"{PAGE}manage"): Form(DEVELOPER, form={"verb": "activate", "number": "1"}),
    ("POST", "/new"): Form(DEVELOPER, form={**EDIT, "text": "name: new\ndependencies: [python]\n"}),
    ("POST", "/me/tokens"): Form(None, form={"name": "x", "namespaces": "lab", "role": "viewer"}),
    ("POST", "/me/tokens/revoke"): Form(None, form={"name": "of-owner"}),
    ("POST", "/device"): Form(
        None, form={"code": "BCDF-GHJK", "verb": "allow", "name": "x", "namespaces": "*"}
    ),
    ("POST", "/access/grant"): Form(
        None, form={"pattern": "{namespace}/*", "role": "admin", "user": "stranger"}
    ),
    ("POST", "/access/revoke"): Form(
        None, form={"pattern": "{namespace}/*", "role": "admin", "user": "owner"}
    ),
    ("POST", "/access/namespace"): Form(None, form={"name": "mine"}),
    ("POST", "/check"): Form(DEVELOPER, form=EDIT),
    ("POST", "/signout"): Form(None, form={"everywhere": "yes"}),
    ("POST", GIT): Write(DEVELOPER, kind="application/x-git-receive-pack-request", body=b"0000"),
    ("POST", "/hooks/<source>"): Write(None, body=b"{}"),
}
OF_NAMESPACE = {asked: write for asked, write in WRITES.items() if write.role is not None}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Nothing changes it: that is what is tested."""
    with house_in(tmp_path_factory.mktemp("house") / "root") as house:
        yield house


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[House]:
    """One to be changed."""
    with house_in(tmp_path / "root") as house:
        yield house


def words(key: EnvKey, build: int) -> dict[str, str]:
    return {
        "namespace": key.namespace, "name": key.name, "build_id": str(build), "build": str(build),
        "number": "1", "source": key.namespace, "service": "git-receive-pack",
    }  # fmt: skip


def _path(rule: str, known: dict[str, str]) -> str:
    return re.sub(r"<(?:[^:>]*:)?(\w+)>", lambda m: known.get(m[1], "1"), rule)


def filled(value: Any, known: dict[str, str]) -> Any:
    """The same with its `{…}` filled in; the number of a build as a number."""
    if isinstance(value, dict):
        return {filled(k, known): filled(v, known) for k, v in value.items()}
    if value == "{build}":
        return int(known["build"])
    return value.format(**known) if isinstance(value, str) else value


def send(house: House, who: str, asked: tuple[str, str], key: EnvKey) -> Any:
    """What is answered to one write on what is there, or on what never was."""
    (method, rule), write = asked, WRITES[asked]
    known = words(key, house.builds.get(key, NEVER))
    if "/source/" in rule:
        known["name"] = key.namespace
    path = _path(rule, known)
    more: dict[str, Any] = {"headers": {"Sec-Fetch-Site": "same-origin"}}
    if write.json is not None:
        more["json"] = filled(write.json, known)
    elif write.form is not None:
        more["data"] = filled(write.form, known)
    elif write.body:
        more |= {"data": write.body, "content_type": write.kind}
    return house.call(who, method, path, **more)


def told(house: House, who: str, asked: tuple[str, str], key: EnvKey) -> str:
    """… with what was asked for taken out: an answer may only repeat that."""
    answer = send(house, who, asked, key)
    headers = sorted((k, v) for k, v in answer.headers if k not in VARYING and k != "Set-Cookie")
    text = f"{answer.status}\n{headers}\n{answer.text}"
    for word in (str(house.builds.get(key, NEVER)), key.namespace, key.name):
        text = re.sub(rf"\b{re.escape(word)}\b", "…", text)
    # tokens of forms, and the codes of a program
    return re.sub(r'value="\w{64}"|"device_code":"[\w-]{43}"|\b[A-Z]{4}-[A-Z]{4}\b', "", text)


# ---------------------------------------------------------------- the matrix


def test_it_is_said_of_each_write_who_may(house: House) -> None:
    rules = house.app.url_map.iter_rules()
    assert {(m, r.rule) for r in rules for m in (r.methods or set()) - READS} == set(WRITES)


def test_no_address_takes_a_method_that_it_does_not_name(house: House) -> None:
    for rule in house.app.url_map.iter_rules():
        path = _path(rule.rule, words(OWN, 1) | {"file": "x", "old": "1", "new": "2"})
        for method in {*METHODS, "TRACE", "CONNECT", "PROPFIND"} - (rule.methods or set()):
            if (method, rule.rule) in WRITES or _other(house, rule.rule, method):
                continue
            answer = house.call("owner", method, path)
            assert answer.status_code in (403, 404, 405), (method, path, answer.status_code)


def _other(house: House, rule: str, method: str) -> bool:
    """Does another route of the same address take it?"""
    rules = house.app.url_map.iter_rules()
    return any(r.rule == rule and method in (r.methods or set()) for r in rules)


@pytest.mark.parametrize("who", [*STRANGERS, *READERS, *OVER])
def test_who_may_not_write_changes_nothing(house: House, who: str) -> None:
    before = house.state()
    for asked, write in WRITES.items():
        for key in (OWN, FOREIGN, MISSING):
            if write.role is VIEWER and _sees(who, key):
                continue  # who sees it may have it
            status = send(house, who, asked, key).status_code
            assert status in _refusals(asked, write, who, key), (who, asked, key, status)
    assert house.state() == before


def _sees(who: str, key: EnvKey) -> bool:
    return who == "reading" or (who in READERS and key == OWN)


def _refusals(asked: tuple[str, str], write: Write, who: str, key: EnvKey) -> tuple[int, ...]:
    rule, sees = asked[1], _sees(who, key)
    if rule in FREE and (who != "anonymous" or rule != "/signout"):
        return (401,) if who in OVER and rule != "/signout" else (FREE[rule],)
    if isinstance(write, Form) and who == "anonymous":
        return (403,)  # the form is not from a page of ours
    if who in OVER:
        return (401,)
    if write.role is None or rule == GIT:
        return (400, 401, 403, 404, 409)
    if sees and who == "reading":
        return (403, 404)
    part = who in ("one", "narrower") and "/source/" in rule
    return (401, 404) if part or not sees or rule in NEW else (403,)


@pytest.mark.parametrize("who", ["developer", "admin"])
def test_what_is_foreign_is_refused_to_who_may_write_elsewhere(house: House, who: str) -> None:
    before = house.state()
    for asked in OF_NAMESPACE:
        for key in (FOREIGN, MISSING):
            status = send(house, who, asked, key).status_code
            assert status == (403 if asked[1] == GIT else 404), (asked, key, status)
    assert house.state() == before


@pytest.mark.parametrize("who", [*STRANGERS, "one", "viewer", "narrower", "developer", "admin"])
def test_a_foreign_one_answers_as_one_that_never_was(house: House, who: str) -> None:
    for asked in WRITES:
        assert told(house, who, asked, FOREIGN) == told(house, who, asked, MISSING), (who, asked)


@pytest.mark.parametrize("who", ["one", "viewer", "developer", "admin", "stranger", "anonymous"])
def test_reading_by_the_api_tells_nothing_of_what_is_foreign(house: House, who: str) -> None:
    for rule in house.app.url_map.iter_rules():
        if not rule.rule.startswith("/api/v1/") or "GET" not in (rule.methods or ()):
            continue
        answers = []
        for key in (FOREIGN, MISSING):
            known = words(key, house.builds.get(key, NEVER))
            known["name"] = key.namespace if "/source/" in rule.rule else key.name
            path = _path(rule.rule, known)
            query = {"namespace": key.namespace, "name": key.name, "old": "1", "new": "2"}
            answer = house.call(who, "GET", path, query_string=query)
            text = f"{answer.status} {answer.content_type} {answer.text}"
            for word in (known["build"], key.namespace, key.name):
                text = re.sub(rf"\b{re.escape(word)}\b", "…", text)
            answers.append(text)
        assert answers[0] == answers[1], (who, rule.rule)


@pytest.mark.parametrize("who", ["developer", "admin", "owner"])
def test_who_may_write_is_not_refused(alone: House, who: str) -> None:
    # what retires the environment comes last
    order = sorted(OF_NAMESPACE, key=lambda asked: "delete" in asked[1] or asked in RETIRING)
    found = {asked: send(alone, who, asked, OWN).status_code for asked in order}
    refused = {asked for asked, status in found.items() if status in (401, 403, 404)}
    may_not = {asked for asked, write in OF_NAMESPACE.items() if write.role is ADMIN}
    # … and by then it is gone
    assert refused - RETIRING == (may_not if who == "developer" else set()), found


def test_each_write_is_in_the_audit_trail_with_who_did_it(alone: House) -> None:
    for method, rule, action in (
        ("PUT", f"{ONE}pin/", "pin"),
        ("PUT", f"{ENV}hold/", "hold"),
        ("POST", f"{PAGE}manage", "activate"),
        ("POST", f"{PAGE}delete", "delete"),
    ):
        assert send(alone, "developer", (method, rule), OWN).status_code in (200, 303, 409)
        newest = alone.catalog.audits.all()[0]
        noted = (newest.person, newest.token, newest.action, newest.namespace)
        assert noted == ("developer", "of-developer", action, "lab")


# ---------------------------------------------------------------- part of a namespace


def test_who_may_change_one_environment_does_not_reach_another(alone: House) -> None:
    """Neither by the path, the source nor the namespace that a form could say."""
    alone.catalog.bindings.grant(Grant("lab/de*", DEVELOPER), user="one", by="x")
    secret = alone.catalog.tokens.create("part", ("lab/de*",), role=DEVELOPER, owner="one").secret
    alone.tokens["part"] = secret
    commit_file(alone, EnvKey("lab", "other"), "python")
    before, theirs = alone.tip("canary"), alone.bare("lab").run("show", OTHER_FILE)
    for form in (
        {"path": "other/environment.yml"},
        {"path": "secret/environment.yml", "source": "canary", "namespace": "canary"},
        {"path": "secret/environment.yml", "seen": before, "source": "canary"},
        {"path": "demo/environment.yml", "namespace": "canary"},
    ):
        data = {"text": SPEC.format(name="demo"), "seen": alone.tip("lab"), **form}
        alone.call("part", "POST", "/lab/demo/edit", data=data)
    assert alone.tip("canary") == before
    assert alone.bare("lab").run("show", OTHER_FILE) == theirs
    assert alone.call("part", "POST", "/new", data=data).status_code == 404
    named = {"namespace": "lab", "specification": SPEC.format(name="other")}
    assert alone.call("part", "POST", "/api/v1/specification/", json=named).status_code == 404


def test_a_preview_that_is_not_seen_is_not_planned(alone: House) -> None:
    """Its name fits the pattern, its target does not."""
    alone.catalog.bindings.grant(Grant("lab/de*", DEVELOPER), user="one", by="x")
    secret = alone.catalog.tokens.create("part", ("lab/de*",), role=DEVELOPER, owner="one").secret
    alone.tokens["part"] = secret
    commit(alone.catalog, preview_of(EnvKey("lab", "hushed"), "demo-pr-7"), source="lab")
    alone.parts.executor.start()
    for name, status, shown in (("demo-pr-7", 404, 409), ("demo-new", 200, 200)):
        form = {"namespace": "lab", "text": SPEC.format(name=name), "check": "yes"}
        named = {"namespace": "lab", "specification": form["text"]}
        assert alone.call("part", "POST", "/api/v1/plan/", json=named).status_code == status
        assert alone.call("part", "POST", "/lab/demo/edit", data=form).status_code == shown
    alone.parts.executor.stop()
