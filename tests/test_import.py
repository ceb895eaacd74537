"""`envwatch import`: from Nebari, a directory and a conda-store into a managed repository."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_helpers import Place, Told
from conda_store import TOKEN, CondaStore, spec
from managed_helpers import text
from standin import Answer, Request

from envwatch.edit import Author
from envwatch.errors import SourceError, SourceStalled
from envwatch.git.bare import Bare
from envwatch.git.commits import Change, commit, move
from envwatch.importing.client import Client, open_client
from envwatch.importing.condastore import environments
from envwatch.settings import Network

# the example of Nebari's documentation
NEBARI = """\
project_name: demo
security:
  keycloak: {initial_root_password: secret}
environments:
  "environment-dask.yaml":
    name: dask
    channels:
    - conda-forge
    dependencies:
    - python==3.10.8
    - ipykernel==6.21.0
    - dask==2023.1.0
    - pip:
      - kbatch==0.4.2
  "environment-dashboard.yaml":
    name: dashboard
    channels: [conda-forge]
    dependencies:
    - python==3.10
    - cufflinks-py==0.17.3
"""
DASK = """\
name: dask
channels:
  - conda-forge
dependencies:
  - python==3.10.8
  - ipykernel==6.21.0
  - dask==2023.1.0
  - pip:
      - kbatch==0.4.2
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.config.write_text(
        f"root: {place.root}\ndurability: fast\n"
        "sources: [{name: people, managed: true}, {name: analyst, managed: true}]\n"
    )
    return place


def bare(place: Place, namespace: str = "people") -> Bare:
    return Bare(place.store.managed / f"{namespace}.git")


def log(place: Place, form: str = "%s", namespace: str = "people") -> list[str]:
    """Oldest first."""
    told = bare(place, namespace).run("log", "--reverse", f"--format={form}", "main")
    return told.decode().splitlines()


def show(place: Place, path: str, revision: str = "main", namespace: str = "people") -> str:
    return bare(place, namespace).run("show", f"{revision}:{path}").decode()


def paths(place: Place, namespace: str = "people") -> list[str]:
    told = bare(place, namespace).run("ls-tree", "-r", "--name-only", "main")
    return told.decode().splitlines()


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return folder


def edit(place: Place, namespace: str, path: str, content: str) -> None:
    """As a person does it who pushes."""
    repository = bare(place, namespace)
    tip, ada = repository.tip("main"), Author("Ada", "ada@example.org")
    made = commit(repository.run, tip, Change(path, content.encode()), ada, "mine")
    assert move(repository.run, "main", made, tip)


# ---------------------------------------------------------------- Nebari


def nebari(place: Place, content: str = NEBARI, *more: str) -> Told:
    file = place.folder / "nebari-config.yaml"
    file.write_text(content)
    return place.cli("import", file, "--into", "people", *more)


def test_each_environment_of_nebari_is_a_file_of_one_commit(place: Place) -> None:
    done = nebari(place)
    assert (done.code, done.err) == (0, "people: 1 commit made, 2 files\n")
    assert log(place) == ["import 2 environment files from nebari-config.yaml"]
    assert paths(place) == ["dashboard.yml", "dask.yml"]
    assert show(place, "dask.yml") == DASK


def test_a_second_import_changes_nothing_and_says_so(place: Place) -> None:
    nebari(place)
    before = bare(place).tip("main")
    done = nebari(place)
    assert (done.code, done.err) == (0, "people: nothing new\n")
    assert bare(place).tip("main") == before


def test_what_changed_in_nebari_is_one_commit_on_top(place: Place) -> None:
    nebari(place)
    nebari(place, NEBARI.replace("dask==2023.1.0", "dask==2024.1.0"))
    assert len(log(place)) == 2
    assert "dask==2024.1.0" in show(place, "dask.yml")


