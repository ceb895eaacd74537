"""Many commits at once, written by one `git fast-import`: a history that came from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from envwatch.edit import Author
from envwatch.git.commits import COMMITTER, move, person
from envwatch.git.tree import Run

# hidden from those who clone; it may stay behind after a kill, and is written over then
BESIDE = "refs/envwatch/import"


@dataclass(frozen=True, slots=True)
class Revision:
    """One commit to make: files that become `data`, who wrote them, and when."""

    files: tuple[tuple[str, bytes], ...]
    author: Author
    at: datetime
    message: str


def add_history(run: Run, branch: str, parent: str, revisions: Sequence[Revision]) -> str:
    """Put commits on top of `parent` (empty for a first one); the new tip.

    The branch moves at the end, by one step, if it still is where it was; else the tip is empty.
    """
    stream = b"".join(_stream(parent, revisions, datetime.now(UTC)))
    told = run("fast-import", "--quiet", "--force", "--done", "--date-format=raw", data=stream)
    tip = told.decode().strip()
    if not move(run, branch, tip, parent):
        return ""
    run("update-ref", "-d", BESIDE)
    return tip


def _stream(parent: str, revisions: Sequence[Revision], now: datetime) -> Iterator[bytes]:
    for number, revision in enumerate(revisions, 1):
        yield _line(f"commit {BESIDE}")
        yield _line(f"mark :{number}")
        yield _line(f"author {person(revision.author)} {_moment(revision.at)}")
        yield _line(f"committer {COMMITTER} {_moment(now)}")
        yield _data(revision.message.encode())
        above = parent if number == 1 else f":{number - 1}"
        if above:
            yield _line(f"from {above}")
        for path, data in revision.files:
            yield _line(f"M 100644 inline {_quoted(path)}")
            yield _data(data)
    yield _line(f"get-mark :{len(revisions)}")
    yield _line("done")


def _quoted(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _data(data: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(data), data)


def _line(text: str) -> bytes:
    return f"{text}\n".encode()


def _moment(at: datetime) -> str:
    return f"{max(0, int(at.timestamp()))} +0000"
