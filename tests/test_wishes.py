"""What a repository asks for and what the operator lets it have."""

from __future__ import annotations

import pytest

from envwatch import repofile, wishes
from envwatch.model import Wishes
from envwatch.repowords import Words
from envwatch.settings import NamespaceSettings, RepoRules, Retention

POLICY = Retention(keep_last=5, keep_days=30)


def namespace(*more: str, **bounds: float) -> NamespaceSettings:
    rules = RepoRules(allow=(*RepoRules().allow, *more), **bounds)
    return NamespaceSettings("analyst", retention=POLICY, repo=rules)


def words(said: str) -> Words:
    read = repofile.read(f"environments:\n  x:\n    {said}\n".encode(), path="envwatch.yml")
    assert read.messages == ()
    return read.environments[0].words


def limited(said: str, rules: NamespaceSettings) -> tuple[Words, list[str]]:
    out, messages = wishes.limited(words(said), rules, "envwatch.yml")
    return out, [str(m) for m in messages]


@pytest.mark.parametrize("said", ["retention: {keep_last: 2}", 'update: "@weekly"', "update: off"])
def test_what_costs_disk_or_time_needs_the_word_of_the_operator(said: str) -> None:
    key = said.partition(":")[0]
    out, told = limited(said, namespace())
    assert wishes.of(out) == Wishes()
    (line,) = told
    assert line.startswith(f"envwatch.yml:3:5: warning: `{key}` is ignored: ")
    assert line.endswith(f"(the operator allows it by `{key}` in `repo_settings.allow`)")


@pytest.mark.parametrize(
    "said",
    [
        "labels: {a: b}",
        "kernel: {display_name: K}",
        "description: d",
        "platforms: [win-64]",
        'virtual_packages: ["__cuda=12"]',
    ],
)
def test_the_operator_may_forbid_the_rest_too(said: str) -> None:
    key = said.partition(":")[0]
    out, told = limited(said, NamespaceSettings("analyst", repo=RepoRules(allow=())))
    assert out.says(key)
    assert wishes.of(out) == Wishes()
    assert (out.platforms, out.virtual_packages, out.description) == ((), (), "")
    assert f"`{key}` is ignored" in told[0]
    assert limited(said, namespace())[1] == []


def test_retention_goes_as_far_as_it_may() -> None:
    out, told = limited("retention: {keep_last: 99, keep_days: 3}", namespace("retention"))
    assert (out.keep_last, out.keep_days) == (5, 3)
    assert "`keep_last: 99` is more than 5, which is used" in told[0]
    wide = namespace("retention", keep_last=50)
    assert limited("retention: {keep_last: 40}", wide)[0].keep_last == 40


def test_retention_is_bounded_again_where_it_is_used() -> None:
    asked = Wishes(keep_last=40, keep_days=2)
    assert wishes.retention(POLICY, asked, namespace("retention")) == Retention(5, 2)
    assert wishes.retention(POLICY, asked, namespace()) == POLICY
    assert wishes.retention(POLICY, None, namespace("retention")) == POLICY


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("@weekly", True),
        ("@daily", True),
        ("@hourly", False),
        ("0,5 4 * * *", False),
        ("off", True),
    ],
)
def test_updates_come_no_more_often_than_they_may(text: str, taken: bool) -> None:
    out, told = limited(f'update: "{text}"', namespace("update"))
    assert (out.update == text, told == []) == (taken, taken)


def test_only_so_many_platforms_are_locked() -> None:
    said = "platforms: [linux-64, win-64, osx-64]"
    out, told = limited(said, namespace(platforms=2))
    assert out.platforms == ("linux-64", "win-64")
    assert "only the first 2 of 3 platforms are locked" in told[0]
