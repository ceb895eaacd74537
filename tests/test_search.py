"""What the channels have, for somebody who looks for a package."""

from __future__ import annotations

from pathlib import Path

import pytest
from solver_helpers import environment, make_request

from envwatch.errors import FetchError
from envwatch.model import Package, PackageQuery
from envwatch.settings import SolveOptions
from envwatch.solvers.search import search

FLEXIBLE = SolveOptions(strict_channel_priority=False)


def looked(
    query: PackageQuery, *channels: Path | str, tmp: Path, options: SolveOptions | None = None
) -> tuple[Package, ...]:
    return search(make_request(environment("tiny"), channels, tmp, options=options), query)


def test_the_newest_of_each_whose_name_holds_it_those_that_begin_so_first(
    channel: Path, tmp_path: Path
) -> None:
    found = looked(PackageQuery("tiny"), channel, tmp=tmp_path)
    assert [(p.name, p.version) for p in found] == [("tiny", "2.0"), ("conflict-new-tiny", "1.0"),
                                                    ("conflict-old-tiny", "1.0")]  # fmt: skip
    assert found[0].channel == channel.as_uri()
    assert len(looked(PackageQuery("tiny", most=2), channel, tmp=tmp_path)) == 2


def test_every_version_of_one_the_newest_first(channel: Path, tmp_path: Path) -> None:
    found = looked(PackageQuery("tiny", exact=True), channel, tmp=tmp_path)
    assert [p.version for p in found] == ["2.0", "1.1", "1.0"]
    assert looked(PackageQuery("tin", exact=True), channel, tmp=tmp_path) == ()


def test_the_first_channel_that_has_a_name_counts_as_for_the_solver(
    channel: Path, second_channel: Path, tmp_path: Path
) -> None:
    query = PackageQuery("tiny", exact=True)
    strict = looked(query, channel, second_channel, tmp=tmp_path)
    assert [p.version for p in strict] == ["2.0", "1.1", "1.0"]
    turned = looked(query, second_channel, channel, tmp=tmp_path)
    assert [p.version for p in turned] == ["9.0"]
    every = looked(query, channel, second_channel, tmp=tmp_path, options=FLEXIBLE)
    assert [p.version for p in every] == ["9.0", "2.0", "1.1", "1.0"]


def test_a_channel_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="does not exist"):
        looked(PackageQuery("tiny"), tmp_path / "none", tmp=tmp_path)
