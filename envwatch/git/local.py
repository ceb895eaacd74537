"""What changes on this machine when a local repository gets a commit. Reads names, runs nothing."""

from __future__ import annotations

from pathlib import Path

from envwatch.git.urls import local_path

_POINTER_LIMIT = 4096


def watched(url: str) -> tuple[Path, ...]:
    """The refs of a local repository; nothing for a remote one, or one that is not there."""
    path = local_path(url)
    folder = git_folder(path) if path else None
    if folder is None:
        return ()
    names = ("refs", "packed-refs", "HEAD", "reftable")
    return tuple(folder / name for name in names if name != "reftable" or (folder / name).is_dir())


def git_folder(path: Path) -> Path | None:
    """Where the refs of a repository lie: of a bare one, a work tree, or a linked work tree."""
    for candidate in (path, path / ".git"):
        if (candidate / "HEAD").is_file() and (candidate / "objects").is_dir():
            return candidate
    linked = _pointer(path / ".git", "gitdir: ")
    if linked is None:
        return None
    common = _pointer(linked / "commondir", "")
    return common or linked


def _pointer(file: Path, prefix: str) -> Path | None:
    """The folder that a one-line file names, relative to itself."""
    try:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(_POINTER_LIMIT).strip()
    except (OSError, UnicodeDecodeError):
        return None
    return (file.parent / text.removeprefix(prefix)).resolve() if text.startswith(prefix) else None
