"""`envwatch source deliveries` tells what the page tells."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli_helpers import Place, make_place

from envwatch.catalog.deliveries import NewDelivery
from envwatch.hooks.decision import Decision
from envwatch.hooks.sender import Forge

AT = datetime(2026, 1, 31, 12, 30, 5, tzinfo=UTC)
SHA = "bffeb74224043ba2feb48d137756c8a9331c449a"
PUSH = NewDelivery(
    "team", AT, Forge.GITHUB, "push", "72d3162e", "d1", Decision.WOKEN, "refs/heads/main", SHA
)
FORGED = NewDelivery(
    "team", AT, Forge.GITLAB, "Push\x1bHook", "", "", Decision.REFUSED, reason="it is not signed"
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = make_place(tmp_path)
    with place.parts() as parts:
        parts.catalog.deliveries.take(PUSH)
        parts.catalog.deliveries.take(PUSH)
        parts.catalog.deliveries.refuse(FORGED, unlisted=7)
    return place


def test_deliveries_are_listed_the_newest_first(place: Place) -> None:
    told = place.cli("source", "deliveries", "team")
    assert [" ".join(line.split()) for line in told.lines] == [
        "AT DECIDED STATUS FROM EVENT REF COMMIT MORE DELIVERY REMARK",
        r"2026-01-31 12:30:05Z refused 401 gitlab Push\x1bHook - - 7 - it is not signed",
        "2026-01-31 12:30:05Z woken 202 github push refs/heads/main bffeb74224 1 72d3162e -",
    ]


def test_deliveries_are_told_as_json(place: Place) -> None:
    forged, push = place.cli("source", "deliveries", "team", "--json").json
    assert (push["decision"], push["revision"], push["repeats"]) == ("woken", SHA, 1)
    assert (forged["decision"], forged["at"]) == ("refused", "2026-01-31T12:30:05Z")


def test_deliveries_of_an_unknown_source_are_an_error(place: Place) -> None:
    told = place.cli("source", "deliveries", "nobody")
    assert told.code == 1
    assert "there is no source `nobody`" in told.err
