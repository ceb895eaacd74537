"""What one revision of a mirror holds: its entries, its blobs, its commit."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from envwatch.errors import SourceError
from envwatch.git.refs import Tip
from envwatch.git.run import MIB, GitFailed, OutputTooLarge
from envwatch.model import Commit

REGULAR = ("100644", "100755", "100664")
LINK = "120000"
SUBMODULE = "160000"

# About a million files. A tree of 10^10 files can come in a pack of one kilobyte.
_LISTING_LIMIT = 64 * MIB
_BLOBS_LIMIT = 128 * MIB
_COMMIT_LIMIT = MIB
_AT_ONCE = 4 * MIB
_TEXT_LIMIT = 200
_PERSON = re.compile(r"(?P<name>.*?)\s*<(?P<email>[^>]*)>")
_WHEN = re.compile(r"> (?P<seconds>\d{1,12}) [+-]\d{4}$")


class Run(Protocol):
    """Runs git in the mirror and returns its output."""

    def __call__(self, *arguments: str, data: bytes = b"", limit: int = 16 * MIB) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, link or submodule. Bytes of `path` that are no UTF-8 are lone surrogates."""

    mode: str
    oid: str
    path: str


@dataclass(frozen=True, slots=True)
class Tree:
    """One revision, readable while its mirror is locked.

    `fetch_blobs` brings blobs into the mirror, all in one request; `sign` says who signed it.
    """

    tip: Tip
    run: Run
    fetch_blobs: Callable[[Iterable[str]], None]
    sign: Callable[[], str]

    @property
    def revision(self) -> str:
        return self.tip.revision

    def entries(self) -> Iterator[Entry]:
        """All that the revision holds, in git's order; folders are not listed."""
        try:
            listing = self.run(
                "ls-tree", "-r", "-z", "--full-tree", self.revision, limit=_LISTING_LIMIT
            )
        except OutputTooLarge:
            raise SourceError(
                f"commit `{self.revision[:12]}` lists too many files",
                hint="use a repository of its own for environment files",
            ) from None
        return _entries(listing)

    def read(self, limits: Mapping[str, int]) -> tuple[Commit, dict[str, bytes | None]]:
        """The commit, and the bytes of each blob; None where it is larger than its limit."""
        try:
            found = self._at_once(limits)
        except GitFailed:
            found = self._by_size(limits)
        commit = replace(
            parse_commit(self.revision, found.pop(self.revision)), signature=self.sign()
        )
        small = {o: d for o, d in found.items() if o in limits and len(d) <= limits[o]}
        return commit, dict.fromkeys(limits) | small

    def _at_once(self, limits: Mapping[str, int]) -> dict[str, bytes]:
        """What is small and there already, as after most commits: one request."""
        return self._objects([*self._own(), *limits], _AT_ONCE)

    def _by_size(self, limits: Mapping[str, int]) -> dict[str, bytes]:
        """The sizes first: nothing is read that is too large, and blobs may have to be fetched."""
        try:
            sizes = self._sizes(limits)
        except GitFailed:
            self.fetch_blobs(limits)
            sizes = self._sizes(limits)
        small = [oid for oid, limit in limits.items() if sizes[oid] <= limit]
        size = sum(sizes[oid] for oid in small)
        if size > _BLOBS_LIMIT:
            raise SourceError(
                f"commit `{self.revision[:12]}` holds more than {_BLOBS_LIMIT // MIB} MiB of files",
                hint="narrow `include`",
            )
        return self._objects([*self._own(), *small], size + 2 * _COMMIT_LIMIT)

    def _own(self) -> tuple[str, ...]:
        """The commit, and the tag that names it: a signature counts for what is whole."""
        return tuple(dict.fromkeys((self.revision, self.tip.target)))

    def _sizes(self, oids: Iterable[str]) -> dict[str, int]:
        answer = self.run("cat-file", "--batch-check", data=_lines(oids)).decode()
        sizes = {}
        for line in answer.splitlines():
            oid, kind, *size = line.split(" ")
            if kind != "blob":
                raise GitFailed(f"git cat-file: `{oid}` is {kind}")
            sizes[oid] = int(size[0])
        return sizes

    def _objects(self, oids: list[str], size: int) -> dict[str, bytes]:
        """The commit and blobs of this revision, each compared with its name."""
        answer = self.run("cat-file", "--batch", data=_lines(oids), limit=size + 200 * len(oids))
        found = {}
        at = 0
        for oid in oids:
            end = answer.find(b"\n", at)
            header = answer[at:end].decode().split(" ")
            data = answer[end + 1 : end + 1 + int(header[-1])] if len(header) == 3 else b""
            kind = {self.tip.target: "tag", self.revision: "commit"}.get(oid, "blob")
            # Git does not hash what it reads, so it would hand out what a bad disk made of it.
            if header[:2] != [oid, kind] or _oid(kind, data, oid) != oid:
                raise GitFailed(f"git cat-file: `{oid}` is missing or broken")
            found[oid] = data
            at = end + 1 + len(data) + 1
        return found


def _lines(oids: Iterable[str]) -> bytes:
    return "".join(f"{oid}\n" for oid in oids).encode()


def _oid(kind: str, data: bytes, like: str) -> str:
    """The name that git gives to an object, by SHA-1 or SHA-256 as the other one is."""
    algorithm = "sha256" if len(like) == 64 else "sha1"
    digest = hashlib.new(algorithm, f"{kind} {len(data)}\0".encode(), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


def _entries(listing: bytes) -> Iterator[Entry]:
    at = 0
    while at < len(listing):
        end = listing.index(b"\0", at)
        head, _, path = listing[at:end].partition(b"\t")
        mode, _, oid = head.decode().split(" ")
        yield Entry(mode, oid, path.decode(errors="surrogateescape"))
        at = end + 1


def parse_commit(revision: str, data: bytes) -> Commit:
    """A commit as it is shown: one line each, without control characters, of bounded length."""
    head, _, body = data.partition(b"\n\n")
    headers = dict(line.partition(" ")[::2] for line in _text(head).split("\n"))
    person = _PERSON.match(headers.get("author", ""))
    when = _WHEN.search(headers.get("committer", ""))
    return Commit(
        revision,
        author=_plain(person["name"]) if person else "",
        email=_plain(person["email"]) if person else "",
        subject=_plain(_text(body).lstrip().split("\n", 1)[0]),
        at=datetime.fromtimestamp(int(when["seconds"]), UTC) if when else None,
    )


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _plain(text: str) -> str:
    return "".join(c for c in text if c.isprintable()).strip()[:_TEXT_LIMIT]
