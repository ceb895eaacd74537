"""`envwatch backup` and `restore`: what comes back, what is refused, what a kill leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cli_helpers import (
    KEY,
    Place,
    ask,
    claim,
    cli,
    fail,
    make_place,
    publish,
    put_back,
    result,
    set_aside,
)

from envwatch.catalog import read_catalog
from envwatch.daemon.backing import back_up
from envwatch.daemon.index import rebuild_index
from envwatch.daemon.manifest import verify
from envwatch.daemon.restoring import restore
from envwatch.edit import Author
from envwatch.errors import BackupError, Conflict, LockError, NotFound, RootInUse
from envwatch.git.bare import Bare
from envwatch.git.commits import Change, commit, move
from envwatch.model import BuildState, EnvKey, EnvState, Plan
from envwatch.store import Store
from envwatch.views import environments
from envwatch.worker.jobs import make_job
from envwatch.worker.recover import recover

OTHER = EnvKey("analyst", "other")
SECRET = "of-the-forge"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """#1 pruned, #2 pinned, #3 current; one that failed; a repository with a commit."""
    place = make_place(tmp_path_factory.mktemp("backup") / "place", more="")
    secret = place.folder / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    content = place.config.read_text().replace(
        "namespace: analyst}", f"namespace: analyst, hook: {{secret_files: [{secret}]}}}}"
    )
    place.config.write_text(content)
    with place.parts() as parts:
        for version in ("1.0", "2.0", "3.0"):
            publish(parts, version)
        fail(parts, "9.9", OTHER)
        parts.operations.pin(KEY, 2, pinned=True)
        parts.catalog.generations.prune([parts.catalog.generations.get(KEY, 1).id])
        push(place.store, "first")
    set_aside(place)
    return place


@pytest.fixture
def place(filled: Place) -> Iterator[Place]:
    """As it was filled, for one test."""
    with put_back(filled) as place:
        yield place


def push(store: Store, message: str) -> str:
    bare = Bare(store.managed / "people.git")
    bare.prepare()
    tip, ada = bare.tip("main"), Author("Ada", "ada@example.org")
    made = commit(bare.run, tip, Change("a.yml", message.encode()), ada, message)
    assert move(bare.run, "main", made, tip)
    return made


@pytest.fixture
def other(place: Place) -> Place:
    """Another root with the same config."""
    folder = place.folder / "elsewhere"
    folder.mkdir()
    new = Place(folder)
    new.config.write_text(place.config.read_text().replace(str(place.root), str(new.root)))
    return new


@pytest.fixture
def backup(place: Place) -> Path:
    return back_up(place.settings, place.folder / "backup.tar.zst").file


def refill(place: Place) -> list[int]:
    """Make the files of what is queued as a worker does, by hand; the generations."""
    made = []
    with place.parts() as parts:
        recover(parts.worker)
        while parts.catalog.builds.in_state(BuildState.QUEUED):
            build = claim(parts)
            old = parts.catalog.generations.get(build.key, build.generation or 0)
            made.append(parts.publisher.publish(build, result(parts, build, f"{old.number}.0")))
    return made


# ---------------------------------------------------------------- what comes back


def test_what_people_use_is_made_again_under_its_number(
    place: Place, other: Place, backup: Path
) -> None:
    before = generations(place)
    done = restore(other.root, backup)
    assert (done.environments, done.generations, done.queued) == (2, 3, 2)
    assert refill(other) == [3, 2]
    after = generations(other)
    assert [g[:3] for g in after] == [g[:3] for g in before]
    assert [g[3] for g in after] == [True, False, False]
    assert (other.store.link(KEY) / "bin/tiny").read_text() == "3.0\n"


def generations(place: Place) -> list[tuple[int, str, object, bool]]:
    """Number, lock, when it was published, whether it is pruned; oldest first."""
    with closing(read_catalog(place.store.catalog)) as catalog:
        return [
            (g.number, g.lock_digest, g.published_at, g.pruned_at is not None)
            for g in catalog.generations.all()
        ]


def test_no_link_leads_to_files_that_are_still_to_be_made(other: Place, backup: Path) -> None:
    restore(other.root, backup)
    with other.parts() as parts:
        recover(parts.worker)
        assert not other.store.link(KEY).is_symlink()
        assert parts.catalog.generations.environment(KEY).current == 3


def test_no_path_of_the_old_root_stays(place: Place, other: Place, backup: Path) -> None:
    restore(other.root, backup)
    other.store.catalog.with_name("config.restored.yaml").unlink()
    old = f"{place.root}/".encode()
    files = [p for p in other.root.rglob("*") if p.is_file() and p.suffix != ".pack"]
    assert [p for p in files if old in p.read_bytes() and p.name != "source"] == []


