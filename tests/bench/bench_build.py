"""From a commit to the switched link, beside the yardstick on the same channel and machine.

usage: bench_build.py CHANNEL_FOLDER BARE_SCRIPT [ROUNDS]

BARE_SCRIPT CACHE PREFIX CHANNEL solves and installs the same packages with py-rattler alone.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from envwatch.executors.local import LocalExecutor
from envwatch.model import EnvKey, Job, JobKind
from envwatch.settings import BuildLimits, host_platform
from envwatch.spec import parse
from envwatch.store import Store

PACKAGES = ("python=3.11", "numpy", "matplotlib", "pandas", "panel", "ipykernel", "ipywidgets")
PATIENCE = 300


def text(name: str, extra: str = "") -> str:
    return f"name: {name}\ndependencies:\n" + "".join(f"  - {p}\n" for p in PACKAGES) + extra


class Place:
    def __init__(self, top: Path, channel: Path) -> None:
        self.top, self.root, self.repo = top, top / "root", top / "repo"
        self.url = channel.resolve().as_uri()
        self.repo.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        source = {"name": "team", "git": str(self.repo), "namespace": "b", "interval": "60s"}
        config = {
            "root": str(self.root),
            "sources": [source],
            "channels": {"default": [self.url], "allowed": [self.url]},
            "web": {"listen": "127.0.0.1:0"},
        }
        (top / "config.yaml").write_text(json.dumps(config))

    def git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=b", "-c", "user.email=b@example.org")
        subprocess.run(("git", "-C", self.repo, *identity, *arguments), check=True)

    def commit(self, files: dict[str, str | None]) -> float:
        """The moment at which the ref was updated. What others wrote before is on the disk then."""
        os.sync()
        for name, content in files.items():
            (self.repo / name).unlink() if content is None else (self.repo / name).write_text(
                content
            )
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "bench")
        return time.perf_counter()

    def link(self, name: str) -> str:
        try:
            return str((self.root / "envs/b" / f"b-{name}").readlink())
        except OSError:
            return ""

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        command = (sys.executable, "-m", "envwatch", "run", "-c", self.top / "config.yaml")
        with (self.top / "log").open("ab") as log:
            process = subprocess.Popen(command, stderr=log, stdout=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()

    def revision(self) -> str:
        """The revision of the source that the catalog knows."""
        with closing(
            sqlite3.connect(f"file:{self.root / 'catalog.sqlite'}?mode=ro", uri=True)
        ) as c:
            row = c.execute("SELECT revision FROM source").fetchone()
        return str(row[0]) if row else ""

    def builds(self) -> int:
        return len(list((self.root / "records").iterdir()))

    def result(self) -> dict[str, object]:
        newest = max((self.root / "records").iterdir(), key=lambda p: int(p.name))
        return json.loads((newest / "result.json").read_text())


def until(done: Callable[[], bool]) -> float:
    end = time.perf_counter() + PATIENCE
    while not done():
        if time.perf_counter() > end:
            raise SystemExit("it did not happen in time; see the log in the bench's folder")
        time.sleep(0.001)
    return time.perf_counter()


def bare(script: Path, cache: Path, prefix: Path, url: str) -> float:
    os.sync()
    began = time.perf_counter()
    subprocess.run(
        (sys.executable, script, cache, prefix, url, *PACKAGES),
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - began


def compiled(prefix: Path) -> float:
    """Compiling the byte code of a prefix made by the yardstick, as it would be done by hand."""
    began = time.perf_counter()
    command = (prefix / "bin/python", "-m", "compileall", "-q", "-j2", prefix / "lib")
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def row(what: str, ours: float, theirs: float | None = None, goal: str = "") -> None:
    ratio = f"{ours / theirs:8.2f} x" if theirs else " " * 10
    base = f"{theirs:9.3f}" if theirs else " " * 9
    print(f"{what:58} {ours:9.3f} {base} {ratio}  {goal}")


def main() -> None:
    channel, script = Path(sys.argv[1]), Path(sys.argv[2])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    top = Path(tempfile.mkdtemp(prefix="envwatch-bench-", dir=channel.resolve().parent))
    try:
        measure(Place(top, channel), top, script, rounds)
    finally:
        shutil.rmtree(top, ignore_errors=True)


def measure(place: Place, top: Path, script: Path, rounds: int) -> None:
    print(f"{'':58} {'seconds':>9} {'bare':>9} {'ratio':>10}")
    bare_cold = bare(script, top / "coldcache", top / "coldbare", place.url)
    bare_cold += compiled(top / "coldbare")
    place.commit({"README": "nothing yet"})
    with place.daemon():
        until((place.root / "control.sock").exists)
        time.sleep(5)  # the fork server is warm: that is measured by itself
        at = place.commit({"seed.yml": text("seed")})
        cold = until(lambda: bool(place.link("seed"))) - at
        cold_phases = place.result()["phases"]
        bare(script, top / "cache", top / "bare", place.url)
        warm(place, lambda n: bare(script, top / "cache", top / f"bare{n}", place.url), rounds)
        size, own = (int(str(place.result()[key])) / 2**20 for key in ("size", "own_size"))
        revert = reverted(place)
        comment = commented(place, rounds)
    row("cold caches, beside bare + compileall", cold, bare_cold, "goal <= 1.2 x")
    for phase in cold_phases:
        row(f"    {phase['state']}", phase["seconds"])
    row("revert: ref update -> old generation current", revert, None, "goal 0.100 after it is seen")
    row("comment only: ref update -> known to be no change", comment, None, "goal 0.050")
    row("build child: claim -> ready to work", statistics.median(ready(rounds)), None, "goal 0.050")
    print(f"a second environment: {size:.0f} MiB, of its own {own:.1f} MiB")
    print(f"load {os.getloadavg()[0]:.1f}")


def warm(place: Place, yardstick: Callable[[int], float], rounds: int) -> None:
    """In turns, because a filesystem is not as fast at one time as at another."""
    lock = (place.root / "records/1/conda-lock.yml").read_text()
    solved, known, base, phases = [], [], [], []
    for n in range(rounds):
        base.append(yardstick(2 * n))
        solved.append(built(place, f"warm{n}", {}))
        phases.append(place.result()["phases"])
        base.append(yardstick(2 * n + 1))
        # a lock that lies beside the file: nothing is solved
        known.append(built(place, f"known{n}", {f"known{n}.conda-lock.yml": lock}))
    show_warm(solved, phases, statistics.median(base))
    row("the same with a known lock", statistics.median(known), statistics.median(base),
        "goal <= 1.5 x")  # fmt: skip


def built(place: Place, name: str, more: dict[str, str | None]) -> float:
    """From the update of the ref to the link."""
    at = place.commit({f"{name}.yml": text(name), **more})
    return until(lambda: bool(place.link(name))) - at


def show_warm(taken: list[float], phases: list[list[dict[str, object]]], base: float) -> None:
    row("commit -> link, warm caches", statistics.median(taken), base, "goal <= 2 x")
    for phase in phases[len(phases) // 2]:
        row(f"    {phase['state']}", phase["seconds"], base)
    row("    everything else: seeing, fetching, publishing", rest(taken, phases), base)


def rest(taken: list[float], phases: list[list[dict[str, object]]]) -> float:
    middle = sorted(range(len(taken)), key=lambda n: taken[n])[len(taken) // 2]
    return taken[middle] - sum(float(str(p["seconds"])) for p in phases[middle])


def reverted(place: Place) -> float:
    before = place.link("seed")
    place.commit({"seed.yml": text("seed", "variables: {A: b}\n")})
    until(lambda: place.link("seed") != before)
    second = place.link("seed")
    time.sleep(0.5)
    at = place.commit({"seed.yml": text("seed")})
    return until(lambda: place.link("seed") != second) - at


def commented(place: Place, rounds: int) -> float:
    before = place.builds()
    taken = []
    for n in range(rounds):
        time.sleep(0.5)  # the look at the commit before is over
        known = place.revision()
        at = place.commit({"seed.yml": text("seed", f"# {n}\n")})
        taken.append(until(lambda known=known: place.revision() != known) - at)
    assert place.builds() == before, "a comment made a build"
    return statistics.median(taken)


def ready(rounds: int) -> list[float]:
    """From the call that follows a claim to the first word of a child about its work."""
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        executor = LocalExecutor()
        executor.start()
        time.sleep(5)
        for n in range(rounds):
            job, log = idle_job(Path(folder), n), Path(folder, f"{n}.log")
            began = time.perf_counter()
            heard: list[float] = []

            def beat(progress: object, _: object, heard: list[float] = heard) -> None:
                if progress is not None:
                    heard.append(time.perf_counter())

            executor.run(job, log=log, limits=BuildLimits(), beat=beat)
            taken.append(heard[0] - began)
        executor.stop()
    return taken


def idle_job(top: Path, n: int) -> Job:
    """A job that says that it begins, and fails at once: nothing was published in its prefix."""
    store = Store(top)
    store.prepare()
    folders = store.folders(n, "0" * 8, "b")
    spec = parse(text("b").encode(), path="b.yml")
    return Job(
        JobKind.VERIFY, n, EnvKey("b", "b"), spec, text("b"), (), (host_platform(),), folders
    )


if __name__ == "__main__":
    main()