def test_a_file_that_a_person_changed_is_left_as_it_is(place: Place) -> None:
    nebari(place)
    edit(place, "people", "dask.yml", text("tiny=1.0", name="dask"))
    done = nebari(place)
    assert (done.code, "dask.yml: warning: was changed or made here" in done.out) == (1, True)
    assert "tiny=1.0" in show(place, "dask.yml")


def test_a_broken_environment_is_named_and_left_out(place: Place) -> None:
    content = NEBARI + "  bad.yaml: {name: bad, dependencies: 7}\n  worse.yaml: [1]\n"
    done = nebari(place, content)
    assert done.code == 1
    assert "bad.yaml:2:15: `dependencies` must be a list" in done.out
    assert "worse.yaml:22: is list, and no environment" in done.out
    assert paths(place) == ["dashboard.yml", "dask.yml"]


def test_a_broken_one_comes_along_where_that_is_wished(place: Place) -> None:
    nebari(place, NEBARI + "  bad.yaml: {name: bad, dependencies: 7}\n", "--keep-broken")
    assert paths(place) == ["bad.yml", "dashboard.yml", "dask.yml"]


def test_a_name_cannot_lead_out_of_the_repository(place: Place) -> None:
    done = nebari(place, "environments: {a: {name: ../../x, dependencies: [tiny]}}")
    assert (done.code, "cannot be a name here" in done.out) == (1, True)
    assert not bare(place).path.exists() or not bare(place).tip("main")


def test_a_file_of_another_kind_is_refused(place: Place) -> None:
    done = nebari(place, "name: demo\ndependencies: [tiny]\n")
    assert (done.code, "no mapping `environments`" in done.err) == (1, True)


def test_a_dry_run_writes_nothing(place: Place) -> None:
    done = nebari(place, NEBARI, "--dry-run", "--json")
    assert done.json[0]["files"] == ["dask.yml", "dashboard.yml"]
    assert not place.root.exists()


def test_a_namespace_without_a_managed_source_is_told_with_the_lines_to_add(place: Place) -> None:
    file = write(place.folder, {"n.yaml": NEBARI}) / "n.yaml"
    done = place.cli("import", file, "--into", "team")
    assert (done.code, place.root.exists()) == (1, False)
    assert "sources:\n  - {name: team, managed: true}" in done.err


# ---------------------------------------------------------------- a directory


HOSTILE = {
    "good/environment.yml": text("tiny=1.0"),
    "good/conda-lock.yml": "version: 1\n",
    "broken.yml": "name: broken\ndependencies: 7\n",
    "mkdocs.yml": "site_name: x\n",
    ".git/config.yml": text("tiny"),
    "big.yml": "name: big\ndependencies: [tiny]\n" + "#" * 70_000,
}


def test_a_directory_keeps_its_paths_and_leaves_out_what_is_refused(place: Place) -> None:
    folder = write(place.folder / "envs", HOSTILE)
    (folder / "link.yml").symlink_to("/etc/passwd")
    done = place.cli("import", folder, "--into", "people")
    assert paths(place) == ["good/conda-lock.yml", "good/environment.yml"]
    assert done.code == 1
    for name in ("broken.yml", "big.yml", "link.yml", "mkdocs.yml"):
        assert any(line.startswith(name) for line in done.lines), done.out


def test_a_directory_of_good_files_is_done_twice_without_a_change(place: Place) -> None:
    folder = write(place.folder / "envs", {"a.yml": text("tiny"), "b/x.yml": text("tiny")})
    first = place.cli("import", folder, "--into", "people")
    second = place.cli("import", folder, "--into", "people")
    assert (first.code, second.code, second.err) == (0, 0, "people: nothing new\n")
    assert log(place) == ["import 2 environment files from envs"]


def test_a_file_never_takes_the_place_of_a_folder(place: Place) -> None:
    write(place.folder / "one", {"a.yml/b.yml": text("tiny")})
    write(place.folder / "two", {"a.yml": text("tiny")})
    place.cli("import", place.folder / "one", "--into", "people")
    done = place.cli("import", place.folder / "two", "--into", "people")
    assert (done.code, "something else is in its place" in done.out) == (1, True)
    assert paths(place) == ["a.yml/b.yml"]


