"""What a daemon costs that has nothing to do: passes over the sources, processor, memory.

usage: bench_idle.py [SECONDS]

1 000 environment files lie in 20 folders. Their builds all fail at once (their channel is empty),
so that nothing but watching is left.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

from envwatch import config
from envwatch.daemon.parts import assemble

SOURCES, FILES = 20, 50
TICKS = os.sysconf("SC_CLK_TCK")


def make(top: Path) -> Path:
    sources = []
    for s in range(SOURCES):
        folder = top / f"source{s}"
        folder.mkdir()
        for f in range(FILES):
            (folder / f"env{f}.yml").write_text(f"name: env{f}\ndependencies: [python, p{f}]\n")
        sources.append({"name": f"s{s}", "directory": str(folder), "namespace": f"n{s}"})
    channel = top / "channel"
    for subdir in ("noarch", "linux-64"):
        (channel / subdir).mkdir(parents=True)
        (channel / subdir / "repodata.json").write_text('{"packages": {}, "packages.conda": {}}')
    path = top / "config.yaml"
    url = channel.as_uri()
    content = {
        "root": str(top / "root"),
        "sources": sources,
        "channels": {"default": [url], "allowed": [url]},
        "web": {"listen": "127.0.0.1:18099"},
    }
    path.write_text(json.dumps(content))
    return path


def passes(path: Path) -> tuple[float, list[float]]:
    """The first pass, and some with nothing new."""
    settings = config.load(path)
    with assemble(replace(settings, durability="full")) as parts:
        taken = []
        for _ in range(6):
            began = time.perf_counter()
            for name in parts.roster.names():
                parts.look(name)
            taken.append(time.perf_counter() - began)
        with parts.catalog.database.write() as c:
            c.exec_driver_sql("UPDATE build SET state = 'cancelled', ended_at = queued_at")
    return taken[0], taken[1:]


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def pss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for task in Path(f"/proc/{pid}/task").iterdir():
        listed += (task / "children").read_text().split()
    return sorted({int(c) for c in listed})


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def daemon(path: Path, seconds: float) -> None:
    command = (sys.executable, "-m", "envwatch", "run", "-c", path)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        wait_ready()
        time.sleep(10)
        before = cpu(process.pid)
        time.sleep(seconds)
        used = (cpu(process.pid) - before) / seconds
        print(
            f"idle daemon: {used:.2%} of one core, {pss(process.pid):.0f} MiB PSS (goal 1 %, 110)"
        )
        for child in children(process.pid):
            kind = "fork server" if "forkserver" in command_of(child) else "helper"
            print(f"    {kind}: {pss(child):.0f} MiB PSS (goal 90 for the fork server)")
        process.send_signal(signal.SIGTERM)


def wait_ready() -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen("http://127.0.0.1:18099/readyz", timeout=5)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the daemon did not become ready")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    with tempfile.TemporaryDirectory() as folder:
        path = make(Path(folder))
        first, again = passes(path)
        print(f"{SOURCES * FILES} files in {SOURCES} sources: first pass {first:.2f} s")
        print(f"a pass with nothing new: {statistics.median(again):.3f} s (goal 0.5)")
        daemon(path, seconds)


if __name__ == "__main__":
    main()
