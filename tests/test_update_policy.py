"""Scheduled updates: told, built as a candidate, or current at once; very young packages wait."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path

import pytest
from writeback_helpers import BRANCH, FILE, KEY, LOCK, Lab, lab_on, text

from envwatch.catalog import read_catalog
from envwatch.channel import Package
from envwatch.channel.fixtures import tiny
from envwatch.daemon import run_chore
from envwatch.daemon.commands import Commands
from envwatch.daemon.index import rebuild_index
from envwatch.model import GitState
from envwatch.settings import NamespaceSettings, Settings
from envwatch.views import pages
from envwatch.views.values import EnvRow

DAY = 86400

Opens = Callable[..., AbstractContextManager[Lab]]


@pytest.fixture
def channel_dir(make_channel: Callable[..., Path]) -> Path:
    return make_channel("mine", tiny("1.0"))


@pytest.fixture
def lab_with(tmp_path: Path, channel_dir: Path) -> Opens:
    """An environment with `tiny`, built from a channel that holds 1.0."""

    def opened(**changes: object) -> AbstractContextManager[Lab]:
        url = channel_dir.as_uri()
        plain = NamespaceSettings("analyst", channels=(url,), allowed_channels=(url,))
        namespace = replace(plain, update="@weekly", **changes)  # type: ignore[arg-type]
        return lab_on(tmp_path, channel_dir, {FILE: text("tiny")}, namespace)

    return opened


@pytest.fixture
def candidates(lab_with: Opens, make_channel: Callable[..., Path]) -> Iterator[Lab]:
    """#1 is current, and an update has found a newer `tiny`."""
    with lab_with(update_policy="candidate") as lab:
        lab.settle()
        make_channel("mine", tiny("1.5"))
        updated(lab)
        yield lab


def updated(lab: Lab) -> int:
    """The time of the update has come; how many builds ran."""
    run_chore(lab.parts, "update:analyst")
    return lab.settle()


def version(lab: Lab) -> str:
    """Of `tiny`, behind the link that people use."""
    return (lab.parts.store.link(KEY) / "share/tiny/version").read_text()


def row(lab: Lab) -> EnvRow:
    return pages.environment(lab.parts.catalog, KEY).row


def events(lab: Lab) -> list[tuple[str, str]]:
    return [(e.type, e.message) for e in pages.environment(lab.parts.catalog, KEY).events]


# ---------------------------------------------------------------- activate


def test_an_update_is_current_at_once_where_nothing_else_is_said(
    lab_with: Opens, make_channel: Callable[..., Path]
) -> None:
    with lab_with() as lab:
        lab.settle()
        make_channel("mine", tiny("1.5"))
        assert updated(lab) == 1
        assert (lab.env.current, version(lab), row(lab).candidate) == (2, "1.5", None)


# ---------------------------------------------------------------- candidate


def test_a_candidate_waits_and_the_link_stays(candidates: Lab) -> None:
    assert (candidates.env.current, version(candidates)) == (1, "1.0")
    assert row(candidates).sentence == "#1 serving, candidate #2 waits"
    assert events(candidates)[0] == ("candidate", "#2 by build #2, waits")


def test_a_candidate_that_is_taken_is_not_held(candidates: Lab) -> None:
    candidates.parts.operations.activate(KEY, 2, by="ada")
    assert (version(candidates), row(candidates).held) == ("1.5", False)
    candidates.push({FILE: text("tiny=1.0")})
    candidates.settle()
    assert (candidates.env.current, version(candidates)) == (3, "1.0")


def test_a_candidate_does_not_become_current_by_a_release(candidates: Lab) -> None:
    candidates.parts.operations.hold(KEY, 1, by="ada")
    candidates.parts.operations.release(KEY, by="ada")
    assert (candidates.env.current, row(candidates).candidate) == (1, 2)


def test_a_commit_goes_past_a_candidate(candidates: Lab) -> None:
    candidates.push({FILE: text("tiny=1.0")})
    candidates.settle()
    assert (candidates.env.current, row(candidates).candidate) == (3, None)
    candidates.parts.operations.activate(KEY, 2, by="ada")
    assert (candidates.env.current, row(candidates).held) == (2, True), "it is an old one now"


def test_a_commit_brings_nothing_of_a_candidate(candidates: Lab) -> None:
    candidates.push({FILE: text("tiny") + "variables: {A: b}\n"})
    candidates.settle()
    assert (candidates.env.current, version(candidates)) == (3, "1.0")


def test_a_revert_does_not_bring_a_candidate(candidates: Lab) -> None:
    candidates.push({FILE: text("tiny=1.0")})
    candidates.settle()
    candidates.push({FILE: text("tiny")})
    candidates.settle()
    assert (candidates.env.current, version(candidates)) == (4, "1.0")


def test_the_lock_of_a_candidate_is_written_back_and_merging_it_takes_it(candidates: Lab) -> None:
    assert "analyst/demo #2: " in candidates.told("%B")
    candidates.merge()
    assert candidates.settle() == 0
    assert (candidates.env.current, version(candidates)) == (2, "1.5")
    assert (row(candidates).candidate, row(candidates).git) == (None, GitState.IN_SYNC)
    assert candidates.forge.git("diff", "--name-only", "main", BRANCH, "--", LOCK) == ""


def test_an_update_that_brings_the_same_is_no_candidate(lab_with: Opens) -> None:
    with lab_with(update_policy="candidate") as lab:
        lab.settle()
        assert updated(lab) == 1
        assert (lab.env.current, row(lab).candidate) == (2, None)


