"""Names that wait, and what marks them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from git_helpers import SPEC, Repo, git, new_repo

from envwatch.git.mirrors import Mirrors
from envwatch.settings import SourceKind, SourceSettings
from envwatch.sources import Source, open_source
from envwatch.watch import Dirty, Watcher
from envwatch.watch.eyes import silent_filesystem


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


# ---------------------------------------------------------------- what is waiting


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def dirty(clock: Clock) -> Dirty:
    """Its back-off is always the longest that is possible."""
    return Dirty(clock, lambda _, longest: longest)


def test_nothing_waits_at_first(dirty: Dirty) -> None:
    assert dirty.take(0) is None
    assert len(dirty) == 0


def test_many_marks_are_one_look(dirty: Dirty) -> None:
    for _ in range(100):
        dirty.mark("a")
    assert dirty.take(0) == "a"
    dirty.done("a", False)
    assert dirty.take(0) is None


def test_who_waits_longest_comes_first(dirty: Dirty, clock: Clock) -> None:
    dirty.mark("b")
    clock.now += 1
    dirty.mark("a")
    assert [dirty.take(0), dirty.take(0)] == ["b", "a"]


def test_a_name_is_not_looked_at_twice_at_a_time(dirty: Dirty) -> None:
    dirty.mark("a")
    dirty.take(0)
    dirty.mark("a")
    assert dirty.take(0) is None


def test_a_mark_during_a_look_is_another_look(dirty: Dirty) -> None:
    dirty.mark("a")
    dirty.take(0)
    dirty.mark("a")
    dirty.done("a", False)
    assert dirty.take(0) == "a"


def test_a_quiet_period_waits_for_the_last_mark(dirty: Dirty, clock: Clock) -> None:
    dirty.mark("a", quiet=0.5)
    clock.now += 0.4
    dirty.mark("a", quiet=0.5)
    clock.now += 0.4
    assert dirty.take(0) is None
    clock.now += 0.1
    assert dirty.take(0) == "a"


def test_what_never_comes_to_rest_is_looked_at_all_the_same(dirty: Dirty, clock: Clock) -> None:
    start = clock.now
    while dirty.take(0) is None:
        dirty.mark("a", quiet=0.5)
        clock.now += 0.25
        assert clock.now < start + 60
    assert clock.now > start + 5


def test_a_plain_mark_ends_a_quiet_period(dirty: Dirty) -> None:
    dirty.mark("a", quiet=0.5)
    dirty.mark("a")
    assert dirty.take(0) == "a"


def test_a_patient_mark_does_not_end_a_quiet_period(dirty: Dirty) -> None:
    dirty.mark("a", quiet=0.5)
    dirty.mark("a", patient=True)
    assert dirty.take(0) is None


def test_a_patient_mark_is_a_look_where_nothing_waits(dirty: Dirty) -> None:
    dirty.mark("a", patient=True)
    assert dirty.take(0) == "a"


def fail(dirty: Dirty, name: str = "a") -> None:
    dirty.mark(name)
    assert dirty.take(0) == name
    dirty.done(name, True)


def test_an_error_is_tried_again_by_itself(dirty: Dirty, clock: Clock) -> None:
    fail(dirty)
    assert dirty.take(0) is None
    clock.now += 2
    assert dirty.take(0) == "a"


def test_each_error_waits_longer_up_to_a_limit(dirty: Dirty, clock: Clock) -> None:
    fail(dirty)
    waits = []
    for _ in range(14):
        start = clock.now
        while dirty.take(0) is None:
            clock.now += 1
        waits.append(clock.now - start)
        dirty.done("a", True)
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (2, 600)


def test_a_success_forgets_the_errors(dirty: Dirty, clock: Clock) -> None:
    for _ in range(5):
        fail(dirty)
    dirty.mark("a")
    dirty.take(0)
    dirty.done("a", False)
    fail(dirty)
    clock.now += 2
    assert dirty.take(0) == "a"


def test_a_poll_does_not_hasten_a_retry(dirty: Dirty, clock: Clock) -> None:
    for _ in range(8):
        fail(dirty)
    clock.now += 60
    dirty.mark("a", patient=True)
    assert dirty.take(0) is None


def test_a_poll_during_a_look_that_fails_does_not_hasten_a_retry(dirty: Dirty) -> None:
    dirty.mark("a")
    dirty.take(0)
    dirty.mark("a", patient=True)
    dirty.done("a", True)
    assert dirty.take(0) is None


def test_news_hastens_a_retry(dirty: Dirty) -> None:
    for _ in range(8):
        fail(dirty)
    dirty.mark("a")
    assert dirty.take(0) == "a"


def test_errors_of_one_name_do_not_delay_another(dirty: Dirty) -> None:
    fail(dirty, "a")
    dirty.mark("b")
    assert dirty.take(0) == "b"


def test_names_that_wait_or_are_looked_at_are_counted(dirty: Dirty) -> None:
    fail(dirty, "failed")
    dirty.mark("busy")
    dirty.take(0)
    dirty.mark("waiting", quiet=1)
    assert len(dirty) == 3
    dirty.done("busy", False)
    assert len(dirty) == 2


def test_a_mark_wakes_who_waits() -> None:
    dirty = Dirty()
    taken: list[str | None] = []
    waiter = threading.Thread(target=lambda: taken.append(dirty.take(30)))
    waiter.start()
    dirty.mark("a", quiet=0.05)
    waiter.join(10)
    assert taken == ["a"]


def test_many_threads_never_share_a_name() -> None:
    dirty = Dirty()
    busy: set[str] = set()
    looks: list[str] = []

    def work() -> None:
        while (name := dirty.take(0.2)) is not None:
            assert name not in busy
            busy.add(name)
            looks.append(name)
            busy.remove(name)
            dirty.done(name, False)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for number in range(5000):
        dirty.mark(f"name-{number % 20}")
    for worker in workers:
        worker.join()
    assert set(looks) == {f"name-{number}" for number in range(20)}
    assert len(dirty) == 0


# ---------------------------------------------------------------- the watcher


class Marks:
    """All marks so far. `wait_for` returns when one more for a name comes."""

    def __init__(self) -> None:
        self.all: list[tuple[str, float, bool]] = []
        self.came = threading.Condition()
        self.broken = False

    def __call__(self, name: str, *, quiet: float = 0.0, patient: bool = False) -> None:
        with self.came:
            self.all.append((name, quiet, patient))
            self.came.notify_all()
        if self.broken:
            raise RuntimeError("a mark that fails")

    def names(self) -> list[str]:
        return [name for name, _, _ in self.all]

    def clear(self) -> None:
        with self.came:
            self.all.clear()

    def wait_for(self, name: str) -> None:
        with self.came:
            assert self.came.wait_for(lambda: name in self.names(), 20), f"no mark of {name}"


@pytest.fixture
def marks() -> Marks:
    return Marks()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "a.yml").write_text(SPEC)
    return root


def directory(root: Path, name: str = "local", **changes: Any) -> Source:
    settings = SourceSettings(name, SourceKind.DIRECTORY, "shared", directory=root, **changes)
    return open_source(settings, mirrors=Mirrors(root))


def repository(repo: Repo, mirrors: Mirrors, name: str = "team", **changes: Any) -> Source:
    settings = SourceSettings(
        name, SourceKind.GIT, "analyst", url=repo.url, branch="main", **changes
    )
    return open_source(settings, mirrors=mirrors)


Watch = Callable[..., Watcher]


@pytest.fixture
def watch(marks: Marks) -> Iterator[Watch]:
    """A watcher whose file system watches stand; its loop turns when the test says so."""
    made: list[Watcher] = []

    def make(*sources: Source, **options: Any) -> Watcher:
        watcher = Watcher(options.pop("among", lambda: sources), marks, **options)
        made.append(watcher)
        watcher.tick()
        marks.clear()
        return watcher

    yield make
    marks.broken = False
    for watcher in made:
        watcher.stop()


WRITES: dict[str, Callable[[Path], object]] = {
    "new file": lambda root: (root / "b.yml").write_text("x"),
    "new file below": lambda root: (root / "sub" / "b.yaml").write_text("x"),
    "changed file": lambda root: (root / "a.yml").write_text("x"),
    "removed file": lambda root: (root / "a.yml").unlink(),
    "renamed away": lambda root: (root / "a.yml").rename(root / "a.bak"),
    "renamed onto": lambda root: (
        (root / ".a.swp").write_text("x"),
        (root / ".a.swp").rename(root / "a.yml"),
    ),
    "moved in": lambda root: shutil.move(shutil.copy(root / "a.yml", root.parent), root / "c.yml"),
    "touched": lambda root: os.utime(root / "a.yml"),
    "made readable": lambda root: (root / "a.yml").chmod(0o640),
    "removed folder": lambda root: (root / "sub").rmdir(),
    "moved folder": lambda root: (root / "sub").rename(root / "other"),
    "new folder": lambda root: (root / "more").mkdir(),
    "removed top": shutil.rmtree,
}


@pytest.mark.parametrize("write", WRITES)
def test_a_change_of_a_directory_marks_its_source(
    root: Path, marks: Marks, watch: Watch, write: str
) -> None:
    watch(directory(root))
    WRITES[write](root)
    marks.wait_for("local")
    assert ("local", 0.5, False) in marks.all


@pytest.fixture
def last(tmp_path: Path) -> Source:
    """A second source. Its mark, made last, tells that all earlier events have been heard."""
    (tmp_path / "last").mkdir()
    return directory(tmp_path / "last", "last")


def hear_all(tmp_path: Path, marks: Marks) -> list[str]:
    (tmp_path / "last" / "b.yml").write_text("x")
    marks.wait_for("last")
    return marks.names()


def test_what_is_no_environment_file_marks_nothing(
    root: Path, tmp_path: Path, marks: Marks, watch: Watch, last: Source
) -> None:
    watch(directory(root), last)
    (root / "notes.txt").write_text("x")
    (root / ".git").mkdir()
    (root / ".git" / "x.yml").write_text("x")
    (root / "a.yml").read_text()
    assert "local" not in hear_all(tmp_path, marks)


def test_a_file_in_a_new_folder_marks_its_source(root: Path, marks: Marks, watch: Watch) -> None:
    watch(directory(root))
    (root / "new").mkdir()
    marks.wait_for("local")
    marks.clear()
    (root / "new" / "b.yml").write_text("x")
    marks.wait_for("local")


def test_two_sources_of_one_directory_are_both_marked(
    root: Path, marks: Marks, watch: Watch
) -> None:
    watch(directory(root), directory(root, "second"))
    (root / "a.yml").write_text("x")
    marks.wait_for("local")
    marks.wait_for("second")


def test_a_directory_that_was_made_again_is_watched_again(
    root: Path, marks: Marks, watch: Watch
) -> None:
    watcher = watch(directory(root))
    shutil.rmtree(root)
    watcher.tick()
    root.mkdir()
    watcher.tick()
    marks.clear()
    (root / "b.yml").write_text("x")
    marks.wait_for("local")


def test_a_directory_that_was_replaced_at_once_is_watched_again(
    root: Path, marks: Marks, watch: Watch
) -> None:
    watcher = watch(directory(root))
    root.rename(root.with_name("old"))
    root.mkdir()
    watcher.tick()
    marks.clear()
    (root / "b.yml").write_text("x")
    marks.wait_for("local")


def test_a_link_that_was_switched_is_followed(
    root: Path, tmp_path: Path, marks: Marks, watch: Watch
) -> None:
    (tmp_path / "next").mkdir()
    link = tmp_path / "link"
    link.symlink_to("root")
    watcher = watch(directory(link))
    (tmp_path / "new").symlink_to("next")
    (tmp_path / "new").rename(link)
    marks.wait_for("local")
    watcher.tick()
    marks.clear()
    (tmp_path / "next" / "b.yml").write_text("x")
    marks.wait_for("local")


def test_a_directory_that_comes_later_is_marked(tmp_path: Path, marks: Marks, watch: Watch) -> None:
    watch(directory(tmp_path / "later"))
    (tmp_path / "later").mkdir()
    marks.wait_for("local")


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = new_repo(tmp_path / "work")
    repo.commit({"a.yml": SPEC})
    return repo


CHANGES: dict[str, Callable[[Repo], object]] = {
    "commit": lambda repo: repo.commit({"a.yml": "x"}),
    "packed": lambda repo: repo.git("pack-refs", "--all"),
    "new branch": lambda repo: repo.git("branch", "team/new"),
    "other head": lambda repo: repo.git("symbolic-ref", "HEAD", "refs/heads/other"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_local_repository_marks_its_source(
    tmp_path: Path, repo: Repo, marks: Marks, watch: Watch, change: str
) -> None:
    watch(repository(repo, Mirrors(tmp_path / "mirrors")))
    CHANGES[change](repo)
    marks.wait_for("team")


def test_a_push_marks_the_bare_repository(
    tmp_path: Path, repo: Repo, marks: Marks, watch: Watch
) -> None:
    git(tmp_path, "clone", "-q", "--bare", repo.url, "bare.git")
    watch(repository(Repo(tmp_path / "bare.git"), Mirrors(tmp_path / "mirrors")))
    repo.commit({"a.yml": "x"})
    repo.git("push", "-q", str(tmp_path / "bare.git"), "main")
    marks.wait_for("team")


def test_an_edit_before_its_commit_marks_nothing(
    tmp_path: Path, repo: Repo, marks: Marks, watch: Watch, last: Source
) -> None:
    watch(repository(repo, Mirrors(tmp_path / "mirrors")), last)
    (repo.path / "a.yml").write_text("x")
    repo.git("add", "-A")
    assert "team" not in hear_all(tmp_path, marks)


def test_a_mark_that_fails_does_not_end_the_watch(
    root: Path, marks: Marks, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    watch(directory(root))
    marks.broken = True
    (root / "b.yml").write_text("x")
    marks.wait_for("local")
    marks.broken = False
    marks.clear()
    (root / "c.yml").write_text("x")
    marks.wait_for("local")
    assert "an event of the file system was lost" in caplog.text


def test_a_watch_that_died_is_made_again(root: Path, marks: Marks, watch: Watch) -> None:
    watcher = watch(directory(root))
    observer = watcher._eyes._observer
    assert observer is not None
    observer.inotify.stop()
    observer.inotify.join()
    watcher.tick()
    marks.wait_for("local")
    marks.clear()
    (root / "b.yml").write_text("x")
    marks.wait_for("local")


def test_an_overflow_marks_all_sources(
    root: Path, tmp_path: Path, marks: Marks, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "other").mkdir()
    watcher = watch(directory(root), directory(tmp_path / "other", "other"))
    observer = watcher._eyes._observer
    assert observer is not None
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with observer.inotify._lock:
        for _ in range(limit // 4 + 100):
            # Create, attribute, move, delete: no two events alike, so none is merged.
            (root / "x.txt").touch()
            (root / "x.txt").chmod(0o600)
            (root / "x.txt").rename(root / "y.txt")
            (root / "y.txt").unlink()
    marks.wait_for("other")
    assert "events of the file system were lost" in caplog.text


# ---------------------------------------------------------------- polls and the clock


@pytest.fixture
def polled(root: Path, tmp_path: Path, marks: Marks, clock: Clock, repo: Repo) -> Iterator[Watcher]:
    """One directory (asked for every 60 s, so every 30 s) and one repository (every 60 s)."""
    sources = [directory(root), repository(repo, Mirrors(tmp_path / "mirrors"))]
    watcher = Watcher(lambda: sources, marks, clock=clock, wall=lambda: clock.now + 1e9)
    watcher.tick()
    yield watcher
    watcher.stop()


def advance(watcher: Watcher, clock: Clock, marks: Marks, seconds: int) -> list[str]:
    marks.clear()
    for _ in range(seconds):
        clock.now += 1
        watcher.tick()
    return marks.names()


def test_all_sources_are_looked_at_first(polled: Watcher, marks: Marks) -> None:
    assert {"local", "team"} <= set(marks.names())


def test_each_source_is_polled_at_its_interval(polled: Watcher, clock: Clock, marks: Marks) -> None:
    names = advance(polled, clock, marks, 590)
    # Jitter makes an interval a tenth shorter or longer, and a turn comes once a second.
    assert 17 <= names.count("local") <= 22
    assert 8 <= names.count("team") <= 11
    assert {mark[1:] for mark in marks.all} == {(0.0, True)}


def test_all_sources_are_looked_at_now_and_then(root: Path, marks: Marks, clock: Clock) -> None:
    source = open_source(
        SourceSettings("far", SourceKind.GIT, "x", url="https://example.org/x.git", interval=1e6),
        mirrors=Mirrors(root),
    )
    watcher = Watcher(lambda: [source], marks, resync=100.0, clock=clock, wall=lambda: clock.now)
    watcher.tick()
    assert 9 <= advance(watcher, clock, marks, 1000).count("far") <= 11


def test_a_clock_that_is_set_marks_all_sources(root: Path, marks: Marks, clock: Clock) -> None:
    wall = Clock()
    jumps: list[float] = []
    watcher = Watcher(lambda: [directory(root)], marks, clock=clock, wall=wall, jumped=jumps.append)
    watcher.tick()
    marks.clear()
    wall.now -= 3600
    watcher.tick()
    watcher.tick()
    watcher.stop()
    assert marks.all == [("local", 0.0, False)]
    assert jumps == [-3600.0]


def test_a_clock_that_is_kept_marks_nothing(polled: Watcher, clock: Clock, marks: Marks) -> None:
    assert advance(polled, clock, marks, 5) == []


def test_each_turn_is_a_beat(polled: Watcher, clock: Clock) -> None:
    clock.now += 7
    polled.tick()
    assert polled.beat == clock.now


def test_other_sources_are_looked_at_and_watched(
    root: Path, tmp_path: Path, marks: Marks, watch: Watch
) -> None:
    (tmp_path / "other").mkdir()
    sources = [directory(root)]
    watcher = watch(among=lambda: sources)
    sources[:] = [directory(tmp_path / "other", "other")]
    watcher.renew()
    assert marks.names() == ["other"]
    watcher.tick()
    marks.clear()
    (root / "b.yml").write_text("x")
    (tmp_path / "other" / "b.yml").write_text("x")
    marks.wait_for("other")
    assert "local" not in marks.names()


def test_a_source_that_comes_to_what_is_watched_is_marked_once(
    tmp_path: Path, repo: Repo, marks: Marks, watch: Watch
) -> None:
    mirrors = Mirrors(tmp_path / "mirrors")
    sources = [repository(repo, mirrors)]
    watcher = watch(among=lambda: sources)
    sources.append(repository(repo, mirrors, "team@main"))
    marks.clear()
    watcher.tick()
    assert set(marks.names()) == {"team@main"}
    marks.clear()
    watcher.tick()
    assert marks.names() == []


def test_sources_of_one_repository_are_polled_together(
    tmp_path: Path, repo: Repo, marks: Marks, clock: Clock
) -> None:
    mirrors = Mirrors(tmp_path / "mirrors")
    sources = [repository(repo, mirrors, f"team-{n}", interval=60.0 + n) for n in range(20)]
    watcher = Watcher(lambda: sources, marks, clock=clock, wall=lambda: clock.now)
    watcher.tick()
    names = advance(watcher, clock, marks, 300)
    watcher.stop()
    assert len({names.count(source.name) for source in sources}) == 1
    assert 4 <= names.count("team-0") <= 6


def test_the_next_poll_is_known(polled: Watcher) -> None:
    rest = polled.next_poll("local")
    assert rest is not None
    assert 20 < rest < 40
    assert polled.next_poll("unknown") is None


def test_the_loop_turns_by_itself_and_ends_with_all_its_threads(root: Path, marks: Marks) -> None:
    before = set(threading.enumerate())
    watcher = Watcher(lambda: [directory(root)], marks)
    watcher.start()
    marks.wait_for("local")
    watcher.stop()
    assert set(threading.enumerate()) <= before


def test_a_turn_that_fails_does_not_end_the_loop(
    root: Path, marks: Marks, caplog: pytest.LogCaptureFixture
) -> None:
    marks.broken = True
    watcher = Watcher(lambda: [directory(root)], marks)
    watcher.start()
    marks.wait_for("local")
    marks.broken = False
    marks.clear()
    marks.wait_for("local")
    watcher.stop()
    assert "a turn of the watcher failed" in caplog.text


def test_the_way_from_an_edit_to_a_name(root: Path) -> None:
    dirty = Dirty()
    watcher = Watcher(lambda: [directory(root)], dirty.mark, quiet=0.05)
    watcher.start()
    assert dirty.take(20) == "local"
    dirty.done("local", False)
    while dirty.take(0.3) is not None:
        dirty.done("local", False)
    (root / "a.yml").write_text("new")
    assert dirty.take(20) == "local"
    watcher.stop()


# ---------------------------------------------------------------- where events do not come

MOUNTS = r"""
22 1 254:0 / / rw,relatime - ext4 /dev/root rw
30 22 0:40 / /srv/shared rw shared:1 - nfs4 server:/export rw
31 22 0:41 / /srv/shared/disk rw - xfs /dev/sdb rw
32 22 0:42 / /mnt/with\040space rw - fuse.sshfs host: rw
""".strip()


@pytest.mark.parametrize(
    ("path", "silent"),
    [
        ("/srv/envs", ""),
        ("/srv/shared/envs", "nfs4"),
        ("/srv/shared/disk/envs", ""),
        ("/srv/shared-not", ""),
        ("/mnt/with space/envs", "fuse.sshfs"),
    ],
)
def test_a_file_system_that_tells_no_changes_is_known(path: str, silent: str) -> None:
    assert silent_filesystem(Path(path), MOUNTS) == silent


def test_this_machine_can_be_watched(tmp_path: Path) -> None:
    assert silent_filesystem(tmp_path) == ""


LIMITED = """
import logging, sys
from pathlib import Path
from envwatch.git.mirrors import Mirrors
from envwatch.settings import SourceKind, SourceSettings
from envwatch.sources import open_source
from envwatch.watch import Watcher
logging.basicConfig()
settings = SourceSettings("local", SourceKind.DIRECTORY, "shared", directory=Path(sys.argv[1]))
marked = []
source = open_source(settings, mirrors=Mirrors(Path("/")))
watcher = Watcher(lambda: [source], lambda name, **_: marked.append(name))
watcher.tick()
watcher.stop()
print(marked)
"""


@pytest.mark.parametrize("limit", [0, 5])
def test_a_limit_of_the_kernel_is_told_with_its_remedy(root: Path, limit: int) -> None:
    for number in range(10):
        (root / f"sub-{number}").mkdir()
    set_limit = f"echo {limit} > /proc/sys/user/max_inotify_watches"
    command = ("unshare", "-Ur", "sh", "-c", f'{set_limit} && exec "$@"', "sh")
    if subprocess.run((*command, "true"), capture_output=True, check=False).returncode:
        pytest.skip("user namespaces with limits of their own cannot be made here")
    program = (sys.executable, "-c", LIMITED, str(root))
    done = subprocess.run((*command, *program), capture_output=True, text=True, check=True)
    assert "sysctl fs.inotify.max_user_watches" in done.stderr
    assert "local" in done.stdout
