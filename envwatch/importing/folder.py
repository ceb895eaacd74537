"""A directory of environment files: read as a source would read it, the paths kept."""

from __future__ import annotations

from pathlib import Path

from envwatch.importing import Found
from envwatch.importing.text import refusal
from envwatch.model import Level, Message, SourceFile
from envwatch.repowords import is_repo_file
from envwatch.settings import SourceKind, SourceSettings
from envwatch.sources.directory import open_directory
from envwatch.sources.files import is_lock, strange_name
from envwatch.spec import check


def read_folder(folder: Path, *, keep_broken: bool = False) -> Found:
    """Environment files, their locks and each `envwatch.yml`. Raises SourceError."""
    settings = SourceSettings("import", SourceKind.DIRECTORY, "import", directory=folder.absolute())
    snapshot = open_directory(settings).snapshot()
    files: list[tuple[str, bytes]] = []
    left = [m for m in snapshot.messages if m.level is Level.ERROR]
    for file in snapshot.files:
        problem = _refusal(file)
        if problem is not None:
            left.append(problem)
        if file.data is not None and (problem is None or _may_stay(file, keep_broken=keep_broken)):
            files.append((file.path, file.data))
    return Found(folder.absolute().name, tuple(files), left=tuple(left))


def _refusal(file: SourceFile) -> Message | None:
    if file.data is None:
        return file.problem or Message(Level.ERROR, "it was not read", path=file.path)
    name = strange_name(file.path)
    if name:
        return Message(Level.ERROR, name, path=file.path)
    if is_lock(file.path) or is_repo_file(file.path):
        return None
    told = check(file.data, path=file.path)
    if told and all(m.level is Level.NOTE for m in told) and "not an environment" in told[0].text:
        return told[0]
    return refusal(file.data, file.path)


def _may_stay(file: SourceFile, *, keep_broken: bool) -> bool:
    """A broken environment file where that is wished; other yaml never."""
    return (
        keep_broken and not strange_name(file.path) and bool(refusal(file.data or b"", file.path))
    )
