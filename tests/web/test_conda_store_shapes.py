"""What conda-store's OpenAPI promises: each operation keeps it here, or `docs/api.md` says why not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from managed_helpers import Lab, served, settings_for, text
from web_helpers import Stand, packages, result
from werkzeug.test import TestResponse

from envwatch.settings import Role

TOP = Path(__file__).parents[2]
PROMISED = json.loads((TOP / "tests/data/conda-store-openapi.json").read_text())
NAMES = {"namespace": "analyst", "environment_name": "demo", "name": "demo", "build_id": "3"}
OPERATIONS = sorted((m.upper(), p) for p, ms in PROMISED["paths"].items() for m in ms)
# `GET /build/` in a table of reasons
REFUSED = re.compile(r"`(?P<methods>[A-Z]+(?:, [A-Z]+)*) (?P<path>/[^`]*)`")


def refused() -> set[tuple[str, str]]:
    """What the document says is not offered."""
    part = (TOP / "docs/api.md").read_text().partition("## What is not offered")[2]
    rows = part.partition("\n## ")[0]
    return {
        (method, path if path.startswith("/api/") else f"/api/v1{path}")
        for match in REFUSED.finditer(rows)
        for path in [match["path"]]
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
def test_what_is_read_has_the_shape_that_is_promised(
    filled: Stand, secret: str, path: str
) -> None:
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


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with served(settings_for(tmp_path / "root")) as lab:
        yield lab


def change(lab: Lab, secret: str, method: str, path: str, body: object = None) -> Any:
    """One write that must be done, and keep what is promised of it."""
    places = {"namespace": "people", "name": "demo", **{"build_id": "1"}}
    answer = lab.ask(
        method,
        re.sub(r"{(\w+)}", lambda m: places[m[1]], path),
        secret,
        body,
    )
    keep(method, path, answer)
    return answer["data"] if "data" in answer else None


def test_what_is_written_is_answered_as_promised(lab: Lab) -> None:
    secret = lab.token("ada", role=Role.ADMIN)
    done = set()

    def do(method: str, path: str, body: object = None) -> None:
        change(lab, secret, method, path, body)
        done.add((method, path))

    body = {"namespace": "people", "specification": text("tiny")}
    do("POST", "/api/v1/specification/", body)
    catalog = lab.parts.catalog
    build = catalog.builds.claim()
    assert build is not None
    catalog.generations.publish(build, result(build, packages(6)))
    do("PUT", "/api/v1/build/{build_id}/")
    do("PUT", "/api/v1/environment/{namespace}/{name}/", {"build_id": 1})
    do("POST", "/api/v1/token/", {"role_bindings": {"people/*": ["viewer"]}})
    do("DELETE", "/api/v1/environment/{namespace}/{name}/")
    assert done == {o for o in OFFERED if o[0] != "GET"}
