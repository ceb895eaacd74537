"""The API answers as its description says, whatever is sent; schemathesis makes the requests."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from house_helpers import FOREIGN, OWN, House, house_in
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import checks
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode

CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
EXAMPLES = 10  # of each operation, way and visitor


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with house_in(tmp_path / "root") as house:
        yield house


def whole(app: Any) -> Any:
    """Its answers are read to the end, so that no file stays open."""

    def answer(environ: Any, start: Any) -> list[bytes]:
        body = app(environ, start)
        try:
            return [b"".join(body)]
        finally:
            body.close()

    return answer


def at_what_is_there(house: House, given: dict[str, Any]) -> dict[str, Any]:
    """Names of what is there in place of most of those that were made up."""
    there = {
        "namespace": (OWN.namespace, FOREIGN.namespace), "number": (1, 2),
        "name": (OWN.name, FOREIGN.name, OWN.namespace), "build_id": tuple(house.builds.values()),
        "revision": (house.catalog.sources.get(OWN.namespace).revision,),
    }  # fmt: skip
    made = {}
    for name, value in given.items():
        luck = zlib.crc32(repr(value).encode("utf-8", "replace"))
        known = there[name]
        made[name] = value if luck % 5 == 0 else known[luck // 5 % len(known)]
    return made


def problems(house: House, operation: Any, mode: GenerationMode, headers: Any) -> list[str]:
    """What is wrong with the answers of one operation, the first of it."""

    @settings(
        max_examples=EXAMPLES, derandomize=True, database=None, deadline=None,
        phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case) -> None:
        case.path_parameters = at_what_is_there(house, case.path_parameters or {})
        case.call_and_validate(headers=headers, checks=CHECKS)

    try:
        check()
    except FailureGroup as e:
        return [f"{operation.label}: {each}" for each in e.exceptions]
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE  # it takes nothing that could be wrong
    return []


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda m: m.value)
@pytest.mark.parametrize("who", ["owner", "anonymous"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_every_answer_is_a_described_one(
    house: House, method: str, who: str, mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", whole(house.app))
    headers = {"Authorization": f"Bearer {house.tokens[who]}"} if who == "owner" else {}
    found = []
    for each in schema.include(method=method).get_all_operations():
        found += problems(house, each.ok(), mode, headers)
    assert found == [], "\n\n".join(found)
