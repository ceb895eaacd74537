"""From a signed web hook to the queued build, on a real daemon.

usage: bench_hook.py [ROUNDS]

A commit is pushed to a bare repository that is polled once in an hour and not watched, then its
hook is sent; the clock runs from the first byte of the hook until the row of the build is there.
The builds themselves fail at once (their channel is empty). Prints a table and asserts no time.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

PORT = 18098
SECRET = b"bench"
IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ("git", "-C", folder, *arguments),
        check=True,
        capture_output=True,
        env=os.environ | IDENTITY,
    )
    return done.stdout.decode().strip()


def make(top: Path) -> Path:
    """The repository, an empty channel, and the config that joins them."""
    work = top / "work"
    work.mkdir()
    git(work, "init", "--quiet", "--initial-branch", "main")
    commit(work, 0)
    git(top, "clone", "--quiet", "--bare", str(work), "remote.git")
    git(work, "remote", "add", "origin", str(top / "remote.git"))
    # git finds what this means at `remote.git`, the watch of the file system does not
    (top / "remote").mkdir()
    (top / "secret").write_bytes(SECRET)
    (top / "secret").chmod(0o600)
    for subdir in ("noarch", "linux-64"):
        (top / "channel" / subdir).mkdir(parents=True)
        empty = '{"packages": {}, "packages.conda": {}}'
        (top / "channel" / subdir / "repodata.json").write_text(empty)
    channel = [(top / "channel").as_uri()]
    source = {
        "name": "team",
        "git": str(top / "remote"),
        "branch": "main",
        "interval": "1h",
        "hook": {"secret_files": ["secret"]},
    }
    content = {
        "root": str(top / "root"),
        "sources": [source],
        "channels": {"default": channel, "allowed": channel},
        "web": {"listen": f"127.0.0.1:{PORT}"},
    }
    (top / "config.yaml").write_text(json.dumps(content))
    return work


def commit(work: Path, number: int) -> str:
    (work / "environment.yml").write_text(f"name: demo\ndependencies: [p{number}]\n")
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message", f"change {number}")
    return git(work, "rev-parse", "HEAD")


def hook(connection: http.client.HTTPConnection, revision: str) -> float:
    """Send it; how long the answer took."""
    body = json.dumps({"ref": "refs/heads/main", "after": revision}).encode()
    mac = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    headers = {
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": revision,
        "X-Hub-Signature-256": f"sha256={mac}",
    }
    began = time.perf_counter()
    connection.request("POST", "/hooks/team", body, headers)
    answer = connection.getresponse()
    assert answer.status == 202, answer.read()
    assert json.load(answer)["decision"] == "woken"
    return time.perf_counter() - began


def wait_queued(catalog: sqlite3.Connection, revision: str) -> None:
    query = "SELECT count(*) FROM build WHERE revision = ?"
    while not catalog.execute(query, (revision,)).fetchone()[0]:
        time.sleep(0.001)


def wait_idle(catalog: sqlite3.Connection) -> None:
    """Until no build waits or runs: its solving would take the processor away."""
    query = "SELECT count(*) FROM build WHERE ended_at IS NULL"
    while catalog.execute(query).fetchone()[0]:
        time.sleep(0.01)


def measure(top: Path, work: Path, rounds: int) -> tuple[list[float], list[float]]:
    answered, queued = [], []
    uri = f"file:{top}/root/catalog.sqlite?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as catalog:
        for number in range(1, rounds + 1):
            wait_idle(catalog)
            revision = commit(work, number)
            git(work, "push", "--quiet", "origin", "main")
            connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
            began = time.perf_counter()
            answered.append(hook(connection, revision))
            wait_queued(catalog, revision)
            queued.append(time.perf_counter() - began)
            connection.close()
            # what comes faster than two a second is a flood in the long run
            time.sleep(0.5)
    return answered, queued


def wait_ready() -> None:
    for _ in range(600):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit("the daemon did not become ready")


def row(name: str, seconds: list[float], goal: str) -> str:
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    numbers = (statistics.median(ordered), p99, ordered[-1])
    return f"{name:24}" + "".join(f"{1000 * n:9.1f} ms" for n in numbers) + f"   {goal}"


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        work = make(top)
        command = (sys.executable, "-m", "envwatch", "run", "-c", top / "config.yaml")
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                wait_ready()
                answered, queued = measure(top, work, rounds)
            finally:
                process.send_signal(signal.SIGTERM)
    print(f"{f'{rounds} hooks':24}{'median':>12}{'p99':>12}{'worst':>12}   goal (p99)")
    print(row("hook → answer", answered, "at once"))
    print(row("hook → build queued", queued, "300 ms"))


if __name__ == "__main__":
    main()
