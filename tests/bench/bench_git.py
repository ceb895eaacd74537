"""How fast and how cheaply repositories are followed.

    python tests/bench/bench_git.py [ROUNDS]

Prints a table and asserts nothing: the way from a commit to a queued build, what a poll of a
hundred repositories costs and whether anything grows in ROUNDS rounds (50 are 5000 polls), and
the first sight of a repository with 30 000 files.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from git_servers import git_daemon
from repos import GitRepo, make_repo
from rich.console import Console
from rich.table import Table

from envwatch.daemon.parts import Parts, assemble
from envwatch.git.mirrors import Mirrors
from envwatch.settings import Settings, SourceKind, SourceSettings
from envwatch.sources import open_source
from envwatch.watch import Watcher

SPEC = "dependencies: [python]\n"
REPOSITORIES = 100
COMMITS = 100
FILES = 30_000


def main(rounds: int) -> None:
    for name, value in {
        "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org",
    }.items():  # fmt: skip
        os.environ[name] = value
    table = Table("what", "measured", "goal")
    with tempfile.TemporaryDirectory() as folder:
        for row in (
            *commits(Path(folder)),
            *polls(Path(folder), rounds),
            *first_sight(Path(folder)),
        ):
            table.add_row(*row)
    Console().print(table)


def commits(folder: Path) -> Iterator[tuple[str, str, str]]:
    """From the end of `git commit` in a watched repository until its build is queued."""
    repo = make_repo(folder / "watched")
    repo.commit({"demo.yml": SPEC})
    source = SourceSettings("team", SourceKind.GIT, "x", url=repo.url, branch="main", interval=600)
    with assemble(Settings(folder / "root-1", sources=(source,))) as parts, following(parts):
        wait_for_ask(parts, 1)
        times = sorted(seconds(parts, repo, number) for number in range(2, COMMITS + 2))
    yield "commit → build queued, median", f"{times[len(times) // 2]:.3f} s", ""
    yield f"commit → build queued, p99 of {COMMITS}", f"{times[-2]:.3f} s", "0.3 s"


@contextmanager
def following(parts: Parts) -> Iterator[None]:
    """The watcher and one thread that looks, as in the daemon."""
    import threading

    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            name = parts.dirty.take(0.2)
            if name is not None:
                parts.look(name, since=parts.dirty.since(name))
                parts.dirty.done(name, error=False)

    watcher = Watcher(parts.roster.all, parts.dirty.mark)
    thread = threading.Thread(target=look)
    thread.start()
    watcher.start()
    yield
    watcher.stop()
    over.set()
    thread.join()


def seconds(parts: Parts, repo: GitRepo, ask: int) -> float:
    repo.commit({"demo.yml": f"dependencies: [python, lib-{ask}]\n"})
    begun = time.monotonic()
    wait_for_ask(parts, ask)
    return time.monotonic() - begun


def wait_for_ask(parts: Parts, ask: int) -> None:
    while not any(env.ask >= ask for env in parts.catalog.generations.environments()):
        time.sleep(0.001)


def polls(folder: Path, rounds: int) -> Iterator[tuple[str, str, str]]:
    """One look at each of a hundred repositories with nothing new, round after round."""
    sources = []
    for number in range(REPOSITORIES):
        repo = make_repo(folder / f"repo-{number}")
        repo.commit({"demo.yml": SPEC})
        name = f"s{number}"
        sources.append(SourceSettings(name, SourceKind.GIT, name, url=repo.url, branch="main"))
    with assemble(Settings(folder / "root-2", sources=tuple(sources))) as parts:
        round_of(parts)
        before, begun, wall = state(), processor(), time.monotonic()
        for _ in range(rounds):
            round_of(parts)
        used, took = processor() - begun, time.monotonic() - wall
        after = state()
    share = used / rounds / 60
    yield f"{REPOSITORIES} repositories each 60 s, of one core", f"{share:.2%}", "2 %"
    yield "one round of them", f"{took / rounds:.2f} s", ""
    for what, first, last in zip(("open files", "children", "MiB"), before, after, strict=True):
        yield f"{what} before and after {rounds * REPOSITORIES} polls", f"{first} → {last}", "flat"


def round_of(parts: Parts) -> None:
    for name in sorted(parts.roster.names()):
        parts.look(name)


def processor() -> float:
    """Seconds of processor time, those of git included."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def state() -> tuple[int, int, int]:
    """Open files, children, and MiB of memory of this process."""
    files = len(list(Path("/proc/self/fd").iterdir()))
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return files, len(children), pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def first_sight(folder: Path) -> Iterator[tuple[str, str, str]]:
    """A large repository with twenty environment files, by a server that knows filters."""
    repo = make_repo(folder / "srv" / "large")
    for number in range(FILES):
        file = repo.path / f"d{number % 300}" / f"f{number}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(os.urandom(4096))
    repo.commit({f"envs/{n}.yml": f"name: e{n}\n{SPEC}" for n in range(20)})
    repo.git("config", "uploadpack.allowFilter", "true")
    repo.git("config", "uploadpack.allowAnySHA1InWant", "true")
    with git_daemon(repo.path) as served:
        mirrors = folder / "mirrors"
        mirror = Mirrors(mirrors)
        source = SourceSettings("big", SourceKind.GIT, "x", url="/srv/x", branch="main")
        begun = time.monotonic()
        taken = _open(source, served.url, mirror).snapshot()
        took = time.monotonic() - begun
    size = int(subprocess.check_output(("du", "-sk", mirrors)).split()[0]) / 1024
    yield f"first sight of {FILES} files, {len(taken.files)} taken", f"{took:.2f} s", "1 s"
    yield "… and what is kept of them", f"{size:.2f} MiB", "2 MiB"


def _open(source: SourceSettings, url: str, mirrors: Mirrors):  # type: ignore[no-untyped-def]  # a bench
    """A source at an address that a config may not name: git's own protocol proves nothing."""
    opened = open_source(source, mirrors=mirrors)
    mirror = mirrors.of(url, source.credentials, 60)
    mirror.remote.want(("refs/heads/main",))
    return type(opened)(opened.settings, opened.selection, mirror)  # type: ignore[union-attr,call-arg]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
