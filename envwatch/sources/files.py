"""What all sources agree on: which files count, how large they may be, how oddities are told."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from envwatch.errors import SourceError
from envwatch.model import Level, Message, SourceFile
from envwatch.repowords import is_repo_file
from envwatch.settings import SourceSettings
from envwatch.sources.globs import Globs, compile_globs

KIB = 2**10
SPEC_LIMIT = 64 * KIB
LOCK_LIMIT = 16 * 2**20

_SUFFIXES = (".yml", ".yaml")
_LOCKS = ("conda-lock.yml", "conda-lock.yaml")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files of a source are read. `mark` changes whenever that may change."""

    globs: Globs
    max_files: int
    mark: str

    def takes(self, path: str) -> bool:
        """Each file that a pattern takes, and each `envwatch.yml` in a folder that one reaches."""
        if is_repo_file(path) and not self.globs.excludes(path):
            folder = _folder(path)
            return not folder or self.globs.enters(folder)
        return path.endswith(_SUFFIXES) and self.globs.takes(path)

    def choose(self, paths: Iterable[str]) -> set[str]:
        """The files to take, and the locks that lie beside them."""
        known = list(paths)
        taken = {path for path in known if self.takes(path)}
        folders = {_folder(path) for path in taken if not is_lock(path)}
        beside = {path for path in known if is_lock(path) and _folder(path) in folders}
        taken |= {path for path in beside if not self.globs.excludes(path)}
        return taken

    def check_count(self, count: int) -> None:
        if count > self.max_files:
            raise SourceError(
                f"more than {self.max_files} files match `include`",
                hint="narrow `include`, or raise `max_files`",
            )


def selection(settings: SourceSettings) -> Selection:
    described = repr((settings.url, settings.directory, settings.max_files))
    described += repr((settings.include, settings.exclude))
    mark = hashlib.sha256(described.encode()).hexdigest()[:8]
    return Selection(compile_globs(settings.include, settings.exclude), settings.max_files, mark)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def is_lock(path: str) -> bool:
    return path.endswith(_LOCKS)


def limit_of(path: str) -> int:
    return LOCK_LIMIT if is_lock(path) else SPEC_LIMIT


def shown(path: str) -> str:
    """A path for people: bytes that are no UTF-8 and characters that do not print are escaped."""
    text = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def unread(path: str, content: str, text: str, hint: str = "") -> SourceFile:
    """A file that counts as present and was not read."""
    message = Message(Level.ERROR, text, path=shown(path), hint=hint)
    return SourceFile(shown(path), content, None, message)


def too_large(path: str, content: str) -> SourceFile:
    return unread(path, content, f"the file is too large: the limit is {limit_of(path) // KIB} KiB")


def missing_folder(path: str, kind: str) -> Message:
    """A pattern names a folder, and there is something else."""
    return Message(Level.WARNING, f"the folder is {kind}, which is not followed", path=shown(path))


def strange_name(path: str) -> str:
    """Why a name is refused, or nothing. Names go to pages, logs and terminals."""
    if path != shown(path):
        return "the name of the file has characters that do not print"
    if {".", "..", ""} & set(path.split("/")):
        return "the name of the file is no path"
    return ""
