"""Commits made by plumbing: a blob, the trees above it, the commit. Never a work tree.

What a repository holds is changed by the last step alone, which moves one ref from the value
that it is known to have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from envwatch.edit import Author
from envwatch.errors import Conflict
from envwatch.git.run import MIB, GitFailed
from envwatch.git.tree import LINK, SUBMODULE, Run, parse_commit
from envwatch.model import Commit

FOLDER = "040000"
FILE = "100644"
COMMITTER = "envwatch <envwatch@localhost>"
_FOLDER_LIMIT = 16 * MIB
_BAD_IN_NAMES = re.compile(r"[<>\x00-\x1f\x7f]+")
_REVISION = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Change:
    """One file that becomes `data`, or goes where that is None."""

    path: str
    data: bytes | None


def commit(run: Run, parent: str, change: Change, author: Author, message: str) -> str:
    """Write a commit on top of `parent` (empty for a first one); no ref moves. Its name.

    Raises Conflict where a file stands in the way of a folder, or a folder of the file.
    """
    blob = None if change.data is None else _write(run, "blob", change.data)
    tree = _with(run, f"{parent}^{{tree}}" if parent else "", tuple(change.path.split("/")), blob)
    if tree is None:
        tree = _line(run("mktree", "-z"))
    now = f"{int(datetime.now(UTC).timestamp())} +0000"
    lines = [f"tree {tree}", *([f"parent {parent}"] if parent else [])]
    lines += [
        f"author {person(author)} {now}",
        f"committer {COMMITTER} {now}",
        "",
        _message(message),
    ]
    return _write(run, "commit", "\n".join(lines).encode())


def move(run: Run, branch: str, new: str, old: str) -> bool:
    """Move a branch, if it still is where it was; else nothing happens."""
    try:
        run("update-ref", f"refs/heads/{branch}", new, old or "0" * len(new))
    except GitFailed:
        # git fails in the same words where the ref is locked or has moved: the next look tells
        return False
    return True


def blob_at(run: Run, revision: str, path: str) -> str:
    """The blob of a file in a revision; empty where there is none."""
    listed = run("ls-tree", "-z", "--full-tree", revision, "--", path).decode(errors="replace")
    for line in listed.split("\0"):
        head, _, name = line.partition("\t")
        if name == path:
            return head.split(" ")[2]
    return ""


def last_change(run: Run, revision: str, path: str) -> Commit:
    """The newest commit that changed a file, up to a revision."""
    oid = _line(run("rev-list", "-1", revision, "--", path)) or revision
    return parse_commit(oid, run("cat-file", "commit", oid))


def is_revision(text: str) -> bool:
    return _REVISION.fullmatch(text) is not None


def _with(run: Run, tree: str, names: tuple[str, ...], blob: str | None) -> str | None:
    """A tree with one blob put in or taken out; None where nothing is left in it."""
    entries = _entries(run, tree)
    name, below = names[0], names[1:]
    kind, oid = entries.pop(name, ("", ""))
    if below:
        if oid and kind != FOLDER:
            raise Conflict(f"`{name}` is a file, so nothing can lie in it")
        made, mode = _with(run, oid, below, blob), FOLDER
    else:
        if kind in (FOLDER, SUBMODULE, LINK):
            raise Conflict(f"`{name}` is no file there")
        made, mode = blob, kind or FILE
    if made:
        entries[name] = (mode, made)
    if not entries:
        return None
    data = "".join(f"{m} {_kind(m)} {o}\t{n}\0" for n, (m, o) in entries.items())
    listing = data.encode(errors="surrogateescape")
    # a mirror has no blobs but those it was asked for
    return _line(run("mktree", "-z", "--missing", data=listing))


def _entries(run: Run, tree: str) -> dict[str, tuple[str, str]]:
    if not tree:
        return {}
    found = {}
    listing = run("ls-tree", "-z", tree, limit=_FOLDER_LIMIT).decode(errors="surrogateescape")
    for line in listing.split("\0")[:-1]:
        head, _, name = line.partition("\t")
        mode, _, oid = head.split(" ")
        found[name] = (mode, oid)
    return found


def _kind(mode: str) -> str:
    return {FOLDER: "tree", SUBMODULE: "commit"}.get(mode, "blob")


def _write(run: Run, kind: str, data: bytes) -> str:
    """Git checks the form of what it writes."""
    return _line(run("hash-object", "-t", kind, "-w", "--stdin", data=data))


def person(author: Author) -> str:
    """Who somebody is, without what would end the line or the name."""
    name = _BAD_IN_NAMES.sub(" ", author.name).strip(" .,:;\"'\\") or "somebody"
    email = _BAD_IN_NAMES.sub("", author.email).replace(" ", "") or "unknown@localhost"
    return f"{name[:200]} <{email[:200]}>"


def _message(text: str) -> str:
    """A message as git keeps it: no NUL, no blank ends, one line break at its end."""
    lines = [line.rstrip() for line in text.replace("\0", "").replace("\r", "").split("\n")]
    return "\n".join(lines).strip("\n")[:10_000] + "\n"


def _line(data: bytes) -> str:
    return data.decode().strip()