# ---------------------------------------------------------------- a conda-store


@pytest.fixture
def store() -> Iterator[CondaStore]:
    with CondaStore() as store:
        store.add(
            "analyst/stats",
            ("COMPLETED", spec("stats", "r-base")),
            ("COMPLETED", spec("stats", "r-base")),
            ("FAILED", spec("stats", "r-base", "nothing-like-it")),
            ("COMPLETED", spec("stats", "r-base", {"pip": ["tiny"]}, variables={"A": "1"})),
            ("CANCELED", spec("stats", "r-base=9")),
            current=3,
        )
        store.add("analyst/other", ("COMPLETED", spec("other", "python")))
        store.add("shared/third", ("COMPLETED", spec("third", "python")))
        yield store


def fetch(place: Place, store: CondaStore, *more: str, token: str = TOKEN) -> Told:
    file = write(place.folder, {"token": f"{token}\n"}) / "token"
    into = () if "--into" in more else ("--into", "analyst=analyst", "--into", "shared=people")
    return place.cli("import", f"{store.url}/store/", *into, "--token-file", file, *more)


def test_the_history_of_a_conda_store_is_a_git_history(place: Place, store: CondaStore) -> None:
    done = fetch(place, store)
    assert (done.code, done.out) == (0, "")
    assert log(place, "%an|%as|%s", "analyst") == [
        "conda-store import|2024-05-02|build 1 of analyst/stats (COMPLETED)",
        "conda-store import|2024-05-04|build 3 of analyst/stats (FAILED)",
        "conda-store import|2024-05-05|build 4 of analyst/stats (COMPLETED)",
        "conda-store import|2024-05-06|build 5 of analyst/stats (CANCELED)",
        "conda-store import|2024-05-07|build 6 of analyst/other (COMPLETED)",
        "conda-store import|2024-05-06|build 4 of analyst/stats is the current one",
    ]
    assert log(place) == ["build 7 of shared/third (COMPLETED)"]
    assert show(place, "stats.yml", namespace="analyst") == (
        "name: stats\nchannels:\n  - conda-forge\ndependencies:\n  - r-base\n"
        "  - pip:\n      - tiny\nvariables:\n  A: '1'\n"
    )


def test_every_page_of_a_list_is_read(place: Place, store: CondaStore) -> None:
    store.most = 1
    fetch(place, store)
    asked = [
        r.path for r in store.requests if "/build/?" in r.path and "environment_id=1" in r.path
    ]
    assert len(asked) == 5
    assert len(log(place, namespace="analyst")) == 6


def test_a_second_import_of_a_conda_store_adds_what_was_built_since(
    place: Place, store: CondaStore
) -> None:
    fetch(place, store)
    again = fetch(place, store)
    assert again.err == "analyst: nothing new\npeople: nothing new\n"
    store.add("analyst/stats", ("COMPLETED", spec("stats", "r-base=10")))
    fetch(place, store)
    assert log(place, namespace="analyst")[6:] == ["build 8 of analyst/stats (COMPLETED)"]


def test_another_build_made_current_again_is_followed(place: Place, store: CondaStore) -> None:
    fetch(place, store)
    for number in (1, 4, 1):
        store.environments[0]["current_build_id"] = number
        fetch(place, store)
    told = [line.split()[1] for line in log(place, namespace="analyst")[6:]]
    assert told == ["1", "4", "1"]


def test_an_edit_made_here_outlives_the_next_import(place: Place, store: CondaStore) -> None:
    fetch(place, store)
    edit(place, "analyst", "stats.yml", text("tiny", name="stats"))
    assert fetch(place, store).err.startswith("analyst: nothing new\n")
    store.add("analyst/stats", ("COMPLETED", spec("stats", "r-base=10")))
    done = fetch(place, store)
    assert (done.code, "stats.yml: warning: was changed or made here" in done.out) == (1, True)
    assert "tiny" in show(place, "stats.yml", namespace="analyst")


