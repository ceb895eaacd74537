"""A bare repository of our own: made, kept as it must be, and read where it lies."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from envwatch.errors import SourceError
from envwatch.git.refs import Tip
from envwatch.git.run import MIB, GitFailed, Surroundings, run_git
from envwatch.git.tree import Tree

TIMEOUT = 60.0  # seconds for one command
GC_LIMIT = 600.0  # seconds for packing a repository that had thousands of pushes
ABANDONED = 3600.0  # seconds after which what a push left behind is nobody's

# The whole config: whatever somebody changed in it is put right at the next start. It is the only
# copy of what people pushed, so all of it is on disk before they are told so. Old histories hold
# some odd things that harm nobody.
_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\tfsync = all
[receive]
\tdenyNonFastForwards = true
\tdenyDeletes = true
\tfsckObjects = true
\tautogc = false
\tshallowUpdate = false
[receive "fsck"]
\tzeroPaddedFilemode = ignore
\tmissingSpaceBeforeDate = ignore
\tbadTimezone = ignore
[uploadpack]
\tallowFilter = true
[transfer]
\thideRefs = refs/envwatch
"""


@dataclass(frozen=True, slots=True)
class Quarantine(Surroundings):
    """Surroundings in which the objects of a push are seen that are not taken over yet."""

    objects: str = ""
    alternates: str = ""

    def variables(self) -> dict[str, str]:
        base = Surroundings.variables(self)
        if not self.objects:
            return base
        return base | {
            "GIT_OBJECT_DIRECTORY": self.objects,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": self.alternates,
        }


@dataclass(frozen=True, slots=True)
class Bare:
    """One repository. Nothing is ever checked out of it."""

    path: Path
    timeout: float = TIMEOUT

    @property
    def surroundings(self) -> Surroundings:
        return Surroundings(self.path.parent, "file")

    def quarantine(self, objects: str, alternates: str) -> Quarantine:
        return Quarantine(self.path.parent, "file", objects=objects, alternates=alternates)

    def prepare(self) -> None:
        """Make it, or put it right: its config, its HEAD, no hooks, no left-overs."""
        if not (self.path / "HEAD").exists():
            self._make()
        _write(self.path / "config", _CONFIG)
        _write(self.path / "HEAD", "ref: refs/heads/main\n")
        _sweep(self.path / "objects")
        pack = ("-c", "gc.auto=6700", "-c", "gc.autoDetach=false", "gc", "--auto", "--quiet")
        self.run(*pack, timeout=GC_LIMIT)

    def tip(self, branch: str) -> str:
        """The commit at the top of a branch; empty where there is none."""
        ref = f"refs/heads/{branch}"
        listed = self.run("for-each-ref", "--format=%(objectname) %(refname)", ref).decode()
        # git lists `main/x` for `main` as well
        tips = {name: oid for oid, _, name in (line.partition(" ") for line in listed.split("\n"))}
        return tips.get(ref, "")

    def tree(self, revision: str, within: Surroundings | None = None) -> Tree:
        """One revision, also of a push that is not taken over yet."""

        def run(*arguments: str, data: bytes = b"", limit: int = 16 * MIB) -> bytes:
            return self.run(*arguments, data=data, limit=limit, within=within)

        return Tree(Tip("", revision, revision), run, _nothing_to_fetch, str)

    def run(
        self,
        *arguments: str,
        data: bytes = b"",
        limit: int = 16 * MIB,
        within: Surroundings | None = None,
        timeout: float = 0.0,
    ) -> bytes:
        """What git says in it. Raises GitFailed."""
        if not self.path.is_dir():
            raise SourceError(f"the repository `{self.path.name}` is gone")
        out, _ = run_git(
            within or self.surroundings,
            (f"--git-dir={self.path}", *arguments),
            timeout=timeout or self.timeout,
            data=data,
            limit=limit,
        )
        return out

    def holds(self, revision: str, within: Surroundings | None = None) -> bool:
        """Is there a commit of this name?"""
        try:
            kind = self.run("cat-file", "-t", revision, within=within)
        except GitFailed:
            return False
        return kind.strip() == b"commit"

    def _make(self) -> None:
        """Beside, then renamed: half a repository is never taken for a whole one."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        shutil.rmtree(beside, ignore_errors=True)
        make = ("init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(beside))
        run_git(self.surroundings, make, timeout=self.timeout)
        beside.rename(self.path)


def _write(path: Path, text: str) -> None:
    if path.is_file() and path.read_text(errors="replace") == text:
        return
    with NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    Path(file.name).replace(path)


def _sweep(objects: Path) -> None:
    """What a push left that was killed with the machine; git itself never looks for it again."""
    for left in objects.glob("tmp_objdir-*"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > ABANDONED:
                shutil.rmtree(left, ignore_errors=True)


def _nothing_to_fetch(_: Iterable[str]) -> None:
    """All objects are here."""
