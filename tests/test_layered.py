"""What an `envwatch.yml` puts together: built, published, kept, told. On real prefixes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from envwatch import lockfile
from envwatch.catalog import open_catalog
from envwatch.channel.archive import File, Package
from envwatch.daemon import run_chore
from envwatch.daemon.parts import Parts, assemble, reload
from envwatch.model import ArtifactKind, BuildState, Composition, EnvKey, FileState, Layer
from envwatch.settings import (
    NamespaceSettings,
    RepoRules,
    Retention,
    Settings,
    SourceKind,
    SourceSettings,
)
from envwatch.views import environments, pages
from envwatch.worker import chores
from envwatch.worker.preview import preview
from envwatch.worker.reindex import reindex

KEY = EnvKey("analyst", "ocean")
BASE = "dependencies:\n- tiny=1.0\n"
OCEAN = "dependencies:\n- native\n"
TWO = "environments:\n  ocean:\n    files: [base/environment.yml, environment.yml]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "specs"
    (folder / "base").mkdir(parents=True)
    return folder


@pytest.fixture
def parts(tmp_path: Path, folder: Path, channel: Path) -> Iterator[Parts]:
    url = channel.as_uri()
    rules = RepoRules(allow=(*RepoRules().allow, "retention", "update"), keep_last=3)
    namespace = NamespaceSettings(
        "analyst",
        channels=(url,),
        allowed_channels=(url,),
        retention=Retention(keep_last=2, keep_days=0, grace=0),
        repo=rules,
    )
    source = SourceSettings("team", SourceKind.DIRECTORY, "analyst", directory=folder)
    settings = Settings(tmp_path / "root", sources=(source,), namespaces=(namespace,))
    with assemble(settings) as parts:
        parts.executor.start()
        yield parts
        parts.executor.stop()


def write(folder: Path, base: str = BASE, ocean: str = OCEAN, said: str = "") -> None:
    (folder / "base/environment.yml").write_text(base)
    (folder / "environment.yml").write_text(ocean)
    (folder / "envwatch.yml").write_text(TWO + said)


def build(parts: Parts) -> dict[str, str]:
    """Look and build all that is asked for; the packages of the newest generation."""
    parts.look("team")
    while parts.worker.run_one():
        pass
    page = pages.environment(parts.catalog, KEY)
    return {p.name: p.version for p in page.packages}


def lock_of(parts: Parts) -> str:
    env = parts.catalog.generations.environment(KEY)
    newest = parts.catalog.generations.of(env.id)[0]
    return (parts.store.record(newest.build_id) / ArtifactKind.LOCK).read_text()


def layered(folder: Path) -> Composition:
    names = ("base/environment.yml", "environment.yml")
    return Composition(tuple(Layer(n, (folder / n).read_text()) for n in names))


def test_a_merged_environment_is_built_and_published(parts: Parts, folder: Path) -> None:
    write(folder)
    found = build(parts)
    assert (found["tiny"], "native" in found) == ("1.0", True)
    assert (parts.store.link(KEY) / "share/tiny/version").read_text() == "1.0"
    page = pages.environment(parts.catalog, KEY)
    assert page.layers == ("base/environment.yml", "environment.yml")
    assert "# merged by envwatch.yml from" in page.spec_text


def test_a_change_of_a_layer_is_built(parts: Parts, folder: Path) -> None:
    write(folder)
    build(parts)
    write(folder, base=BASE.replace("1.0", "2.0"))
    assert build(parts)["tiny"] == "2.0"
    assert parts.catalog.generations.environment(KEY).current == 2


def test_a_revert_of_a_layer_brings_the_old_lock_back(parts: Parts, folder: Path) -> None:
    write(folder)
    build(parts)
    write(folder, base=BASE.replace("1.0", "2.0"))
    build(parts)
    write(folder)
    assert build(parts)["tiny"] == "1.0"
    assert "the lock and the files of #1 (build 1) serve again" in parts.store.log(3).read_text()


def test_what_cannot_be_solved_is_told_at_the_file_and_line(parts: Parts, folder: Path) -> None:
    write(folder, base="dependencies:\n- tiny=1.0\n- tinny\n")
    build(parts)
    row = pages.environment(parts.catalog, KEY).row
    assert row.failure is not None
    assert (row.failure.path, row.failure.line) == ("base/environment.yml", 3)


def test_a_failure_in_a_pip_list_is_told_at_the_file_and_line(parts: Parts, folder: Path) -> None:
    write(folder, base="dependencies:\n- tiny=1.0\n- pip:\n  - click>=8\n")
    build(parts)
    failure = pages.environment(parts.catalog, KEY).row.failure
    assert failure is not None
    assert failure.path in ("base/environment.yml", "")


def test_labels_description_and_kernel_are_there_without_a_build(
    parts: Parts, folder: Path
) -> None:
    write(folder)
    build(parts)
    more = "    labels: {team: ocean}\n    description: For the sea\n"
    write(folder, said=more)
    build(parts)
    row = pages.environment(parts.catalog, KEY).row
    assert (row.newest, row.description, row.labels) == (1, "For the sea", (("team", "ocean"),))


@pytest.mark.parametrize(
    ("label", "found"), [("team=ocean", 1), ("team", 1), ("team=sky", 0), ("cost", 0)]
)
def test_lists_are_filtered_by_label(parts: Parts, folder: Path, label: str, found: int) -> None:
    write(folder, said="    labels: {team: ocean}\n")
    parts.look("team")
    assert environments.listing(parts.catalog.database, label=label).total == found


def test_labels_that_are_taken_away_are_gone(parts: Parts, folder: Path) -> None:
    write(folder, said="    labels: {team: ocean}\n")
    parts.look("team")
    write(folder)
    parts.look("team")
    assert environments.listing(parts.catalog.database, label="team").total == 0
    assert pages.environment(parts.catalog, KEY).row.labels == ()


@pytest.fixture
def sea(parts: Parts, make_channel: Callable[..., Path]) -> None:
    """The channel of the namespace has a small package with a kernel."""
    spec = b'{"argv": ["sea", "{connection_file}"], "display_name": "Sea", "language": "sea"}'
    file = File("share/jupyter/kernels/sea/kernel.json", spec)
    url = make_channel("sea", Package("sea", "1.0", noarch="generic", files=(file,))).as_uri()
    settings = parts.settings()
    (analyst,) = settings.namespaces
    with_sea = replace(analyst, channels=(url,), allowed_channels=(url,))
    reload(parts, replace(settings, namespaces=(with_sea,)))


def test_the_kernel_is_called_as_the_repository_says(parts: Parts, folder: Path, sea: None) -> None:
    write(folder, base="dependencies: []\n", ocean="dependencies: [sea]\n")
    build(parts)
    kernel = parts.store.root / "jupyter/analyst/kernels/analyst-ocean/kernel.json"
    assert '"display_name": "analyst-ocean"' in kernel.read_text()
    said = '    kernel: {display_name: "Ocean (2026)"}\n'
    write(folder, base="dependencies: []\n", ocean="dependencies: [sea]\n", said=said)
    build(parts)
    assert '"display_name": "Ocean (2026)"' in kernel.read_text()


def kept(parts: Parts, folder: Path, said: str) -> int:
    """How many generations stay once the repository says this."""
    write(folder, base=BASE.replace("1.0", "2.0"), said=said)
    build(parts)
    return sum(not v.goes for v in chores.prune(parts.worker, dry_run=True))


def test_retention_follows_the_repository_as_far_as_it_may(parts: Parts, folder: Path) -> None:
    for version in ("1.0", "2.0", "1.0", "2.0"):
        write(folder, base=BASE.replace("1.0", version))
        build(parts)
    said = {n: f"    retention: {{keep_last: {n}}}\n" for n in (1, 3, 99)}
    found = {n: kept(parts, folder, text) for n, text in said.items()}
    assert found == {1: 1, 3: 3, 99: 3}
    assert kept(parts, folder, "") == 2
    assert parts.catalog.generations.environment(KEY).current == 4


def test_an_environment_is_updated_at_its_own_time(parts: Parts, folder: Path) -> None:
    write(folder, said='    update: "@weekly"\n')
    (folder / "plain.yml").write_text("dependencies: [tiny]\n")
    build(parts)
    run_chore(parts, "update:analyst")
    queued = {b.key.name for b in parts.catalog.builds.in_state(BuildState.QUEUED)}
    assert queued == {"plain"}
    run_chore(parts, "update-one:analyst/ocean")
    queued = {b.key.name for b in parts.catalog.builds.in_state(BuildState.QUEUED)}
    assert queued == {"plain", "ocean"}


def test_virtual_packages_of_the_repository_are_believed(parts: Parts, folder: Path) -> None:
    write(folder, ocean="dependencies: [needs-cuda]\n")
    build(parts)
    failure = pages.environment(parts.catalog, KEY).row.failure
    assert failure is not None
    assert "`needs-cuda` needs `__cuda >=12`" in failure.message
    write(
        folder, ocean="dependencies: [needs-cuda]\n", said='    virtual_packages: ["__cuda=12.4"]\n'
    )
    assert "needs-cuda" in build(parts)
    assert pages.environment(parts.catalog, KEY).virtual_packages == ("__cuda=12.4",)


# ---------------------------------------------------------------- locks


def test_the_lock_of_merged_files_is_that_of_all_of_them(parts: Parts, folder: Path) -> None:
    write(folder)
    build(parts)
    text = lock_of(parts)
    assert lockfile.matches(text, "", "linux-64", layered(folder))
    assert not lockfile.matches(text, BASE, "linux-64")


def test_a_lock_of_merged_files_is_installed_as_it_is(parts: Parts, folder: Path) -> None:
    write(folder)
    build(parts)
    (folder / "conda-lock.yml").write_text(lock_of(parts) + "# by somebody else\n")
    build(parts)
    assert "the lock beside the file matches it: nothing to solve" in parts.store.log(2).read_text()


@pytest.mark.parametrize(
    ("base", "ocean", "place", "text"),
    [
        ("- tiny=2.0", "- native", "base/environment.yml:2:3", "it has `tiny` 1.0"),
        ("- tiny=1.0", "- native\n- stepped", "environment.yml:3:3", "`stepped` is not in it"),
        ("- tiny", "- native", "envwatch.yml", "another state of these files: it is not used"),
    ],
)
def test_a_stale_lock_is_told_with_the_line_that_it_does_not_know(
    parts: Parts, folder: Path, base: str, ocean: str, place: str, text: str
) -> None:
    write(folder)
    build(parts)
    (folder / "conda-lock.yml").write_text(lock_of(parts))
    write(folder, f"dependencies:\n{base}\n", f"dependencies:\n{ocean}\n")
    build(parts)
    (message,) = [m for m in parts.catalog.builds.get(2).messages if "lock" in m.text]
    assert (message.place, text in message.text) == (place, True)


def test_a_lock_of_other_files_says_of_which(parts: Parts, folder: Path) -> None:
    write(folder)
    build(parts)
    (folder / "conda-lock.yml").write_text(lock_of(parts))
    (folder / "envwatch.yml").write_text("environments: {ocean: {files: [environment.yml]}}\n")
    build(parts)
    newest = pages.environment(parts.catalog, KEY).builds[0].build
    (message,) = [m for m in newest.messages if "lock" in m.text]
    assert "it was made of `base/environment.yml`, `environment.yml`" in message.text


# ---------------------------------------------------------------- what stands on it


def test_a_plan_solves_merged_files(parts: Parts, folder: Path) -> None:
    write(folder)
    (proposal,) = preview(parts.worker, parts.plan("team")).proposals
    assert proposal.diff is not None
    assert {p.name for p in proposal.diff.added} >= {"tiny", "native"}


def test_archives_and_checks_know_merged_files(parts: Parts, folder: Path) -> None:
    write(folder)
    build(parts)
    generation = parts.catalog.generations.get(KEY, 1)
    assert chores.verify(parts.worker, [generation]) == {}


def test_what_the_operator_takes_back_is_gone_at_the_next_look(parts: Parts, folder: Path) -> None:
    write(folder, said="    labels: {team: ocean}\n")
    parts.look("team")
    settings = parts.settings()
    strict = tuple(replace(n, repo=RepoRules(allow=())) for n in settings.namespaces)
    reload(parts, replace(settings, namespaces=strict))
    parts.look("team")
    page = pages.environment(parts.catalog, KEY)
    assert page.row.labels == ()
    assert "`labels` is ignored" in str(page.spec_messages[0])


def test_the_source_says_of_each_file_what_became_of_it(parts: Parts, folder: Path) -> None:
    write(folder)
    parts.look("team")
    files = pages.source(parts.catalog, "team").source.files
    assert {f.path: f.state for f in files} == dict.fromkeys(
        ("base/environment.yml", "environment.yml", "envwatch.yml"), FileState.UNDERSTOOD
    )


def test_a_catalog_that_is_lost_is_made_again_with_the_layers(parts: Parts, folder: Path) -> None:
    write(folder, said="    labels: {team: ocean}\n")
    build(parts)
    before = parts.catalog.builds.spec(parts.catalog.generations.environment(KEY).spec_id)
    catalog = open_catalog(parts.store.root / "tmp/again.sqlite", durable=False)
    reindex(catalog, parts.store, parts.publisher.storage)
    after = catalog.builds.spec(catalog.generations.environment(KEY).spec_id)
    catalog.close()
    assert (after.text, after.composition) == (before.text, before.composition)
    assert after.digest == before.digest
