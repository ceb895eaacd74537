"""What conda-store's OpenAPI promises is kept here, or `docs/api.md` says why it is not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import urllib3
from jsonschema import Draft202012Validator
from managed_helpers import Lab, served, settings_for, text
from web_helpers import Stand, packages, result
from werkzeug.test import TestResponse

from envwatch.settings import Retention, Role

TOP = Path(__file__).parents[2]
PROMISED = json.loads((TOP / "tests/data/conda-store-openapi.json").read_text())
NAMES = {"namespace": "analyst", "environment_name": "demo", "name": "demo", "build_id": "3"}
OPERATIONS = sorted((m.upper(), p) for p, ms in PROMISED["paths"].items() for m in ms)
# `GET, PUT /build/` in a table of reasons
REFUSED = re.compile(r"`(?P<methods>[A-Z]+(?:, [A-Z]+)*) (?P<path>/[^`]*)`")


def refused() -> set[tuple[str, str]]:
    """What the document says is not offered."""
    part = (TOP / "docs/api.md").read_text().partition("## What is not offered")[2]
    rows = part.partition("\n## ")[0]
    return {
        (method, f"/api/v1{match['path']}")
        for match in REFUSED.finditer(rows)
        for method in match["methods"].split(", ")
    }


OFFERED = [o for o in OPERATIONS if o not in refused()]
READ = [p for m, p in OFFERED if m == "GET" and p != "/api/v1/specification/"]


def filled_in(path: str) -> str:
    return re.sub(r"{(\w+)}", lambda m: NAMES[m[1]], path)


def promise(method: str, path: str) -> dict[str, Any]:
    """The schema of the answer; empty where nothing is said of it."""
    content = PROMISED["paths"][path][method.lower()]["responses"]["200"]["content"]
    said = content.get("application/json", {}).get("schema", {})
    return {**said, "components": PROMISED["components"]} if said else {}


def keep(method: str, path: str, body: object) -> None:
    faults = Draft202012Validator(promise(method, path)).iter_errors(body)
    assert [f"{f.json_path}: {f.message}" for f in faults] == []


@pytest.fixture
def secret(filled: Stand) -> str:
    return filled.catalog.tokens.create("all", ("*/*",), role=Role.ADMIN).secret


def ask(stand: Stand, method: str, path: str, secret: str, **more: Any) -> TestResponse:
    headers = {"Authorization": f"Bearer {secret}"}
    return stand.client.open(filled_in(path), method=method, headers=headers, **more)


def test_the_document_refuses_only_what_is_promised() -> None:
    assert refused() <= set(OPERATIONS)
    assert len(OFFERED) > 30


@pytest.mark.parametrize("path", READ)
def test_what_is_read_has_the_shape_that_is_promised(filled: Stand, secret: str, path: str) -> None:
    answer = ask(filled, "GET", path, secret)
    assert answer.status_code in (200, 202), answer.text
    if promise("GET", path):
        keep("GET", path, answer.json)


@pytest.mark.parametrize(("method", "path"), sorted(refused()))
def test_what_is_refused_is_told_in_the_envelope(
    filled: Stand, secret: str, method: str, path: str
) -> None:
    answer = ask(filled, method, path, secret)
    assert answer.status_code in (404, 405)
    keep("GET", "/api/v1/namespace/{namespace}/role", answer.json)


def test_every_parameter_of_a_list_is_known(filled: Stand) -> None:
    described = json.loads(filled.text("/api/v1/openapi.json"))["paths"]
    missing = []
    for path, methods in PROMISED["paths"].items():
        listed = {p["name"] for p in methods.get("get", {}).get("parameters", ())}
        if ("GET", path) not in OFFERED or "page" not in listed:
            continue
        known = {p["name"] for p in described[path]["get"]["parameters"]}
        missing += [f"{path} {name}" for name in listed - known - set(NAMES)]
    assert missing == []


# ---------------------------------------------------------------- writing


@dataclass
class Writer:
    """Writes that must be done, and keep what is promised of them."""

    lab: Lab
    secret: str
    done: set[tuple[str, str]] = field(default_factory=set)

    def __call__(
        self, method: str, path: str, body: object = None, build: object = "", of: str = "people"
    ) -> Any:
        places = {"namespace": of, "name": "demo", "build_id": str(build)}
        answer = urllib3.request(
            method,
            self.lab.address + re.sub(r"{(\w+)}", lambda m: places[m[1]], path),
            body=None if body is None else json.dumps(body),
            headers={"Authorization": f"Bearer {self.secret}"},
            retries=False,
        )
        assert answer.status == 200, answer.data
        keep(method, path, answer.json())
        self.done.add((method, path))
        return answer.json()["data"]

    def built(self, *dependencies: str) -> int:
        body = {"namespace": "people", "specification": text(*dependencies)}
        number = self("POST", "/api/v1/specification/", body)["build_id"]
        catalog = self.lab.parts.catalog
        build = catalog.builds.claim()
        assert build is not None
        catalog.generations.publish(build, result(build, packages(6)))
        return int(number)


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Writer]:
    settings = settings_for(tmp_path / "root")
    soon = Retention(keep_last=1, keep_days=0, grace=0)
    namespaces = tuple(replace(n, retention=soon) for n in settings.namespaces)
    with served(replace(settings, namespaces=namespaces)) as lab:
        yield Writer(lab, lab.token("ada", "*", role=Role.ADMIN))


def test_what_is_written_is_answered_as_promised(write: Writer) -> None:
    one = "/api/v1/environment/{namespace}/{name}/"
    of_build = "/api/v1/build/{build_id}/"
    first, second = write.built("tiny=1.0"), write.built("tiny=2.0")
    write("PUT", one, {"build_id": second})
    write("DELETE", of_build, build=first)
    again = write("PUT", of_build, build=second)["build_id"]
    write("PUT", f"{of_build}cancel/", build=again)
    write("POST", "/api/v1/token/", {"role_bindings": {"people/*": ["viewer"]}})
    write("DELETE", one)
    write("POST", "/api/v1/namespace/{namespace}/", of="new")
    assert "new" in {s.namespace for s in write.lab.parts.settings().sources}
    assert write.done == {o for o in OFFERED if o[0] != "GET"}