def test_logs_events_and_commits_come_back(place: Place, other: Place, backup: Path) -> None:
    tip = Bare(place.store.managed / "people.git").tip("main")
    restore(other.root, backup)
    assert other.store.log(4).read_bytes() == place.store.log(4).read_bytes()
    bare = Bare(other.store.managed / "people.git")
    assert bare.tip("main") == tip
    bare.run("fsck", "--strict")
    story = other.cli("env", "log", "analyst/demo").out
    assert all(f"#{n} " in story for n in (1, 2, 3))


def test_the_config_comes_back_and_secrets_are_named_only(
    place: Place, other: Place, backup: Path
) -> None:
    done = restore(other.root, backup)
    assert done.config is not None
    assert done.config.read_text() == place.config.read_text()
    assert done.missing == (str(place.folder / "secret"),)
    told = [p.read_bytes() for p in other.root.rglob("*") if p.is_file()]
    assert not any(SECRET.encode() in data for data in told)


def test_a_build_that_ran_is_queued_again_though_it_ended_during_the_backup(
    place: Place, other: Place
) -> None:
    with place.parts() as parts:
        ask(parts, "4.0")
        build = claim(parts)
        result(parts, build, "4.0")
        made = back_up(place.settings, place.folder / "b").file
    restore(other.root, made)
    with other.parts() as parts:
        recover(parts.worker)
        states = [(b.state, b.generation) for b in parts.catalog.builds.in_state(*BuildState)]
        assert states.count((BuildState.QUEUED, None)) == 1
        assert parts.catalog.generations.environment(KEY).current == 3


def test_a_newer_commit_does_not_stop_what_is_made_again(other: Place, backup: Path) -> None:
    restore(other.root, backup)
    with other.parts() as parts:
        ask(parts, "5.0")
        queued = parts.catalog.builds.in_state(BuildState.QUEUED)
        assert [b.generation for b in queued] == [3, 2, None]


def test_a_remaking_that_fails_for_a_passing_reason_is_tried_again(
    other: Place, backup: Path
) -> None:
    restore(other.root, backup)
    with other.parts() as parts:
        first = claim(parts)
        assert parts.catalog.builds.interrupted()[0].id == first.id
        again = parts.catalog.builds.in_state(BuildState.QUEUED)[-1]
        assert (again.generation, again.mode) == (first.generation, first.mode)


def test_a_generation_is_never_filled_from_another_lock_than_its_own(
    other: Place, backup: Path
) -> None:
    restore(other.root, backup)
    with other.parts() as parts:
        second = parts.catalog.builds.in_state(BuildState.QUEUED)[1]
        job = make_job(second, parts.catalog, parts.store, other.settings)
        assert (job.lock_text, job.lock_is_known) == ("# the lock of 2.0\n", True)
        (parts.store.record(2) / "conda-lock.yml").unlink()
        with pytest.raises(LockError, match="the lock of #2 is gone"):
            make_job(second, parts.catalog, parts.store, other.settings)


def test_what_is_not_made_again_is_missing_and_never_said_to_serve(
    other: Place, backup: Path
) -> None:
    restore(other.root, backup)
    with other.parts() as parts:
        for build in parts.catalog.builds.in_state(BuildState.QUEUED):
            parts.operations.cancel(build.id, by="ada")
        listed = environments.listing(parts.catalog.database)
        row = next(r for r in listed.rows if r.key == KEY)
        assert (row.current, row.env) == (None, EnvState.MISSING)
        assert listed.counts.missing == 1


def test_a_retired_environment_stays_retired_and_costs_nothing(place: Place, other: Place) -> None:
    with place.parts() as parts:
        gone = Plan("team", "r", None, retire=(KEY,))
        parts.catalog.sources.apply(gone, fingerprint="", rules="")
    done = restore(other.root, back_up(place.settings, place.folder / "b").file)
    assert (done.environments, done.generations, done.queued) == (1, 3, 0)


def test_downloads_are_offered_again_from_the_records(other: Place, backup: Path) -> None:
    restore(other.root, backup)
    refill(other)
    with closing(read_catalog(other.store.catalog)) as catalog:
        for generation in catalog.generations.all():
            kinds = {a.kind.value for a in catalog.generations.artifacts(generation.id)}
            assert {"conda-lock.yml", "SHA256SUMS"} <= kinds


def test_downloads_come_along_where_that_is_wished(place: Place, other: Place) -> None:
    made = back_up(place.settings, place.folder / "b", artifacts=True).file
    restore(other.root, made)
    names = [p.relative_to(place.root) for p in place.root.glob("artifacts/**/*") if p.is_file()]
    assert names
    assert all((other.root / name).is_file() for name in names)


def test_the_index_can_be_rebuilt_after_a_restore(other: Place, backup: Path) -> None:
    restore(other.root, backup)
    refill(other)
    for file in other.root.glob("catalog.sqlite*"):
        file.unlink()
    made = rebuild_index(other.settings)
    assert (made.generations, made.problems) == (3, ())
    with closing(read_catalog(other.store.catalog)) as catalog:
        assert catalog.generations.environment(KEY).current == 3


