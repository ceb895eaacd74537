"""From a commit to the switched link, beside the yardstick on the same channel and machine.

usage: bench_build.py CHANNEL_FOLDER BARE_SCRIPT [ROUNDS]

BARE_SCRIPT CACHE PREFIX CHANNEL solves and installs the same packages with py-rattler alone.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

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
        """The moment at which the ref was updated."""
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
    shutil.rmtree(prefix, ignore_errors=True)
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
        warm, phases = [], []
        for n in range(rounds):
            name = f"warm{n}"
            at = place.commit({f"{name}.yml": text(name)})
            warm.append(until(lambda name=name: bool(place.link(name))) - at)
            phases.append(place.result()["phases"])
        last = place.result()
        known = known_lock(place, rounds)
        revert = reverted(place)
    bare(script, top / "cache", top / "bare", place.url)
    yardstick = [bare(script, top / "cache", top / f"bare{n}", place.url) for n in range(rounds)]
    base = statistics.median(yardstick)
    show_warm(warm, phases, base)
    row("the same with a known lock", statistics.median(known), base, "goal <= 1.5 x")
    row("cold caches, beside bare + compileall", cold, bare_cold, "goal <= 1.2 x")
    for phase in cold_phases:
        row(f"    {phase['state']}", phase["seconds"])
    row("revert: commit -> old generation current", revert, None, "goal 0.100 after it is seen")
    size, own = (int(str(last[key])) / 2**20 for key in ("size", "own_size"))
    print(f"a second environment: {size:.0f} MiB, of its own {own:.1f} MiB")
    print(f"load {os.getloadavg()[0]:.1f}")


def show_warm(warm: list[float], phases: list[list[dict[str, object]]], base: float) -> None:
    row("commit -> link, warm caches", statistics.median(warm), base, "goal <= 2 x")
    for phase in phases[len(phases) // 2]:
        row(f"    {phase['state']}", phase["seconds"], base)
    row("    everything else: seeing, fetching, publishing", rest(warm, phases), base)


def rest(warm: list[float], phases: list[list[dict[str, object]]]) -> float:
    middle = sorted(range(len(warm)), key=lambda n: warm[n])[len(warm) // 2]
    return warm[middle] - sum(float(str(p["seconds"])) for p in phases[middle])


def known_lock(place: Place, rounds: int) -> list[float]:
    """A lock that lies beside the file: nothing is solved."""
    lock = (place.root / "records/1/conda-lock.yml").read_text()
    taken = []
    for n in range(rounds):
        name = f"known{n}"
        files = {f"{name}.yml": text(name), f"{name}.conda-lock.yml": lock}
        at = place.commit(dict(files))
        taken.append(until(lambda name=name: bool(place.link(name))) - at)
    return taken


def reverted(place: Place) -> float:
    before = place.link("seed")
    place.commit({"seed.yml": text("seed", "variables: {A: b}\n")})
    until(lambda: place.link("seed") != before)
    second = place.link("seed")
    at = place.commit({"seed.yml": text("seed")})
    return until(lambda: place.link("seed") != second) - at


if __name__ == "__main__":
    main()
