"""`envwatch check` on an `envwatch.yml`: with the files that it names, as they lie on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from envwatch import layers, repofile, spec, virtualfile
from envwatch.declared import NOT_THERE
from envwatch.errors import SpecError
from envwatch.model import Level, Message, Requirement, Spec
from envwatch.repofile import Declared, RepoFile
from envwatch.repowords import Words
from envwatch.yamltext import Limits

MOST_LOOKED_AT = 2000  # files that are looked into for an environment that is only named


def messages(path: Path, data: bytes) -> tuple[Message, ...]:
    """All that there is to say, in the order of the files."""
    top = _top(path.absolute().parent)
    within = path.absolute().relative_to(top).as_posix()
    repo = repofile.read(data, path=within)
    said = [*repo.messages]
    if repo.broken is None:
        said += _Checked(top, repo).all()
    ordered = sorted(dict.fromkeys(said), key=lambda m: (m.path != within, m.path, m.line))
    return tuple(replace(m, path=_shown(top / m.path, path)) for m in ordered)


def _shown(path: Path, named: Path) -> str:
    """A path as people named theirs: whole, or from the folder in which they stand."""
    return str(path) if named.is_absolute() else os.path.relpath(path)


def _top(folder: Path) -> Path:
    """Where a source would begin: the repository, or the folder that one stands in."""
    for above in (folder, *folder.parents):
        if (above / ".git").exists():
            return above
    return Path.cwd() if folder.is_relative_to(Path.cwd()) else folder


@dataclass(frozen=True, slots=True)
class _Checked:
    """One file, and the folder from which its paths count."""

    top: Path
    repo: RepoFile

    def all(self) -> Iterator[Message]:
        yield from self._words(self.repo.defaults)
        for entry in self.repo.environments:
            if entry.problem is None:
                yield from self._words(entry.words)
                yield from self._entry(entry)
        yield from self._named()

    def _entry(self, entry: Declared) -> Iterator[Message]:
        parts = []
        for file in entry.files:
            try:
                parts.append(self._parsed(file))
            except SpecError as e:
                yield _message(e, self.repo.path)
        if len(parts) == len(entry.files) > 1:
            yield from self._merged(parts)

    def _parsed(self, file: Requirement) -> Spec:
        data = self._read(file.text, (file.line, file.column))
        parsed = spec.parse(data, path=file.text, known=True)
        if parsed is None:
            raise SpecError("not an environment", path=file.text)
        return parsed

    def _merged(self, parts: list[Spec]) -> Iterator[Message]:
        try:
            yield from layers.merge(parts, self.repo.path).messages
        except SpecError as e:
            yield _message(e, self.repo.path)

    def _words(self, words: Words) -> Iterator[Message]:
        try:
            if words.virtual_file:
                data = self._read(words.virtual_file, words.place("virtual_packages"))
                virtualfile.read_file(data, path=words.virtual_file)
            if words.lock and not (self.top / words.lock).is_file():
                raise self._absent(words.lock, words.place("lock"))
        except SpecError as e:
            yield _message(e, self.repo.path)

    def _named(self) -> Iterator[Message]:
        """Entries without `files` speak of an environment that a file below has."""
        missing = {e.name: e for e in self.repo.environments if not e.files and not e.problem}
        if not missing:
            return
        for name in self._names():
            missing.pop(name, None)
        for entry in missing.values():
            text = f"no environment file in this folder or below is called `{entry.name}`"
            place = (entry.line, entry.column)
            yield Message(Level.ERROR, text, self.repo.path, *place, "name its `files`")

    def _names(self) -> Iterator[str]:
        folder = self.top / self.repo.folder
        files = (f for f in sorted(folder.rglob("*.y*ml")) if f.is_file())
        for file, _ in zip(files, range(MOST_LOOKED_AT), strict=False):
            path = file.relative_to(self.top).as_posix()
            try:
                parsed = spec.parse(self._read(path, (0, 0)), path=path)
                if parsed is not None:
                    yield parsed.name or spec.default_name(path, self.top.name)
            except SpecError:
                continue

    def _read(self, path: str, place: tuple[int, int]) -> bytes:
        file = self.top / path
        if not file.is_file():
            raise self._absent(path, place)
        with file.open("rb") as opened:
            return opened.read(Limits().max_bytes + 1)

    def _absent(self, path: str, place: tuple[int, int]) -> SpecError:
        line, column = place
        text = f"`{path}` is not among the files of this source"
        return SpecError(text, path=self.repo.path, line=line, column=column, hint=NOT_THERE)


def _message(error: SpecError, path: str) -> Message:
    place = (error.path or path, error.line, error.column)
    return Message(Level.ERROR, error.message, *place, error.hint)