def test_a_restored_root_can_be_backed_up_again(other: Place, backup: Path) -> None:
    restore(other.root, backup)
    again = back_up(other.settings, other.folder / "again").file
    third = Store(other.folder / "third")
    assert restore(third.root, again).generations == 3


# ---------------------------------------------------------------- what is refused


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a good backup."""
    place = make_place(tmp_path_factory.mktemp("whole"))
    with place.parts() as parts:
        publish(parts, "1.0")
    return back_up(place.settings, place.folder / "backup").file.read_bytes()


@pytest.mark.parametrize("where", [0, 4, 0.01, 0.2, 0.5, 0.8, -20, -4, -1])
def test_a_flipped_byte_is_refused_and_nothing_is_written(
    tmp_path: Path, whole: bytes, where: float
) -> None:
    data = bytearray(whole)
    data[int(where * len(data)) if 0 < where < 1 else int(where)] ^= 0x01
    (tmp_path / "backup").write_bytes(data)
    with pytest.raises(BackupError):
        restore(tmp_path / "root", tmp_path / "backup")
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("cut", [1, 3, 5, 100, 2000, None])
def test_a_truncated_backup_is_refused(tmp_path: Path, whole: bytes, cut: int | None) -> None:
    (tmp_path / "backup").write_bytes(whole[: -cut if cut else 0])
    with pytest.raises(BackupError, match="damaged"):
        restore(tmp_path / "root", tmp_path / "backup")
    assert not (tmp_path / "root").exists()


def test_a_file_with_something_behind_it_is_refused(backup: Path) -> None:
    backup.write_bytes(backup.read_bytes() + b"x")
    with pytest.raises(BackupError, match="something was put behind it"):
        verify(backup)


def test_a_filled_root_is_never_written_over(place: Place, backup: Path) -> None:
    before = place.store.catalog.read_bytes()
    with pytest.raises(Conflict, match="not empty"):
        restore(place.root, backup)
    assert place.store.catalog.read_bytes() == before


def test_a_folder_of_somebody_else_is_refused(other: Place, backup: Path) -> None:
    other.root.mkdir()
    (other.root / "thesis.tex").write_text("x")
    with pytest.raises(Conflict):
        restore(other.root, backup)
    assert [p.name for p in other.root.iterdir()] == ["thesis.tex"]


def test_a_root_without_a_catalog_has_nothing_to_keep(other: Place) -> None:
    with pytest.raises(NotFound):
        back_up(other.settings, other.folder / "b")


def test_a_backup_is_for_its_owner_and_appears_whole(place: Place, backup: Path) -> None:
    assert backup.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in place.folder.iterdir() if ".tar.zst." in p.name] == []
    missing = place.folder / "no" / "folder"
    with pytest.raises(BackupError, match="cannot be written"):
        back_up(place.settings, missing)


# ---------------------------------------------------------------- a kill

KILLED = """
import os, signal, sys
from pathlib import Path
from envwatch.daemon.restoring import restore
left = int(sys.argv[4])
def look(frame, event, _):
    global left
    if event == "call" and frame.f_code.co_name == sys.argv[3]:
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
root, source = map(Path, sys.argv[1:3])
sys.setprofile(look)
restore(root, source)
"""


@pytest.mark.parametrize(
    ("step", "after"),
    [("_clear", 0), ("_keep", 0), ("_keep", 5), ("_unbundle", 0), ("take_over", 0),
     ("_move_records", 0)],
)  # fmt: skip
def test_a_kill_leaves_a_root_that_says_so_and_the_next_restore_starts_over(
    other: Place, backup: Path, step: str, after: int
) -> None:
    command = (sys.executable, "-c", KILLED, str(other.root), str(backup), step, str(after))
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
    with pytest.raises(Conflict, match="did not end"), other.parts():
        pass
    assert restore(other.root, backup).generations == 3
    assert refill(other) == [3, 2]


def test_two_restores_do_not_get_into_each_other(other: Place, backup: Path) -> None:
    other.root.mkdir()
    other.store.restoring.write_text("")
    with other.store.hold(), pytest.raises(RootInUse):
        restore(other.root, backup)


# ---------------------------------------------------------------- the commands


def test_the_commands_say_what_is_where(place: Place, other: Place) -> None:
    target = place.folder / "b.tar.zst"
    made = place.cli("backup", target)
    assert made.code == 0
    assert made.err.startswith("not in it, for they are secrets or the machine's:\n")
    done = cli("-c", other.config, "restore", target, "--json")
    assert (done.code, done.json["queued"]) == (0, 2)
    assert done.json["config"] == str(other.root / "config.restored.yaml")
    assert json.loads(place.cli("backup", target, "--json").out)["file"] == str(target)
    assert os.fspath(target) in made.err