def test_only_the_current_builds_where_history_is_not_wanted(
    place: Place, store: CondaStore
) -> None:
    fetch(place, store, "--current")
    assert log(place, namespace="analyst") == [
        "build 4 of analyst/stats (COMPLETED)",
        "build 6 of analyst/other (COMPLETED)",
    ]


def test_one_namespace_may_be_chosen(place: Place, store: CondaStore) -> None:
    assert fetch(place, store, "--into", "shared=people").code == 0
    assert not bare(place, "analyst").path.exists()
    assert fetch(place, store, "--into", "people").code == 2


def test_a_namespace_that_is_not_declared_stops_before_anything_is_written(
    place: Place, store: CondaStore
) -> None:
    file = write(place.folder, {"token": TOKEN}) / "token"
    done = place.cli("import", f"{store.url}/store", "--token-file", file)
    assert "- {name: shared, managed: true}" in done.err
    assert (done.code, place.root.exists()) == (1, False)


def test_a_build_from_a_lock_file_is_named_and_left_out(place: Place, store: CondaStore) -> None:
    store.add("analyst/locked", ("COMPLETED", {"name": "locked", "lockfile": {"version": 1}}))
    done = fetch(place, store)
    assert "build 8 of analyst/locked: it was made from a lock file" in done.out
    assert "locked.yml" not in paths(place, "analyst")


def test_a_wrong_token_is_told_without_it(place: Place, store: CondaStore) -> None:
    done = fetch(place, store, token="the-wrong-token")
    assert (done.code, "answers 401: not logged in" in done.err) == (1, True)
    assert "the-wrong-token" not in done.err
    assert len(store.requests) == 1


def client(store: CondaStore, **more: float) -> Client:
    return Client(f"{store.url}/store", Network(), TOKEN, pause=0.01, **more)


def test_a_server_that_stumbles_is_asked_again(store: CondaStore) -> None:
    store.fault = lambda _: Answer(500, "oops") if len(store.requests) % 2 else None
    assert len(environments(client(store))) == 3


def test_a_server_that_stays_down_is_given_up(store: CondaStore) -> None:
    store.fault = lambda _: Answer(503, {"message": "no workers"})
    with pytest.raises(SourceError, match="answers 503: no workers"):
        environments(client(store))
    assert len(store.requests) == 4


def test_a_server_that_does_not_answer_is_not_waited_for(store: CondaStore) -> None:
    held: list[Request] = []

    def stuck(request: Request) -> Answer | None:
        held.append(request)
        store.released.wait(20)
        return None

    store.fault = stuck
    with pytest.raises(SourceError, match="no answer in time"):
        environments(client(store, patience=0.2))
    store.released.set()
    assert len(held) == 4


@pytest.mark.parametrize("body", ["<html>", "[]", {"data": 7, "count": 1}, {"count": "x"}])
def test_what_is_no_conda_store_is_told(store: CondaStore, body: object) -> None:
    store.fault = lambda _: Answer(200, body)
    with pytest.raises(SourceStalled, match="is not a conda-store's"):
        environments(client(store))


def test_a_redirect_does_not_get_the_token(store: CondaStore) -> None:
    store.fault = lambda _: Answer(302, "", {"Location": f"{store.url}/elsewhere"})
    with pytest.raises(SourceStalled, match="answers 302"):
        environments(client(store))
    assert len(store.requests) == 1


@pytest.mark.parametrize("url", ["http://store.example.org", "https://me:pw@store.example.org/x"])
def test_an_address_that_would_give_a_secret_away_is_refused(url: str) -> None:
    with pytest.raises(SourceStalled):
        open_client(url, Network(), token=TOKEN)
    assert open_client("http://store.example.org", Network(), insecure=True).place
