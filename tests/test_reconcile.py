"""From what git says to what the catalog asks for, without a build."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from git_helpers import SPEC, Repo, new_repo, signed, signing

from envwatch.catalog.schema import SourceState
from envwatch.daemon.parts import Parts, assemble, reload
from envwatch.errors import SourceError
from envwatch.model import FileState
from envwatch.settings import NamespaceSettings, Settings, SourceKind, SourceSettings, Verify
from envwatch.views import pages

BRANCHES = (("main", "analyst"), ("release/*", "analyst-{branch}"), ("try/*", "lab/{name}-{match}"))


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = new_repo(tmp_path / "work")
    repo.commit({"a.yml": SPEC})
    return repo


def source(repo: Repo, **changes: Any) -> SourceSettings:
    return SourceSettings("team", SourceKind.GIT, "team", url=repo.url, **changes)


def settings(tmp_path: Path, *sources: SourceSettings, **changes: Any) -> Settings:
    return Settings(tmp_path / "root", sources=sources, **changes)


@pytest.fixture
def parts(tmp_path: Path, repo: Repo) -> Iterator[Parts]:
    with assemble(settings(tmp_path, source(repo, branches=BRANCHES))) as parts:
        yield parts


def look(parts: Parts) -> None:
    """At everything there is, also at what comes up while looking."""
    seen: set[str] = set()
    while left := sorted(parts.roster.names() - seen):
        parts.look(left[0])
        seen.add(left[0])


def living(parts: Parts) -> set[str]:
    return {str(env.key) for env in parts.catalog.generations.environments()}


def sources(parts: Parts) -> set[str]:
    return {record.name for record in parts.catalog.sources.all()}


def test_each_branch_fills_its_namespace(parts: Parts, repo: Repo) -> None:
    repo.git("branch", "release/1.2")
    repo.git("branch", "try/ada")
    look(parts)
    assert living(parts) == {"analyst/a", "analyst-release-1.2/a", "lab/a-ada"}
    assert sources(parts) == {"team", "team@main", "team@release-1.2", "team@try-ada"}


def test_a_branch_that_goes_retires_and_comes_back(parts: Parts, repo: Repo) -> None:
    repo.git("branch", "try/ada")
    look(parts)
    repo.git("branch", "-D", "try/ada")
    look(parts)
    assert living(parts) == {"analyst/a"}
    assert sources(parts) == {"team", "team@main"}
    repo.git("branch", "try/ada")
    look(parts)
    assert living(parts) == {"analyst/a", "lab/a-ada"}


def test_a_branch_that_went_while_nobody_looked_retires(tmp_path: Path, repo: Repo) -> None:
    repo.git("branch", "try/ada")
    of_all = settings(tmp_path, source(repo, branches=BRANCHES))
    with assemble(of_all) as parts:
        look(parts)
    repo.git("branch", "-D", "try/ada")
    with assemble(of_all) as parts:
        look(parts)
        assert living(parts) == {"analyst/a"}


def test_a_repository_that_is_away_retires_nothing(parts: Parts, repo: Repo) -> None:
    look(parts)
    repo.path.rename(repo.path.with_name("away"))
    with pytest.raises(SourceError):
        parts.look("team")
    assert living(parts) == {"analyst/a"}
    assert sources(parts) == {"team", "team@main"}


def test_a_broken_branch_harms_no_other(parts: Parts, repo: Repo) -> None:
    repo.git("checkout", "-q", "-b", "try/ada")
    repo.commit({"a.yml": "dependencies: 7\n"})
    look(parts)
    assert living(parts) == {"analyst/a"}
    (refused,) = parts.catalog.sources.refused()
    assert refused.startswith("a.yml:1:")


def test_the_page_of_a_family_lists_its_branches(parts: Parts, repo: Repo) -> None:
    repo.git("branch", "try/ada")
    look(parts)
    files = pages.source(parts.catalog, "team").source.files
    assert [(f.path, f.state) for f in files] == [
        ("main", FileState.UNDERSTOOD),
        ("try/ada", FileState.UNDERSTOOD),
    ]


def test_nothing_new_is_written_where_the_branches_are_the_same(parts: Parts) -> None:
    look(parts)
    news = parts.catalog.database.news
    look(parts)
    assert parts.catalog.database.news == news


def test_a_family_that_becomes_one_branch_lets_the_others_go(
    tmp_path: Path, parts: Parts, repo: Repo
) -> None:
    repo.git("branch", "try/ada")
    look(parts)
    reload(parts, settings(tmp_path, source(repo, branch="main")))
    look(parts)
    assert sources(parts) == {"team"}


def test_a_source_may_get_another_name(tmp_path: Path, repo: Repo) -> None:
    with assemble(settings(tmp_path, source(repo, branch="main"))) as parts:
        look(parts)
    renamed = replace(source(repo, branch="main"), name="crew")
    with assemble(settings(tmp_path, renamed)) as parts:
        look(parts)
        (env,) = parts.catalog.generations.environments()
        assert (str(env.key), env.source, env.ask) == ("team/a", "crew", 2)
        assert parts.catalog.sources.refused() == ()


def test_what_holds_for_a_namespace_holds_for_those_of_its_branches(tmp_path: Path) -> None:
    own = NamespaceSettings("analyst", group="analysts")
    found = settings(tmp_path, patterns=(("analyst-*", own),)).namespace("analyst-1.2")
    assert (found.name, found.group) == ("analyst-1.2", "analysts")


def test_sources_of_one_repository_ask_once(tmp_path: Path, repo: Repo) -> None:
    many = [
        SourceSettings(f"s{n}", SourceKind.GIT, f"n{n}", url=repo.url, branch="main")
        for n in range(20)
    ]
    with assemble(settings(tmp_path, *many)) as parts:
        remotes = {id(s.mirror.remote) for s in parts.roster.all()}  # type: ignore[union-attr]  # all are git
        assert len(remotes) == 1
        for each in many:
            parts.look(each.name, since=0)
        assert len(living(parts)) == 20


def test_mirrors_of_sources_that_are_gone_are_removed(tmp_path: Path, repo: Repo) -> None:
    with assemble(settings(tmp_path, source(repo, branch="main"))) as parts:
        look(parts)
        (mirror,) = parts.store.mirrors.glob("*.git")
    with assemble(settings(tmp_path)):
        assert not mirror.exists()


def test_an_unsigned_tip_stalls_and_the_last_good_stays(tmp_path: Path, repo: Repo) -> None:
    verify = Verify("ssh", signing(repo, tmp_path / "keys"))
    good = signed(repo, SPEC)
    with assemble(settings(tmp_path, source(repo, branch="main", verify=verify))) as parts:
        look(parts)
        repo.commit({"evil.yml": SPEC})
        with pytest.raises(SourceError):
            parts.look("team")
        record = parts.catalog.sources.get("team")
        assert record is not None
        assert (record.state, record.revision) == (SourceState.STALLED, good)
        assert living(parts) == {"team/a"}
