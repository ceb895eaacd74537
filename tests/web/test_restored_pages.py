"""The pages of a root that was just restored: everything is told, nothing is said to serve."""

from __future__ import annotations

import json

import pytest
from web_helpers import DEMO, HELD, Stand

from envwatch.catalog.remaking import take_over
from envwatch.model import BuildState, EnvKey


@pytest.fixture
def restored(filled: Stand) -> Stand:
    take_over(filled.catalog.database, "/srv/elsewhere", "from a backup", artifacts=False)
    return filled


def test_the_home_page_says_what_is_made_again(restored: Stand) -> None:
    rows = json.loads(restored.text("/index.json"))["rows"]
    row = next(r for r in rows if r["key"]["name"] == DEMO.name)
    assert (row["env"], row["current"]) == ("building", None)
    assert "nothing serving yet" in restored.text("/")


@pytest.mark.parametrize("key", [DEMO, HELD])
def test_every_page_of_an_environment_answers(restored: Stand, key: EnvKey) -> None:
    builds = restored.catalog.builds.in_state(*BuildState)
    mine = [b.id for b in builds if b.key == key]
    page = restored.text(f"/{key}/")
    assert "goes on serving" not in page
    assert "conda activate" not in page
    assert all(restored.text(f"/{key}/builds/{n}") for n in mine)