def test_an_update_that_a_person_asks_for_is_current_at_once(
    lab_with: Opens, make_channel: Callable[..., Path]
) -> None:
    with lab_with(update_policy="candidate") as lab:
        lab.settle()
        make_channel("mine", tiny("1.5"))
        lab.parts.operations.update(KEY, by="ada")
        lab.settle()
        assert (version(lab), row(lab).candidate) == ("1.5", None)


def test_a_new_environment_needs_no_candidate(lab_with: Opens) -> None:
    with lab_with(update_policy="candidate") as lab:
        lab.parts.look("team")
        updated(lab)
        assert lab.env.current is not None


def rebuilt(settings: Settings) -> tuple[int | None, int | None, bool]:
    """What is current, what waits and what is held, when only the records are left."""
    for file in settings.root.glob("catalog.sqlite*"):
        file.unlink()
    rebuild_index(settings)
    with closing(read_catalog(settings.root / "catalog.sqlite")) as catalog:
        found = pages.environment(catalog, KEY).row
    return found.current, found.candidate, found.held


def test_a_catalog_that_is_made_anew_knows_what_waits(
    lab_with: Opens, make_channel: Callable[..., Path]
) -> None:
    with lab_with(update_policy="candidate") as lab:
        lab.settle()
        make_channel("mine", tiny("1.5"))
        updated(lab)
    assert rebuilt(lab.parts.settings()) == (1, 2, False)


def test_a_catalog_that_is_made_anew_knows_what_was_taken(
    lab_with: Opens, make_channel: Callable[..., Path]
) -> None:
    with lab_with(update_policy="candidate") as lab:
        lab.settle()
        make_channel("mine", tiny("1.5"))
        updated(lab)
        wanted = {"environment": str(KEY), "generation": 2, "by": "ada"}
        Commands(lab.parts).run("activate", wanted)
    assert rebuilt(lab.parts.settings()) == (2, None, False)


# ---------------------------------------------------------------- notify


def test_an_update_may_only_be_told(lab_with: Opens, make_channel: Callable[..., Path]) -> None:
    with lab_with(update_policy="notify") as lab:
        lab.settle()
        make_channel("mine", tiny("1.5"))
        assert updated(lab) == 0
        assert (lab.env.current, row(lab).offer) == (1, "tiny 1.0 -> 1.5")
        assert events(lab)[0] == ("update-found", "tiny 1.0 -> 1.5")


def test_what_is_told_is_told_once(lab_with: Opens, make_channel: Callable[..., Path]) -> None:
    with lab_with(update_policy="notify") as lab:
        lab.settle()
        make_channel("mine", tiny("1.5"))
        updated(lab)
        updated(lab)
        assert [kind for kind, _ in events(lab)].count("update-found") == 1


def test_what_was_told_is_gone_when_it_is_done(
    lab_with: Opens, make_channel: Callable[..., Path]
) -> None:
    with lab_with(update_policy="notify") as lab:
        lab.settle()
        make_channel("mine", tiny("1.5"))
        updated(lab)
        lab.parts.operations.update(KEY, by="ada")
        lab.settle()
        assert (version(lab), row(lab).offer) == ("1.5", "")


# ---------------------------------------------------------------- age


def aged(channel: Path) -> None:
    """As if the channel did not say when it took packages in: then their own time counts."""
    folder = channel / "noarch"
    shutil.rmtree(folder / "shards")
    for name in ("repodata_shards.msgpack.zst", "repodata.json.zst"):
        (folder / name).unlink()
    index = json.loads((folder / "repodata.json").read_text())
    for entry in index["packages.conda"].values():
        del entry["indexed_timestamp"]
    (folder / "repodata.json").write_text(json.dumps(index))


def made(days: float) -> Package:
    """A `tiny` of so many days ago."""
    return replace(tiny("2.0"), timestamp=int(time.time() - days * DAY))


def test_very_young_packages_wait(lab_with: Opens, make_channel: Callable[..., Path]) -> None:
    with lab_with(min_package_age=3.0 * DAY) as lab:
        lab.settle()
        aged(make_channel("mine", tiny("1.5"), made(days=2.9)))
        updated(lab)
        assert version(lab) == "1.5"


def test_packages_that_are_old_enough_come(
    lab_with: Opens, make_channel: Callable[..., Path]
) -> None:
    with lab_with(min_package_age=3.0 * DAY) as lab:
        lab.settle()
        aged(make_channel("mine", made(days=3.1)))
        updated(lab)
        assert version(lab) == "2.0"


def test_what_a_channel_took_in_just_now_is_young_whenever_it_was_made(
    lab_with: Opens, make_channel: Callable[..., Path]
) -> None:
    with lab_with(min_package_age=3.0 * DAY) as lab:
        lab.settle()
        make_channel("mine", tiny("1.5"))
        updated(lab)
        assert version(lab) == "1.0"
        failure = lab.builds[0].failure
        assert failure is not None
        assert "min_package_age" in failure.hint


def test_a_person_gets_packages_of_any_age(
    lab_with: Opens, make_channel: Callable[..., Path]
) -> None:
    with lab_with(min_package_age=3.0 * DAY) as lab:
        lab.settle()
        aged(make_channel("mine", made(days=0)))
        lab.parts.operations.update(KEY, by="ada")
        lab.settle()
        assert version(lab) == "2.0"
