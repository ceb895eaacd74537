"""One commit of many files on a branch of our own: made from what is there, and taken over whole.

Only a commit that we made is ever replaced. It is known by its committer, and by a trailer that
names the commit which it stands on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from envwatch.errors import Conflict
from envwatch.git.refs import parse
from envwatch.git.remote import Remote, explain
from envwatch.git.run import GitFailed
from envwatch.git.tree import LINK, SUBMODULE, Run, Tree
from envwatch.git.urls import address

TRAILER = "Envwatch-Revision"
MADE = "refs/envwatch/made"
THERE = "refs/envwatch/there"
_BAD_IN_NAMES = re.compile(r"[<>\x00-\x1f\x7f]+")
_PERSON = re.compile(r"(?P<name>.*?) ?<(?P<email>[^>]*)> ")


@dataclass(frozen=True, slots=True)
class Bot:
    """Who commits, and on which branch."""

    branch: str
    name: str
    email: str

    @property
    def ref(self) -> str:
        return f"refs/heads/{self.branch}"


@dataclass(frozen=True, slots=True)
class Made:
    """A commit as far as it matters whose it is."""

    revision: str
    tree: str
    parents: tuple[str, ...]
    committer: tuple[str, str]
    trailer: str

    def is_by(self, bot: Bot) -> bool:
        """Ours, and with nothing of anybody else below it."""
        return self.committer[1] == bot.email and self.parents == (self.trailer,) != ("",)


def blobs(tree: Tree, paths: Sequence[str]) -> dict[str, str]:
    """The blobs at these paths, as far as there are some. Raises Conflict."""
    wanted = set(paths)
    above = {"/".join(p.split("/")[:n]) for p in paths for n in range(1, p.count("/") + 1)}
    found = {}
    for entry in tree.entries():
        below = any(entry.path.startswith(f"{p}/") for p in _parents(entry.path) & wanted)
        if entry.path in above or below:
            raise Conflict(f"`{entry.path}` stands in the way of a lock", hint="rename it")
        if entry.path not in wanted:
            continue
        if entry.mode in (LINK, SUBMODULE):
            raise Conflict(f"`{entry.path}` is no file, so no lock is written there")
        found[entry.path] = entry.oid
    return found


def _parents(path: str) -> set[str]:
    parts = path.split("/")
    return {"/".join(parts[:n]) for n in range(1, len(parts))}


def commit(run: Run, base: str, files: Mapping[str, bytes], bot: Bot, message: str) -> Made:
    """Write one commit with these files on top of `base`. No branch moves."""
    now = f"{int(datetime.now(UTC).timestamp())} +0000"
    said = f"{message.strip()}\n\n{TRAILER}: {base}\n".encode()
    head = f"commit {MADE}\ncommitter {_person(bot)} {now}\ndata {len(said)}\n".encode()
    stream = [head, said, f"\nfrom {base}\n".encode()]
    for path, data in files.items():
        stream += [f"M 100644 inline {_quoted(path)}\ndata {len(data)}\n".encode(), data, b"\n"]
    run("fast-import", "--quiet", "--force", data=b"".join(stream))
    return look(run, run("rev-parse", "--verify", MADE).decode().strip())


def look(run: Run, revision: str) -> Made:
    """A commit that is there. Nothing of its text is believed but by whole lines."""
    head, _, body = run("cat-file", "commit", revision).decode(errors="replace").partition("\n\n")
    lines = [line.partition(" ")[::2] for line in head.split("\n")]
    person = _PERSON.match(next((v for k, v in lines if k == "committer"), ""))
    last = body.rstrip("\n").rpartition("\n")[2]
    return Made(
        revision,
        next((v for k, v in lines if k == "tree"), ""),
        tuple(v for k, v in lines if k == "parent"),
        (person["name"], person["email"]) if person else ("", ""),
        last.removeprefix(f"{TRAILER}: ") if last.startswith(f"{TRAILER}: ") else "",
    )


# ---------------------------------------------------------------- the branch of a remote


def tip(remote: Remote, bot: Bot) -> str:
    """The commit at the top of the branch, empty where there is none. Raises SourceError."""
    try:
        listed, _ = remote.run("ls-remote", "--", address(remote.url), bot.ref)
    except GitFailed as e:
        raise explain(e, remote.url) from e
    # git lists `x/envwatch/locks` as well
    return parse(listed).found.get(bot.ref, "")


def there(run: Run, url: str, bot: Bot, revision: str) -> Made | None:
    """The commit at the top of the branch, fetched. Raises SourceError."""
    if not revision:
        return None
    quiet = ("--quiet", "--no-tags", "--no-write-fetch-head", "--depth=1")
    try:
        run("fetch", *quiet, "--filter=blob:none", "--", address(url), f"+{bot.ref}:{THERE}")
        return look(run, revision)
    except GitFailed as e:
        raise explain(e, url) from e


def _person(bot: Bot) -> str:
    return f"{_BAD_IN_NAMES.sub(' ', bot.name).strip()} <{_BAD_IN_NAMES.sub('', bot.email)}>"


def _quoted(path: str) -> str:
    """As git reads paths between quotes: each odd byte in octal digits."""
    raw = path.encode(errors="surrogateescape")
    inner = "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03o}" for b in raw)
    return f'"{inner}"'
