"""What was found elsewhere, written into a managed repository: on top, never over what is there.

A second import adds only what is new. A file that a person changed here is left as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from envwatch.edit import Author
from envwatch.errors import Conflict
from envwatch.git.bare import Bare
from envwatch.git.commits import blob_at, last_change
from envwatch.git.history import Revision, add_history
from envwatch.importing import BUILDS, FILES, Found, Imported
from envwatch.model import Level, Message

FROM_STORE = Author("conda-store import", "conda-store@localhost")
LARGEST = 64 * 2**20  # bytes of all the files of one import
LOG_LIMIT = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Target:
    """The managed repository of a namespace, and the branch of it that is followed."""

    namespace: str
    bare: Bare
    branch: str

    @property
    def tip(self) -> str:
        return self.bare.tip(self.branch) if self.bare.path.is_dir() else ""


def write(found: Found, target: Target, author: Author, *, dry_run: bool = False) -> Imported:
    """Commit what is new. Raises Conflict where somebody pushed in the same moment."""
    tip = target.tip
    repository = _Repository(target.bare, tip)
    left = list(found.left)
    make = _of_states if found.states else _of_files
    revisions = tuple(make(found, repository, author, left))
    if sum(len(data) for r in revisions for _, data in r.files) > LARGEST:
        raise Conflict(f"{found.origin}: more than {LARGEST} bytes of files", hint="try --current")
    if revisions and not dry_run:
        target.bare.prepare()
        tip = add_history(target.bare.run, target.branch, tip, revisions)
        if not tip:
            text = f"the repository of `{target.namespace}` was pushed to in the same moment"
            raise Conflict(text, hint="run the import again")
    files = tuple(dict.fromkeys(path for r in revisions for path, _ in r.files))
    return Imported(target.namespace, len(revisions), files, tuple(left), tip)


def _of_files(
    found: Found, repository: _Repository, author: Author, left: list[Message]
) -> Iterator[Revision]:
    """One commit with every file that is new or differs."""
    files = []
    for path, data in found.files:
        if repository.holds(path, data):
            continue
        problem = repository.problem(path)
        if problem is None:
            files.append((path, data))
        else:
            left.append(problem)
    if files:
        count = f"{len(files)} environment file{'s' if len(files) > 1 else ''}"
        message = f"import {count} from {found.origin}\n\n{FILES}: {found.origin}\n"
        yield Revision(tuple(files), author, datetime.now(UTC), message)


def _of_states(
    found: Found, repository: _Repository, _: Author, left: list[Message]
) -> Iterator[Revision]:
    """A commit for each state that no earlier import brought."""
    known = repository.marks()
    fresh = [s for s in found.states if s.stands or s.mark not in known]
    problems = {path: repository.problem(path, known) for path in {s.path for s in fresh}}
    # what is the current one is no news where a person has changed the file since
    news = {s.path for s in fresh if not s.stands}
    left += [p for path, p in sorted(problems.items()) if p is not None and path in news]
    now: dict[str, bytes] = {}
    for state in (s for s in fresh if problems[s.path] is None):
        if now.get(state.path) == state.data or (
            state.path not in now and repository.holds(state.path, state.data)
        ):
            continue
        now[state.path] = state.data
        message = f"{state.title}\n\n{state.mark}\n"
        yield Revision(((state.path, state.data),), FROM_STORE, state.at, message)


@dataclass(frozen=True, slots=True)
class _Repository:
    """What is in the repository now."""

    bare: Bare
    tip: str

    def holds(self, path: str, data: bytes) -> bool:
        return bool(self.tip) and blob_at(self.bare.run, self.tip, path) == _name(data, self.tip)

    def marks(self) -> frozenset[str]:
        """The trailers of earlier imports from a conda-store."""
        if not self.tip:
            return frozenset()
        told = self.bare.run("log", "--format=%B", self.tip, limit=LOG_LIMIT)
        lines = told.decode(errors="replace").splitlines()
        return frozenset(line for line in lines if line.startswith(f"{BUILDS}: "))

    def problem(self, path: str, marks: frozenset[str] = frozenset()) -> Message | None:
        """Why a file is left as it is: a person changed or removed it, or it cannot be there."""
        if not self.tip:
            return None
        if self._collides(path):
            return _left(path, "something else is in its place here")
        if not self._kind(path):
            removed = self._is_removed(path, marks)
            return _left(path, "was removed here since the last import") if removed else None
        if self._is_ours(last_change(self.bare.run, self.tip, path).revision):
            return None
        return _left(path, "was changed or made here: it is left as it is")

    def _is_removed(self, path: str, marks: frozenset[str]) -> bool:
        name = path.removesuffix(".yml")
        return any(f"/{name} " in mark for mark in marks)

    def _is_ours(self, revision: str) -> bool:
        body = self.bare.run("cat-file", "commit", revision).decode(errors="replace")
        return any(line.startswith((f"{FILES}: ", f"{BUILDS}: ")) for line in body.splitlines())

    def _collides(self, path: str) -> bool:
        """A folder where the file would lie, or a file where its folder would be."""
        names = path.split("/")
        above = ["/".join(names[:n]) for n in range(1, len(names))]
        return any(self._kind(folder) not in ("", "tree") for folder in above) or (
            self._kind(path) not in ("", "blob")
        )

    def _kind(self, path: str) -> str:
        listed = self.bare.run("ls-tree", "-z", "--full-tree", self.tip, "--", path).decode()
        return listed.split(" ")[1] if listed else ""


def _name(data: bytes, like: str) -> str:
    """The name that git gives to a file, by SHA-1 or SHA-256 as another name is."""
    algorithm = "sha256" if len(like) == 64 else "sha1"
    return hashlib.new(
        algorithm, b"blob %d\0%s" % (len(data), data), usedforsecurity=False
    ).hexdigest()


def _left(path: str, text: str) -> Message:
    return Message(Level.WARNING, text, path=path)
