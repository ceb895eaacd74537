"""The locks of one source → one commit on top of what is followed, on a branch of our own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from envwatch import locklist
from envwatch.catalog.writebacks import LockRow
from envwatch.declared import LOCK_SUFFIXES
from envwatch.errors import Conflict
from envwatch.git import bringing, commits
from envwatch.git.bringing import Bot, Made
from envwatch.git.mirror import Mirror
from envwatch.git.pushing import push_to
from envwatch.git.run import MIB
from envwatch.git.tree import Tree
from envwatch.git.urls import shown
from envwatch.model import ArtifactKind, EnvKey
from envwatch.settings import WriteBack
from envwatch.sources.git import GitSource
from envwatch.sources.managed import ManagedSource

logger = logging.getLogger(__name__)

LONGEST = 16 * MIB  # an old lock that is longer is not compared, only replaced
LIST = "packages.txt"


@dataclass(frozen=True, slots=True)
class LockFile:
    """A lock to write: its path in the source, and the file of the build that it comes from."""

    key: EnvKey
    number: int
    path: str
    file: Path

    @property
    def list_path(self) -> str:
        """`conda-lock.yml` → `packages.txt`, `stats.conda-lock.yml` → `stats.packages.txt`."""
        for suffix in LOCK_SUFFIXES:
            if self.path.endswith(suffix):
                return self.path.removesuffix(suffix) + LIST
        return f"{self.path}.{LIST}"


@dataclass(frozen=True, slots=True)
class Brought:
    """What is on the branch now; `written` is how many locks the commit holds, 0 for no commit."""

    revision: str = ""
    base: str = ""
    written: int = 0


NOTHING = Brought()


def lock_files(
    rows: Sequence[LockRow], record: Callable[[int], Path]
) -> tuple[tuple[LockFile, ...], tuple[str, ...]]:
    """The locks to write, and what cannot be: two environments cannot have one lock."""
    chosen: dict[str, LockFile] = {}
    said = []
    for row in rows:
        if other := chosen.get(row.path):
            said.append(f"{row.key}: `{row.path}` is the lock of {other.key} already")
        else:
            file = record(row.build_id) / ArtifactKind.LOCK
            chosen[row.path] = LockFile(row.key, row.number, row.path, file)
    return tuple(chosen.values()), tuple(said)


def bring(
    source: GitSource | ManagedSource,
    wanted: WriteBack,
    mirror: Callable[[], Mirror],
    locks: Sequence[LockFile],
    known: tuple[str, str],
) -> Brought | None:
    """Bring the branch up to date; None where the source is not what was looked at any more.

    `known` are the revision that was looked at and our last commit. Raises SourceError, and
    Conflict where the branch is not ours or is not taken.
    """
    revision, last = known
    bot = Bot(wanted.branch, wanted.name, wanted.email)
    if isinstance(source, ManagedSource):
        return _bring_here(source, bot, locks, known)
    tip = source.tip()
    if tip.revision != revision:
        return None
    if tip.ref == bot.ref:
        raise Conflict(f"`{bot.branch}` is the branch that is followed", hint="name another one")
    url, used = source.settings.url, mirror()
    # asked first: what it answers tells best who may not push
    top = bringing.tip(used.remote, bot)

    def use(tree: Tree) -> Brought:
        change = _changes(tree, locks)
        if not change.files:
            return NOTHING
        before = bringing.there(tree.run, url, bot, top)
        made = _commit(tree, change, bot, before, last, shown(url))
        if made is not before:
            push_to(tree.run, url, made.revision, bot.branch, before=top)
        return Brought(made.revision, revision, change.locks)

    return used.read(tip, use)


def _bring_here(
    source: ManagedSource, bot: Bot, locks: Sequence[LockFile], known: tuple[str, str]
) -> Brought | None:
    """The branch of a repository of our own moves by one step, if it is where it was."""
    repository, (revision, last) = source.repository, known
    if repository.tip(source.settings.branch) != revision:
        return None
    tree = repository.tree(revision)
    change = _changes(tree, locks)
    if not change.files:
        return NOTHING
    there = repository.tip(bot.branch)
    before = bringing.look(tree.run, there) if there else None
    made = _commit(tree, change, bot, before, last, repository.path.name)
    if made is not before and not commits.move(tree.run, bot.branch, made.revision, there):
        raise Conflict(f"`{bot.branch}` was moved meanwhile, or its name is in use")
    return Brought(made.revision, revision, change.locks)


# ---------------------------------------------------------------- one commit


@dataclass(frozen=True, slots=True)
class Change:
    """Files that the commit brings, and what it says of each environment."""

    files: Mapping[str, bytes]
    lines: tuple[str, ...]
    locks: int


def _commit(
    tree: Tree, change: Change, bot: Bot, before: Made | None, last: str, place: str
) -> Made:
    """A new commit, or the one that is there where it says the same."""
    if before is not None and before.revision != last and not before.is_by(bot):
        raise Conflict(
            f"the branch `{bot.branch}` of `{place}` holds commits that are not envwatch's",
            hint="merge or move them and delete the branch, or name another one in `write_back`",
        )
    made = bringing.commit(tree.run, tree.revision, change.files, bot, _message(change))
    if before is not None and (before.tree, before.parents) == (made.tree, made.parents):
        return before
    return made


def _message(change: Change) -> str:
    count = change.locks
    subject = f"Lock {count} environment{'s' if count != 1 else ''}"
    return "\n".join([subject, "", *change.lines])


def _changes(tree: Tree, locks: Sequence[LockFile]) -> Change:
    """What is another in the source than it is here."""
    paths = [p for lock in locks for p in (lock.path, lock.list_path)]
    known = bringing.blobs(tree, paths)
    files: dict[str, bytes] = {}
    changed: list[tuple[LockFile, str]] = []
    for lock in locks:
        data = _read(lock)
        if data is None:
            continue
        same = _blob(tree, data, known.get(lock.path, "")) == known.get(lock.path)
        if same and lock.list_path in known:
            continue
        changed.append((lock, data.decode(errors="replace")))
        if not same:
            files[lock.path] = data
    lines = _describe(tree, changed, known, files)
    return Change(files, lines, len(changed))


def _describe(
    tree: Tree,
    changed: Sequence[tuple[LockFile, str]],
    known: Mapping[str, str],
    files: dict[str, bytes],
) -> tuple[str, ...]:
    """A line for each environment; its list of packages is added to the files."""
    old = {known[lock.path]: LONGEST for lock, _ in changed if lock.path in known}
    texts = tree.read(old)[1] if old else {}
    lines = []
    for lock, text in changed:
        listed = locklist.read(text)
        if listed is not None:
            files[lock.list_path] = locklist.render(listed).encode()
        before = texts.get(known.get(lock.path, ""))
        lines.append(f"{lock.key} #{lock.number}: {_what(before, listed or ())}")
    return tuple(lines)


def _what(before: bytes | None, listed: Sequence[locklist.Line]) -> str:
    if before is None:
        return f"{len(listed)} packages, locked for the first time"
    old = locklist.read(before.decode(errors="replace"))
    if old is None:
        return f"{len(listed)} packages, in the place of a lock that cannot be read"
    return locklist.changes(old, listed) or "the same packages"


def _read(lock: LockFile) -> bytes | None:
    try:
        return lock.file.read_bytes()
    except OSError as e:
        logger.warning("%s #%d: its lock cannot be read: %s", lock.key, lock.number, e)
        return None


def _blob(tree: Tree, data: bytes, like: str) -> str:
    """The name that git has for this content, where there is something to compare it with."""
    return tree.run("hash-object", "--stdin", data=data).decode().strip() if like else ""
